//! `http` beyond one plain request: HTTP/2, compressed bodies, expected statuses,
//! headers; and cancelled checks.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, sync::Arc};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use lab::{
    Certificate, LONG, MIDWAY, STALL, check, class, explain, http_answers, http_server, ok,
    pki::Pki,
    read_request,
    real::{Caddy, Nginx},
    reason,
    tap::tls_server,
    tcp_server,
};

fn web(scheme: &str, server: SocketAddr, path: &str) -> String {
    format!("type: http\nname: x\naddress: '{scheme}://{server}{path}'")
}

#[tokio::test]
async fn nginx_and_caddy_are_up_over_http_2() {
    let certificate = Certificate::good();
    let (nginx, caddy) = (Nginx::start(&certificate), Caddy::start(&certificate));
    let seen = |protocol: &str| format!("host={}; protocol={protocol}", nginx.https());
    let section = web("https", nginx.https(), "/header");
    let by_2 = format!("{section}\nexpect: 'x-lab=lab value; {}'", seen("HTTP/2.0"));
    let by_2 = by_2 + "\nheaders: {X-Lab: lab value}";
    assert_eq!(reason(&check(&by_2, LONG).await), "up");
    // In HTTP/2 the host is a part of the URI.
    let other = section + "\nexpect: 'host=other.lan; protocol=HTTP/2.0'\nheaders: {Host: other.lan}";
    assert_eq!(reason(&check(&other, LONG).await), "up");

    // The end of a page of several pieces, compressed and not.
    for (path, expect) in [("/", "in the lab.\n"), ("/header", "protocol=HTTP/2.0")] {
        let section = web("https", nginx.https(), path) + &format!("\nexpect: {expect:?}");
        assert_eq!(reason(&check(&section, LONG).await), "up", "{path}");
    }
    // More than HTTP/2's first window of 64 kB, and as much as nginx accepts.
    let long = "x".repeat(300_000);
    let echo =
        web("https", nginx.https(), "/echo") + "\nexpect: the very end\nsend: '" + &long + "the very end'";
    assert_eq!(reason(&check(&echo, LONG).await), "up");
    let echo = web("https", caddy.v6(), "/echo") + "\nsend: ünï\nexpect: 'body: ünï'";
    assert_eq!(reason(&check(&echo, LONG).await), "up");
    let post = web("https", caddy.v4(), "/a?b") + "\nsend: x\nexpect: caddy HTTP/2.0 POST /a";
    assert_eq!(reason(&check(&post, LONG).await), "up");
    let redirected = web("https", nginx.https(), "/redirect/1") + "\nexpect: '" + Nginx::TITLE + "'";
    assert_eq!(reason(&check(&redirected, LONG).await), "up");
    let none = web("https", nginx.https(), "/nothing");
    assert_eq!(reason(&check(&none, LONG).await), "status 404 Not Found");
    let private = format!("https://user:pass%20word@{}/private/", nginx.https());
    let private = format!(
        "type: http\nname: x\naddress: '{private}'\nexpect: '{}'",
        Nginx::SECRET
    );
    assert_eq!(reason(&check(&private, LONG).await), "up");
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![
        0,
        (payload.len() >> 8) as u8,
        payload.len() as u8,
        kind,
        flags,
        0,
        0,
        0,
        stream,
    ];
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn a_server_that_agrees_to_http_2_and_does_not_speak_it_is_down_in_time() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let config = pki.server(&["leaf"]).protocol("h2").config();
    let settings = frame(4, 0, 0, b"");
    let goaway = |code: u8| frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    // `:status: 200` of the static table (RFC 7541 appendix A).
    let head = [settings.clone(), frame(1, 4, 1, &[0x88])].concat();
    let cases = [
        ("silent", vec![], true, FailureClass::TimedOut),
        ("closing", vec![], false, FailureClass::Closed),
        (
            "http/1.1",
            b"HTTP/1.1 200 OK\r\n\r\nneedle".to_vec(),
            true,
            FailureClass::Protocol,
        ),
        ("garbage", vec![0xff; 5000], true, FailureClass::Protocol),
        ("settings alone", settings.clone(), true, FailureClass::TimedOut),
        (
            "settings and the end",
            settings.clone(),
            false,
            FailureClass::Closed,
        ),
        (
            "calm goaway",
            [settings.clone(), goaway(0)].concat(),
            true,
            FailureClass::Closed,
        ),
        (
            "angry goaway",
            [settings.clone(), goaway(11)].concat(),
            true,
            FailureClass::Closed,
        ),
        (
            "reset stream",
            [settings.clone(), frame(3, 0, 1, &[0, 0, 0, 7])].concat(),
            true,
            FailureClass::Closed,
        ),
        ("a head", head.clone(), true, FailureClass::TimedOut),
        ("a head and the end", head.clone(), false, FailureClass::Closed),
        (
            "a head and a reset",
            [head.clone(), frame(3, 0, 1, &[0, 0, 0, 2])].concat(),
            true,
            FailureClass::Closed,
        ),
        (
            "a head and goaway",
            [head.clone(), goaway(2)].concat(),
            true,
            FailureClass::Closed,
        ),
        (
            "garbage as header block",
            [settings.clone(), frame(1, 4, 1, &[0xff; 60])].concat(),
            true,
            FailureClass::Protocol,
        ),
        (
            "a whole answer without it",
            [head.clone(), frame(0, 1, 1, b"hay")].concat(),
            true,
            FailureClass::Content,
        ),
    ];
    let checks = cases.map(|(what, said, stays, wanted)| {
        tokio::spawn(must_end(Arc::clone(&config), what, said, stays, wanted))
    });
    for check in checks {
        check.await.unwrap();
    }
}

/// Checks a server that sends `bytes` after the handshake, and stays or closes.
async fn must_end(
    config: Arc<rustls::ServerConfig>,
    what: &str,
    said: Vec<u8>,
    stays: bool,
    wanted: FailureClass,
) {
    let said = Arc::new(said);
    let server = tls_server(config, move |mut stream| {
        let said = Arc::clone(&said);
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&said).await;
            let _ = stream.flush().await;
            if stays {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let watch = Stopwatch::start();
    let is_silent = wanted == FailureClass::TimedOut;
    let section = web("https", server, "/") + "\nexpect: needle";
    let outcome = check(&section, if is_silent { MIDWAY } else { LONG }).await;
    assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
    // Closing before everything has been read resets the connection.
    let found = match class(&outcome) {
        FailureClass::Reset => FailureClass::Closed,
        class => class,
    };
    assert_eq!(found, wanted, "{what}: {}", reason(&outcome));
    assert!(is_silent || watch.elapsed() < STALL, "{what}");
}

/// Below TLS: records that are not sealed, and alerts.
#[tokio::test]
async fn broken_tls_after_the_handshake_is_the_servers_fault() {
    let pki = Pki::new();
    pki.leaf("leaf");
    for protocol in ["h2", "http/1.1"] {
        let config = pki.server(&["leaf"]).protocol(protocol).config();
        for (what, record) in [
            (
                "unsealed record",
                &b"\x17\x03\x03\x00\x20................................"[..],
            ),
            ("no record", b"needle needle needle needle"),
        ] {
            let server = tls_server(Arc::clone(&config), move |mut stream| async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let (tcp, _) = stream.get_mut();
                let _ = tcp.write_all(record).await;
                let _ = tokio::io::copy(tcp, &mut tokio::io::sink()).await;
            })
            .await;
            let outcome = check(&web("https", server, "/"), LONG).await;
            let what = format!("{protocol}, {what}: {}", reason(&outcome));
            assert_eq!(outcome.verdict(), Verdict::Down, "{what}");
            let wanted = [FailureClass::Tls, FailureClass::Protocol];
            assert!(wanted.contains(&class(&outcome)), "{what}");
        }
    }
}

#[tokio::test]
async fn a_garbled_body_is_the_servers_fault() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (what, answer, wanted) in [
        (
            "no chunk",
            "Transfer-Encoding: chunked\r\n\r\nneedles without end",
            FailureClass::Protocol,
        ),
        (
            "a huge chunk",
            "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
            FailureClass::Protocol,
        ),
        (
            "a chunk that does not end",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhayhayhay",
            FailureClass::Protocol,
        ),
        (
            "cut within a chunk",
            "Transfer-Encoding: chunked\r\n\r\nff\r\nhay",
            FailureClass::Closed,
        ),
        (
            "cut before a chunk",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhay\r\n",
            FailureClass::Closed,
        ),
        (
            "a lying length",
            "Content-Length: 50\r\n\r\nhay",
            FailureClass::Closed,
        ),
        (
            "lengths that differ",
            "Content-Length: 3\r\nContent-Length: 4\r\n\r\nhay",
            FailureClass::Content,
        ),
        (
            "no length at all",
            "Content-Length: -1\r\n\r\nhay",
            FailureClass::Protocol,
        ),
        (
            "less than there is",
            "Content-Length: 3\r\n\r\nhay needle",
            FailureClass::Content,
        ),
        ("to the end", "\r\nhay", FailureClass::Content),
    ] {
        let server = http_server(format!("{head}{answer}")).await;
        let outcome = check(&(web("http", server, "/") + "\nexpect: needle"), LONG).await;
        assert_eq!(outcome.verdict(), Verdict::Down, "{what}: {}", reason(&outcome));
        assert_eq!(class(&outcome), wanted, "{what}: {}", reason(&outcome));
    }
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
async fn gzip_is_requested_if_the_body_matters_and_decompressed() {
    let nginx = Nginx::start(&Certificate::good());
    for (scheme, server) in [("http", nginx.http()), ("https", nginx.https())] {
        let section = web(scheme, server, "/") + "\nexpect: \"in the lab.\\nAll services run\"";
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!(reason(&outcome), "up");
        assert!(steps.contains("content-encoding: gzip"), "{steps}");
        assert!(steps.contains(Nginx::TITLE), "shown as it is meant: {steps}");
        let outcome = check(&(web(scheme, server, "/") + "\nexpect: nowhere"), LONG).await;
        // The title's line, and 170 lines of 29 bytes.
        let length = Nginx::TITLE.len() + 1 + 170 * 29;
        assert_eq!(
            reason(&outcome),
            format!("\"nowhere\" not found in {length} bytes (status 200)")
        );
        let (outcome, steps) = explain(&web(scheme, server, "/"), LONG).await;
        assert_eq!(reason(&outcome), "up");
        assert!(!steps.contains("gzip"), "{steps}");
    }
}

#[tokio::test]
async fn a_body_with_another_encoding_or_cut_off_is_down_with_a_clear_reason() {
    let packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    for (coding, body, wanted) in [
        (
            "br",
            &b"xx"[..],
            "\"needle\" not found in 2 bytes (status 200; the body is not br, although Content-Encoding says so)",
        ),
        (
            "gzip, br",
            b"xx",
            "\"needle\" not found in 2 bytes (status 200; Content-Encoding is gzip, br, which apmon does not know)",
        ),
        ("gzip", packed, "the body is not valid gzip: "),
        ("gzip", b"plain needle", "up"),
    ] {
        let server = tcp_server(move |mut stream| async move {
            read_request(&mut stream).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        })
        .await;
        let outcome = check(&(web("http", server, "/") + "\nexpect: needle"), LONG).await;
        assert!(
            reason(&outcome).starts_with(wanted),
            "{coding}: {}",
            reason(&outcome)
        );
        // The encoding does not matter if nothing is expected of the body.
        assert_eq!(
            reason(&check(&web("http", server, "/"), LONG).await),
            "up",
            "{coding}"
        );
    }
}

#[tokio::test]
async fn only_the_expected_statuses_are_accepted() {
    let server = http_answers(|request| {
        let code = request.split(['/', ' ']).nth(2).unwrap_or_default();
        status(&format!("{code} X"), "Location: /elsewhere\r\n")
    })
    .await;
    for (wanted, right, wrong) in [
        ("204", &[204][..], &[200, 203, 205][..]),
        ("'204'", &[204], &[200]),
        ("200-299", &[200, 204, 299], &[300, 404, 503]),
        ("' 200 - 299 '", &[200, 299], &[404]),
        ("[200-204, 401]", &[200, 204, 401], &[205, 400, 402]),
        ("[200, '401', 500-599]", &[200, 401, 599], &[402]),
        ("302", &[302], &[200]),
        ("300-399", &[301, 307, 308, 304], &[200]),
        ("999", &[999], &[200]),
    ] {
        for (codes, up) in [(right, true), (wrong, false)] {
            for code in codes {
                let section = web("http", server, &format!("/{code}")) + "\nexpect_status: " + wanted;
                let outcome = check(&section, LONG).await;
                let is_up = outcome.verdict() == Verdict::Up;
                assert_eq!(is_up, up, "{wanted} {code}: {}", reason(&outcome));
                if !up {
                    assert_eq!(class(&outcome), FailureClass::Status, "{}", reason(&outcome));
                }
            }
        }
    }
    let outcome = check(
        &(web("http", server, "/503") + "\nexpect_status: [200-204, 401]"),
        LONG,
    )
    .await;
    assert_eq!(
        reason(&outcome),
        "status 503 Service Unavailable, not 200-204 or 401"
    );
}

#[tokio::test]
async fn with_expect_both_status_and_body_must_match() {
    let server = http_answers(|request| match request.starts_with("GET /401 ") {
        true => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nLogin".to_owned(),
        false => ok("Login"),
    })
    .await;
    for (path, options, wanted) in [
        ("/401", "expect_status: 401\nexpect: Login", "up"),
        (
            "/200",
            "expect_status: 401\nexpect: Login",
            "status 200 OK, not 401",
        ),
        (
            "/401",
            "expect_status: 401\nexpect: Welcome",
            "\"Welcome\" not found in 5 bytes (status 401)",
        ),
        ("/401", "expect: Login", "up"),
        ("/401", "expect_status: 401", "up"),
    ] {
        let section = format!("{}\n{options}", web("http", server, path));
        assert_eq!(reason(&check(&section, LONG).await), wanted, "{path} {options}");
    }
}

#[tokio::test]
async fn a_redirect_that_is_listed_is_not_followed() {
    let (server, mut requests) = recording_server(|request| match request.starts_with("GET /there ") {
        true => ok("there"),
        false => status("302 Found", "Location: /there\r\n"),
    })
    .await;
    let section = web("http", server, "/");
    assert_eq!(
        reason(&check(&format!("{section}\nexpect_status: 302"), LONG).await),
        "up"
    );
    requests.recv().await.unwrap();
    assert!(requests.try_recv().is_err(), "it was followed");
    // Another redirect is followed, and what it leads to is judged.
    assert_eq!(
        reason(&check(&format!("{section}\nexpect_status: 200"), LONG).await),
        "up"
    );
    let outcome = check(&format!("{section}\nexpect_status: 301"), LONG).await;
    let judged = reason(&outcome).split(" (redirected to http://").next();
    assert_eq!(judged, Some("status 200 OK, not 301"));
}
