//! The knowledge about an agent from earlier sessions: how much fits into an answer, how
//! fast it is, and its SNMPv3 engine.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{credential::Credentials, engine::Engine, secret::Secret, usm::Keyring};

/// The knowledge about one agent, including a user's keys. All sessions with the agent as
/// that user share it.
#[derive(Debug)]
pub struct Agent {
    notes: Mutex<Notes>,
    /// The next salt. No key uses a salt twice.
    salt: AtomicU64,
    keys: Arc<Keyring>,
    /// The number of open sessions.
    sessions: AtomicUsize,
}

/// A guard that counts as an open session of the agent until it is dropped.
#[derive(Debug)]
pub(crate) struct SessionGuard(Arc<Agent>);

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The most varbinds requested in one answer.
pub(crate) const MOST_VARBINDS: usize = 200;

/// The most octets requested in one answer, so that it fits into an Ethernet frame. Agents
/// that cannot send fragments, and routers that drop them, are common.
pub(crate) const MOST_OCTETS: usize = 1_400;

/// The octets that every agent can send (RFC 3417, section 3.1).
const ALWAYS_OCTETS: usize = 484;

/// The number of complete answers in a row after which limits are raised.
const GROWTH: u32 = 200;

/// The observations of sessions about an agent.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    /// The most varbinds to request in one answer.
    pub(crate) most_varbinds: usize,
    /// The most octets to request in one answer.
    pub(crate) most_octets: usize,
    /// Whether the agent knows GETBULK, which some v2c agents do not.
    pub(crate) knows_bulk: Option<bool>,
    /// The number of complete answers since a limit was last set.
    complete: u32,
    /// The mean time until an answer.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) engine: Option<Arc<Engine>>,
}

impl Notes {
    /// Records an answer that was cut off after `got` varbinds and `octets`.
    pub(crate) fn truncated(&mut self, got: usize, octets: usize) {
        self.complete = 0;
        // The octets rather than the varbinds, which differ in length.
        match octets > ALWAYS_OCTETS {
            true => self.most_octets = self.most_octets.min(octets),
            false => self.most_varbinds = self.most_varbinds.min(got.max(1)),
        }
    }

    /// Records that an answer of `rows` with `columns`, about `octets` long, was too big.
    pub(crate) fn too_big(&mut self, rows: usize, columns: usize, octets: usize) {
        self.complete = 0;
        match rows > 1 && octets > 2 * ALWAYS_OCTETS {
            true => self.most_octets = (self.most_octets.min(octets) / 2).max(ALWAYS_OCTETS),
            false => self.at_most(rows * columns / 2),
        }
    }

    /// Records that an answer can have at most this many varbinds.
    pub(crate) fn at_most(&mut self, varbinds: usize) {
        self.complete = 0;
        self.most_varbinds = self.most_varbinds.min(varbinds.max(1));
    }

    /// Records a complete answer. After many of them, limits are raised: the agent may have
    /// been short of memory only temporarily.
    pub(crate) fn complete(&mut self) {
        self.complete += 1;
        if self.complete >= GROWTH {
            self.complete = 0;
            self.most_varbinds = (self.most_varbinds * 2).min(MOST_VARBINDS);
            self.most_octets = (self.most_octets * 2).min(MOST_OCTETS);
        }
    }

    /// Records the time that an answer took.
    pub(crate) fn took(&mut self, time: Duration) {
        // Smoothed as TCP does (RFC 6298, section 2.3).
        self.round_trip = Some(self.round_trip.map_or(time, |mean| (mean * 7 + time) / 8));
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Agent {
    /// Creates an agent about which nothing is known yet. `keys` hashes each password once for
    /// all agents that share it.
    #[must_use]
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self {
            notes: Mutex::new(Notes {
                most_varbinds: MOST_VARBINDS,
                most_octets: MOST_OCTETS,
                knows_bulk: None,
                complete: 0,
                round_trip: None,
                engine: None,
            }),
            salt: AtomicU64::new(random()),
            keys,
            sessions: AtomicUsize::new(0),
        }
    }

    /// Allows GETBULK again after the agent refused one, in case that was a passing fault.
    pub fn retry_bulk(&self) {
        let mut notes = self.notes();
        notes.knows_bulk = notes.knows_bulk.filter(|knows| *knows);
    }

    /// Registers an open session.
    pub(crate) fn open_session(self: &Arc<Self>) -> SessionGuard {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        SessionGuard(Arc::clone(self))
    }

    /// The number of open sessions.
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn keys(&self) -> &Keyring {
        &self.keys
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_salt(&self) -> u64 {
        self.salt.fetch_add(1, Ordering::Relaxed)
    }
}

/// An unpredictable number: the standard library takes its hash keys from the system's
/// random source.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// All agents of a process, by address and user.
#[derive(Debug, Default)]
pub struct Agents {
    known: Mutex<HashMap<(SocketAddr, Principal), Arc<Agent>>>,
    keys: Arc<Keyring>,
    /// Distinguishes passwords without keeping them.
    hash: RandomState,
}

/// The principal of requests, in RFC 3411's sense. Each user has its own keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Principal {
    Anyone,
    User(String, [u64; 2]),
}

impl Agents {
    /// Returns the agent at `address` for these `credentials`. It is created on first use and
    /// kept: a few hundred bytes for each address that a device ever had.
    pub fn at(&self, address: SocketAddr, credentials: &Credentials) -> Arc<Agent> {
        let principal = match credentials {
            Credentials::V1(_) | Credentials::V2c(_) => Principal::Anyone,
            Credentials::V3(user) => {
                let key = |password: Option<&Secret>| {
                    password.map_or(0, |password| self.hash.hash_one(password.reveal()))
                };
                Principal::User(
                    format!(
                        "{} {:?} {:?}",
                        user.name,
                        user.auth.as_ref().map(|(protocol, _)| protocol),
                        user.privacy.as_ref().map(|(protocol, _)| protocol)
                    ),
                    [
                        key(user.auth.as_ref().map(|(_, password)| password)),
                        key(user.privacy.as_ref().map(|(_, password)| password)),
                    ],
                )
            }
        };
        let mut agents = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = agents.entry((address, principal));
        Arc::clone(agent.or_insert_with(|| Arc::new(Agent::new(Arc::clone(&self.keys)))))
    }
}
