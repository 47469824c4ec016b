//! `quic` against Caddy, against servers of our own, and against ports without one.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, sync::Arc};

use apmon_core::{FailureClass, Services, Stopwatch};
use tokio::{net::UdpSocket, sync::mpsc};

use lab::{
    CROWD, Certificate, LONG, STALL, build, check, check_within, class, explain, h3,
    pki::{CertificateSpec, Pki, Server},
    real::{Caddy, Nginx},
    reason,
};

fn quic(server: SocketAddr, path: &str) -> String {
    format!("type: quic\nname: x\naddress: 'https://{server}{path}'")
}

fn config(server: Server) -> Arc<quinn::ServerConfig> {
    h3::config(&server.protocol("h3").config())
}

fn good() -> Arc<quinn::ServerConfig> {
    let pki = Pki::new();
    pki.leaf("leaf");
    config(pki.server(&["leaf"]))
}

type Reply = (u16, Vec<(&'static str, String)>, String);

fn hello(_: &str) -> Reply {
    (200, Vec::new(), "hello".to_owned())
}

#[tokio::test]
async fn caddy_is_checked_with_the_options_of_http() {
    let caddy = Caddy::start(&Certificate::good());
    for server in [caddy.v4(), caddy.v6()] {
        for (path, options, wanted) in [
            ("/a?b", "expect: caddy HTTP/3.0 GET /a", "up"),
            ("/a", "send: x\nexpect: caddy HTTP/3.0 POST /a", "up"),
            ("/echo", "send: hello there\nexpect: 'body: hello there'", "up"),
            ("/redirect", "expect: caddy HTTP/3.0 GET /there", "up"),
            ("/redirect", "expect_status: 302", "up"),
            ("/redirect", "send: x\nexpect: GET /there", "up"),
            ("/redirect", "expect_status: 301", "status 200 OK, not 301"),
            ("/status/503", "expect_status: [200, 500-599]", "up"),
            (
                "/status/503",
                "ignore_ssl_expiry: yes",
                "status 503 Service Unavailable",
            ),
            (
                "/a",
                "expect: needle",
                "\"needle\" not found in 21 bytes (status 200)",
            ),
        ] {
            let section = format!("{}\n{options}", quic(server, path));
            let outcome = check(&section, LONG).await;
            let judged = reason(&outcome).split(" (redirected to https://").next();
            assert_eq!(judged, Some(wanted), "{path} {options}");
        }
    }
}

#[tokio::test]
async fn a_man_in_the_middle_sees_nothing_of_the_request() {
    let pki = Pki::new();
    pki.leaf("right");
    pki.leaf("his");
    let configs = [
        config(pki.server(&["right"])),
        config(pki.server(&["his"])),
        // The right certificate, without its key.
        config(pki.server(&["right"]).with_key_of(&pki.server(&["his"]))),
    ];
    let (sender, mut requests) = mpsc::unbounded_channel();
    let (server, mut handshakes) = h3::server(
        move |n| Arc::clone(&configs[n % 3]),
        move |connection| {
            let sender = sender.clone();
            h3::answer(connection, move |request| {
                let _ = sender.send(request.to_owned());
                hello(request)
            })
        },
    );
    let section = quic(server, "/") + "\nsend: hunter2\nssl_fingerprint: " + &pki.pin("right");
    let monitor = lab::monitor(&section);
    for _ in 0..3 {
        let outcome = monitor.check(&check_within(LONG)).await.outcome;
        assert_eq!(reason(&outcome), "up");
        assert!(handshakes.recv().await.unwrap());
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with("POST ") && request.ends_with("\n\nhunter2"),
            "{request}"
        );

        let outcome = monitor.check(&check_within(LONG)).await.outcome;
        assert_eq!(class(&outcome), FailureClass::Pin, "{}", reason(&outcome));
        assert!(!handshakes.recv().await.unwrap());
        let outcome = monitor.check(&check_within(LONG)).await.outcome;
        assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
        assert_eq!(
            reason(&outcome),
            "the server does not hold the certificate's private key"
        );
        assert!(!handshakes.recv().await.unwrap());
        assert!(requests.try_recv().is_err(), "it was sent");
    }
}

#[tokio::test]
async fn the_pin_covers_every_hop() {
    let pki = Pki::new();
    pki.leaf("first");
    pki.leaf("second");
    let second = config(pki.server(&["second"]));
    let (there, _) = h3::server(
        move |_| Arc::clone(&second),
        |connection| h3::answer(connection, hello),
    );
    let first = config(pki.server(&["first"]));
    let (server, _) = h3::server(
        move |_| Arc::clone(&first),
        move |connection| {
            h3::answer(connection, move |request| {
                let to = match request.contains("/plain") {
                    true => format!("http://{there}/"),
                    false => format!("https://{there}/"),
                };
                (307, vec![("location", to)], String::new())
            })
        },
    );
    let one = quic(server, "/") + "\nexpect: hello\nssl_fingerprint: " + &pki.pin("first");
    assert_eq!(class(&check(&one, LONG).await), FailureClass::Pin);
    let both = one + "," + &pki.pin("second");
    let both = both.replace("ssl_fingerprint: ", "ssl_fingerprint: [") + "]";
    assert_eq!(reason(&check(&both, LONG).await), "up");
    let outcome = check(&quic(server, "/plain"), LONG).await;
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        (
            &*format!("redirected to http://{there}/, which QUIC cannot reach"),
            FailureClass::Protocol
        )
    );
}

#[tokio::test]
async fn certificates_are_judged_as_over_tcp() {
    let pki = Pki::new();
    pki.leaf("leaf");
    pki.make(&CertificateSpec {
        name: "expired",
        dates: ("20200101", "20250201"),
        ..CertificateSpec::default()
    });
    let verify = format!(
        "\nssl_verify: yes\nssl_ca_file: {}",
        pki.path("root.pem").display()
    );
    let (server, _) = {
        let config = config(pki.server(&["leaf"]));
        h3::server(
            move |_| Arc::clone(&config),
            |connection| h3::answer(connection, hello),
        )
    };
    assert_eq!(reason(&check(&(quic(server, "/") + &verify), LONG).await), "up");
    let outcome = check(&(quic(server, "/") + "\nssl_expiry_warn_days: 36500"), LONG).await;
    assert!(outcome.warning_text().unwrap().ends_with(" days (2099-12-31)"));
    assert_eq!(outcome.metrics[0].name, "ssl_expiry_days");
    let stranger = Pki::new();
    let other = verify.replace(
        pki.path("root.pem").to_str().unwrap(),
        stranger.path("root.pem").to_str().unwrap(),
    );
    let outcome = check(&(quic(server, "/") + &other), LONG).await;
    assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
    assert!(
        reason(&outcome).starts_with("certificate is not signed by a trusted authority"),
        "{}",
        reason(&outcome)
    );

    let config = config(pki.server(&["expired"]));
    let (server, _) = h3::server(
        move |_| Arc::clone(&config),
        |connection| h3::answer(connection, hello),
    );
    let outcome = check(&quic(server, "/"), LONG).await;
    assert_eq!(class(&outcome), FailureClass::Expiry, "{}", reason(&outcome));
    let ignored = quic(server, "/") + &verify + "\nignore_ssl_expiry: yes";
    assert_eq!(reason(&check(&ignored, LONG).await), "up");
}

#[tokio::test]
async fn a_port_with_only_tcp_is_refused_at_once() {
    let nginx = Nginx::start(&Certificate::good());
    let v6 = UdpSocket::bind("[::1]:0").await.unwrap().local_addr().unwrap();
    for server in [nginx.https(), v6] {
        let watch = Stopwatch::start();
        let outcome = check(&quic(server, "/"), LONG).await;
        assert_eq!(
            (reason(&outcome), class(&outcome)),
            ("quic: connect: connection refused", FailureClass::Refused)
        );
        assert!(watch.elapsed() < STALL, "{:?}", watch.elapsed());
    }
}

/// They share a socket, which may return the error of one check to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_checks_at_once_do_not_get_each_others_errors() {
    let config = good();
    let (open, _) = h3::server(
        move |_| Arc::clone(&config),
        |connection| h3::answer(connection, hello),
    );
    let closed = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let services = Services::default();
    let monitors = [open, closed].map(|server| build(&(quic(server, "/") + "\nexpect: hello"), &services));
    let checks: Vec<_> = (0..400)
        .map(|n| {
            let monitor = Arc::clone(&monitors[n % 2]);
            tokio::spawn(async move { monitor.check(&check_within(CROWD)).await.outcome })
        })
        .collect();
    for (n, check) in checks.into_iter().enumerate() {
        let outcome = check.await.unwrap();
        let wanted = ["up", "quic: connect: connection refused"][n % 2];
        assert_eq!(reason(&outcome), wanted, "{n}");
    }
}

#[tokio::test]
async fn headers_are_sent_and_nothing_secret_is_shown() {
    let config = good();
    let (sender, mut requests) = mpsc::unbounded_channel();
    let (server, _) = h3::server(
        move |_| Arc::clone(&config),
        move |connection| {
            let sender = sender.clone();
            h3::answer(connection, move |request| {
                let _ = sender.send(request.to_owned());
                hello(request)
            })
        },
    );
    let section = quic(server, "/a?b").replace("://", "://me:s3cret@")
        + "\nheaders: {Host: other.lan, User-Agent: mine, X-Token: s3cret}\nexpect: hello";
    let (outcome, steps) = explain(&section, LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert!(
        !steps.contains("s3cret") && steps.contains("QUIC version 1"),
        "{steps}"
    );
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("GET https://other.lan/a?b\n"), "{request}");
    for line in [
        "user-agent: mine",
        "x-token: s3cret",
        "authorization: Basic bWU6czNjcmV0",
    ] {
        assert!(request.contains(&format!("\n{line}\n")), "{request}");
    }
    for name in ["host", "connection", "user-agent"] {
        let times = request.matches(&format!("\n{name}:")).count();
        assert_eq!(times, usize::from(name == "user-agent"), "{request}");
    }
}
