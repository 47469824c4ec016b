//! The system calls that a check takes: counted, so that no machine is too slow for it.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path, thread};

use support::{Lab, Site, wait_until};

const MONITORS: usize = 100;
/// Enough checks that whatever the start and the end of the process need is little beside them.
const CHECKS: usize = 10 * MONITORS;
/// What the process may call besides its checks: at the start, at the end, and for its database.
const BESIDES: usize = CHECKS / 2;

/// The calls of these kinds in the log of strace, by name. A write that wakes another thread (or
/// this one, if it is tokio that arms a timer) counts as `wake`.
fn calls(log: &Path) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap_or_default().lines() {
        // `4711 connect(9, ...) = 0`; the second half of an interrupted call begins with `<...`.
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let Some((name, arguments)) = call.split_once('(').filter(|_| !call.starts_with('<')) else {
            continue;
        };
        let name = match name {
            "write" if arguments.contains(r#""\1\0\0\0\0\0\0\0", 8"#) => "wake",
            // Files are written in commits, which many checks share.
            "write" => continue,
            name => name,
        };
        *calls.entry(name.to_owned()).or_default() += 1;
    }
    calls
}

#[test]
fn a_tcp_check_takes_six_system_calls_and_wakes_no_thread() {
    let lab = Lab::new();
    // A port that is nobody's local port: at any other, a check asks whether it has reached itself.
    let mut listeners = (20_000..32_768).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let listener = listeners.next().unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let site = (0..MONITORS).fold(Site::new("HomeLab").option("check_every_n_secs: 1"), |site, n| {
        site.watch(&format!("type: tcp, name: web{n}, address: \"tcp://{address}\""))
    });
    lab.write("home.yaml", site.text());
    let log = lab.path("calls");
    // Not fcntl, which std calls in debug builds for each descriptor that it closes.
    let traced = "%network,epoll_ctl,close,ioctl,write";
    let daemon = lab.start_traced(&log, traced, &["run", "home.yaml"]);
    let connects = || calls(&log).get("connect").copied().unwrap_or(0);
    wait_until("enough checks", || (connects() >= CHECKS).then_some(()));
    daemon.stop().assert_code(0);

    let calls = calls(&log);
    let checks = calls["connect"];
    // socket, connect, two of epoll, the connection's error, close
    let of_checks: usize = calls
        .iter()
        .filter(|(name, _)| *name != "wake")
        .map(|(_, n)| n)
        .sum();
    assert!(
        of_checks > 5 * checks && of_checks <= 6 * checks + BESIDES,
        "{checks} checks took {calls:?}"
    );
    let wakes = calls.get("wake").copied().unwrap_or(0);
    assert!(wakes <= BESIDES, "{checks} checks took {calls:?}");
}
