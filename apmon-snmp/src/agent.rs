//! What is known of an agent from earlier polls: how much it can answer at
//! once, how fast it is, and its SNMPv3 engine.

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

use apmon_core::Secret;

use crate::{credential::Credentials, session::Engine, usm::Keyring};

/// What is known of one agent. Shared by all who ask it, as the same user: it
/// holds that user's keys.
#[derive(Debug)]
pub struct Agent {
    notes: Mutex<Notes>,
    /// No salt is used twice under a key.
    salt: AtomicU64,
    keys: Arc<Keyring>,
    /// How many ask it now.
    askers: AtomicUsize,
}

/// Somebody asks an agent, until this is dropped.
#[derive(Debug)]
pub(crate) struct Asking(Arc<Agent>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.askers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So many varbinds are asked for at once, at most.
pub(crate) const MOST_VARBINDS: usize = 200;

/// An answer is to fit into one frame of Ethernet: an agent that sends in
/// fragments, or a router on the way that drops them, is common.
pub(crate) const MOST_OCTETS: usize = 1_400;

/// Every agent can send so many octets (RFC 3417, section 3.1).
const ALWAYS_OCTETS: usize = 484;

/// After so many answers that had all that was asked for, more is asked for.
const GROWTH: u32 = 200;

#[derive(Clone, Debug)]
pub(crate) struct Notes {
    /// An answer of this many varbinds is not too long for it.
    pub(crate) most_varbinds: usize,
    /// Nor is one of this many octets.
    pub(crate) most_octets: usize,
    /// Whether it knows GETBULK: some that speak v2c do not.
    pub(crate) knows_bulk: Option<bool>,
    /// Complete answers since a limit was set.
    complete: u32,
    /// How long it took to answer, on average.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) engine: Option<Arc<Engine>>,
}

impl Notes {
    /// An answer ended at `got` varbinds, in `octets`, though there was more.
    pub(crate) fn truncated(&mut self, got: usize, octets: usize) {
        self.complete = 0;
        // Rather its size than its varbinds: others are of another length.
        match octets > ALWAYS_OCTETS {
            true => self.most_octets = self.most_octets.min(octets),
            false => self.most_varbinds = self.most_varbinds.min(got.max(1)),
        }
    }

    /// `rows` of `columns` were too much, in about `octets`.
    pub(crate) fn too_big(&mut self, rows: usize, columns: usize, octets: usize) {
        self.complete = 0;
        match rows > 1 && octets > 2 * ALWAYS_OCTETS {
            true => self.most_octets = (self.most_octets.min(octets) / 2).max(ALWAYS_OCTETS),
            false => self.at_most(rows * columns / 2),
        }
    }

    /// More varbinds than these did not come back.
    pub(crate) fn at_most(&mut self, varbinds: usize) {
        self.complete = 0;
        self.most_varbinds = self.most_varbinds.min(varbinds.max(1));
    }

    /// An answer was complete. An agent that was short of memory once is asked
    /// for more again some day.
    pub(crate) fn complete(&mut self) {
        self.complete += 1;
        if self.complete >= GROWTH {
            self.complete = 0;
            self.most_varbinds = (self.most_varbinds * 2).min(MOST_VARBINDS);
            self.most_octets = (self.most_octets * 2).min(MOST_OCTETS);
        }
    }

    /// An answer took so long.
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
    /// One of whom nothing is known; users' passwords are hashed once by `keys`,
    /// for all agents that share them.
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
            askers: AtomicUsize::new(0),
        }
    }

    /// Somebody begins to ask it.
    pub(crate) fn asking(self: &Arc<Self>) -> Asking {
        self.askers.fetch_add(1, Ordering::Relaxed);
        Asking(Arc::clone(self))
    }

    /// How many ask it now.
    pub(crate) fn askers(&self) -> usize {
        self.askers.load(Ordering::Relaxed)
    }

    /// That it did not answer a GETBULK may have been a bad moment of it: it is
    /// asked again.
    pub(crate) fn may_know_bulk(&self) {
        let mut notes = self.notes();
        notes.knows_bulk = notes.knows_bulk.filter(|knows| *knows);
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

/// What nobody can guess: the standard library takes its hash keys from the
/// system's random source.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// All agents of this process.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    known: Mutex<HashMap<(SocketAddr, Whom), Arc<Agent>>>,
    keys: Arc<Keyring>,
    /// Tells one password from another.
    hash: RandomState,
}

/// As whom an agent is asked: the keys of another user are others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Whom {
    Anybody,
    User(String, [u64; 2]),
}

impl Agents {
    /// The agent at `address`, as it is asked by `credentials`.
    pub(crate) fn at(&self, address: SocketAddr, credentials: &Credentials) -> Arc<Agent> {
        let whom = match credentials {
            Credentials::V1(_) | Credentials::V2c(_) => Whom::Anybody,
            Credentials::V3(user) => {
                let key = |password: Option<&Secret>| {
                    password.map_or(0, |password| self.hash.hash_one(password.reveal()))
                };
                Whom::User(
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
        // A device whose address moves leaves an entry behind, some hundred
        // octets.
        let agent = agents.entry((address, whom));
        Arc::clone(agent.or_insert_with(|| Arc::new(Agent::new(Arc::clone(&self.keys)))))
    }
}
