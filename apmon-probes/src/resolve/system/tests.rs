use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::mpsc,
    time::Duration,
};

use super::*;
use crate::recorder::check;

const ANY: AddressFamily = AddressFamily::Any;
/// Within this the threads have begun, on a machine that lets a process stand
/// still for seconds too.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(20);

/// A resolver whose look-ups wait for a word from the test, and are noted.
fn gated() -> (Arc<System>, mpsc::Sender<()>, Arc<Mutex<Vec<String>>>) {
    let (go, gate) = mpsc::channel();
    let (gate, noted) = (Mutex::new(gate), Arc::new(Mutex::new(Vec::new())));
    let notes = Arc::clone(&noted);
    let system = System::by(move |name, family| {
        notes.lock().unwrap().push(name.to_owned());
        let _ = gate.lock().unwrap().recv();
        match name {
            "gone" => Err(no_such_name(name, family)),
            _ => Ok(Ipv4Addr::LOCALHOST.into()),
        }
    });
    (Arc::new(system), go, noted)
}

/// A look at `name` that goes on beside the test.
fn ask(system: &Arc<System>, name: &str, timeout: Duration) -> tokio::task::JoinHandle<Answer> {
    let (system, name) = (Arc::clone(system), name.to_owned());
    tokio::spawn(async move { system.address(&check(timeout), &name, ANY).await })
}

/// Waits until so many look-ups have begun.
async fn begun(noted: &Mutex<Vec<String>>, n: usize) {
    while noted.lock().unwrap().len() < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_look_ends_at_its_deadline_and_what_waited_for_it_is_not_looked_up() {
    let (system, go, noted) = gated();
    let checks: Vec<_> = (0..1_000)
        .map(|n| ask(&system, &format!("host{n}"), SHORT))
        .collect();
    for check in checks {
        let failure = check.await.unwrap().unwrap_err();
        assert_eq!(failure.class, FailureClass::Resolver);
        assert_eq!(
            failure.reason,
            "resolve: no answer from this machine's resolver within 5 secs"
        );
    }
    assert_eq!(noted.lock().unwrap().len(), THREADS);
    let late = ask(&system, "late", LONG);
    for _ in 0..=THREADS {
        go.send(()).unwrap();
    }
    assert!(late.await.unwrap().is_ok());
    assert_eq!(noted.lock().unwrap().len(), THREADS + 1);
    // What came too late for its look serves the next one.
    let host0 = noted.lock().unwrap()[0].clone();
    assert!(ask(&system, &host0, SHORT).await.unwrap().is_ok());
    assert_eq!(noted.lock().unwrap().len(), THREADS + 1);
}

#[tokio::test]
async fn one_name_is_looked_up_once_for_all_who_ask() {
    let (system, go, noted) = gated();
    let checks: Vec<_> = (0..100).map(|_| ask(&system, "gone", LONG)).collect();
    let other = ask(&system, "web", LONG);
    begun(&noted, 2).await;
    go.send(()).unwrap();
    go.send(()).unwrap();
    for check in checks {
        let failure = check.await.unwrap().unwrap_err();
        assert_eq!(failure.class, FailureClass::NoSuchName);
    }
    assert!(other.await.unwrap().is_ok());
    noted.lock().unwrap().sort(); // two threads noted them
    assert_eq!(*noted.lock().unwrap(), ["gone", "web"]);
    // Absence is not remembered.
    let again = ask(&system, "gone", LONG);
    go.send(()).unwrap();
    assert!(again.await.unwrap().is_err());
    assert_eq!(noted.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn threads_are_started_as_they_are_needed_and_end_with_the_resolver() {
    let system = System::default();
    assert_eq!(system.0.lock().threads, 0);
    let check = check(LONG);
    let answer = system.address(&check, "localhost", AddressFamily::Ipv4);
    assert_eq!(answer.await.unwrap(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(system.0.lock().threads, 1);
    let pool = Arc::downgrade(&system.0);
    drop(system);
    while pool.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whatever stands in this machine's hosts file.
#[tokio::test]
async fn names_of_the_hosts_file_are_found() {
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
    let system = System::default();
    for (ip, name) in &entries {
        let family = match ip {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        };
        let found = system.address(&check(LONG), name, family).await.unwrap();
        let theirs = |(ip, other): &(IpAddr, &str)| {
            *other == *name && (*ip == found || found == IpAddr::from(Ipv6Addr::LOCALHOST))
        };
        assert!(entries.iter().any(theirs), "{name}: {found}");
        assert!(family.has(found));
    }
}

#[test]
fn of_several_addresses_the_most_useful_is_taken() {
    let mut ips: Vec<IpAddr> = ["fe80::1", "2001:db8::1", "192.0.2.1"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    ips.sort_by_key(rank);
    assert_eq!(ips[0].to_string(), "192.0.2.1");
    assert_eq!(ips[1].to_string(), "2001:db8::1");
}
