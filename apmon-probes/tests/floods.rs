//! Servers that send something small without end, at full speed: each check ends
//! soon and says why, whatever its deadline, and takes no more than its budget.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use apmon_core::{FailureClass, Verdict};
use rustls::ContentType;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
};

use lab::{
    CROWD, check,
    flood::{self, Flood, frame, pour},
    parse,
    pki::Pki,
    reason, records,
    tap::tls_server,
    tcp_server,
};

/// What a check takes at most, with all that fits the buffers of two sockets.
const MOST: usize = 16 * 1024 * 1024 + 16 * 1024 * 1024;

fn http(scheme: &str, server: SocketAddr) -> String {
    format!("type: http\nname: x\naddress: '{scheme}://{server}'\nexpect: needle")
}

async fn ends(what: &str, section: &str, expected: &str) {
    let outcome = check(section, CROWD).await;
    assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
    assert!(
        reason(&outcome).contains(expected),
        "{what}: {}",
        reason(&outcome)
    );
}

/// Starts a server of a flood. The number of bytes it wrote is known once its
/// connection has ended.
async fn server(
    flood: Flood,
    tls: Option<(Arc<rustls::ServerConfig>, bool)>,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let flood = Arc::new(flood);
    let address = match tls {
        Some((config, is_http2)) => {
            tls_server(config, move |stream| {
                let (flood, counter) = (Arc::clone(&flood), Arc::clone(&counter));
                async move {
                    let bytes = pour(stream, &flood.once, &flood.again, is_http2).await;
                    counter.fetch_add(bytes, Ordering::Relaxed);
                }
            })
            .await
        }
        None => {
            tcp_server(move |stream| {
                let (flood, counter) = (Arc::clone(&flood), Arc::clone(&counter));
                async move {
                    let bytes = pour(stream, &flood.once, &flood.again, false).await;
                    counter.fetch_add(bytes, Ordering::Relaxed);
                }
            })
            .await
        }
    };
    (address, written)
}

#[tokio::test]
async fn a_flood_of_http_1_ends_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = pki.server(&["leaf"]).protocol("http/1.1").config();
    for (plain, tls) in flood::http1().into_iter().zip(flood::http1()) {
        let (name, expected) = (plain.name, plain.reason);
        let (address, written) = server(plain, None).await;
        ends(name, &http("http", address), expected).await;
        let (address, written_over_tls) = server(tls, Some((Arc::clone(&config), false))).await;
        ends(name, &http("https", address), expected).await;
        for written in [written, written_over_tls] {
            let written = written.load(Ordering::Relaxed);
            assert!(written <= MOST, "{name}: {written}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_http_2_ends_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = pki.server(&["leaf"]).protocol("h2").config();
    for flood in flood::http2() {
        let (name, expected) = (flood.name, flood.reason);
        let (address, written) = server(flood, Some((Arc::clone(&config), true))).await;
        ends(name, &http("https", address), expected).await;
        let written = written.load(Ordering::Relaxed);
        assert!(written <= MOST, "{name}: {written}");
    }
}

/// A hundred interim answers are patience, and so are thousands of small frames.
#[tokio::test]
async fn an_honest_server_that_sends_much_is_up() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100);
    let letters: String = "1\r\nx\r\n".repeat(200_000);
    let page = format!(
        "{interim}HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{letters}6\r\nneedle\r\n0\r\n\r\n"
    );
    let address = lab::http_server(page).await;
    assert_eq!(reason(&check(&http("http", address), CROWD).await), "up");

    let config = pki.server(&["leaf"]).protocol("h2").config();
    let address = tls_server(config, |stream| async move {
        let once = [
            frame(1, 4, 1, b"\x48\x03103").repeat(100),
            frame(8, 0, 0, &[0, 0, 0, 1]).repeat(5_000),
            frame(1, 4, 1, &[0x88]),
            frame(0, 0, 1, b"x").repeat(200_000),
            frame(0, 1, 1, b"needle"),
        ]
        .concat();
        pour(stream, &once, &frame(6, 0, 0, &[0; 8]), true).await;
    })
    .await;
    assert_eq!(reason(&check(&http("https", address), CROWD).await), "up");

    // A TLS record for each letter.
    let config = pki.server(&["leaf"]).protocol("http/1.1").config();
    let address = tcp_server(move |stream| {
        let config = Arc::clone(&config);
        async move {
            let letters = (ContentType::ApplicationData, b"x".to_vec());
            let end = Some((200_000, &b"needle"[..]));
            records::pour(config, stream, b"HTTP/1.1 200 OK\r\n\r\n", letters, end).await;
        }
    })
    .await;
    assert_eq!(reason(&check(&http("https", address), CROWD).await), "up");
}

/// A session ticket (RFC 8446 section 4.6.1).
const TICKET: [u8; 19] = [4, 0, 0, 15, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0, 0];

#[tokio::test]
async fn a_flood_of_tls_records_ends_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let page = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
    let data = ContentType::ApplicationData;
    let handshake = ContentType::Handshake;
    for (what, once, kind, again, expected) in [
        // rustls has a limit of its own.
        ("records of nothing", &b""[..], data, Vec::new(), ""),
        ("records of nothing", page, data, Vec::new(), ""),
        (
            "tickets",
            b"",
            handshake,
            TICKET.to_vec(),
            "more than 10000 TLS records that carry no data",
        ),
        (
            "many tickets in a record",
            page,
            handshake,
            TICKET.repeat(800),
            "more than 1048576 bytes of TLS that carry no data",
        ),
        (
            "many tickets in a record",
            b"",
            handshake,
            TICKET.repeat(800),
            "more than 1048576 bytes without an answer",
        ),
        (
            "letters",
            page,
            data,
            b"x".to_vec(),
            "the server has sent more than ",
        ),
    ] {
        for scheme in ["https", "tls", "dns"] {
            let config = pki.server(&["leaf"]).protocol("http/1.1").config();
            let again = again.clone();
            let address = tcp_server(move |stream| {
                let (config, again) = (Arc::clone(&config), again.clone());
                async move { records::pour(config, stream, once, (kind, again), None).await }
            })
            .await;
            let section = match scheme {
                "tls" => format!("type: tcp\nname: x\naddress: 'tls://{address}'\nsend: x\nexpect: needle"),
                "dns" => {
                    format!("type: dns\nname: x\naddress: 'dns://{address}'\nquery: lan\ntransport: tls")
                }
                scheme => http(scheme, address),
            };
            // An answer over plain TLS begins at once, and less of it is searched.
            let expected = match (what, scheme) {
                ("letters", "tls") => "\"needle\" not in the first 65536 bytes",
                // They make up messages that answer no query.
                ("letters", "dns") => "",
                _ => expected.trim_end_matches(" without an answer"),
            };
            ends(what, &section, expected).await;
        }
    }
}

/// Each asks for a new key, and for an answer (RFC 8446 section 4.6.3).
#[tokio::test]
async fn a_flood_of_key_updates_ends_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf");
    for is_after_head in [false, true] {
        for scheme in ["https", "tls"] {
            let config = pki.server(&["leaf"]).protocol("http/1.1").config();
            let address = tls_server(config, move |mut stream| async move {
                let _ = stream.read(&mut [0; 4096]).await;
                if is_after_head {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                }
                while stream.get_mut().1.refresh_traffic_keys().is_ok() && stream.flush().await.is_ok() {}
            })
            .await;
            let section = match scheme {
                "tls" => format!("type: tcp\nname: x\naddress: 'tls://{address}'\nsend: x\nexpect: needle"),
                scheme => http(scheme, address),
            };
            ends("key updates", &section, "it repeats itself without end").await;
        }
    }
}

#[tokio::test]
async fn a_server_with_24577_headers_does_no_harm() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let too_long = "request: the head of the answer is longer than 307200 bytes";
    for (count, reason_of_http1) in [(24_577, "up"), (32_769, too_long)] {
        let lines: String = (0..count).map(|at| format!("h{at}: x\r\n")).collect();
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\nneedle");
        let address = lab::http_server(head).await;
        let outcome = check(&http("http", address), CROWD).await;
        assert_eq!(reason(&outcome), reason_of_http1, "{count}");

        // `:status: 200`, and then literals of new names (RFC 7541 section 6.2.2).
        let fields: Vec<u8> = (0..count)
            .flat_map(|at| [&[0, 6][..], format!("{at:06}").as_bytes(), b"\x01x"].concat())
            .collect();
        let config = pki.server(&["leaf"]).protocol("h2").config();
        let fields = Arc::new(fields);
        let address = tls_server(config, move |stream| {
            let fields = Arc::clone(&fields);
            async move {
                let pieces: Vec<_> = fields.chunks(16_000).collect();
                let mut once = frame(1, 0, 1, &[0x88]);
                for (at, piece) in pieces.iter().enumerate() {
                    let is_last = at + 1 == pieces.len();
                    once.extend(frame(9, if is_last { 4 } else { 0 }, 1, piece));
                }
                once.extend(frame(0, 1, 1, b"needle"));
                pour(stream, &once, &frame(6, 0, 0, &[0; 8]), true).await;
            }
        })
        .await;
        ends("HTTP/2", &http("https", address), "").await;
    }
}

#[test]
fn a_site_file_with_24577_headers_is_an_error_at_once() {
    for kind in ["http", "quic"] {
        for count in [1_001, 24_577, 32_769] {
            let headers: Vec<_> = (0..count).map(|at| format!("h{at}: x")).collect();
            let section = format!(
                "type: {kind}\nname: x\naddress: https://nas.lan/\nheaders: {{{}}}",
                headers.join(", ")
            );
            let Err(error) = parse(&section) else {
                panic!("{kind} accepts {count} headers")
            };
            let error = error.to_string();
            let expected = format!("contains {count} headers; use at most 1000");
            assert!(error.contains(&expected), "{kind}: {error:.300}");
        }
        let headers: Vec<_> = (0..1_000).map(|at| format!("h{at}: x")).collect();
        let section = format!(
            "type: {kind}\nname: x\naddress: https://nas.lan/\nheaders: {{{}}}",
            headers.join(", ")
        );
        parse(&section).unwrap();
    }
}

/// Sends datagrams without end to the first sender of one.
async fn datagrams(datagram: Vec<u8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (_, to) = socket.recv_from(&mut [0; 2048]).await.unwrap();
        while socket.send_to(&datagram, to).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    address
}

#[tokio::test]
async fn a_flood_of_datagrams_ends_with_its_reason() {
    let address = datagrams(vec![b'x'; 10]).await;
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: x\nexpect: needle");
    let expected = "\"needle\" not in any of the first 10000 datagrams received (100000 bytes)";
    ends("udp", &section, expected).await;
    let address = datagrams(vec![b'x'; 32_000]).await;
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: x\nexpect: needle");
    ends(
        "udp, long",
        &section,
        "\"needle\" not in any of the first 525 datagrams received",
    )
    .await;
}

#[cfg(feature = "dns")]
#[tokio::test]
async fn a_flood_of_wrong_answers_of_a_name_server_ends_with_its_reason() {
    let address = datagrams(vec![b'x'; 10]).await;
    let section = format!("type: dns\nname: x\naddress: dns://{address}\nquery: web.example");
    let outcome = check(&section, CROWD).await;
    assert_eq!(outcome.failure().unwrap().class, FailureClass::Protocol);
    let expected = "receive: 10000 datagrams do not answer the query (the last: ";
    assert!(reason(&outcome).starts_with(expected), "{}", reason(&outcome));
}

#[cfg(feature = "dns")]
#[tokio::test]
async fn a_flood_of_wrong_answers_over_a_connection_ends_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf");
    // Messages of nothing, short ones, and the longest.
    for length in [0, 12, u16::MAX] {
        let message = [&length.to_be_bytes()[..], &vec![0; usize::from(length)]].concat();
        let flood = || Flood {
            name: "dns",
            once: Vec::new(),
            again: message.clone(),
            reason: "",
        };
        let config = pki.server(&["leaf"]).config();
        let over_tls = Some((config, false));
        for (transport, (address, written)) in [
            ("tcp", server(flood(), None).await),
            ("tls", server(flood(), over_tls).await),
        ] {
            let section = format!(
                "type: dns\nname: x\naddress: dns://{address}\nquery: web.example\ntransport: {transport}"
            );
            let outcome = check(&section, CROWD).await;
            assert_eq!(outcome.failure().unwrap().class, FailureClass::Protocol);
            let expected = "receive: more than 16 messages do not answer the query (the last: ";
            assert!(
                reason(&outcome).starts_with(expected),
                "{transport}: {}",
                reason(&outcome)
            );
            let written = written.load(Ordering::Relaxed);
            assert!(written <= MOST, "{transport}: {written}");
        }
    }
}
