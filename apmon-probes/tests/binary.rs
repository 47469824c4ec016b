//! `expect_type`: answers that are not text.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::net::SocketAddr;

use tokio::{io::AsyncWriteExt as _, net::UdpSocket};

use lab::{LONG, SHORT, check, explain, pki::Pki, reason, tap::tls_server, tcp_server};

/// Not UTF-8, with zero bytes, and with a partial match before the match.
const ANSWER: &[u8] = b"\x00\xff\xfe\xff\xfe\x00\x80\r\n";

async fn tcp() -> SocketAddr {
    tcp_server(|mut stream| async move {
        for byte in ANSWER {
            stream.write_all(&[*byte]).await.unwrap_or_default();
        }
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await
}

async fn udp() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(b"", from).await.unwrap();
            socket.send_to(ANSWER, from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn bytes_are_found_in_answers_over_tcp_tls_and_udp() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let tls = tls_server(pki.server(&["leaf"]).config(), |mut stream| async move {
        let _ = stream.write_all(ANSWER).await;
        let _ = stream.flush().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let sections = [
        format!("type: tcp\nname: x\naddress: 'tcp://{}'", tcp().await),
        format!("type: tcp\nname: x\naddress: 'tls://{tls}'"),
        format!("type: udp\nname: x\naddress: 'udp://{}'\nsend: x", udp().await),
    ];
    for section in sections {
        for (expect, expect_type) in [
            ("FFFE00", "hex"),
            ("'ff:fe:00 80'", "hex"),
            ("'00'", "hex"),
            ("0d0A", "hex"),
            ("//4A", "base64"),
            ("/v/+AIANCg==", "base64"),
            ("'/v/+ AIANCg'", "base64"),
            ("\"\\r\\n\"", "text"),
        ] {
            let section = format!("{section}\nexpect: {expect}\nexpect_type: {expect_type}");
            let (outcome, steps) = explain(&section, LONG).await;
            assert_eq!(reason(&outcome), "up", "{section}: {steps}");
        }
        for (expect, expect_type) in [
            ("fffe01", "hex"),
            ("fffffe", "hex"),
            ("//8A", "base64"),
            ("fffe", "text"),
        ] {
            let section = format!("{section}\nexpect: {expect}\nexpect_type: {expect_type}");
            let outcome = check(&section, SHORT / 4).await;
            let reason = reason(&outcome);
            assert!(reason != "up" && !reason.contains('\0'), "{section}: {reason}");
            assert!(reason.len() < 200, "{reason}");
        }
    }
}

#[test]
fn errors_are_reported_at_their_position() {
    for (options, expected) in [
        (
            "expect: 0g\nexpect_type: hex",
            "8:13: monitor \"x\": \"expect\" is not valid hex: 'g' at character 2",
        ),
        (
            "expect: '012'\nexpect_type: hex",
            "8:13: monitor \"x\": \"expect\" is not valid hex: odd number of digits (3)",
        ),
        (
            "expect: A*\nexpect_type: base64",
            "8:13: monitor \"x\": \"expect\" is not valid base64: '*' at character 2",
        ),
        (
            "expect: AQIKA\nexpect_type: base64",
            "8:13: monitor \"x\": \"expect\" is not valid base64: it ends in the middle of a byte",
        ),
        (
            "expect: ': :'\nexpect_type: hex",
            "8:13: monitor \"x\": \"expect\" must not be empty",
        ),
        (
            "expect: ' '\nexpect_type: base64",
            "8:13: monitor \"x\": \"expect\" must not be empty",
        ),
        (
            "expect_type: hex",
            "8:5: monitor \"x\": \"expect_type\" needs \"expect\"",
        ),
        (
            "expect: ab\nexpect_type: binary",
            "9:18: monitor \"x\": \"expect_type\" must be text or hex or base64, not \"binary\"",
        ),
    ] {
        for kind in [
            "type: tcp\nname: x\naddress: tcp://h:1\nsend: x",
            "type: udp\nname: x\naddress: udp://h:1\nsend: x",
        ] {
            let error = lab::parse(&format!("{kind}\n{options}"))
                .map(|_| ())
                .expect_err(options);
            assert_eq!(error.to_string(), format!("lab.yaml:{expected}"), "{options}");
        }
    }
    // `expect_type` leaves `send` a text, and `content_type` leaves `expect` one.
    for good in ["expect: '00'\nexpect_type: hex", "content_type: hex\nexpect: xyz"] {
        let section = format!("type: tcp\nname: x\naddress: tcp://h:1\nsend: ab\n{good}");
        lab::parse(&section).unwrap_or_else(|error| panic!("{error}"));
    }
}
