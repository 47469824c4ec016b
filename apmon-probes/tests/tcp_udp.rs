//! `tcp` and `udp` against well-behaved peers.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::pending, time::Duration};

use apmon_core::{FailureClass, Phase, Stopwatch, Verdict};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
    sync::mpsc,
};

use lab::{LONG, MIDWAY, SHORT, STALL, check, closed_port, explain, reason, tcp_server};

/// A check waits at least this long for data that does not affect the verdict, and
/// for a refusal.
const MIN_WAIT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn tcp_is_up_once_connected() {
    let server = tcp_server(|stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let outcome = check(&format!("type: tcp\nname: x\naddress: tcp://{server}"), LONG).await;
    assert_eq!(outcome.verdict(), Verdict::Up);
    assert!(outcome.latency.unwrap() < STALL);
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Connect]);
}

#[tokio::test]
async fn tcp_finds_what_arrives_in_single_bytes() {
    let server = tcp_server(|mut stream| async move {
        for byte in b"xxSSH-SSH-2.0-OpenSSH\r\n" {
            stream.write_all(&[*byte]).await.unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        pending::<()>().await;
    })
    .await;
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{server}\nexpect: SSH-2.0"),
        LONG,
    )
    .await;
    assert_eq!(reason(&outcome), "up");
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::FirstByte, Phase::Transfer]);
}

#[tokio::test]
async fn tcp_sends_first_and_closes_without_a_reset() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let server = tcp_server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut all = Vec::new();
            let end = stream.read_to_end(&mut all).await;
            sender.send((all, end.map_err(|error| error.kind()))).unwrap();
        }
    })
    .await;
    let section = format!("type: tcp\nname: x\naddress: tcp://{server}\nsend: 01 02 ff\ncontent_type: hex");
    assert_eq!(reason(&check(&section, LONG).await), "up");
    assert_eq!(received.recv().await.unwrap(), (vec![1, 2, 255], Ok(3)));
}

#[tokio::test]
async fn tcp_reports_how_an_answer_ended() {
    let short = tcp_server(|mut stream| async move {
        stream.write_all(b"220 hello").await.unwrap();
    })
    .await;
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{short}\nexpect: needle"),
        LONG,
    )
    .await;
    assert_eq!(reason(&outcome), "closed after 9 bytes without \"needle\"");
    assert_eq!(outcome.failure().unwrap().class, FailureClass::Closed);

    let held = tcp_server(|mut stream| async move {
        stream.write_all(b"220 hello").await.unwrap();
        pending::<()>().await;
    })
    .await;
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{held}\nexpect: needle"),
        MIDWAY,
    )
    .await;
    assert_eq!(
        reason(&outcome),
        "\"needle\" not in the 9 bytes received within 5 secs"
    );

    let silent = tcp_server(|stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{silent}\nexpect: needle"),
        SHORT,
    )
    .await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");

    let endless =
        tcp_server(|mut stream| async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} }).await;
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{endless}\nexpect: needle"),
        LONG,
    )
    .await;
    assert_eq!(reason(&outcome), "\"needle\" not in the first 65536 bytes");
}

#[tokio::test]
async fn tcp_explains_what_arrives_after_the_verdict() {
    let server = tcp_server(|mut stream| async move {
        stream.write_all(b"220 hello\r\n\x1b[2J").await.unwrap();
        pending::<()>().await;
    })
    .await;
    let section = format!("type: tcp\nname: x\naddress: tcp://{server}\nsend: hi");
    let watch = Stopwatch::start();
    let (outcome, steps) = explain(&section, LONG).await;
    assert_eq!(reason(&outcome), "up");
    let waited = watch.elapsed() - outcome.latency.unwrap();
    assert!(
        waited > MIN_WAIT,
        "the wait does not count as latency: {waited:?}"
    );
    let expected = format!(
        "connect: to {server}\nconnect: connected\nsend: 2 bytes\nreceive: 15 bytes: 220 hello\\r\\n\\u{{1b}}[2J"
    );
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn tcp_reports_a_refused_connection() {
    let outcome = check(
        &format!("type: tcp\nname: x\naddress: tcp://{}", closed_port().await),
        LONG,
    )
    .await;
    assert_eq!(reason(&outcome), "connect: connection refused");
}

#[tokio::test]
async fn udp_waits_for_the_datagram_that_matches() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (n, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(b"noise", from).await.unwrap();
        server
            .send_to(&[b"answer to ", &buffer[..n]].concat(), from)
            .await
            .unwrap();
    });
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: hi\nexpect: answer to hi");
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn udp_sends_an_empty_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (n, from) = server.recv_from(&mut buffer).await.unwrap();
        let answer = format!("got {n} bytes");
        server.send_to(answer.as_bytes(), from).await.unwrap();
    });
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: ''\nexpect: got 0 bytes");
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn udp_without_expect_is_up_unless_refused() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: hi");
    let watch = Stopwatch::start();
    let outcome = check(&section, LONG).await;
    assert_eq!(reason(&outcome), "up");
    let waited = watch.elapsed() - outcome.latency.unwrap();
    assert!(
        waited > MIN_WAIT,
        "the wait does not count as latency: {waited:?}"
    );
    drop(server);
    for more in ["", "\nexpect: hi"] {
        let watch = Stopwatch::start();
        let outcome = check(&(section.clone() + more), LONG).await;
        assert_eq!(reason(&outcome), "receive: connection refused");
        assert_eq!(outcome.failure().unwrap().class, FailureClass::Refused);
        assert!(watch.elapsed() < STALL, "{:?}", watch.elapsed());
    }
}

#[tokio::test]
async fn udp_works_over_ipv6() {
    let server = UdpSocket::bind("[::1]:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (n, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(&buffer[..n], from).await.unwrap();
    });
    let section = format!("type: udp\nname: x\naddress: udp://{address}\nsend: hi\nexpect: hi");
    assert_eq!(reason(&check(&section, LONG).await), "up");
}
