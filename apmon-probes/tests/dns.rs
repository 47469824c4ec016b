//! `dns` against a real name server (unbound) and against bad ones.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use apmon_core::{FailureClass, Outcome, Phase, Stopwatch, Verdict};
use hickory_resolver::proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};

use lab::{LONG, SHORT, check, closed_port, explain, reason};

/// A real name server with a small zone of its own, on a port of its own.
struct Unbound {
    child: Child,
    at: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More than fits one datagram: its ten texts of 250 letters.
fn big() -> String {
    let mut lines = String::new();
    for n in 0..10 {
        let text = char::from(b'a' + n).to_string().repeat(250);
        writeln!(lines, "  local-data: 'big.lab.example. 60 IN TXT \"{text}\"'").unwrap();
    }
    lines
}

/// A port free for both protocols, below those the kernel hands out: it stays
/// free until the server takes it.
fn port_for_a_server() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let port = 20_000 + (std::process::id() * 16 + NEXT.fetch_add(1, Relaxed)) % 12_000;
        let at = SocketAddr::from(([127, 0, 0, 1], port as u16));
        if std::net::UdpSocket::bind(at).is_ok() && std::net::TcpListener::bind(at).is_ok() {
            return at;
        }
    }
}

impl Unbound {
    async fn start() -> Self {
        let at = port_for_a_server();
        let directory = tempfile::tempdir().unwrap();
        let port = at.port();
        let zone = r#"
  local-zone: "lab.example." static
  local-data: "lab.example. 60 IN SOA ns.lab.example. root.lab.example. 7 3600 600 86400 60"
  local-data: "lab.example. 60 IN NS ns.lab.example."
  local-data: "lab.example. 60 IN MX 10 mail.lab.example."
  local-data: "lab.example. 60 IN MX 20 backup.lab.example."
  local-data: 'lab.example. 60 IN CAA 0 issue "ca.example"'
  local-data: 'lab.example. 60 IN TXT "v=spf1 -all"'
  local-data: "_sip._udp.lab.example. 60 IN SRV 1 2 5060 sip.lab.example."
  local-data: "web.lab.example. 60 IN A 192.0.2.10"
  local-data: "web.lab.example. 60 IN A 192.0.2.11"
  local-data: "web.lab.example. 60 IN AAAA 2001:db8::10"
  local-data: "xn--mnchen-3ya.lab.example. 60 IN A 192.0.2.12"
  local-data: "alias.lab.example. 60 IN CNAME web.lab.example."
  local-data-ptr: "192.0.2.10 60 web.lab.example"
  local-data-ptr: "2001:db8::10 60 web.lab.example"
  local-zone: "gone.example." always_nxdomain
  local-zone: "secret.example." refuse
"#;
        let config = format!(
            "server:\n  username: ''\n  chroot: ''\n  directory: {}\n  pidfile: ''\n  use-syslog: no\n\
             \x20 interface: 127.0.0.1@{port}\n  do-daemonize: no\n  module-config: iterator\n{zone}{}\
             remote-control:\n  control-enable: no\n\
             auth-zone:\n  name: zone.example\n  zonefile: zone\n  for-upstream: no\n",
            directory.path().display(),
            big()
        );
        let zone = "zone.example. 60 IN SOA ns.zone.example. root.zone.example. 7 3600 600 86400 60\n\
                    zone.example. 60 IN NS ns.zone.example.\n\
                    first.zone.example. 60 IN CNAME second.zone.example.\n\
                    second.zone.example. 60 IN CNAME web.zone.example.\n\
                    web.zone.example. 60 IN A 192.0.2.20\n\
                    dangling.zone.example. 60 IN CNAME gone.zone.example.\n\
                    sub.zone.example. 60 IN NS ns.sub.zone.example.\n\
                    ns.sub.zone.example. 60 IN A 192.0.2.21\n";
        std::fs::write(directory.path().join("zone"), zone).unwrap();
        let file = directory.path().join("unbound.conf");
        std::fs::write(&file, config).unwrap();
        // Debian keeps it where only root's PATH leads.
        let program = match Path::new("/usr/sbin/unbound") {
            path if path.exists() => path,
            _ => Path::new("unbound"),
        };
        let child = Command::new(program)
            .args(["-d", "-c"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs unbound (apt install unbound)");
        let server = Self {
            child,
            at,
            _directory: directory,
        };
        server.wait_until_it_answers().await;
        server
    }

    async fn wait_until_it_answers(&self) {
        let mut last = String::new();
        for _ in 0..200 {
            let outcome = self.look("query: web.lab.example").await;
            if outcome.verdict() == Verdict::Up {
                return;
            }
            last = reason(&outcome).to_owned();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("unbound does not answer: {last}");
    }

    fn section(&self, options: &str) -> String {
        section(self.at, options)
    }

    async fn look(&self, options: &str) -> Outcome {
        check(&self.section(options), LONG).await
    }
}

fn section(server: SocketAddr, options: &str) -> String {
    format!("type: dns\nname: x\naddress: dns://{server}\n{options}")
}

fn records(outcome: &Outcome) -> Option<f64> {
    let metric = outcome.metrics.iter().find(|metric| metric.name == "records");
    metric.map(|metric| metric.value)
}

#[tokio::test]
async fn every_type_of_record_is_found_at_a_real_server() {
    let server = Unbound::start().await;
    for (options, count) in [
        ("query: web.lab.example", 2.0),
        ("query: WEB.Lab.Example.\nexpect: 192.0.2.11", 2.0),
        ("query: münchen.lab.example\nexpect: 192.0.2.12", 1.0),
        ("query: first.zone.example\nexpect: 192.0.2.20", 1.0),
        (
            "query: web.lab.example\nrecord_type: aaaa\nexpect: '2001:DB8:0::10'",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: Mx\nexpect: 10 mail.lab.example.",
            2.0,
        ),
        (
            "query: lab.example\nrecord_type: NS\nexpect: ns.lab.example.",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: SOA\nexpect: ns.lab.example. root.lab.example. 7 ",
            1.0,
        ),
        (
            "query: lab.example\nrecord_type: CAA\nexpect: '0 issue \"ca.example\"'",
            1.0,
        ),
        ("query: lab.example\nrecord_type: TXT\nexpect: v=spf1 -all", 1.0),
        (
            "query: _sip._udp.lab.example\nrecord_type: SRV\nexpect: 1 2 5060 sip.lab.example.",
            1.0,
        ),
        (
            "query: alias.lab.example\nrecord_type: CNAME\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: 192.0.2.10\nrecord_type: PTR\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: '2001:db8::10'\nrecord_type: ptr\nexpect: web.lab.example.",
            1.0,
        ),
        (
            "query: 10.2.0.192.in-addr.arpa\nrecord_type: PTR\nexpect: web.lab.example.",
            1.0,
        ),
    ] {
        let outcome = server.look(options).await;
        assert_eq!(reason(&outcome), "up", "{options}");
        assert_eq!(records(&outcome), Some(count), "{options}");
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [Phase::FirstByte], "{options}");
    }
}

#[tokio::test]
async fn what_a_real_server_denies_is_told_apart() {
    use FailureClass::{Content, NoSuchName, Status};
    let server = Unbound::start().await;
    for (options, class, expected) in [
        (
            "query: no.lab.example.",
            NoSuchName,
            "NXDOMAIN: there is no name no.lab.example",
        ),
        (
            "query: a.gone.example",
            NoSuchName,
            "NXDOMAIN: there is no name a.gone.example",
        ),
        (
            "query: dangling.zone.example",
            Content, // NOERROR is what unbound says to this
            "there is no A record of gone.zone.example, for which dangling.zone.example is an alias",
        ),
        (
            "query: first.zone.example\nrecord_type: MX",
            Content,
            "there is no MX record of web.zone.example, for which first.zone.example is an alias",
        ),
        (
            "query: web.sub.zone.example",
            Status,
            "lame: the server does not know about web.sub.zone.example and points to ns.sub.zone.example.",
        ),
        (
            "query: www.secret.example",
            Status,
            "REFUSED: the server refuses to answer this question",
        ),
        (
            "query: web.lab.example\nrecord_type: TXT",
            Content,
            "there is no TXT record of web.lab.example",
        ),
        (
            "query: web.lab.example\nrecord_type: AAAA\nexpect: '2001:db8::1'",
            Content,
            "\"2001:db8::1\" is not among the AAAA records of web.lab.example: 2001:db8::10",
        ),
    ] {
        let outcome = server.look(options).await;
        assert_eq!(reason(&outcome), expected, "{options}");
        assert_eq!(outcome.failure().unwrap().class, class, "{options}");
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let server = Unbound::start().await;
    let last = "j".repeat(250);
    let options = format!("query: big.lab.example\nrecord_type: TXT\nexpect: {last}");
    let (outcome, steps) = explain(&server.section(&options), LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert_eq!(records(&outcome), Some(10.0));
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::FirstByte, Phase::Connect, Phase::Transfer]);
    assert!(
        steps.contains("receive: truncated; the same again over TCP"),
        "{steps}"
    );
}

#[tokio::test]
async fn explain_shows_the_question_the_flags_and_every_record() {
    let server = Unbound::start().await;
    let options = "query: lab.example\nrecord_type: MX\nexpect: 10 mail";
    let (outcome, steps) = explain(&server.section(options), LONG).await;
    assert_eq!(reason(&outcome), "up");
    let lines: Vec<_> = steps.lines().collect();
    assert!(lines[0].starts_with(&format!("send: MX lab.example. to {}, id ", server.at)));
    assert!(lines[0].ends_with(", 40 bytes"), "{steps}");
    assert_eq!(
        lines[1],
        "receive: NOERROR; flags qr aa rd ra; 2 answers, 0 authority, 0 additional"
    );
    let mut records = lines[2..].to_vec();
    records.sort_unstable();
    assert_eq!(
        records,
        [
            "answer: lab.example. 60 IN MX 10 mail.lab.example.",
            "answer: lab.example. 60 IN MX 20 backup.lab.example.",
        ]
    );
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
    let watch = Stopwatch::start();
    let outcome = check(&section(at, WEB), SHORT).await;
    assert!(watch.elapsed() < SHORT + Duration::from_millis(500));
    assert_eq!(
        reason(&outcome),
        "receive: no answer within 0.7 secs; ignored 6 datagrams (the last: an answer to another question)"
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
    let truncated = server(|asked| vec![answered(asked, |m| _ = m.set_truncated(true))]).await;
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
    for (peer, expected) in [
        ("silent", "receive: no answer within 0.7 secs"),
        ("closing", "receive: connection closed by the peer"),
        ("half", "receive: no answer within 0.7 secs"),
        ("strays", "receive: no answer within 0.7 secs"),
        ("endless", "receive: no answer within 0.7 secs"),
    ] {
        // UDP and TCP on one port; the first try may find one of them taken.
        let (listener, socket) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        let at = serve(socket, |asked| {
            vec![answered(asked, |m| _ = m.set_truncated(true))]
        });
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
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
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        let watch = Stopwatch::start();
        let outcome = check(&section(at, WEB), SHORT).await;
        let took = watch.elapsed();
        assert!(took < SHORT + Duration::from_millis(500), "{peer}: {took:?}");
        assert_eq!(
            reason(&outcome),
            format!("answer truncated, then over TCP: {expected}"),
            "{peer}"
        );
        assert_eq!(outcome.verdict(), Verdict::Down);
    }
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
