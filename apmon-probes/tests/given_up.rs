//! An aborted check leaves nothing behind: no task, no socket.
//!
//! A single test, since it counts the tasks and files of the whole process.
#![cfg(feature = "quic")]
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

/// The numbers of tasks in this runtime and of open files in this process.
fn count() -> (usize, usize) {
    let files = std::fs::read_dir(Path::new("/proc/self/fd")).unwrap().count();
    (Handle::current().metrics().num_alive_tasks(), files)
}

fn section(kind: &str, scheme: &str, server: SocketAddr, path: &str) -> String {
    format!("type: {kind}\nname: x\naddress: '{scheme}://{server}{path}'\nexpect: the very end")
}

#[tokio::test]
async fn an_aborted_check_leaves_nothing_behind() {
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
        // The shared socket of all QUIC checks remains.
        let first = Arc::clone(&monitor);
        let first = tokio::time::timeout(Duration::from_millis(300), async move {
            first.check(&check_within(LONG)).await.outcome
        });
        if let Ok(outcome) = first.await {
            assert_ne!(reason(&outcome), "up", "{what}");
        }
        let remaining = if what.starts_with("HTTP/3") { 2 } else { 0 };
        wait_until_settled(what, remaining, None).await;
        let before = count();
        for round in 0..60_u64 {
            let monitor = Arc::clone(&monitor);
            // Aborted at different stages.
            let time = Duration::from_micros(round * 400);
            let _ = tokio::time::timeout(time, async move { monitor.check(&check_within(LONG)).await }).await;
        }
        wait_until_settled(what, remaining, Some(before.1)).await;
        drop((monitor, services));
        wait_until_settled(what, 0, None).await;
    }
}

/// Waits until no more than these tasks and files are left, which takes about a
/// second.
async fn wait_until_settled(what: &str, tasks: usize, files: Option<usize>) {
    let watch = Stopwatch::start();
    loop {
        let now = count();
        if now.0 <= tasks && files.is_none_or(|files| now.1 <= files) {
            return;
        }
        assert!(
            watch.elapsed() < LONG,
            "{what}: {now:?} tasks and files, expected {tasks} and {files:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
