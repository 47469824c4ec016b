use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

/// Plays a server that sends the lines of `script` one after another, each once it
/// has received something (the first at once).
async fn ask(protocol: StartTls, script: &[&[u8]]) -> Result<(), Failure> {
    let (mut ours, mut theirs) = duplex(64 * 1024);
    let script: Vec<Vec<u8>> = script.iter().map(|line| line.to_vec()).collect();
    let client_begins = protocol == StartTls::Ldap;
    let server = tokio::spawn(async move {
        let mut received = [0; 1024];
        for (at, line) in script.iter().enumerate() {
            if at > 0 || client_begins {
                let _ = theirs.read(&mut received).await;
            }
            let _ = theirs.write_all(line).await;
        }
        let _ = theirs.shutdown().await;
        theirs
    });
    let check = crate::recorder::check(Duration::from_secs(5));
    let result = protocol.ask(&mut ours, &check).await;
    drop(server);
    result
}

const LDAP_YES: &[u8] = &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0];

#[tokio::test]
async fn a_server_of_each_protocol_agrees() {
    for (protocol, script) in [
        (
            StartTls::Smtp,
            &[
                &b"220-mail\r\n220 ESMTP\r\n"[..],
                b"250-mail\r\n250-SIZE 1\r\n250 starttls\r\n",
                b"220 go\r\n",
            ][..],
        ),
        (
            StartTls::Imap,
            &[
                b"* OK [CAPABILITY IMAP4rev1] hello\r\n",
                b"* CAPABILITY X\r\na OK go\r\n",
            ],
        ),
        (StartTls::Pop3, &[b"+OK hello\r\n", b"+OK\r\n"]),
        (
            StartTls::Ftp,
            &[b"220-Welcome\r\n to this\r\n220 server\r\n", b"234 go\r\n"],
        ),
        (StartTls::Ldap, &[LDAP_YES]),
    ] {
        ask(protocol, script)
            .await
            .unwrap_or_else(|failure| panic!("{protocol:?}: {failure}"));
    }
}

#[tokio::test]
async fn the_reason_names_what_is_wrong() {
    for (protocol, script, reason) in [
        (
            StartTls::Smtp,
            &[&b"220 mail\r\n"[..], b"250 mail\r\n"][..],
            "starttls: the server does not offer STARTTLS",
        ),
        (
            StartTls::Smtp,
            &[b"SSH-2.0-OpenSSH\r\n"],
            "starttls: the greeting does not fit the protocol: SSH-2.0-OpenSSH",
        ),
        (
            StartTls::Smtp,
            &[
                b"220 mail\r\n",
                b"250-x\r\n250 STARTTLS\r\n",
                b"454 no certificate\r\n",
            ],
            "starttls: the server answers STARTTLS with 454 no certificate",
        ),
        (
            StartTls::Pop3,
            &[b"+OK hello\r\n", b"-ERR unknown\r\n"],
            "starttls: the server answers STLS with -ERR unknown",
        ),
        (
            StartTls::Imap,
            &[b"* OK hello\r\n", b"a BAD what?\r\n"],
            "starttls: the server answers STARTTLS with a BAD what?",
        ),
        (
            StartTls::Ftp,
            &[b"220 hello\r\n"],
            "starttls: connection closed by the peer",
        ),
        (
            StartTls::Ldap,
            &[&[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0]],
            "starttls: the server answers StartTLS with result 52",
        ),
        (
            StartTls::Ldap,
            &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
            "starttls: the answer to StartTLS is not LDAP",
        ),
    ] {
        let failure = ask(protocol, script).await.unwrap_err();
        assert_eq!(failure.reason, reason);
    }
}

#[tokio::test]
async fn bytes_sent_ahead_of_tls_are_an_error() {
    let injected = ask(
        StartTls::Smtp,
        &[
            b"220 mail\r\n",
            b"250 STARTTLS\r\n",
            b"220 go\r\n250 injected\r\n",
        ],
    );
    let failure = injected.await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Protocol);
    assert_eq!(
        failure.reason,
        "starttls: the server sent 14 bytes after its answer, before TLS began"
    );
    let early = ask(StartTls::Pop3, &[b"+OK hello\r\n+OK\r\n"]).await.unwrap_err();
    assert_eq!(
        early.reason,
        "starttls: the server sent data before it was asked to"
    );
}

#[tokio::test]
async fn a_server_cannot_talk_without_end() {
    let long = vec![b'x'; 20_000];
    let failure = ask(StartTls::Pop3, &[&long]).await.unwrap_err();
    assert_eq!(
        failure.reason,
        "starttls: the server sent a line of more than 8192 bytes"
    );
    let many = b"220-x\r\n".repeat(1_001);
    let failure = ask(StartTls::Smtp, &[&many]).await.unwrap_err();
    assert_eq!(
        failure.reason,
        "starttls: the server sent more than 1000 lines before TLS began"
    );
    let many = format!("220-{}\r\n", "x".repeat(1_000)).repeat(100).into_bytes();
    let failure = ask(StartTls::Smtp, &[&many]).await.unwrap_err();
    assert_eq!(
        failure.reason,
        "starttls: the server sent more than 65536 bytes before TLS began"
    );
}
