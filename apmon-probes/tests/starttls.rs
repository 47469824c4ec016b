//! `tcp` with TLS, at once or by STARTTLS, against the lab's mail, file and
//! directory servers; and against some that refuse.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, sync::Arc};

use apmon_core::{FailureClass, Phase, Stopwatch, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use lab::{
    Certificate, LONG, MIDWAY, SHORT, STALL, check, class, explain,
    pki::Pki,
    real::{Dovecot, Slapd, Smtp, Sshd, Vsftpd},
    reason,
    tap::{Tap, tls_server},
    tcp_server,
};

fn starttls(server: SocketAddr, protocol: &str) -> String {
    format!("type: tcp\nname: x\naddress: 'tcp://{server}'\nstarttls: {protocol}")
}

fn at_once(server: SocketAddr) -> String {
    format!("type: tcp\nname: x\naddress: 'tls://{server}'")
}

/// LDAP's search of the root entry; the answer is a SearchResultEntry.
const LDAP_SEARCH: &str = "content_type: hex\nsend: 30 25 02 01 02 63 20 04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 \
                           01 01 00 87 0b 6f 62 6a 65 63 74 43 6c 61 73 73 30 00\nexpect_type: hex\nexpect: '02 01 02 64'";

/// Checks with the right pin, a wrong pin, and a conversation within TLS.
async fn assert_pinned_and_talks(section: &str, certificate: &Certificate, talk: &str) {
    let pinned = format!("{section}\nssl_fingerprint: '{}'", certificate.fingerprint());
    let (outcome, steps) = explain(&pinned, LONG).await;
    assert_eq!(reason(&outcome), "up", "{section}: {steps}");
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases[..2], [Phase::Connect, Phase::Tls], "{section}");
    let talked = format!("{pinned}\n{talk}");
    let (outcome, steps) = explain(&talked, LONG).await;
    assert_eq!(reason(&outcome), "up", "{talked}: {steps}");
    let wrong = format!("{section}\nssl_fingerprint: {}\n{talk}", "00".repeat(32));
    let outcome = check(&wrong, LONG).await;
    assert_eq!(
        class(&outcome),
        FailureClass::Pin,
        "{section}: {}",
        reason(&outcome)
    );
    let missed = format!("{pinned}\nexpect: needle");
    let outcome = check(&missed, SHORT).await;
    assert_eq!(
        outcome.verdict(),
        Verdict::Down,
        "{section}: {}",
        reason(&outcome)
    );
}

#[tokio::test]
async fn smtp_talks_within_tls() {
    let certificate = Certificate::good();
    let smtp = Smtp::start(&certificate);
    // It greets at once if TLS begins at once, and waits after STARTTLS.
    let ehlo = "send: \"EHLO x\\r\\n\"\nexpect: '250'";
    assert_pinned_and_talks(&starttls(smtp.starttls(), "smtp"), &certificate, ehlo).await;
    assert_pinned_and_talks(
        &at_once(smtp.implicit()),
        &certificate,
        "expect: 220 lab Python SMTP",
    )
    .await;
    let both = "send: \"EHLO x\\r\\n\"\nexpect: '250 HELP'";
    assert_pinned_and_talks(&at_once(smtp.implicit()), &certificate, both).await;
}

#[tokio::test]
async fn imap_and_pop3_talk_within_tls() {
    let certificate = Certificate::good();
    let dovecot = Dovecot::start(&certificate);
    let capability = "send: \"a CAPABILITY\\r\\n\"\nexpect: \"\\r\\na OK \"";
    let login = "send: \"a LOGIN me secret\\r\\n\"\nexpect: 'a OK '";
    let imap = starttls(dovecot.imap(), "imap");
    assert_pinned_and_talks(&imap, &certificate, capability).await;
    assert_pinned_and_talks(&imap, &certificate, login).await;
    assert_pinned_and_talks(&at_once(dovecot.imaps()), &certificate, "expect: '* OK ['").await;
    assert_pinned_and_talks(&at_once(dovecot.imaps()), &certificate, login).await;
    let capa = "send: \"CAPA\\r\\n\"\nexpect: \"UIDL\\r\\n\"";
    assert_pinned_and_talks(&starttls(dovecot.pop3(), "pop3"), &certificate, capa).await;
    assert_pinned_and_talks(&at_once(dovecot.pop3s()), &certificate, "expect: +OK Dovecot").await;
}

#[tokio::test]
async fn ftp_and_ldap_talk_within_tls() {
    let certificate = Certificate::good();
    let (vsftpd, slapd) = (Vsftpd::start(&certificate), Slapd::start(&certificate));
    let feat = "send: \"FEAT\\r\\n\"\nexpect: 211 End";
    assert_pinned_and_talks(&starttls(vsftpd.address(), "ftp"), &certificate, feat).await;
    assert_pinned_and_talks(&starttls(slapd.ldap(), "ldap"), &certificate, LDAP_SEARCH).await;
    assert_pinned_and_talks(&at_once(slapd.ldaps()), &certificate, LDAP_SEARCH).await;
}

#[tokio::test]
async fn the_wrong_protocol_or_port_is_named() {
    let certificate = Certificate::good();
    let (dovecot, smtp, sshd) = (
        Dovecot::start(&certificate),
        Smtp::start(&certificate),
        Sshd::start(),
    );
    for (section, wanted) in [
        (
            starttls(sshd.address(), "smtp"),
            "starttls: the greeting does not fit the protocol: SSH-2.0-OpenSSH",
        ),
        (
            starttls(dovecot.imap(), "pop3"),
            "starttls: the greeting does not fit the protocol: * OK [",
        ),
        (
            starttls(dovecot.pop3(), "imap"),
            "starttls: the greeting does not fit the protocol: +OK Dovecot",
        ),
        (
            starttls(smtp.starttls(), "ftp"),
            "starttls: the server answers AUTH TLS with 5",
        ),
        (at_once(dovecot.imap()), "tls: the server does not speak TLS"),
        (at_once(smtp.starttls()), "tls: the server does not speak TLS"),
    ] {
        let outcome = check(&section, LONG).await;
        assert_eq!(outcome.verdict(), Verdict::Down);
        assert!(
            reason(&outcome).starts_with(wanted),
            "{section}: {}",
            reason(&outcome)
        );
    }
    // A TLS server waits for the client, and the client for the greeting.
    let outcome = check(&starttls(dovecot.imaps(), "imap"), SHORT).await;
    assert_eq!(reason(&outcome), "starttls: no answer within 0.7 secs");
}

/// Each line of the script is sent in plaintext, also as TLS begins.
#[tokio::test]
async fn a_server_that_does_not_begin_tls_is_down_in_time_and_gets_nothing() {
    let cases = [
        (
            "smtp",
            &["220 lab\r\n", "250-lab\r\n250-XSTARTTLS\r\n250 SIZE\r\n"][..],
            "starttls: the server does not offer STARTTLS",
        ),
        (
            "smtp",
            &["220 lab\r\n", "250 STARTTLS\r\n", "220 go\r\n220 again\r\n"],
            "starttls: the server sent 11 bytes after its answer, before TLS began",
        ),
        (
            "smtp",
            &["220 lab\r\n250 STARTTLS\r\n"],
            "starttls: the server sent data before it was asked to",
        ),
        (
            "smtp",
            &["554 go away\r\n"],
            "starttls: the greeting does not fit the protocol: 554 go away",
        ),
        ("smtp", &["220-lab\r\n"], "starttls: no answer within 5 secs"),
        ("smtp", &[], "starttls: no answer within 5 secs"),
        (
            "smtp",
            &["220 lab\r\n", "250 STARTTLS\r\n"],
            "starttls: no answer within 5 secs",
        ),
        (
            "smtp",
            &["220 lab\r\n", "250 STARTTLS\r\n", "220 go\r\n"],
            "tls: no answer within 5 secs",
        ),
        (
            "imap",
            &["* BYE full\r\n"],
            "starttls: the greeting does not fit the protocol: * BYE full",
        ),
        (
            "imap",
            &["* OK x\r\n", "a NO tls\r\n"],
            "starttls: the server answers STARTTLS with a NO tls",
        ),
        (
            "imap",
            &["* OK x\r\n", "* x\r\n* y\r\n"],
            "starttls: no answer within 5 secs",
        ),
        (
            "pop3",
            &["+OK x\r\n", "-ERR \u{1b}[2J\r\n"],
            "starttls: the server answers STLS with -ERR \\u{1b}[2J",
        ),
        (
            "ftp",
            &["220 x\r\n", "502 no\r\n"],
            "starttls: the server answers AUTH TLS with 502 no",
        ),
        (
            "ftp",
            &["220 x\r\n", "234 go\r\n234 go\r\n"],
            "starttls: the server sent 8 bytes after its answer, before TLS began",
        ),
        (
            "ldap",
            &["nothing like ldap at all\r\n"],
            "starttls: the answer to StartTLS is not LDAP",
        ),
        ("ldap", &[], "starttls: no answer within 5 secs"),
    ];
    let checks = cases.map(|(protocol, script, wanted)| tokio::spawn(must_end(protocol, script, wanted)));
    for check in checks {
        check.await.unwrap();
    }
}

async fn must_end(protocol: &'static str, script: &'static [&'static str], wanted: &str) {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let server = tcp_server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut all = Vec::new();
            for (at, line) in script.iter().enumerate() {
                if at > 0 || protocol == "ldap" {
                    stream.read_buf(&mut all).await.unwrap();
                }
                stream.write_all(line.as_bytes()).await.unwrap();
            }
            let _ = stream.read_to_end(&mut all).await;
            let _ = sender.send(String::from_utf8_lossy(&all).into_owned());
        }
    })
    .await;
    let watch = Stopwatch::start();
    let section = starttls(server, protocol) + "\nsend: s3cret\nexpect: needle";
    let is_silent = wanted.contains("no answer");
    let outcome = check(&section, if is_silent { MIDWAY } else { LONG }).await;
    assert_eq!(outcome.verdict(), Verdict::Down);
    assert_eq!(reason(&outcome), wanted, "{protocol} {script:?}");
    assert!(is_silent || watch.elapsed() < STALL, "{wanted}");
    assert!(!received.recv().await.unwrap().contains("s3cret"), "{wanted}");
}

/// Bytes in one piece with the go-ahead are an error; later ones break the
/// handshake. Neither is taken for something sent within TLS.
#[tokio::test]
async fn nothing_sent_in_plaintext_is_found_within_tls() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = pki.server(&["leaf"]).config();
    for late in [false, true] {
        let config = Arc::clone(&config);
        let server = tcp_server(move |mut stream| {
            let acceptor = TlsAcceptor::from(Arc::clone(&config));
            async move {
                let mut buffer = [0; 1024];
                for said in ["220 lab\r\n", "250 STARTTLS\r\n", "220 go\r\n"] {
                    stream.write_all(said.as_bytes()).await.unwrap();
                    if !said.contains("go") {
                        let _ = stream.read(&mut buffer).await;
                    }
                }
                if late {
                    // The client has begun the handshake.
                    stream.readable().await.unwrap();
                }
                stream.write_all(b"250 needle\r\n").await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut buffer).await;
                }
            }
        })
        .await;
        let section = starttls(server, "smtp") + "\nexpect: needle";
        let outcome = check(&section, LONG).await;
        assert_eq!(outcome.verdict(), Verdict::Down, "{late}: {}", reason(&outcome));
    }
}

#[tokio::test]
async fn what_is_sent_without_an_expected_answer_arrives_whole_and_is_not_reset() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let mut tap = Tap::of(pki.server(&["leaf"]).config(), "").await;
    let section = at_once(tap.address) + "\nsend: one line of a log";
    for _ in 0..20 {
        let outcome = check(&section, LONG).await;
        assert_eq!(reason(&outcome), "up");
        assert!(outcome.latency.unwrap() < STALL);
        let seen = tap.seen().await;
        assert_eq!((&*seen.bytes, seen.end), ("one line of a log", None));
    }
}

#[tokio::test]
async fn the_reason_says_how_an_answer_ended_within_tls() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = pki.server(&["leaf"]).config();
    for (farewell, said, wanted) in [
        (true, "hay", "closed after 3 bytes without \"needle\""),
        (false, "hay", "closed after 3 bytes without \"needle\""),
        (false, "", "closed after 0 bytes without \"needle\""),
    ] {
        let server = tls_server(Arc::clone(&config), move |mut stream| async move {
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            match farewell {
                true => stream.shutdown().await.unwrap(),
                false => stream.get_mut().0.shutdown().await.unwrap(),
            }
            let _ = stream.get_mut().0.read(&mut [0; 100]).await;
        })
        .await;
        let outcome = check(&(at_once(server) + "\nexpect: needle"), LONG).await;
        assert_eq!(
            (reason(&outcome), class(&outcome)),
            (wanted, FailureClass::Closed)
        );
    }
    let endless = tls_server(config, |mut stream| async move {
        while stream.write_all(&[b'x'; 4000]).await.is_ok() {}
    })
    .await;
    let outcome = check(&(at_once(endless) + "\nexpect: needle"), LONG).await;
    assert_eq!(reason(&outcome), "\"needle\" not in the first 65536 bytes");
}
