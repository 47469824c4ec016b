//! A look that is given up leaves nothing behind: no task, no socket.
//!
//! One test only: it counts what the whole process has.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use apmon_core::{Services, Stopwatch};
use tokio::{net::UdpSocket, runtime::Handle};

use lab::{
    Certificate, LONG, build, check_within,
    real::{Caddy, Nginx},
    reason,
};

/// Tasks of this runtime, and open files of this process.
fn count() -> (usize, usize) {
    let files = std::fs::read_dir(Path::new("/proc/self/fd")).unwrap().count();
    (Handle::current().metrics().num_alive_tasks(), files)
}

fn section(kind: &str, scheme: &str, server: SocketAddr, path: &str) -> String {
    format!("type: {kind}\nname: x\naddress: '{scheme}://{server}{path}'\nexpect: the very end")
}

#[tokio::test]
async fn a_look_that_is_given_up_leaves_nothing_behind() {
    let certificate = Certificate::good();
    let (nginx, caddy) = (Nginx::start(&certificate), Caddy::start(&certificate));
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (what, section) in [
        ("HTTP/1.1", section("http", "http", nginx.http(), "/big")),
        ("HTTP/2", section("http", "https", nginx.https(), "/big")),
        ("TLS", section("tcp", "tls", nginx.https(), "")),
        ("HTTP/3", section("quic", "https", caddy.v4(), "/")),
        (
            "HTTP/3 without an answer",
            section("quic", "https", silent.local_addr().unwrap(), "/"),
        ),
    ] {
        let services = Services::default();
        let monitor = build(&section, &services);
        // What stays for good: the socket of all QUIC looks.
        let first = Arc::clone(&monitor);
        let first = tokio::time::timeout(Duration::from_millis(300), async move {
            first.check(&check_within(LONG)).await.outcome
        });
        if let Ok(outcome) = first.await {
            assert_ne!(reason(&outcome), "up", "{what}");
        }
        let stays = if what.starts_with("HTTP/3") { 2 } else { 0 };
        settled(what, stays, None).await;
        let before = count();
        for round in 0..60_u64 {
            let monitor = Arc::clone(&monitor);
            // At every stage of it.
            let patience = Duration::from_micros(round * 400);
            let _ =
                tokio::time::timeout(patience, async move { monitor.check(&check_within(LONG)).await }).await;
        }
        settled(what, stays, Some(before.1)).await;
        drop((monitor, services));
        settled(what, 0, None).await;
    }
}

/// Waits until there are so few tasks and files, which takes about a second.
async fn settled(what: &str, tasks: usize, files: Option<usize>) {
    let watch = Stopwatch::start();
    loop {
        let now = count();
        if now.0 <= tasks && files.is_none_or(|files| now.1 <= files) {
            return;
        }
        assert!(
            watch.elapsed() < LONG,
            "{what}: {now:?} tasks and files, not {tasks} and {files:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
