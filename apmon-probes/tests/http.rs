//! `http` against servers that behave, and some that do not.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apmon_core::{FailureClass, Phase, Verdict};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use lab::{
    Certificate, LONG, check, class, explain, http_answers, http_server, ok, openssl_server::OpensslServer,
    reason, tcp_server,
};

fn http(server: SocketAddr) -> String {
    format!("type: http\nname: x\naddress: 'http://{server}/'")
}

fn https(server: SocketAddr) -> String {
    format!("type: http\nname: x\naddress: 'https://{server}/'")
}

/// An https server with `certificate`; it reports for each connection how many
/// bytes of a request it saw.
async fn https_server(
    certificate: &Certificate,
    answer: String,
) -> (SocketAddr, mpsc::UnboundedReceiver<usize>) {
    let acceptor = TlsAcceptor::from(certificate.server_config());
    let (sender, received) = mpsc::unbounded_channel();
    let answer: Arc<str> = answer.into();
    let server = tcp_server(move |stream| {
        let (acceptor, sender, answer) = (acceptor.clone(), sender.clone(), Arc::clone(&answer));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                sender.send(0).unwrap_or_default();
                return;
            };
            let request = lab::read_request(&mut stream).await;
            sender.send(request.len()).unwrap_or_default();
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (server, received)
}

#[tokio::test]
async fn without_expect_only_200_is_up() {
    let server = http_server(ok("hello")).await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(reason(&outcome), "up");
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::FirstByte]);
    for (line, wanted) in [
        ("503 Service Unavailable", "status 503 Service Unavailable"),
        ("204 No Content", "status 204 No Content"),
        ("302 Found", "status 302 Found"),
    ] {
        let server = http_server(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")).await;
        let outcome = check(&http(server), LONG).await;
        assert_eq!(reason(&outcome), wanted);
        assert_eq!(class(&outcome), FailureClass::Status);
    }
}

#[tokio::test]
async fn with_expect_only_the_body_matters_whatever_the_status() {
    let body = "<h1>System Name: HomeLab</h1>";
    let server = http_server(format!(
        "HTTP/1.1 500 Oops\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let found = check(&(http(server) + "\nexpect: 'Name: HomeLab'"), LONG).await;
    assert_eq!(reason(&found), "up");
    let missing = check(&(http(server) + "\nexpect: 'homelab'"), LONG).await;
    assert_eq!(reason(&missing), "\"homelab\" not found in 29 bytes (status 500)");
    assert_eq!(class(&missing), FailureClass::Content);
}

#[tokio::test]
async fn expected_text_is_found_across_chunks_and_ends_the_reading() {
    let server = tcp_server(|mut stream| async move {
        lab::read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap_or_default();
        for piece in ["4\r\nxnee\r\n", "2\r\ndl\r\n", "3\r\ne..\r\n"] {
            stream.write_all(piece.as_bytes()).await.unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let outcome = check(&(http(server) + "\nexpect: needle"), LONG).await;
    assert_eq!(reason(&outcome), "up");
}

#[tokio::test]
async fn an_endless_body_ends_at_four_mebibytes() {
    let server = tcp_server(|mut stream| async move {
        lab::read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .await
            .unwrap_or_default();
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let outcome = check(&(http(server) + "\nexpect: needle"), LONG).await;
    assert_eq!(
        reason(&outcome),
        "\"needle\" not in the first 4194304 bytes (status 200)"
    );
}

#[tokio::test]
async fn a_truncated_body_is_named() {
    let server = http_server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
    let outcome = check(&(http(server) + "\nexpect: needle"), LONG).await;
    assert_eq!(
        reason(&outcome),
        "closed after 5 bytes without \"needle\" (status 200)"
    );
    let server = http_server("").await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(reason(&outcome), "request: connection closed without an answer");
    let server = http_server("SSH-2.0-OpenSSH_9.2\r\n").await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(class(&outcome), FailureClass::Protocol, "{}", reason(&outcome));
}

#[tokio::test]
async fn the_request_is_what_a_server_expects() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let server = http_answers(move |request| {
        sender.send(request.to_owned()).unwrap_or_default();
        ok("")
    })
    .await;
    let port = server.port();
    let get = format!("type: http\nname: x\naddress: 'http://us%65r:p%40ss@127.0.0.1:{port}/a%20b?c=d#e'");
    assert_eq!(reason(&check(&get, LONG).await), "up");
    let request = received.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /a%20b?c=d http/1.1\r\n"), "{request}");
    assert!(
        request.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")),
        "{request}"
    );
    assert!(request.contains("\r\nuser-agent: apmon/"), "{request}");
    assert!(
        request.contains("\r\nauthorization: basic dxnlcjpwqhnz\r\n"),
        "{request}"
    );

    let post = http(server) + "\nsend: '{\"a\": \"ü\"}'\ncontent_type: application/json";
    assert_eq!(reason(&check(&post, LONG).await), "up");
    let request = received.recv().await.unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("\r\nContent-Type: application/json\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\n{\"a\": \"ü\"}"), "{request}");

    assert_eq!(reason(&check(&(http(server) + "\nsend: x"), LONG).await), "up");
    let request = received.recv().await.unwrap();
    assert!(
        request.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn passwords_are_never_shown() {
    let server = http_server("HTTP/1.1 302 Found\r\nLocation: http://u2:hunter3@127.0.0.1:1/\r\n\r\n").await;
    let section = format!("type: http\nname: x\naddress: 'http://u:hunter2@{server}/'\nsend: hunter4");
    let (outcome, steps) = explain(&section, LONG).await;
    let all = format!("{outcome:?} {steps}");
    assert!(all.contains("u2:***@"), "{all}");
    let location = steps.lines().find(|line| line.starts_with("answer")).unwrap();
    assert!(!location.contains("hunter3"), "{location}");
    assert!(!all.contains("hunter2") && !all.contains("hunter4"), "{all}");
}

fn redirect(code: u16, to: &str) -> String {
    format!("HTTP/1.1 {code} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_and_only_307_and_308_post_again() {
    for (code, wanted) in [
        (301, "GET"),
        (302, "GET"),
        (303, "GET"),
        (307, "POST"),
        (308, "POST"),
    ] {
        let server = http_answers(move |request| match request {
            _ if request.contains(" / ") => redirect(code, "/next?a=b"),
            _ => ok(request.split("\r\n\r\n").next().unwrap().lines().next().unwrap()),
        })
        .await;
        let section = format!("{}\nsend: hi\nexpect: '{wanted} /next?a=b HTTP'", http(server));
        assert_eq!(reason(&check(&section, LONG).await), "up", "{code}");
    }
}

#[tokio::test]
async fn invalid_redirects_are_named() {
    let server = http_answers(|request| match request {
        _ if request.contains(" /a ") => redirect(302, "/"),
        _ => redirect(302, "/a"),
    })
    .await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(
        reason(&outcome),
        format!("redirects form a loop: http://{server}/")
    );

    let count = AtomicUsize::new(0);
    let server =
        http_answers(move |_| redirect(302, &format!("/{}", count.fetch_add(1, Ordering::Relaxed)))).await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(reason(&outcome), "more than 30 redirects");

    let server = http_server(redirect(301, "ftp://nas.lan/")).await;
    let outcome = check(&http(server), LONG).await;
    assert_eq!(
        reason(&outcome),
        "redirected to an invalid address: ftp:// is neither http:// nor https://"
    );
    assert_eq!(class(&outcome), FailureClass::Protocol);
}

#[tokio::test]
async fn ten_redirects_are_allowed() {
    let count = AtomicUsize::new(0);
    let server = http_answers(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        10 => ok("there"),
        n => redirect(302, &format!("/{n}")),
    })
    .await;
    assert_eq!(reason(&check(&http(server), LONG).await), "up");
}

#[tokio::test]
async fn the_right_pin_is_up_and_the_wrong_one_sees_nothing_of_the_request() {
    let certificate = Certificate::good();
    let (server, mut received) = https_server(&certificate, ok("secret")).await;
    let pin = certificate.fingerprint();

    let (outcome, steps) = explain(
        &format!("{}\nssl_fingerprint: '{pin}'\nexpect: secret", https(server)),
        LONG,
    )
    .await;
    assert_eq!(reason(&outcome), "up");
    assert!(received.recv().await.unwrap() > 0);
    let hex = pin.replace(':', "").to_lowercase();
    assert!(
        steps.contains(&format!("certificate sha-256 {hex}, valid until 2099-12-31")),
        "{steps}"
    );
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(
        phases,
        [Phase::Connect, Phase::Tls, Phase::FirstByte, Phase::Transfer]
    );

    // One of several pins.
    let list = format!(
        "{}\nssl_fingerprint: [{}, '{pin}']",
        https(server),
        "0".repeat(64)
    );
    assert_eq!(reason(&check(&list, LONG).await), "up");
    assert!(received.recv().await.unwrap() > 0);

    let section = format!(
        "{}\nssl_fingerprint: {}\nsend: hunter2",
        https(server),
        "0".repeat(64)
    );
    let outcome = check(&section, LONG).await;
    assert_eq!(class(&outcome), FailureClass::Pin);
    assert_eq!(
        reason(&outcome),
        format!("certificate is not the pinned one (got {hex})")
    );
    assert_eq!(received.recv().await.unwrap(), 0);
}

#[tokio::test]
async fn without_a_pin_a_self_signed_certificate_is_accepted() {
    let (server, _requests) = https_server(&Certificate::good(), ok("")).await;
    assert_eq!(reason(&check(&https(server), LONG).await), "up");
    let by_name = format!(
        "type: http\nname: x\naddress: 'https://localhost:{}/'",
        server.port()
    );
    assert_eq!(reason(&check(&by_name, LONG).await), "up");
}

#[tokio::test]
async fn an_expired_certificate_is_down_unless_ignored() {
    let certificate = Certificate::valid_for(-1);
    let (server, mut received) = https_server(&certificate, ok("")).await;
    let outcome = check(&https(server), LONG).await;
    assert_eq!(class(&outcome), FailureClass::Expiry);
    let reason_text = reason(&outcome);
    assert!(
        reason_text.starts_with("certificate expired ") && reason_text.ends_with(" days ago (2025-02-01)")
    );
    assert_eq!(received.recv().await.unwrap(), 0);
    let pinned = format!(
        "{}\nssl_fingerprint: '{}'",
        https(server),
        certificate.fingerprint()
    );
    assert_eq!(class(&check(&pinned, LONG).await), FailureClass::Expiry);
    assert_eq!(
        reason(&check(&(pinned + "\nignore_ssl_expiry: yes"), LONG).await),
        "up"
    );
}

#[tokio::test]
async fn the_pin_covers_every_https_hop() {
    let (first, second) = (Certificate::good(), Certificate::good());
    let (other, mut received) = https_server(&second, ok("there")).await;
    let (server, _) = https_server(&first, redirect(307, &format!("https://{other}/"))).await;
    let section = format!(
        "{}\nssl_fingerprint: '{}'\nsend: hunter2",
        https(server),
        first.fingerprint()
    );
    assert_eq!(class(&check(&section, LONG).await), FailureClass::Pin);
    assert_eq!(received.recv().await.unwrap(), 0);
    let both = format!(
        "{}\nssl_fingerprint: ['{}', '{}']",
        https(server),
        first.fingerprint(),
        second.fingerprint()
    );
    assert_eq!(reason(&check(&both, LONG).await), "up");
}

#[tokio::test]
async fn a_redirect_from_https_to_http_fails_when_pinned_and_warns_when_not() {
    let certificate = Certificate::good();
    let plain = http_server(ok("")).await;
    let (server, _requests) = https_server(&certificate, redirect(302, &format!("http://{plain}/"))).await;
    let outcome = check(&https(server), LONG).await;
    assert_eq!(outcome.verdict(), Verdict::Up);
    assert_eq!(
        outcome.warning_text().unwrap(),
        format!("redirected from https to http://{plain}/")
    );
    let section = format!(
        "{}\nssl_fingerprint: '{}'",
        https(server),
        certificate.fingerprint()
    );
    let outcome = check(&section, LONG).await;
    assert_eq!(class(&outcome), FailureClass::Pin);
    assert_eq!(
        reason(&outcome),
        format!("redirected from https to http://{plain}/, where no certificate identifies the server")
    );
}

#[tokio::test]
async fn a_server_without_tls_is_named() {
    let server = tcp_server(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let outcome = check(&https(server), LONG).await;
    assert_eq!(reason(&outcome), "tls: the server does not speak TLS");
    assert_eq!(class(&outcome), FailureClass::Tls);
}

#[tokio::test]
async fn certificates_of_version_1_work_with_tls_1_2_and_1_3() {
    let certificate = Certificate::version_1();
    for version in ["-tls1_2", "-tls1_3"] {
        let server = OpensslServer::start(&certificate, &[version]);
        let section = format!(
            "{}\nssl_fingerprint: '{}'",
            https(server.address),
            certificate.fingerprint()
        );
        assert_eq!(reason(&check(&section, LONG).await), "up", "{version}");
    }
}

#[tokio::test]
async fn no_common_tls_version_is_a_handshake_failure() {
    let certificate = Certificate::good();
    let server = OpensslServer::start(&certificate, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let outcome = check(&https(server.address), LONG).await;
    assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
}
