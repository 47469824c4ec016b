//! Names to addresses by the system's own `getaddrinfo`: whatever nsswitch.conf
//! says (mDNS, LDAP, a local cache).
//!
//! A call holds a thread for as long as it takes, tens of seconds where a name
//! server is silent, and cannot be cancelled. So it has a few threads of its
//! own. Callers wait for them as a future with a deadline, and a request whose
//! caller has given up is skipped.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use apmon_core::{Failure, FailureClass, config::AddressFamily};
use dns_lookup::{AddrInfoHints, LookupErrorKind};
use tokio::{sync::oneshot, time::Instant};
use url::Host;

use super::{MAX_TTL, cache::AddressCache, no_such_name, resolver_failure, time_until};

/// Names that are looked up at the same time.
const THREADS: usize = 4;

/// The most requests that wait. No site has more monitors than that.
const MAX_WAITING: usize = 50_000;

type LookUpResult = Result<Vec<IpAddr>, Failure>;
type LookUpFn = dyn Fn(&str, AddressFamily) -> LookUpResult + Send + Sync;

/// The system's resolver, and its threads.
pub(super) struct SystemResolver(Arc<Pool>);

struct Pool {
    look_up: Box<LookUpFn>,
    cache: AddressCache,
    state: Mutex<PoolState>,
    /// Signals a new request, or the end.
    changed: Condvar,
}

#[derive(Default)]
struct PoolState {
    waiting: VecDeque<QueuedLookup>,
    /// The look-ups under way, each with its waiters: a name at a silent server
    /// holds one thread, however many monitors need it.
    under_way: Vec<(Lookup, Vec<AddressWaiter>)>,
    threads: usize,
    idle: usize,
    ended: bool,
}

type AddressWaiter = oneshot::Sender<LookUpResult>;

#[derive(Clone, PartialEq, Eq)]
struct Lookup {
    name: Box<str>,
    family: AddressFamily,
}

struct QueuedLookup {
    lookup: Lookup,
    waiter: AddressWaiter,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::with(look_up)
    }
}

impl Drop for SystemResolver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.waiting.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

impl SystemResolver {
    fn with(look_up: impl Fn(&str, AddressFamily) -> LookUpResult + Send + Sync + 'static) -> Self {
        Self(Arc::new(Pool {
            look_up: Box::new(look_up),
            cache: AddressCache::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// The addresses of `name`, IPv4 before IPv6.
    pub(super) async fn addresses(
        &self,
        name: &str,
        family: AddressFamily,
        deadline: Instant,
    ) -> LookUpResult {
        if let Some(ips) = self.0.cache.addresses(name, family) {
            return Ok(ips);
        }
        let time = time_until(deadline);
        let answer = Pool::request(&self.0, name, family)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(resolver_failure("the look-up was cancelled")),
            Err(_) => Err(resolver_failure(&format!(
                "no answer from this machine's resolver within {time}"
            ))),
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in the queue. Never waits for a look-up.
    fn request(
        pool: &Arc<Self>,
        name: &str,
        family: AddressFamily,
    ) -> Result<oneshot::Receiver<LookUpResult>, Failure> {
        let (waiter, answer) = oneshot::channel();
        let lookup = Lookup {
            name: name.into(),
            family,
        };
        let mut state = pool.lock();
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.retain(|request| !request.waiter.is_closed());
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(Failure::new(
                FailureClass::Resources,
                format!("resolve: {MAX_WAITING} names are already waiting for this machine's resolver"),
            ));
        }
        state.waiting.push_back(QueuedLookup { lookup, waiter });
        if state.waiting.len() > state.idle && state.threads < THREADS {
            let worker = Arc::clone(pool);
            let thread = std::thread::Builder::new().name("apmon-names".to_owned());
            match thread.spawn(move || worker.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.waiting.clear();
                    return Err(Failure::new(
                        FailureClass::Resources,
                        format!("resolve: cannot start a thread to resolve names: {error}"),
                    ));
                }
                Err(_) => {} // the running threads will do
            }
        }
        drop(state);
        pool.changed.notify_one();
        Ok(answer)
    }

    fn work(&self) {
        while let Some(lookup) = self.next() {
            let Lookup { name, family } = &lookup;
            // A name that was requested again meanwhile is looked up once.
            let answer = match self.cache.addresses(name, *family) {
                Some(ips) => Ok(ips),
                None => {
                    let answer = (self.look_up)(name, *family);
                    if let Ok(ips) = &answer {
                        // getaddrinfo does not say how long an answer holds.
                        self.cache.remember(name, *family, ips, Instant::now() + MAX_TTL);
                    }
                    answer
                }
            };
            for waiter in self.finish(&lookup) {
                let _ = waiter.send(answer.clone()); // it may have given up
            }
        }
    }

    /// The next name to look up; `None` at the end.
    fn next(&self) -> Option<Lookup> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            while let Some(QueuedLookup { lookup, waiter }) = state.waiting.pop_front() {
                if waiter.is_closed() {
                    continue; // the caller has given up
                }
                match state.under_way.iter_mut().find(|(other, _)| *other == lookup) {
                    Some((_, waiters)) => waiters.push(waiter),
                    None => {
                        state.under_way.push((lookup.clone(), vec![waiter]));
                        return Some(lookup);
                    }
                }
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Ends a look-up, and returns its waiters.
    fn finish(&self, lookup: &Lookup) -> Vec<AddressWaiter> {
        let under_way = &mut self.lock().under_way;
        let at = under_way.iter().position(|(other, _)| other == lookup);
        at.map_or_else(Vec::new, |at| under_way.swap_remove(at).1)
    }
}

/// Calls `getaddrinfo`, however long it takes.
fn look_up(name: &str, family: AddressFamily) -> LookUpResult {
    // The C library takes letters beyond ASCII as bytes, which no name holds.
    let ascii = match Host::parse(name) {
        Ok(Host::Domain(ascii)) if !name.is_ascii() => ascii,
        _ => name.to_owned(),
    };
    let hints = AddrInfoHints {
        address: match family {
            AddressFamily::Any => libc::AF_UNSPEC,
            AddressFamily::Ipv4 => libc::AF_INET,
            AddressFamily::Ipv6 => libc::AF_INET6,
        },
        socktype: libc::SOCK_STREAM, // else each address comes three times
        ..AddrInfoHints::default()
    };
    let entries =
        dns_lookup::getaddrinfo(Some(&ascii), None, Some(hints)).map_err(|error| match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => no_such_name(name, family),
            LookupErrorKind::Again => {
                resolver_failure("this machine's resolver has no answer at the moment (EAI_AGAIN)")
            }
            LookupErrorKind::Fail => resolver_failure("this machine's resolver failed (EAI_FAIL)"),
            _ => resolver_failure(&std::io::Error::from(error).to_string()),
        })?;
    let mut ips: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.sockaddr.ip())
        .collect();
    ips.sort_by_key(rank);
    match ips.is_empty() {
        true => Err(no_such_name(name, family)),
        false => Ok(ips),
    }
}

/// IPv4 first, as with DNS; last the addresses that are of no use without their
/// interface.
fn rank(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 1,
        IpAddr::V6(_) => 2,
    }
}

#[cfg(test)]
mod tests;
