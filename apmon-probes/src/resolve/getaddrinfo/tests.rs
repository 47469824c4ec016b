use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::mpsc,
    time::Duration,
};

use super::*;

const ANY: AddressFamily = AddressFamily::Any;
/// By then the threads have started, even if the machine lets the process stand
/// still for seconds.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(20);

/// A resolver whose look-ups are noted and wait until the test lets them go on.
fn gated() -> (Arc<SystemResolver>, mpsc::Sender<()>, Arc<Mutex<Vec<String>>>) {
    let (go, gate) = mpsc::channel();
    let (gate, noted) = (Mutex::new(gate), Arc::new(Mutex::new(Vec::new())));
    let notes = Arc::clone(&noted);
    let system = SystemResolver::with(move |name, family| {
        notes.lock().unwrap().push(name.to_owned());
        let _ = gate.lock().unwrap().recv();
        match name {
            "gone" => Err(no_such_name(name, family)),
            _ => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        }
    });
    (Arc::new(system), go, noted)
}

/// Resolves `name` while the test continues.
fn look_up_beside(
    system: &Arc<SystemResolver>,
    name: &str,
    timeout: Duration,
) -> tokio::task::JoinHandle<LookUpResult> {
    let (system, name) = (Arc::clone(system), name.to_owned());
    tokio::spawn(async move { system.addresses(&name, ANY, Instant::now() + timeout).await })
}

/// Waits until `n` look-ups have started.
async fn started(noted: &Mutex<Vec<String>>, n: usize) {
    while noted.lock().unwrap().len() < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_look_up_ends_at_its_deadline_and_names_that_still_wait_are_not_looked_up() {
    let (system, go, noted) = gated();
    let lookups: Vec<_> = (0..1_000)
        .map(|n| look_up_beside(&system, &format!("host{n}"), SHORT))
        .collect();
    for lookup in lookups {
        let failure = lookup.await.unwrap().unwrap_err();
        assert_eq!(failure.class, FailureClass::Resolver);
        assert_eq!(
            failure.reason,
            "resolve: no answer from this machine's resolver within 5 secs"
        );
    }
    assert_eq!(noted.lock().unwrap().len(), THREADS);
    let late = look_up_beside(&system, "late", LONG);
    for _ in 0..=THREADS {
        go.send(()).unwrap();
    }
    assert!(late.await.unwrap().is_ok());
    assert_eq!(noted.lock().unwrap().len(), THREADS + 1);
    // An answer that came too late serves the next caller.
    let host0 = noted.lock().unwrap()[0].clone();
    assert!(look_up_beside(&system, &host0, SHORT).await.unwrap().is_ok());
    assert_eq!(noted.lock().unwrap().len(), THREADS + 1);
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_all_callers() {
    let (system, go, noted) = gated();
    let lookups: Vec<_> = (0..100).map(|_| look_up_beside(&system, "gone", LONG)).collect();
    let other = look_up_beside(&system, "web", LONG);
    started(&noted, 2).await;
    go.send(()).unwrap();
    go.send(()).unwrap();
    for lookup in lookups {
        let failure = lookup.await.unwrap().unwrap_err();
        assert_eq!(failure.class, FailureClass::NoSuchName);
    }
    assert!(other.await.unwrap().is_ok());
    noted.lock().unwrap().sort(); // two threads noted them
    assert_eq!(*noted.lock().unwrap(), ["gone", "web"]);
    // Absence is not remembered.
    let again = look_up_beside(&system, "gone", LONG);
    go.send(()).unwrap();
    assert!(again.await.unwrap().is_err());
    assert_eq!(noted.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn threads_are_started_as_they_are_needed_and_end_with_the_resolver() {
    let system = SystemResolver::default();
    assert_eq!(system.0.lock().threads, 0);
    let answer = system.addresses("localhost", AddressFamily::Ipv4, Instant::now() + LONG);
    assert_eq!(answer.await.unwrap(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    assert_eq!(system.0.lock().threads, 1);
    let pool = Arc::downgrade(&system.0);
    drop(system);
    while pool.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The names of this machine's hosts file, whatever they are.
#[tokio::test]
async fn names_of_the_hosts_file_are_looked_up() {
    let file = std::fs::read_to_string("/etc/hosts").unwrap();
    let lines = file.lines().map(|line| line.split('#').next().unwrap_or(""));
    let entries: Vec<(IpAddr, &str)> = lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words))
        })
        .flat_map(|(ip, names)| names.map(move |name| (ip, name)))
        .collect();
    assert!(!entries.is_empty(), "no name in /etc/hosts");
    let system = SystemResolver::default();
    for (ip, name) in &entries {
        let family = match ip {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        };
        let deadline = Instant::now() + LONG;
        let found = system.addresses(name, family, deadline).await.unwrap();
        for found in found {
            let matches = |(ip, other): &(IpAddr, &str)| {
                *other == *name && (*ip == found || found == IpAddr::from(Ipv6Addr::LOCALHOST))
            };
            assert!(entries.iter().any(matches), "{name}: {found}");
            assert!(family.has(found));
        }
    }
}

#[test]
fn the_most_useful_address_comes_first() {
    let mut ips: Vec<IpAddr> = ["fe80::1", "2001:db8::1", "192.0.2.1"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    ips.sort_by_key(rank);
    assert_eq!(ips[0].to_string(), "192.0.2.1");
    assert_eq!(ips[1].to_string(), "2001:db8::1");
}
