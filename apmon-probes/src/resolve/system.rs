//! Names to addresses by the system's own `getaddrinfo`: whatever
//! nsswitch.conf says (mDNS, LDAP, a local cache).
//!
//! It holds a thread for as long as it takes, tens of seconds where a name
//! server is silent, and cannot be broken off. So it has a few threads of its
//! own. What waits for them is a future with a deadline, and a request whose
//! look is over is passed over.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use apmon_core::{Check, Failure, FailureClass, config::AddressFamily};
use dns_lookup::{AddrInfoHints, LookupErrorKind};
use tokio::{sync::oneshot, time::Instant};

use super::{REMEMBER, dns_name, known::Known, no_such_name, trouble};
use crate::recorder::seconds;

/// Names that are looked up at the same time.
const THREADS: usize = 4;

/// Requests that wait. More monitors than that nobody has.
const MAX_WAITING: usize = 50_000;

type Answer = Result<IpAddr, Failure>;
type LookUp = dyn Fn(&str, AddressFamily) -> Answer + Send + Sync;

/// The system's resolver, and its threads.
pub(super) struct System(Arc<Pool>);

struct Pool {
    look_up: Box<LookUp>,
    known: Known,
    state: Mutex<State>,
    /// A request has come, or the end.
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// What is being looked up, each with those who wait for it: a name at a
    /// silent server holds one thread, however many monitors ask for it.
    under_way: Vec<(Wanted, Vec<Asker>)>,
    threads: usize,
    idle: usize,
    ended: bool,
}

type Asker = oneshot::Sender<Answer>;

#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    name: Box<str>,
    family: AddressFamily,
}

struct Request {
    wanted: Wanted,
    asker: Asker,
}

impl Default for System {
    fn default() -> Self {
        Self::by(look_up)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.waiting.clear();
        drop(state);
        self.0.news.notify_all();
    }
}

impl System {
    fn by(look_up: impl Fn(&str, AddressFamily) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(Pool {
            look_up: Box::new(look_up),
            known: Known::default(),
            state: Mutex::default(),
            news: Condvar::new(),
        }))
    }

    /// The address of `name`; of several IPv4 before IPv6.
    pub(super) async fn address(&self, check: &Check, name: &str, family: AddressFamily) -> Answer {
        if let Some(ip) = self.0.known.address(name, family) {
            return Ok(ip);
        }
        let answer = Pool::ask(&self.0, name, family)?;
        match tokio::time::timeout_at(check.deadline(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(trouble("the look-up was broken off")),
            Err(_) => Err(trouble(&format!(
                "no answer from this machine's resolver within {}",
                seconds(check.timeout)
            ))),
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in the queue. Never waits for a look-up.
    fn ask(
        pool: &Arc<Self>,
        name: &str,
        family: AddressFamily,
    ) -> Result<oneshot::Receiver<Answer>, Failure> {
        let (asker, answer) = oneshot::channel();
        let wanted = Wanted {
            name: name.into(),
            family,
        };
        let mut state = pool.lock();
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.retain(|request| !request.asker.is_closed());
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(Failure::new(
                FailureClass::Resources,
                format!("resolve: {MAX_WAITING} names wait for this machine's resolver already"),
            ));
        }
        state.waiting.push_back(Request { wanted, asker });
        if state.waiting.len() > state.idle && state.threads < THREADS {
            let worker = Arc::clone(pool);
            let thread = std::thread::Builder::new().name("apmon-names".to_owned());
            match thread.spawn(move || worker.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.waiting.clear();
                    return Err(Failure::new(
                        FailureClass::Resources,
                        format!("resolve: no thread to look names up: {error}"),
                    ));
                }
                Err(_) => {} // those there are will do
            }
        }
        drop(state);
        pool.news.notify_one();
        Ok(answer)
    }

    fn work(&self) {
        while let Some(wanted) = self.next() {
            let Wanted { name, family } = &wanted;
            // A name that waited twice is looked up once.
            let answer = match self.known.address(name, *family) {
                Some(ip) => Ok(ip),
                None => {
                    let answer = (self.look_up)(name, *family);
                    if let Ok(ip) = answer {
                        // getaddrinfo does not say how long it holds.
                        self.known.remember(name, *family, ip, Instant::now() + REMEMBER);
                    }
                    answer
                }
            };
            for asker in self.done(&wanted) {
                let _ = asker.send(answer.clone()); // its look may be over
            }
        }
    }

    /// The next name to look up; `None` at the end.
    fn next(&self) -> Option<Wanted> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            while let Some(Request { wanted, asker }) = state.waiting.pop_front() {
                if asker.is_closed() {
                    continue; // nobody wants to know any more
                }
                match state.under_way.iter_mut().find(|(other, _)| *other == wanted) {
                    Some((_, askers)) => askers.push(asker),
                    None => {
                        state.under_way.push((wanted.clone(), vec![asker]));
                        return Some(wanted);
                    }
                }
            }
            state.idle += 1;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Those who wait for `wanted`, which is done.
    fn done(&self, wanted: &Wanted) -> Vec<Asker> {
        let under_way = &mut self.lock().under_way;
        let at = under_way.iter().position(|(other, _)| other == wanted);
        at.map_or_else(Vec::new, |at| under_way.swap_remove(at).1)
    }
}

/// Asks the system, however long it takes.
fn look_up(name: &str, family: AddressFamily) -> Answer {
    // The C library takes letters beyond ASCII as bytes, in which no name is.
    let ascii = match name.is_ascii() {
        true => name.to_owned(),
        false => dns_name(name).map_or_else(|| name.to_owned(), |name| name.to_ascii()),
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
    let found =
        dns_lookup::getaddrinfo(Some(&ascii), None, Some(hints)).map_err(|error| match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => no_such_name(name, family),
            LookupErrorKind::Again => trouble("this machine's resolver has no answer for now (EAI_AGAIN)"),
            LookupErrorKind::Fail => trouble("this machine's resolver failed (EAI_FAIL)"),
            _ => trouble(&std::io::Error::from(error).to_string()),
        })?;
    let ips = found.filter_map(Result::ok).map(|found| found.sockaddr.ip());
    ips.min_by_key(rank).ok_or_else(|| no_such_name(name, family))
}

/// IPv4 first, as `dns` does it; last what is of no use without its interface.
fn rank(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 1,
        IpAddr::V6(_) => 2,
    }
}

#[cfg(test)]
mod tests;
