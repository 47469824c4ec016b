//! Addresses to names by PTR records (RFC 1035 section 3.5, RFC 3596 section
//! 2.5).
//!
//! Names of stations are an adornment: whoever asks for one says how long it may
//! wait, and what comes later is there the next time. Each address is asked for
//! once by all, a few at the same time, and a name server that is silent is
//! left alone for a while.

mod kept;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apmon_core::text::excerpt;
use hickory_resolver::{
    Name,
    proto::rr::{RData, RecordType},
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout, timeout_at},
};

use self::kept::Kept;
use super::{Dns, Lack, Sources, lack};

/// Names of stations move with their leases, not by the minute.
const KEEP: Duration = Duration::from_secs(3600);
const KEEP_ABSENCE: Duration = Duration::from_secs(600);
/// Where the name server could not tell.
const KEEP_TROUBLE: Duration = Duration::from_secs(60);

/// Questions under way at the same time: a switch with a thousand stations must
/// not flood a home router.
const AT_ONCE: usize = 8;

/// Addresses that wait for their turn. No more are remembered either.
const MAX_WAITING: usize = 10_000;

/// The longest wait for one answer, however many name servers there are.
const PATIENCE: Duration = Duration::from_secs(10);

/// After so many questions in a row without an answer the name server is left
/// alone so long. One might be about a zone whose own server is gone.
const SILENT: usize = AT_ONCE;
const REST: Duration = Duration::from_secs(60);

/// The longest name of RFC 1035 section 2.3.4, written out. `...` follows one
/// that is longer because its bytes had to be.
const MAX_LENGTH: usize = 253;

/// What is known of addresses, and what is being asked.
pub(super) struct Reverse {
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Kept,
    /// What is being looked up, each with those who wait for it.
    under_way: HashMap<IpAddr, Vec<Asker>>,
    /// Questions in a row without an answer.
    silent: usize,
    rests_until: Option<Instant>,
}

type Asker = oneshot::Sender<Option<String>>;

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Name(String),
    /// The name server knows: there is none.
    Absent,
    /// It answers, and does not know.
    Trouble,
    Silence,
}

impl Default for Reverse {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            state: Mutex::default(),
        }
    }
}

impl Reverse {
    /// The name of `ip`, if it is known before `deadline`.
    pub(super) async fn name_of(
        self: &Arc<Self>,
        sources: &Arc<Sources>,
        ip: IpAddr,
        deadline: Instant,
    ) -> Option<String> {
        if sources.dns.is_err() || is_never_named(ip) {
            return None;
        }
        let answer = match self.ask(sources, ip) {
            Ok(known) => return known,
            Err(answer) => answer,
        };
        // A timer that is over already would still wait for its next millisecond.
        if deadline <= Instant::now() {
            return None;
        }
        timeout_at(deadline, answer).await.ok()?.ok()?
    }

    /// What is known of `ip`; else the answer that is to come.
    fn ask(
        self: &Arc<Self>,
        sources: &Arc<Sources>,
        ip: IpAddr,
    ) -> Result<Option<String>, oneshot::Receiver<Option<String>>> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(known) = state.kept.name_of(ip, now) {
            return Ok(known);
        }
        let room = state.under_way.len() < MAX_WAITING;
        let rests = state.rests(now);
        let (asker, answer) = oneshot::channel();
        match state.under_way.get_mut(&ip) {
            Some(askers) => {
                askers.retain(|asker| !asker.is_closed());
                askers.push(asker);
            }
            None if rests || !room => return Ok(None),
            None => {
                state.under_way.insert(ip, vec![asker]);
                drop(state); // a runtime that is ending drops the question at once
                let question = Question {
                    reverse: Arc::clone(self),
                    ip,
                    found: None,
                };
                tokio::spawn(question.ask(Arc::clone(sources)));
            }
        }
        Err(answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way. Whatever ends it, those who wait are told, also where
/// its runtime ended before.
struct Question {
    reverse: Arc<Reverse>,
    ip: IpAddr,
    found: Option<Found>,
}

impl Question {
    async fn ask(mut self, sources: Arc<Sources>) {
        let reverse = Arc::clone(&self.reverse);
        let (Ok(_turn), Ok(dns)) = (reverse.turns.acquire().await, &sources.dns) else {
            return;
        };
        if reverse.lock().rests(Instant::now()) {
            return; // it fell silent meanwhile
        }
        self.found = Some(dns.name_of(self.ip).await);
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut state = self.reverse.lock();
        let name = self
            .found
            .take()
            .and_then(|found| state.learn(self.ip, found, Instant::now()));
        let askers = state.under_way.remove(&self.ip);
        drop(state);
        for asker in askers.into_iter().flatten() {
            let _ = asker.send(name.clone()); // its deadline may be over
        }
    }
}

impl State {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// Notes what was found; returns the name.
    fn learn(&mut self, ip: IpAddr, found: Found, now: Instant) -> Option<String> {
        if found == Found::Silence {
            self.silent += 1;
            if self.silent >= SILENT {
                self.rests_until = Some(now + REST);
            }
        } else {
            self.silent = 0;
            self.rests_until = None;
        }
        let (name, holds) = match found {
            Found::Name(name) => (Some(name), KEEP),
            Found::Absent => (None, KEEP_ABSENCE),
            Found::Trouble | Found::Silence => (None, KEEP_TROUBLE),
        };
        self.kept.remember(ip, name.clone(), now + holds);
        name
    }
}

impl Dns {
    /// Asks for the name of `ip`.
    async fn name_of(&self, ip: IpAddr) -> Found {
        self.pace.turn().await;
        let question = self.client.lookup(Name::from(ip), RecordType::PTR);
        let answer = match timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return match lack(&error) {
                    Lack::Absent => Found::Absent,
                    Lack::Refused(_) => Found::Trouble,
                    Lack::Silent(_) => Found::Silence,
                };
            }
            Err(_) => return Found::Silence,
        };
        let names = answer.iter().filter_map(|data| match data {
            RData::PTR(name) => shown(&name.to_ascii()),
            _ => None,
        });
        // Servers turn the order of several; who looks again sees the same one.
        names.min().map_or(Found::Absent, Found::Name)
    }
}

/// A name as it may be shown: printable, bounded, without the root's dot.
pub(super) fn shown(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| excerpt(name, MAX_LENGTH))
}

/// Addresses that mean this machine or this link only: no name server outside
/// can know them (RFC 6303 sections 4.2 to 4.5).
fn is_never_named(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback()
                || ip.octets()[0] == 0
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests;
