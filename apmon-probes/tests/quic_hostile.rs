//! `quic` against peers that break off, send garbage, or do not speak QUIC at all.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use quinn::{Connection, VarInt};
use tokio::net::UdpSocket;

use lab::{CROWD, LONG, MIDWAY, SHORT, STALL, check, class, h3, pki::Pki, reason};

fn quic(server: SocketAddr, path: &str) -> String {
    format!("type: quic\nname: x\naddress: 'https://{server}{path}'")
}

fn good() -> Arc<quinn::ServerConfig> {
    let pki = Pki::new();
    pki.leaf("leaf");
    h3::config(&pki.server(&["leaf"]).protocol("h3").config())
}

type Reply = (u16, Vec<(&'static str, String)>, String);

fn hello(_: &str) -> Reply {
    (200, Vec::new(), "hello".to_owned())
}

/// Peers that speak no QUIC known to apmon, by their answer to a datagram.
#[tokio::test]
async fn a_peer_whose_datagrams_do_not_answer_is_down_in_time() {
    fn versions(packet: &[u8]) -> Vec<u8> {
        let (to, rest) = packet[6..].split_at(usize::from(packet[5]));
        let from = &rest[1..][..usize::from(rest[0])];
        let mut answer = vec![0x80, 0, 0, 0, 0, from.len() as u8];
        answer.extend_from_slice(from);
        answer.push(to.len() as u8);
        answer.extend_from_slice(to);
        answer.extend_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
        answer
    }
    type Answer = fn(&[u8]) -> Vec<u8>;
    for (what, answer, wanted, wanted_class) in [
        (
            "silent",
            (|_| Vec::new()) as Answer,
            "quic: no answer within 0.7 secs",
            FailureClass::TimedOut,
        ),
        (
            "echo",
            |packet| packet.to_vec(),
            "quic: no answer within 0.7 secs",
            FailureClass::TimedOut,
        ),
        (
            "noise",
            |_| vec![0x5a; 1200],
            "quic: no answer within 0.7 secs",
            FailureClass::TimedOut,
        ),
        (
            "short",
            |packet| packet[..7].to_vec(),
            "quic: no answer within 0.7 secs",
            FailureClass::TimedOut,
        ),
        (
            "other versions",
            versions,
            "quic: the server supports no QUIC version that apmon knows",
            FailureClass::Protocol,
        ),
    ] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
                let answer = answer(&buffer[..n]);
                if !answer.is_empty() {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let watch = Stopwatch::start();
        let is_silent = wanted_class == FailureClass::TimedOut;
        let outcome = check(&quic(server, "/"), if is_silent { SHORT } else { LONG }).await;
        assert_eq!(
            (reason(&outcome), class(&outcome)),
            (wanted, wanted_class),
            "{what}"
        );
        assert!(is_silent || watch.elapsed() < STALL, "{what}");
        peer.abort();
    }
}

/// Checks a server that treats each connection with `serve`; the check must end.
async fn must_end<F>(
    what: &str,
    serve: impl Fn(Connection) -> F + Send + Sync + 'static,
    class: FailureClass,
    words: &str,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let config = good();
    let (server, _) = h3::server(move |_| Arc::clone(&config), serve);
    let section = quic(server, "/") + "\nexpect: needle";
    let watch = Stopwatch::start();
    let is_silent = class == FailureClass::TimedOut;
    let outcome = check(&section, if is_silent { MIDWAY } else { LONG }).await;
    let failure = outcome.failure().expect(what);
    assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {failure}");
    assert_eq!(failure.class, class, "{what}: {failure}");
    assert!(failure.reason.contains(words), "{what}: {failure}");
    assert!(
        is_silent || watch.elapsed() < STALL,
        "{what}: {:?}",
        watch.elapsed()
    );
}

async fn forever(connection: Connection) {
    connection.closed().await;
}

/// Sends an answer over a stream: frames of HTTP/3 (RFC 9114 section 7).
async fn reply(connection: Connection, bytes: &[u8]) {
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    let (mut send, mut receive) = connection.accept_bi().await.unwrap();
    let _ = receive.read_to_end(10_000).await;
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    connection.closed().await;
    drop(control);
}

/// HEADERS with `:status: 200` of the static table (RFC 9204 appendix A: 25).
const OK: [u8; 5] = [1, 3, 0, 0, 0xc0 | 25];

#[tokio::test]
async fn a_server_that_breaks_off_or_sends_garbage_is_down_in_time() {
    use FailureClass::{Closed, Content, Protocol, TimedOut};
    must_end("silent", forever, TimedOut, "request: no answer within 5 secs").await;
    let close = |code: u32, words: &'static [u8]| {
        move |connection: Connection| async move { connection.close(VarInt::from_u32(code), words) }
    };
    must_end(
        "closing",
        close(0x100, b"bye"),
        Closed,
        "quic: closed by the server: bye (code 256)",
    )
    .await;
    must_end(
        "closing with an own code",
        close(77, b""),
        Closed,
        "quic: closed by the server: ",
    )
    .await;
    let words = &[b'\x1b'; 900];
    must_end(
        "closing with many words",
        close(1, words),
        Closed,
        "quic: closed by the server: ",
    )
    .await;
    must_end(
        "a reset stream",
        |connection| async move {
            let (mut send, _receive) = connection.accept_bi().await.unwrap();
            let _ = send.reset(VarInt::from_u32(0x10b));
            connection.closed().await;
        },
        Closed,
        "request: stream reset by the server",
    )
    .await;
    must_end(
        "no frame",
        |c| async { reply(c, b"HTTP/1.1 200 OK\r\n\r\nneedle").await },
        Protocol,
        "",
    )
    .await;
    must_end("an empty answer", |c| async { reply(c, b"").await }, Protocol, "").await;
    must_end("cut head", |c| async { reply(c, &OK[..4]).await }, Protocol, "").await;
    must_end(
        "no status",
        |c| async { reply(c, &[1, 2, 0, 0]).await },
        Protocol,
        "",
    )
    .await;
    must_end(
        "garbage as headers",
        |c| async { reply(c, &[1, 4, 0xff, 0xff, 0xff, 0xff]).await },
        Protocol,
        "",
    )
    .await;
    must_end(
        "data first",
        |c| async { reply(c, b"\0\x06needle").await },
        Protocol,
        "",
    )
    .await;
    let long = [&OK[..], b"\0\x40\xffneed"].concat();
    must_end(
        "cut data",
        move |c| {
            let long = long.clone();
            async move { reply(c, &long).await }
        },
        Protocol,
        "",
    )
    .await;
    let hay = [&OK[..], b"\0\x03hay"].concat();
    must_end(
        "another body",
        move |c| {
            let hay = hay.clone();
            async move { reply(c, &hay).await }
        },
        Content,
        "\"needle\" not found in 3 bytes (status 200)",
    )
    .await;
    must_end(
        "garbage as settings",
        |connection| async move {
            let mut control = connection.open_uni().await.unwrap();
            let _ = control.write_all(&[0, 4, 1, 0xff]).await;
            connection.closed().await;
        },
        Protocol,
        "",
    )
    .await;
}

#[tokio::test]
async fn the_reason_of_a_server_that_refuses_is_shown() {
    let pki = Pki::new();
    pki.leaf("leaf");
    // A protocol other than HTTP/3.
    let other = h3::config(&pki.server(&["leaf"]).protocol("hq").config());
    let (server, _) = h3::server(move |_| Arc::clone(&other), forever);
    let outcome = check(&quic(server, "/"), LONG).await;
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        (
            "quic: refused by the server (no application protocol)",
            FailureClass::Tls
        )
    );
    // No protocol at all.
    let endpoint = h3::endpoint("127.0.0.1:0".parse().unwrap(), Some(good()));
    let server = endpoint.local_addr().unwrap();
    let refusing = async {
        endpoint.accept().await.unwrap().refuse();
    };
    let section = quic(server, "/");
    let (outcome, ()) = tokio::join!(check(&section, LONG), refusing);
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        ("quic: the server refuses connections", FailureClass::Refused)
    );
    // Only after our address was validated.
    let retrying = async {
        endpoint.accept().await.unwrap().retry().unwrap();
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        h3::answer(connection, hello).await;
    };
    let (outcome, ()) = tokio::join!(check(&section, LONG), retrying);
    assert_eq!(reason(&outcome), "up");
}

/// The server comes back, and does not know the connection.
#[tokio::test]
async fn a_server_that_restarts_during_a_request_is_down_at_once() {
    let config = good();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (first, again) = (Arc::clone(&config), config);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (endpoint, connection) = runtime.block_on(async {
            let endpoint = h3::endpoint("127.0.0.1:0".parse().unwrap(), Some(first));
            sender.send(endpoint.local_addr().unwrap()).unwrap();
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            (endpoint, connection)
        });
        // It ends without closing the connection.
        drop(runtime);
        drop((connection, endpoint));
    });
    let address = receiver.await.unwrap();
    let check = tokio::spawn(async move {
        let watch = Stopwatch::start();
        let outcome = check(&quic(address, "/"), LONG).await;
        (outcome, watch.elapsed())
    });
    while !server.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _restarted = h3::endpoint(address, Some(again));
    let (outcome, took) = check.await.unwrap();
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        (
            "quic: reset by the peer (stateless reset: it does not know this connection)",
            FailureClass::Reset
        )
    );
    assert!(took < LONG / 2, "{took:?}");
}

/// HEADERS with `:status: 103` (24 of the static table).
const HINTS: [u8; 5] = [1, 3, 0, 0, 0xc0 | 24];

fn data(bytes: &[u8]) -> Vec<u8> {
    [&[0, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

#[tokio::test]
async fn informational_answers_and_empty_frames_are_neither_answer_nor_end() {
    let said = [
        HINTS.to_vec(),
        HINTS.to_vec(),
        OK.to_vec(),
        data(b""),
        data(b"hay"),
        data(b""),
        data(b""),
        data(b"needle"),
    ]
    .concat();
    let config = good();
    let said = Arc::new(said);
    let (server, _) = h3::server(
        move |_| Arc::clone(&config),
        move |connection| {
            let said = Arc::clone(&said);
            async move { reply(connection, &said).await }
        },
    );
    let section = quic(server, "/") + "\nexpect: needle\nexpect_status: 200";
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn an_answer_before_the_whole_request_counts() {
    let config = good();
    let (server, _) = h3::server(
        move |_| Arc::clone(&config),
        |connection| async move {
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(&[0, 4, 0]).await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            let _ = receive.read(&mut [0; 100]).await;
            let _ = receive.stop(VarInt::from_u32(0x100));
            let _ = send.write_all(&OK).await;
            let _ = send.finish();
            connection.closed().await;
            drop(control);
        },
    );
    let section = format!("{}\nsend: {}", quic(server, "/"), "x".repeat(3 << 20));
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn a_flood_of_unrequested_frames_is_not_buffered() {
    let config = good();
    let (server, _) = h3::server(
        move |_| Arc::clone(&config),
        |connection| async move {
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(&[0, 4, 0]).await.unwrap();
            let (mut send, _receive) = connection.accept_bi().await.unwrap();
            // A frame of a reserved type, 2^40 bytes long.
            let _ = send.write_all(&[0x21, 0xc0, 0, 1, 0, 0, 0, 0, 0]).await;
            let piece = vec![0; 64 * 1024];
            while send.write_all(&piece).await.is_ok() {}
            drop(control);
        },
    );
    let outcome = check(&quic(server, "/"), CROWD).await;
    assert_eq!(
        reason(&outcome),
        "request: the server has sent more than 1048576 bytes without an answer"
    );
}
