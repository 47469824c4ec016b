//! What an operator adds to a request: headers, statuses, secrets; and the errors
//! about them.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::net::SocketAddr;

use tokio::sync::mpsc;

use lab::{LONG, check, explain, http_answers, ok, reason};

fn web(scheme: &str, server: SocketAddr, path: &str) -> String {
    format!("type: http\nname: x\naddress: '{scheme}://{server}{path}'")
}

/// A server that answers with `answer` and reports every request.
async fn recording_server(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (sender, requests) = mpsc::unbounded_channel();
    let server = http_answers(move |request| {
        let _ = sender.send(request.to_owned());
        answer(request)
    })
    .await;
    (server, requests)
}

fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn headers_are_sent_and_replace_our_own() {
    let (server, mut requests) = recording_server(|_| ok("")).await;
    let section = web("http", server, "/").replace("://", "://user:pass@")
        + "\nheaders:\n  Host: other.lan\n  user-agent: mine\n  ACCEPT: text/html\n  X-Number: 5\n  X-Empty: ''\n  \
           Authorization: Bearer token-of-mine\n  X-Text: \"a: b, ü\"";
    assert_eq!(reason(&check(&section, LONG).await), "up");
    let request = requests.recv().await.unwrap().to_ascii_lowercase();
    for line in [
        "host: other.lan",
        "user-agent: mine",
        "accept: text/html",
        "x-number: 5",
        "x-empty: ",
        "authorization: bearer token-of-mine",
        "x-text: a: b, ü",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
        let name = line.split(':').next().unwrap();
        assert_eq!(request.matches(&format!("\r\n{name}:")).count(), 1, "{request}");
    }
}

#[tokio::test]
async fn headers_and_passwords_go_to_no_other_origin() {
    let (elsewhere, mut there) = recording_server(|_| ok("")).await;
    let (server, mut here) = recording_server(move |request| match request.split(' ').nth(1) {
        Some("/near") => status("307 X", "Location: /near-again\r\n"),
        Some("/far") => status("307 X", &format!("Location: http://{elsewhere}/\r\n")),
        Some("/away") => status("302 X", &format!("Location: http://{elsewhere}/\r\n")),
        _ => ok(""),
    })
    .await;
    let options = "\nsend: x\nheaders: {X-Token: s3cret, Cookie: s3cret}";
    let near = web("http", server, "/near").replace("://", "://me:s3cret@") + options;
    assert_eq!(reason(&check(&near, LONG).await), "up");
    for _ in 0..2 {
        let request = here.recv().await.unwrap();
        assert!(request.contains("X-Token: s3cret"), "{request}");
        assert!(request.contains("Authorization: Basic"), "{request}");
    }
    // The body of the request is not sent elsewhere either.
    let far = web("http", server, "/far").replace("://", "://me:s3cret@") + options;
    let outcome = check(&far, LONG).await;
    assert_eq!(
        reason(&outcome),
        format!(
            "redirected to http://{elsewhere}/, another server, which must not receive the body of the request"
        )
    );
    assert!(here.recv().await.is_some() && there.try_recv().is_err());
    let far = web("http", server, "/away").replace("://", "://me:s3cret@") + options;
    let (outcome, steps) = explain(&far, LONG).await;
    assert_eq!(reason(&outcome), "up");
    let request = there.recv().await.unwrap();
    assert!(
        !request.contains("s3cret") && !request.to_ascii_lowercase().contains("authorization"),
        "{request}"
    );
    assert!(!steps.contains("s3cret"), "{steps}");
}

const HTTP: &str = "type: http\nname: x\naddress: https://h/\n";

#[track_caller]
fn errors(options: &str) -> String {
    let error = lab::parse(&format!("{HTTP}{options}"))
        .map(|_| ())
        .expect_err(options);
    error.to_string()
}

#[test]
fn headers_that_http_cannot_carry_are_errors_that_show_no_value() {
    for (options, wanted) in [
        (
            "headers: {Connection: s3cret}",
            "must not contain connection: the connection depends on it",
        ),
        (
            "headers: {CONTENT-LENGTH: s3cret}",
            "must not contain content-length: the connection depends on it",
        ),
        (
            "headers: {Transfer-Encoding: s3cret}",
            "must not contain transfer-encoding: ",
        ),
        (
            "headers: {Proxy-Authorization: s3cret}",
            "must not contain proxy-authorization: ",
        ),
        ("headers: {Upgrade: s3cret}", "must not contain upgrade: "),
        ("headers: {TE: s3cret}", "must not contain te: "),
        (
            "headers: {Keep-Alive: s3cret}",
            "must not contain keep-alive: the connection depends on it",
        ),
        (
            "headers: {Proxy-Connection: s3cret}",
            "must not contain proxy-connection: the connection depends on it",
        ),
        (
            "headers: {X-A: \"s3cret\\r\\nX-Evil: 1\"}",
            "has a value for x-a that HTTP cannot carry",
        ),
        (
            "headers: {X-A: \"s3cret\\0\"}",
            "has a value for x-a that HTTP cannot carry",
        ),
        (
            "headers: {'X A': s3cret}",
            "has a name that HTTP cannot carry: \"X A\"",
        ),
        ("headers: {'': s3cret}", "has a name that HTTP cannot carry: \"\""),
        (
            "headers: {\"X\\r\\nY\": s3cret}",
            "has a name that HTTP cannot carry: \"X\\r\\nY\"",
        ),
        (
            "headers: {':authority': s3cret}",
            "has a name that HTTP cannot carry: \":authority\"",
        ),
        ("headers: {X-A: s3cret, x-a: s3cret}", "contains x-a twice"),
        (
            "headers: {Host: 's3cret lan'}",
            "has a Host that is not host:port",
        ),
        ("headers: [s3cret]", "must be"),
        ("headers: s3cret", "must be"),
        ("headers: {X-A: [s3cret]}", "must be"),
    ] {
        let text = errors(options);
        assert!(
            text.contains("\"headers") && text.contains(wanted),
            "{options}: {text}"
        );
        let shown = text.replace("not \"s3cret\"", "");
        assert!(!shown.contains("s3cret"), "{options}: {text}");
        assert!(!text.contains('\r') && text.lines().count() == 1, "{text:?}");
    }
}

#[test]
fn invalid_statuses_are_errors() {
    for wrong in [
        "20",
        "2000",
        "099",
        "abc",
        "200-",
        "-200",
        "299-200",
        "200-299-300",
        "[]",
        "[200, x]",
        "''",
        "2xx",
        "[[200]]",
        "{200: 1}",
        "200.5",
        "20٠",
    ] {
        let text = errors(&format!("expect_status: {wrong}"));
        assert!(
            text.contains("\"expect_status") && text.contains("must"),
            "{wrong}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let text = errors("expect_status: 99");
    assert!(
        text.ends_with("must be a status such as 200, a range such as 200-299, or a list of them"),
        "{text}"
    );
}

#[test]
fn the_same_statuses_written_differently_are_the_same_monitor() {
    let checksum = |wanted: &str| {
        let site = lab::parse(&format!("{HTTP}expect_status: {wanted}")).unwrap();
        site.monitors[0].checksum.clone()
    };
    assert_eq!(checksum("200"), checksum("'200'"));
    assert_eq!(checksum("200"), checksum("[200]"));
    assert_eq!(checksum("200-204"), checksum("[' 200 - 204']"));
    assert_ne!(checksum("200"), checksum("201"));
}

#[test]
fn an_invalid_proxy_is_an_error_that_shows_nothing_of_it() {
    for wrong in [
        "me:s3cret@proxy.lan:3128",
        "https://me:s3cret@proxy.lan:3128",
        "socks5://me:s3cret@proxy.lan:1080",
        "http://me:s3cret@proxy.lan:3128/path",
        "http://me:s3cret@proxy.lan:99999",
        "http://me:s3cret@",
        "''",
    ] {
        let text = errors(&format!("proxy: {wrong}"));
        assert!(
            text.ends_with(
                "\"proxy\" must be http://host:port, with user:password@ before the host if it needs a login"
            ),
            "{text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
    }
    let quic = "type: quic\nname: x\naddress: https://h/\nproxy: http://me:s3cret@proxy.lan:3128";
    let text = lab::parse(quic).map(|_| ()).unwrap_err().to_string();
    assert!(text.ends_with("\"proxy\" cannot carry QUIC"), "{text}");
}

/// Debug output prints no secret.
#[test]
fn secrets_are_not_in_the_debug_output_of_a_site_file() {
    let section = "type: http\nname: x\naddress: 'https://me:s3cret@h/'\nproxy: http://me:s3cret@p.lan:1\n\
                   send: s3cret\nheaders: {X-Token: s3cret}";
    let site = lab::parse(section).unwrap();
    let shown = format!("{:?}{:?}{:?}", site.monitors[0], site.warnings, site.hints);
    assert!(!shown.contains("s3cret"), "{shown}");
}
