//! Every kind against every bad peer: down by the deadline, and nothing worse.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{FailureClass, MonitorKind, Stopwatch, Verdict};
use apmon_probes::KINDS;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use lab::{LONG, SHORT, STALL, check, closed_port, flood, reason, tcp_server};

/// A monitor of `kind` that is up only if the peer sends "needle".
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

/// The schemes that use datagrams.
const DATAGRAM: &[&str] = &["udp", "dns"];

/// Kinds that cannot be selected by scheme.
const WITHOUT_SCHEME: &[(&str, &str)] = &[("quic", "https")];

/// All pairs of a kind and a scheme with a port, which the peers of a test need.
fn with_a_port() -> Vec<(&'static dyn MonitorKind, &'static str)> {
    let schemes = |kind: &dyn MonitorKind| {
        let additional = WITHOUT_SCHEME.iter().filter(|(name, _)| *name == kind.name());
        let own = kind.schemes().iter().copied();
        own.chain(additional.map(|(_, scheme)| *scheme))
            .collect::<Vec<_>>()
    };
    let pairs = KINDS
        .iter()
        .flat_map(|kind| schemes(*kind).into_iter().map(move |scheme| (*kind, scheme)));
    pairs.filter(|(_, scheme)| !scheme.is_empty()).collect()
}

fn sends_datagrams(kind: &dyn MonitorKind, scheme: &str) -> bool {
    DATAGRAM.contains(&scheme) || kind.name() == "quic"
}

#[test]
fn every_kind_is_covered_by_this_contract() {
    let tested = with_a_port();
    for kind in KINDS {
        let is_tested = tested.iter().any(|(one, _)| one.name() == kind.name());
        assert!(is_tested || kind.schemes() == [""], "{}", kind.name());
    }
}

async fn assert_down_in_time(what: &str, section: String, timeout: Duration) -> FailureClass {
    let outcome = check(&section, timeout).await;
    assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
    let reason = reason(&outcome);
    assert!(!reason.is_empty() && reason.len() < 300, "{what}: {reason}");
    // An excerpt of the peer's data ends in "...".
    let has_a_clean_end = !reason.ends_with('.') || reason.ends_with("...");
    assert!(has_a_clean_end && !reason.contains('\n'), "{what}: {reason}");
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
    if peer == "resetting" {
        let _ = stream.read(&mut [0; 1]).await;
        stream.set_zero_linger().unwrap();
        return;
    }
    misbehave(peer, stream).await;
}

async fn misbehave(peer: &'static str, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    match peer {
        "silent" => pending().await,
        "closing" => {
            let _ = stream.read(&mut [0; 4096]).await;
        }
        "resetting" => {
            let _ = stream.read(&mut [0; 1]).await;
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
            pending::<()>().await;
        }
        "half" => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nneed")
                .await;
            pending::<()>().await;
        }
        "greeting" => {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            pending::<()>().await;
        }
        other => panic!("no peer called {other}"),
    }
}

/// Further options with which a kind is run against every bad peer.
fn variants(scheme: &str) -> Vec<String> {
    let mut variants = vec![String::new()];
    if scheme == "tcp" {
        let protocols = ["smtp", "imap", "pop3", "ftp", "ldap"];
        variants.extend(protocols.map(|protocol| format!("\nstarttls: {protocol}")));
    }
    variants
}

#[tokio::test]
async fn a_bad_stream_peer_is_down_by_the_deadline() {
    let mut checks = Vec::new();
    for (kind, scheme) in with_a_port() {
        if sends_datagrams(kind, scheme) {
            continue;
        }
        for (peer, variant) in STREAM_PEERS
            .iter()
            .flat_map(|peer| variants(scheme).into_iter().map(move |variant| (peer, variant)))
        {
            let address = tcp_server(move |stream| stream_peer(peer, stream)).await;
            let what = format!("{scheme}{variant} at {peer}");
            let section = section(kind, scheme, address) + &variant;
            checks.push(tokio::spawn(async move {
                assert_down_in_time(&what, section, SHORT).await;
            }));
        }
    }
    assert!(checks.len() >= 9 * STREAM_PEERS.len(), "{}", checks.len());
    for check in checks {
        check.await.unwrap();
    }
}

/// The same misbehaviour after the TLS handshake.
#[tokio::test]
async fn a_peer_that_misbehaves_over_tls_is_down_by_the_deadline() {
    let pki = lab::pki::Pki::new();
    pki.leaf("leaf");
    let mut checks = Vec::new();
    for (kind, scheme) in with_a_port() {
        if !["tls", "https"].contains(&scheme) || sends_datagrams(kind, scheme) {
            continue;
        }
        for protocol in ["h2", "http/1.1"] {
            let config = pki.server(&["leaf"]).protocol(protocol).config();
            for peer in STREAM_PEERS {
                let address = lab::tap::tls_server(Arc::clone(&config), move |stream| async move {
                    let (mut ours, theirs) = tokio::io::duplex(16 * 1024);
                    let serve = misbehave(peer, theirs);
                    let mut stream = stream;
                    tokio::select! {
                        () = serve => {}
                        _ = tokio::io::copy_bidirectional(&mut ours, &mut stream) => {}
                    }
                })
                .await;
                let what = format!("{scheme} by {protocol} at {peer}");
                checks.push(tokio::spawn(async move {
                    assert_down_in_time(&what, section(kind, scheme, address), SHORT).await;
                }));
            }
        }
    }
    assert!(checks.len() >= 4 * STREAM_PEERS.len(), "{}", checks.len());
    for check in checks {
        check.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_at_once() {
    for (kind, scheme) in with_a_port() {
        let watch = Stopwatch::start();
        let class = assert_down_in_time(scheme, section(kind, scheme, closed_port().await), LONG).await;
        assert_eq!(class, FailureClass::Refused, "{scheme}");
        // Well before the deadline.
        assert!(watch.elapsed() < STALL, "{scheme}: {:?}", watch.elapsed());
    }
}

/// Every flood of every protocol, against every kind: what one parser skips another
/// may take for frames.
#[tokio::test]
async fn a_flood_is_down_by_the_deadline() {
    let pki = lab::pki::Pki::new();
    pki.leaf("leaf");
    let floods = || {
        let all = [flood::http1(), flood::http2(), flood::others()];
        all.into_iter().flatten().map(Arc::new)
    };
    let mut checks = Vec::new();
    for (kind, scheme) in with_a_port() {
        if sends_datagrams(kind, scheme) {
            continue;
        }
        for flood in floods() {
            for variant in variants(scheme) {
                let what = format!("{scheme}{variant} at {}", flood.name);
                let flood = Arc::clone(&flood);
                let address = tcp_server(move |stream| {
                    let flood = Arc::clone(&flood);
                    async move { _ = flood::pour(stream, &flood.once, &flood.again, false).await }
                })
                .await;
                checks.push((what, section(kind, scheme, address) + &variant));
            }
        }
        if !["tls", "https"].contains(&scheme) {
            continue;
        }
        for protocol in ["h2", "http/1.1"] {
            let config = pki.server(&["leaf"]).protocol(protocol).config();
            for flood in floods() {
                let what = format!("{scheme} by {protocol} at {}", flood.name);
                let address = lab::tap::tls_server(Arc::clone(&config), move |stream| {
                    let flood = Arc::clone(&flood);
                    let is_http2 = protocol == "h2";
                    async move { _ = flood::pour(stream, &flood.once, &flood.again, is_http2).await }
                })
                .await;
                checks.push((what, section(kind, scheme, address)));
            }
        }
    }
    assert!(checks.len() >= 13 * floods().count(), "{}", checks.len());
    for some in checks.chunks(16) {
        let some = some.iter().map(|(what, section)| {
            let (what, section) = (what.clone(), section.clone());
            tokio::spawn(async move { assert_down_in_time(&what, section, SHORT).await })
        });
        for check in some.collect::<Vec<_>>() {
            check.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_bad_datagram_peer_is_down_by_the_deadline() {
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
                    // A matching ID, followed by noise.
                    "garbage" => {
                        let noise = (0..500_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
                        let start = buffer[..n.min(2)].iter().copied();
                        let bytes: Vec<u8> = start.chain(noise).collect();
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
            if sends_datagrams(kind, scheme) {
                let what = format!("{} at {peer}", kind.name());
                assert_down_in_time(&what, section(kind, scheme, address), SHORT).await;
            }
        }
        server.abort();
    }
}

/// Every flood of datagrams against every kind that sends some.
#[cfg(feature = "quic")]
#[tokio::test]
async fn a_flood_of_datagrams_is_down_by_the_deadline() {
    for flood in lab::quic_flood::FLOODS {
        let mut checks = Vec::new();
        for (kind, scheme) in with_a_port() {
            if sends_datagrams(kind, scheme) {
                checks.push(tokio::spawn(async move {
                    let server = lab::quic_flood::FloodServer::start(*flood).await;
                    let what = format!("{} at {}", kind.name(), flood.name);
                    assert_down_in_time(&what, section(kind, scheme, server.address), SHORT).await;
                }));
            }
        }
        assert_eq!(checks.len(), 3);
        for check in checks {
            check.await.unwrap();
        }
    }
}

#[test]
fn every_example_parses_as_a_monitor_of_its_kind() {
    for kind in KINDS {
        let site = lab::parse(kind.example().trim_end()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(site.monitors[0].kind, kind.name());
        assert!(!kind.summary().is_empty() && !kind.address().is_empty());
    }
}

#[test]
fn every_option_is_documented_for_the_operator() {
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
