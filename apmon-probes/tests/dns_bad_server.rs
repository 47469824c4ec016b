//! `dns` against name servers that are misconfigured, broken or hostile.
#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::pending, net::SocketAddr};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use hickory_proto::{
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

/// Starts a name server in this process that sends the datagrams of `answer` for
/// each query, over UDP.
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

/// A correct answer to `query`, modified by `change`.
fn answer_to(query: &Message, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::new();
    let question = query.queries()[0].clone();
    message
        .set_id(query.id())
        .set_message_type(MessageType::Response)
        .add_answer(Record::from_rdata(
            question.name().clone(),
            60,
            RData::A(rdata::A::new(192, 0, 2, 1)),
        ))
        .add_query(question);
    change(&mut message);
    message.to_vec().unwrap()
}

/// Datagrams that do not answer `query`.
fn unrelated(query: &Message) -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0xff; 100],
        answer_to(query, |m| _ = m.set_id(query.id().wrapping_add(1))),
        answer_to(query, |m| _ = m.set_message_type(MessageType::Query)),
        answer_to(query, |m| {
            m.take_queries();
            m.add_query(Query::query(name("web.example.org."), RecordType::A));
        }),
        answer_to(query, |m| {
            m.queries_mut()[0].set_query_type(RecordType::AAAA);
        }),
    ]
}

const WEB: &str = "query: web.example";

#[tokio::test]
async fn unrelated_datagrams_are_ignored_until_the_answer_arrives() {
    let at = server(|query| {
        let mut all = unrelated(query);
        all.push(answer_to(query, |_| {}));
        // Too late to matter, and forged.
        all.push(answer_to(query, |m| {
            m.set_response_code(ResponseCode::ServFail);
        }));
        all
    })
    .await;
    let (outcome, steps) = explain(&section(at, WEB), LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert_eq!(
        steps.matches("receive: ignored a datagram: ").count(),
        6,
        "{steps}"
    );
}

#[tokio::test]
async fn unrelated_datagrams_are_counted_when_no_answer_arrives() {
    let at = server(unrelated).await;
    let outcome = check(&section(at, WEB), MIDWAY).await;
    assert_eq!(
        reason(&outcome),
        "receive: no answer within 5 secs; ignored 6 datagrams (the last: an answer to a different question)"
    );
    assert_eq!(outcome.failure().unwrap().class, FailureClass::TimedOut);

    let silent = server(|_| Vec::new()).await;
    let outcome = check(&section(silent, WEB), SHORT).await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");
    assert_eq!(outcome.failure().unwrap().class, FailureClass::TimedOut);
}

/// Servers from before EDNS refuse a query that has it, with the question or without.
#[tokio::test]
async fn a_server_that_does_not_know_edns_is_asked_again_without() {
    for (code, with_question) in [
        (ResponseCode::FormErr, true),
        (ResponseCode::FormErr, false),
        (ResponseCode::NotImp, true),
    ] {
        let at = server(move |query| {
            let refuses = query.extensions().is_some();
            vec![answer_to(query, |m| {
                if refuses {
                    m.set_response_code(code);
                    m.take_answers();
                    if !with_question {
                        m.take_queries();
                    }
                }
            })]
        })
        .await;
        let (outcome, steps) = explain(&section(at, WEB), LONG).await;
        assert_eq!(reason(&outcome), "up", "{code}");
        assert!(steps.contains("asking again without EDNS"), "{steps}");
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [apmon_core::Phase::FirstByte]);
        let expected = format!("{}\nexpect: 192.0.2.0/24", section(at, WEB));
        assert_eq!(reason(&check(&expected, LONG).await), "up");
    }
    let never = server(|query| {
        vec![answer_to(query, |m| {
            m.set_response_code(ResponseCode::FormErr);
            m.take_answers();
        })]
    })
    .await;
    let outcome = check(&section(never, WEB), LONG).await;
    assert_eq!(reason(&outcome), "FORMERR: the server cannot parse the query");
    let wanted = format!("{}\nexpect_rcode: formerr", section(never, WEB));
    assert_eq!(reason(&check(&wanted, LONG).await), "up");
}

#[tokio::test]
async fn an_answer_from_another_address_is_not_received() {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            let answer = answer_to(&Message::from_vec(&buffer[..n]).unwrap(), |_| {});
            let _ = elsewhere.send_to(&answer, from).await;
        }
    });
    let outcome = check(&section(at, WEB), SHORT).await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");
}

#[tokio::test]
async fn each_bad_answer_has_its_class_and_reason() {
    use FailureClass::{Protocol, Refused, Status};
    let servfail = server(|query| {
        vec![answer_to(query, |m| {
            m.set_response_code(ResponseCode::ServFail);
            m.take_answers();
        })]
    })
    .await;
    let referral = server(|query| {
        vec![answer_to(query, |m| {
            m.take_answers();
            let ns = RData::NS(rdata::NS(name("a.root-servers.example.")));
            m.add_name_server(Record::from_rdata(Name::root(), 60, ns));
        })]
    })
    .await;
    let malformed = server(|query| {
        let mut bytes = answer_to(query, |_| {});
        bytes.pop();
        vec![bytes]
    })
    .await;
    // Nothing listens on that port over TCP.
    let socket = loop {
        if let Ok(socket) = UdpSocket::bind(closed_port().await).await {
            break socket;
        }
    };
    let truncated = serve(socket, |query| {
        vec![answer_to(query, |m| _ = m.set_truncated(true))]
    });
    for (at, class, expected) in [
        (servfail, Status, "SERVFAIL: the server could not get an answer"),
        (
            referral,
            Status,
            "lame: the server has no data for web.example and refers to a.root-servers.example.",
        ),
        (malformed, Protocol, "receive: malformed answer: "),
        (
            truncated,
            Refused,
            "answer truncated, retry over TCP failed: connect: connection refused",
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
async fn a_server_that_misbehaves_over_tcp_is_down_by_the_deadline() {
    let checks = ["silent", "closing", "half", "unrelated", "endless"].map(|peer| {
        tokio::spawn(async move {
            let at = bad_over_tcp(peer).await;
            let (timeout, expected) = match peer {
                "closing" => (LONG, "receive: connection closed by the peer"),
                "endless" => (
                    LONG,
                    "receive: more than 16 messages do not answer the query (the last: not a DNS message)",
                ),
                _ => (MIDWAY, "receive: no answer within 5 secs"),
            };
            let watch = Stopwatch::start();
            let outcome = check(&section(at, WEB), timeout).await;
            assert_eq!(
                reason(&outcome),
                format!("answer truncated, retry over TCP failed: {expected}"),
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

/// Starts a server that truncates every answer over UDP and misbehaves over TCP.
async fn bad_over_tcp(peer: &'static str) -> SocketAddr {
    // UDP and TCP on one port; at the first attempt one of them may be in use.
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(peer, stream));
        }
    });
    serve(socket, |query| {
        vec![answer_to(query, |m| _ = m.set_truncated(true))]
    })
}

async fn misbehave(peer: &str, mut stream: TcpStream) {
    let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut bytes).await.unwrap();
    let query = Message::from_vec(&bytes).unwrap();
    let mut framed = Vec::new();
    match peer {
        "closing" => return,
        "half" => framed = vec![1, 0, 7],
        "unrelated" => {
            for datagram in unrelated(&query) {
                framed.extend((datagram.len() as u16).to_be_bytes());
                framed.extend(datagram);
            }
        }
        "endless" => while stream.write_all(&[0; 16 * 1024]).await.is_ok() {},
        _ => {}
    }
    let _ = stream.write_all(&framed).await;
    pending::<()>().await;
}

#[tokio::test]
async fn control_characters_in_a_record_do_not_reach_the_terminal() {
    let at = server(|query| {
        vec![answer_to(query, |m| {
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
