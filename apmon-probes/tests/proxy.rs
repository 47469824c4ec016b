//! `http` through a proxy.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, process::Command, time::Duration};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use lab::{
    Certificate, LONG, SHORT, STALL, check, class, closed_port, explain, http_server, ok, pki::Pki,
    read_request, real::Nginx, reason, tap::Tap, tcp_server,
};

/// A proxy that lets everything through and reports what it was asked.
async fn proxy() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (sender, requests) = mpsc::unbounded_channel();
    let address = tcp_server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let request = read_request(&mut stream).await;
            let _ = sender.send(request.clone());
            let mut words = request.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
            if method == "CONNECT" {
                let mut there = TcpStream::connect(target).await.unwrap();
                let said = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 lab\r\n\r\n";
                stream.write_all(said).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut there).await;
                return;
            }
            let rest = target.strip_prefix("http://").unwrap_or_default();
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let Ok(mut there) = TcpStream::connect(host).await else {
                return;
            };
            let request = request.replacen(target, &format!("/{path}"), 1);
            there.write_all(request.as_bytes()).await.unwrap();
            let _ = tokio::io::copy(&mut there, &mut stream).await;
        }
    })
    .await;
    (address, requests)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_its_pin() {
    let pki = Pki::new();
    pki.leaf("right");
    pki.leaf("his");
    let config = pki.server(&["right"]).config();
    let mut tap = Tap::of(config, ok("through")).await;
    let (proxy, mut asked) = proxy().await;
    let section = format!(
        "type: http\nname: x\naddress: 'https://me:pass@{}/'\nproxy: http://joe:s3cret@{proxy}\nexpect: through\n\
         headers: {{X-Token: s3cret}}",
        tap.address
    );
    let right = format!("{section}\nssl_fingerprint: {}", pki.pin("right"));
    let (outcome, steps) = explain(&right, LONG).await;
    assert_eq!(reason(&outcome), "up", "{steps}");
    assert!(
        !steps.contains("s3cret") && !steps.contains("am9lOnMzY3JldA"),
        "{steps}"
    );
    let connect = asked.recv().await.unwrap();
    let to = tap.address;
    assert_eq!(
        connect,
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: Basic am9lOnMzY3JldA==\r\n\r\n")
    );
    let seen = tap.seen().await.bytes.to_ascii_lowercase();
    assert!(
        !seen.contains("proxy-authorization"),
        "the proxy's password went on: {seen}"
    );
    assert!(
        seen.starts_with("get / http/1.1\r\n") && seen.contains("x-token: s3cret"),
        "{seen}"
    );

    let wrong = format!("{section}\nssl_fingerprint: {}", pki.pin("his"));
    let outcome = check(&wrong, LONG).await;
    assert_eq!(class(&outcome), FailureClass::Pin);
    assert_eq!(tap.seen().await.bytes, "");
}

#[tokio::test]
async fn http_goes_to_the_proxy_with_the_whole_address() {
    let nginx = Nginx::start(&Certificate::good());
    let (proxy, mut asked) = proxy().await;
    let section = |path: &str| {
        format!(
            "type: http\nname: x\naddress: 'http://{}{path}'\nproxy: http://joe:pa%20ss@{proxy}/",
            nginx.http()
        )
    };
    let by = section("/header?a=b") + "\nheaders: {X-Lab: value}\nexpect: x-lab=value";
    assert_eq!(reason(&check(&by, LONG).await), "up");
    let request = asked.recv().await.unwrap();
    let line = format!("GET http://{}/header?a=b HTTP/1.1\r\n", nginx.http());
    assert!(request.starts_with(&line), "{request}");
    let lower = request.to_ascii_lowercase();
    assert!(
        lower.contains(&format!("\r\nhost: {}\r\n", nginx.http())),
        "{request}"
    );
    assert!(
        lower.contains("\r\nproxy-authorization: basic am9lonbhihnz\r\n"),
        "{request}"
    );

    // Each hop goes through it, also from http to https.
    let redirected = section("/to-https") + "\nexpect: '" + Nginx::TITLE + "'";
    assert_eq!(reason(&check(&redirected, LONG).await), "up");
    asked.recv().await.unwrap();
    let connect = asked.recv().await.unwrap();
    assert!(
        connect.starts_with(&format!("CONNECT {} ", nginx.https())),
        "{connect}"
    );

    let post = section("/echo") + "\nsend: hello\nexpect: hello";
    assert_eq!(reason(&check(&post, LONG).await), "up");
}

#[tokio::test]
async fn a_tunnel_to_an_ipv6_address_has_brackets() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (proxy, mut asked) = proxy().await;
    let section = format!("type: http\nname: x\naddress: 'https://{to}/'\nproxy: http://{proxy}");
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    };
    let (outcome, ()) = tokio::join!(check(&section, LONG), serve);
    assert_eq!(outcome.verdict(), Verdict::Down);
    let connect = asked.recv().await.unwrap();
    assert!(
        connect.starts_with(&format!("CONNECT [::1]:{} HTTP/1.1\r\n", to.port())),
        "{connect}"
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    for (answer, wanted, wanted_class) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "proxy: status 407",
            FailureClass::Status,
        ),
        (
            "HTTP/1.0 502 Bad Gateway\r\n\r\n",
            "proxy: status 502",
            FailureClass::Status,
        ),
        (
            "SSH-2.0-OpenSSH\r\n\r\n",
            "proxy: the answer to CONNECT is not HTTP",
            FailureClass::Protocol,
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            "proxy: CONNECT: connection closed by the peer",
            FailureClass::Closed,
        ),
        (
            "",
            "proxy: CONNECT: connection closed by the peer",
            FailureClass::Closed,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "tls: the server does not speak TLS",
            FailureClass::Tls,
        ),
    ] {
        let proxy = http_server(answer).await;
        let section =
            format!("type: http\nname: x\naddress: https://127.0.0.1:1/\nproxy: http://a:s3cret@{proxy}");
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!((reason(&outcome), class(&outcome)), (wanted, wanted_class));
        assert!(!steps.contains("s3cret"), "{steps}");
    }
    // For plain http the proxy's answer is the answer.
    let proxy = http_server("HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n").await;
    let plain = format!("type: http\nname: x\naddress: http://127.0.0.1:1/\nproxy: http://a:s3cret@{proxy}");
    let (outcome, steps) = explain(&plain, LONG).await;
    assert_eq!(reason(&outcome), "status 407 Proxy Authentication Required");
    assert!(!steps.contains("s3cret"), "{steps}");
}

#[tokio::test]
async fn an_absent_silent_or_endless_proxy_is_down_in_time() {
    let silent = tcp_server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let endless = tcp_server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"X-More: more and more and more\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let slow = tcp_server(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for (proxy, wanted, wanted_class) in [
        (
            closed_port().await,
            "proxy: connect: connection refused",
            FailureClass::Refused,
        ),
        (silent, "proxy: no answer within 0.7 secs", FailureClass::TimedOut),
        (slow, "proxy: no answer within 0.7 secs", FailureClass::TimedOut),
        (
            endless,
            "proxy: CONNECT: the answer does not end within 16384 bytes",
            FailureClass::Protocol,
        ),
    ] {
        let section = format!("type: http\nname: x\naddress: https://127.0.0.1:1/\nproxy: http://{proxy}");
        let watch = Stopwatch::start();
        let is_silent = wanted_class == FailureClass::TimedOut;
        let outcome = check(&section, if is_silent { SHORT } else { LONG }).await;
        assert_eq!((reason(&outcome), class(&outcome)), (wanted, wanted_class));
        assert!(is_silent || watch.elapsed() < STALL, "{wanted}");
    }
}

/// Runs this test again with the variables that other programs obey.
#[test]
fn the_environments_proxy_is_ignored() {
    let ours = std::env::current_exe().unwrap();
    let output = Command::new(ours)
        .args(["--exact", "a_web_server_is_requested_directly", "--nocapture"])
        .envs(
            [
                "HTTP_PROXY",
                "http_proxy",
                "HTTPS_PROXY",
                "https_proxy",
                "ALL_PROXY",
                "all_proxy",
            ]
            .map(|name| (name, "http://127.0.0.1:1")),
        )
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_web_server_is_requested_directly() {
    let nginx = Nginx::start(&Certificate::good());
    for (scheme, server) in [("http", nginx.http()), ("https", nginx.https())] {
        let section = format!("type: http\nname: x\naddress: '{scheme}://{server}/'");
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!(reason(&outcome), "up", "{steps}");
        assert!(steps.contains(&format!("connect: to {server}\n")), "{steps}");
    }
}
