//! HTTP/3 servers that send something small without end, at full speed.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{Services, Verdict};
use quinn::Connection;
use tokio::net::UdpSocket;

use lab::{
    CROWD, LONG, build, check, check_within, h3,
    pki::Pki,
    quic_flood::{DatagramFlood, FLOODS, FloodServer},
    reason,
};

/// The beginning of a control stream, with empty SETTINGS (RFC 9114 section 6.2.1).
const CONTROL: [u8; 3] = [0, 4, 0];

/// HEADERS with `:status: 200` and 103 (RFC 9204 appendix A: 25 and 24).
const PAGE: [u8; 5] = [1, 3, 0, 0, 0xc0 | 25];
const INTERIM: [u8; 5] = [1, 3, 0, 0, 0xc0 | 24];

/// What a server sends without end, after a beginning.
#[derive(Clone)]
struct Flood {
    once: Vec<u8>,
    again: Vec<u8>,
    /// On its control stream.
    again_in_control: Vec<u8>,
}

impl Flood {
    fn of_answer(once: &[u8], again: &[u8]) -> Self {
        Self {
            once: once.to_vec(),
            again: again.to_vec(),
            again_in_control: Vec::new(),
        }
    }

    async fn pour(self: Arc<Self>, connection: Connection) {
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&CONTROL).await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let _ = receive.read_to_end(10_000).await;
        let _ = send.write_all(&self.once).await;
        for (stream, again) in [(&mut send, &self.again), (&mut control, &self.again_in_control)] {
            if !again.is_empty() {
                let piece = again.repeat(16 * 1024 / again.len());
                while stream.write_all(&piece).await.is_ok() {}
            }
        }
        connection.closed().await;
    }
}

fn server(flood: Flood) -> SocketAddr {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = h3::config(&pki.server(&["leaf"]).protocol("h3").config());
    let flood = Arc::new(flood);
    let (address, _) = h3::server(
        move |_| Arc::clone(&config),
        move |connection| Arc::clone(&flood).pour(connection),
    );
    address
}

fn section(server: SocketAddr) -> String {
    format!("type: quic\nname: x\naddress: 'https://{server}/'\nexpect: needle")
}

#[tokio::test]
async fn a_flood_of_http_3_ends_with_its_reason() {
    let empty = "request: the server has sent more than 10000 frames that carry no data";
    for (what, flood, expected) in [
        (
            "interim answers",
            Flood::of_answer(b"", &INTERIM),
            "request: the server has sent more than 100 interim answers",
        ),
        // A reserved type (RFC 9114 section 7.2.8).
        ("unknown frames", Flood::of_answer(b"", &[0x21, 0]), empty),
        (
            "unknown frames after the head",
            Flood::of_answer(&PAGE, &[0x21, 0]),
            empty,
        ),
        (
            "data byte by byte",
            Flood::of_answer(&PAGE, b"\0\x01x"),
            "request: the server has sent more than 500000 frames",
        ),
        (
            "a head without end",
            Flood::of_answer(&[1, 0xc0, 0, 1, 0, 0, 0, 0, 0], b"x"),
            "request: the server has sent more than 1048576 bytes without an answer",
        ),
        (
            "control frames",
            Flood {
                again_in_control: vec![0x21, 0],
                ..Flood::of_answer(b"", b"")
            },
            empty,
        ),
        (
            "data of nothing",
            Flood::of_answer(&PAGE, &[0, 0]),
            "\"needle\" not found in 0 bytes (status 200)",
        ),
    ] {
        let outcome = check(&section(server(flood)), CROWD).await;
        assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
        assert_eq!(reason(&outcome), expected, "{what}");
    }
}

#[tokio::test]
async fn a_hundred_interim_answers_and_thousands_of_small_frames_are_up() {
    let once = [
        INTERIM.repeat(100),
        [0x21, 0].repeat(5_000),
        PAGE.to_vec(),
        b"\0\x01x".repeat(200_000),
        b"\0\x06needle".to_vec(),
    ];
    let flood = Flood::of_answer(&once.concat(), &[]);
    assert_eq!(reason(&check(&section(server(flood)), LONG).await), "up");
}

/// Checks a flood of datagrams. The flood must end the check long before its deadline.
async fn handshake_ends(flood: &DatagramFlood, section: &str, server: &FloodServer) {
    let outcome = check(section, CROWD).await;
    let sent = server.sent();
    assert_eq!(outcome.verdict(), Verdict::Down, "{}", flood.name);
    assert_eq!(reason(&outcome), flood.reason, "{}", flood.name);
    // As many as the budget allows, and what waited in the socket.
    assert!(sent < 40_000, "{}: {sent}", flood.name);
}

#[tokio::test]
async fn a_flood_before_the_handshake_ends_with_its_reason() {
    for flood in FLOODS {
        let server = FloodServer::start(*flood).await;
        handshake_ends(flood, &section(server.address), &server).await;
    }
}

/// The server is a stranger to the checks of others, which share its socket.
#[tokio::test]
async fn a_flood_of_the_handshake_ends_no_other_check() {
    let services = Services::default();
    let page = [&PAGE[..], b"\0\x06needle"].concat();
    let honest = build(&section(server(Flood::of_answer(&page, &[]))), &services);
    let flood = FLOODS.iter().find(|flood| flood.name == "pings").unwrap();
    let server = FloodServer::start(*flood).await;
    let hostile = build(&section(server.address), &services);
    let hostile_check = check_within(CROWD);
    let (hostile, ()) = tokio::join!(hostile.check(&hostile_check), async {
        for _ in 0..20 {
            let outcome = honest.check(&check_within(LONG)).await.outcome;
            assert_eq!(reason(&outcome), "up");
        }
    });
    assert_eq!(reason(&hostile.outcome), flood.reason);
}

#[tokio::test]
async fn datagrams_of_strangers_end_no_check() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = h3::config(&pki.server(&["leaf"]).protocol("h3").config());
    let (address, _) = h3::server(
        move |_| Arc::clone(&config),
        |connection| async move {
            let client = connection.remote_address();
            for stranger in 0..5_u8 {
                tokio::spawn(async move {
                    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    // Bytes like those of Initial packets, and of packets with a short header.
                    let datagram = [[0xc3, 0x5a][usize::from(stranger % 2)]; 60];
                    for number in 0..40_000 {
                        let _ = socket.send_to(&datagram, client).await;
                        if number % 16 == 15 {
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let page = [&PAGE[..], b"\0\x06needle"].concat();
            Arc::new(Flood::of_answer(&page, &[])).pour(connection).await;
        },
    );
    assert_eq!(reason(&check(&section(address), CROWD).await), "up");
}
