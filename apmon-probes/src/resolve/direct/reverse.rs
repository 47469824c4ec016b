//! Addresses to names by PTR records (RFC 1035 section 3.5, RFC 3596 section
//! 2.5).
//!
//! Names of stations are an extra: a caller says how long it waits for one, and
//! an answer that comes later is there the next time. Each address is queried
//! once for all callers, a few at the same time, and a silent name server is left
//! alone for a while.

mod cache;

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

use self::cache::NameCache;
use super::{
    Sources,
    client::{DnsClient, QueryFailure},
};

/// How long a name is remembered: they change with DHCP leases, not by the minute.
const NAME_TTL: Duration = Duration::from_secs(3600);
const ABSENCE_TTL: Duration = Duration::from_secs(600);
/// How long it is remembered that the name server could not tell.
const FAILURE_TTL: Duration = Duration::from_secs(60);

/// Queries under way at the same time: a switch with a thousand stations must not
/// flood a home router.
const CONCURRENT: usize = 8;

/// The most addresses that wait for their turn. No more are remembered either.
const MAX_WAITING: usize = 10_000;

/// The longest wait for one answer, however many name servers there are.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// After this many queries in a row without an answer the name server is left
/// alone for [`REST`]. A single one might concern a zone whose own server is gone.
const MAX_SILENT: usize = CONCURRENT;
const REST: Duration = Duration::from_secs(60);

/// The longest name of RFC 1035 section 2.3.4, written out. A name that is longer
/// because its bytes had to be escaped is cut and ends in `...`.
const MAX_LENGTH: usize = 253;

/// The names of addresses, and the queries under way.
pub(super) struct Reverse {
    turns: Semaphore,
    state: Mutex<ReverseState>,
}

#[derive(Default)]
struct ReverseState {
    cache: NameCache,
    /// The addresses being queried, each with its waiters.
    under_way: HashMap<IpAddr, Vec<NameWaiter>>,
    /// Queries in a row without an answer.
    silent: usize,
    rests_until: Option<Instant>,
}

type NameWaiter = oneshot::Sender<Option<String>>;

/// The result of a query.
#[derive(Debug, PartialEq, Eq)]
enum PtrAnswer {
    Name(String),
    /// The name server knows that there is none.
    Absent,
    /// The name server answers, but does not know.
    Failed,
    Silence,
}

impl Default for Reverse {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(CONCURRENT),
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
        let answer = match self.request(sources, ip) {
            Ok(known) => return known,
            Err(answer) => answer,
        };
        // A timer that has expired already would still wait for its next millisecond.
        if deadline <= Instant::now() {
            return None;
        }
        timeout_at(deadline, answer).await.ok()?.ok()?
    }

    /// What is known of `ip`; otherwise a receiver for the answer to come.
    fn request(
        self: &Arc<Self>,
        sources: &Arc<Sources>,
        ip: IpAddr,
    ) -> Result<Option<String>, oneshot::Receiver<Option<String>>> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(known) = state.cache.name_of(ip, now) {
            return Ok(known);
        }
        let has_room = state.under_way.len() < MAX_WAITING;
        let rests = state.rests(now);
        let (waiter, answer) = oneshot::channel();
        match state.under_way.get_mut(&ip) {
            Some(waiters) => {
                waiters.retain(|waiter| !waiter.is_closed());
                waiters.push(waiter);
            }
            None if rests || !has_room => return Ok(None),
            None => {
                state.under_way.insert(ip, vec![waiter]);
                drop(state); // a runtime that is ending drops the query at once
                let query = Query {
                    reverse: Arc::clone(self),
                    ip,
                    answer: None,
                };
                tokio::spawn(query.run(Arc::clone(sources)));
            }
        }
        Err(answer)
    }

    fn lock(&self) -> MutexGuard<'_, ReverseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query under way. However it ends, its waiters get an answer, even if its
/// runtime ends first.
struct Query {
    reverse: Arc<Reverse>,
    ip: IpAddr,
    answer: Option<PtrAnswer>,
}

impl Query {
    async fn run(mut self, sources: Arc<Sources>) {
        let reverse = Arc::clone(&self.reverse);
        let (Ok(_turn), Ok(dns)) = (reverse.turns.acquire().await, &sources.dns) else {
            return;
        };
        if reverse.lock().rests(Instant::now()) {
            return; // the name server fell silent meanwhile
        }
        self.answer = Some(dns.name_of(self.ip).await);
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        let mut state = self.reverse.lock();
        let name = self
            .answer
            .take()
            .and_then(|answer| state.record(self.ip, answer, Instant::now()));
        let waiters = state.under_way.remove(&self.ip);
        drop(state);
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(name.clone()); // it may have given up
        }
    }
}

impl ReverseState {
    /// Whether the name server is left alone at `now`.
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// Records an answer; returns the name.
    fn record(&mut self, ip: IpAddr, answer: PtrAnswer, now: Instant) -> Option<String> {
        if answer == PtrAnswer::Silence {
            self.silent += 1;
            if self.silent >= MAX_SILENT {
                self.rests_until = Some(now + REST);
            }
        } else {
            self.silent = 0;
            self.rests_until = None;
        }
        let (name, ttl) = match answer {
            PtrAnswer::Name(name) => (Some(name), NAME_TTL),
            PtrAnswer::Absent => (None, ABSENCE_TTL),
            PtrAnswer::Failed | PtrAnswer::Silence => (None, FAILURE_TTL),
        };
        self.cache.remember(ip, name.clone(), now + ttl);
        name
    }
}

impl DnsClient {
    /// Queries for the name of `ip`.
    async fn name_of(&self, ip: IpAddr) -> PtrAnswer {
        self.pace.turn().await;
        let query = self.client.lookup(Name::from(ip), RecordType::PTR);
        let answer = match timeout(QUERY_TIMEOUT, query).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return match QueryFailure::of(&error) {
                    QueryFailure::Absent => PtrAnswer::Absent,
                    QueryFailure::Refused(_) => PtrAnswer::Failed,
                    QueryFailure::Silent(_) => PtrAnswer::Silence,
                };
            }
            Err(_) => return PtrAnswer::Silence,
        };
        let names = answer.iter().filter_map(|data| match data {
            RData::PTR(name) => printable_name(&name.to_ascii()),
            _ => None,
        });
        // Servers rotate several names; the smallest is the same one each time.
        names.min().map_or(PtrAnswer::Absent, PtrAnswer::Name)
    }
}

/// A name that is safe to show: printable, bounded, without the root's dot.
pub(super) fn printable_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| excerpt(name, MAX_LENGTH))
}

/// Whether `ip` means this machine or this link only: no name server outside can
/// know it (RFC 6303 sections 4.2 to 4.5).
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
