//! `dns` against name servers that are wrong, sick or hostile.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::pending, net::SocketAddr};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use hickory_resolver::proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};

use lab::{LONG, MIDWAY, SHORT, STALL, check, closed_port, explain, reason};

fn section(server: SocketAddr, options: &str) -> String {
    format!("type: dns\nname: x\naddress: dns://{server}\n{options}")
}

/// A name server in this process: what it sends for each question, by UDP.
async fn server(answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    serve(socket, answer)
}

fn serve(socket: UdpSocket, answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            for bytes in answer(&Message::from_vec(&buffer[..n]).unwrap()) {
                let _ = socket.send_to(&bytes, from).await;
            }
        }
    });
    address
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A right answer to `asked`, changed by `change`.
fn answered(asked: &Message, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::new();
    let query = asked.queries()[0].clone();
    message
        .set_id(asked.id())
        .set_message_type(MessageType::Response)
        .add_answer(Record::from_rdata(
            query.name().clone(),
            60,
            RData::A(rdata::A::new(192, 0, 2, 1)),
        ))
        .add_query(query);
    change(&mut message);
    message.to_vec().unwrap()
}

/// Answers that are none of ours.
fn strays(asked: &Message) -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0xff; 100],
        answered(asked, |m| _ = m.set_id(asked.id().wrapping_add(1))),
        answered(asked, |m| _ = m.set_message_type(MessageType::Query)),
        answered(asked, |m| {
            m.take_queries();
            m.add_query(Query::query(name("web.example.org."), RecordType::A));
        }),
        answered(asked, |m| {
            m.queries_mut()[0].set_query_type(RecordType::AAAA);
        }),
    ]
}

const WEB: &str = "query: web.example";

#[tokio::test]
async fn what_is_no_answer_to_us_is_passed_over_until_ours_comes() {
    let at = server(|asked| {
        let mut all = strays(asked);
        all.push(answered(asked, |_| {}));
        // Too late to matter, and a lie.
        all.push(answered(asked, |m| {
            m.set_response_code(ResponseCode::ServFail);
        }));
        all
    })
    .await;
    let (outcome, steps) = explain(&section(at, WEB), LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert_eq!(steps.matches("receive: ignored a datagram").count(), 6, "{steps}");
}

#[tokio::test]
async fn what_is_no_answer_to_us_is_counted_when_none_comes() {
    let at = server(strays).await;
    let outcome = check(&section(at, WEB), MIDWAY).await;
    assert_eq!(
        reason(&outcome),
        "receive: no answer within 5 secs; ignored 6 datagrams (the last: an answer to another question)"
    );
    assert_eq!(outcome.failure().unwrap().class, FailureClass::TimedOut);

    let silent = server(|_| Vec::new()).await;
    let outcome = check(&section(silent, WEB), SHORT).await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");
    assert_eq!(outcome.failure().unwrap().class, FailureClass::TimedOut);
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_not_even_seen() {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            let right = answered(&Message::from_vec(&buffer[..n]).unwrap(), |_| {});
            let _ = elsewhere.send_to(&right, from).await;
        }
    });
    let outcome = check(&section(at, WEB), SHORT).await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");
}

#[tokio::test]
async fn each_bad_answer_has_its_class_and_its_reason() {
    use FailureClass::{Protocol, Refused, Status};
    let servfail = server(|asked| {
        vec![answered(asked, |m| {
            m.set_response_code(ResponseCode::ServFail);
            m.take_answers();
        })]
    })
    .await;
    let referral = server(|asked| {
        vec![answered(asked, |m| {
            m.take_answers();
            let ns = RData::NS(rdata::NS(name("a.root-servers.example.")));
            m.add_name_server(Record::from_rdata(Name::root(), 60, ns));
        })]
    })
    .await;
    let garbled = server(|asked| {
        let mut bytes = answered(asked, |_| {});
        bytes.pop();
        vec![bytes]
    })
    .await;
    // Nobody listens there by TCP.
    let socket = loop {
        if let Ok(socket) = UdpSocket::bind(closed_port().await).await {
            break socket;
        }
    };
    let truncated = serve(socket, |asked| {
        vec![answered(asked, |m| _ = m.set_truncated(true))]
    });
    for (at, class, expected) in [
        (servfail, Status, "SERVFAIL: the server failed to find an answer"),
        (
            referral,
            Status,
            "lame: the server does not know about web.example and points to a.root-servers.example.",
        ),
        (garbled, Protocol, "receive: an answer that cannot be read: "),
        (
            truncated,
            Refused,
            "answer truncated, then over TCP: connect: connection refused",
        ),
        (closed_port().await, Refused, "receive: connection refused"),
    ] {
        let outcome = check(&section(at, WEB), LONG).await;
        assert!(
            reason(&outcome).starts_with(expected),
            "{} is not {expected}",
            reason(&outcome)
        );
        assert_eq!(outcome.failure().unwrap().class, class, "{expected}");
        assert_eq!(outcome.verdict(), Verdict::Down);
    }
}

#[tokio::test]
async fn a_server_that_is_bad_over_tcp_only_is_down_in_time() {
    let checks = ["silent", "closing", "half", "strays", "endless"].map(|peer| {
        tokio::spawn(async move {
            let at = bad_over_tcp(peer).await;
            let (timeout, expected) = match peer {
                "closing" => (LONG, "receive: connection closed by the peer"),
                _ => (MIDWAY, "receive: no answer within 5 secs"),
            };
            let watch = Stopwatch::start();
            let outcome = check(&section(at, WEB), timeout).await;
            assert_eq!(
                reason(&outcome),
                format!("answer truncated, then over TCP: {expected}"),
                "{peer}"
            );
            assert_eq!(outcome.verdict(), Verdict::Down);
            assert!(peer != "closing" || watch.elapsed() < STALL, "{peer}");
        })
    });
    for check in checks {
        check.await.unwrap();
    }
}

/// Answers that all else goes over TCP; and what becomes of that.
async fn bad_over_tcp(peer: &'static str) -> SocketAddr {
    // UDP and TCP on one port; the first try may find one of them taken.
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(peer, stream));
        }
    });
    serve(socket, |asked| {
        vec![answered(asked, |m| _ = m.set_truncated(true))]
    })
}

async fn talk(peer: &str, mut stream: TcpStream) {
    let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut query).await.unwrap();
    let asked = Message::from_vec(&query).unwrap();
    let mut framed = Vec::new();
    match peer {
        "closing" => return,
        "half" => framed = vec![1, 0, 7],
        "strays" => {
            for stray in strays(&asked) {
                framed.extend((stray.len() as u16).to_be_bytes());
                framed.extend(stray);
            }
        }
        "endless" => while stream.write_all(&[0; 16 * 1024]).await.is_ok() {},
        _ => {}
    }
    let _ = stream.write_all(&framed).await;
    pending::<()>().await;
}

#[tokio::test]
async fn a_nasty_record_is_shown_and_drives_no_terminal() {
    let at = server(|asked| {
        vec![answered(asked, |m| {
            m.take_answers();
            m.queries_mut()[0].set_query_type(RecordType::TXT);
            let text = rdata::TXT::from_bytes(vec![b"\x1b[2J\n\xe2\x80\xaeevil"]);
            m.add_answer(Record::from_rdata(name("web.example."), 60, RData::TXT(text)));
        })]
    })
    .await;
    let options = "query: web.example\nrecord_type: TXT\nexpect: good";
    let (outcome, steps) = explain(&section(at, options), LONG).await;
    let shown = r#""\027[2J\010\226\128\174evil""#;
    assert_eq!(
        reason(&outcome),
        format!("\"good\" is not among the TXT records of web.example: {shown}")
    );
    assert!(
        steps.ends_with(&format!("answer: web.example. 60 IN TXT {shown}")),
        "{steps}"
    );
}
