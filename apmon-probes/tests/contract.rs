//! Every kind against every bad peer: Down, in time, and nothing worse.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, time::Duration};

use apmon_core::{FailureClass, MonitorKind, Stopwatch, Verdict};
use apmon_probes::KINDS;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use lab::{SHORT, check, closed_port, reason, tcp_server};

/// A monitor of `kind` that can only be up if the peer says "needle".
fn section(kind: &dyn MonitorKind, scheme: &str, peer: SocketAddr) -> String {
    let mut section = format!(
        "type: {}\nname: x\naddress: '{scheme}://{peer}'\nexpect: needle",
        kind.name()
    );
    if kind.fields().contains(&"send") {
        section.push_str("\nsend: hello");
    }
    if kind.fields().contains(&"query") {
        section.push_str("\nquery: web.example");
    }
    section
}

/// The schemes that begin with a datagram.
const DATAGRAM: &[&str] = &["udp", "dns"];

/// Kinds and schemes with a port, which is what a peer of a test has.
fn with_a_port() -> Vec<(&'static dyn MonitorKind, &'static str)> {
    let pairs = KINDS
        .iter()
        .flat_map(|kind| kind.schemes().iter().map(move |scheme| (*kind, *scheme)));
    pairs.filter(|(_, scheme)| !scheme.is_empty()).collect()
}

async fn must_be_down_in_time(what: &str, section: String) -> FailureClass {
    let watch = Stopwatch::start();
    let outcome = check(&section, SHORT).await;
    let took = watch.elapsed();
    assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
    assert!(took < SHORT + Duration::from_millis(500), "{what}: took {took:?}");
    let reason = reason(&outcome);
    assert!(!reason.is_empty() && reason.len() < 300, "{what}: {reason}");
    assert!(
        !reason.ends_with('.') && !reason.contains('\n'),
        "{what}: {reason}"
    );
    outcome.failure().unwrap().class
}

const STREAM_PEERS: &[&str] = &[
    "silent",
    "closing",
    "resetting",
    "slow",
    "endless",
    "garbage",
    "zeros",
    "half",
    "greeting",
];

async fn stream_peer(peer: &'static str, mut stream: TcpStream) {
    let long = Duration::from_secs(5);
    match peer {
        "silent" => tokio::time::sleep(long).await,
        "closing" => {
            let _ = stream.read(&mut [0; 4096]).await;
        }
        "resetting" => {
            let _ = stream.read(&mut [0; 1]).await;
            stream.set_zero_linger().unwrap();
        }
        "slow" => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nneedl"
                .iter()
                .cycle()
            {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        "endless" => while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {},
        "garbage" => {
            let noise: Vec<u8> = (0..20_000_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect();
            let _ = stream.write_all(&noise).await;
        }
        "zeros" => {
            let _ = stream.write_all(&[0; 1000]).await;
            tokio::time::sleep(long).await;
        }
        "half" => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nneed")
                .await;
            tokio::time::sleep(long).await;
        }
        "greeting" => {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            tokio::time::sleep(long).await;
        }
        other => panic!("no peer called {other}"),
    }
}

#[tokio::test]
async fn a_bad_stream_peer_is_down_in_time() {
    let mut looks = Vec::new();
    for (kind, scheme) in with_a_port() {
        if DATAGRAM.contains(&scheme) {
            continue;
        }
        for peer in STREAM_PEERS {
            let address = tcp_server(move |stream| stream_peer(peer, stream)).await;
            let what = format!("{scheme} at {peer}");
            looks.push(tokio::spawn(async move {
                must_be_down_in_time(&what, section(kind, scheme, address)).await;
            }));
        }
    }
    assert!(looks.len() >= 3 * STREAM_PEERS.len(), "{}", looks.len());
    for look in looks {
        look.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_at_once() {
    for (kind, scheme) in with_a_port() {
        let watch = Stopwatch::start();
        let class = must_be_down_in_time(scheme, section(kind, scheme, closed_port().await)).await;
        assert_eq!(class, FailureClass::Refused, "{scheme}");
        assert!(watch.elapsed() < Duration::from_millis(300), "{scheme}");
    }
}

#[tokio::test]
async fn a_bad_datagram_peer_is_down_in_time() {
    for peer in ["silent", "echo", "garbage", "empty", "flood"] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
                match peer {
                    "silent" => {}
                    "echo" => drop(socket.send_to(&buffer[..n], from).await),
                    // Right where ids and the like stand, noise after it.
                    "garbage" => {
                        let noise = (0..500_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
                        let begun = buffer[..n.min(2)].iter().copied();
                        let bytes: Vec<u8> = begun.chain(noise).collect();
                        drop(socket.send_to(&bytes, from).await);
                    }
                    "empty" => drop(socket.send_to(&[], from).await),
                    _ => {
                        while socket.send_to(&[b'x'; 1000], from).await.is_ok() {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
        });
        for (kind, scheme) in with_a_port() {
            if DATAGRAM.contains(&scheme) {
                let what = format!("{scheme} at {peer}");
                must_be_down_in_time(&what, section(kind, scheme, address)).await;
            }
        }
        server.abort();
    }
}

#[test]
fn every_example_is_a_monitor_of_its_kind() {
    for kind in KINDS {
        let site = lab::parse(kind.example().trim_end()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(site.monitors[0].kind, kind.name());
        assert!(!kind.summary().is_empty() && !kind.address().is_empty());
    }
}

#[test]
fn every_option_has_its_text_for_the_operator() {
    for kind in KINDS {
        let schema = kind.schema();
        for field in kind.fields() {
            let text = schema.pointer(&format!("/properties/{field}/description"));
            assert!(
                text.is_some_and(|text| text.as_str().is_some_and(|text| text.len() > 20)),
                "{field}"
            );
        }
    }
}
