//! Which server is asked, by which name and in which version of HTTP, and what it
//! demands of its clients.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{FailureClass, Outcome};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use lab::{
    Certificate, LONG, check, check_site, class, explain,
    flood::{SETTINGS, frame},
    http_answers, http_server, ok,
    openssl_server::OpensslServer,
    pki::{CertificateSpec, Pki},
    reason,
    tap::{Tap, tls_server},
    tcp_server,
};

/// Checks a monitor of a site in `pki`'s directory.
async fn check_in(pki: &Pki, section: &str) -> Outcome {
    let section = section.replace('\n', "\n    ");
    let text = format!("site:\n  name: Lab\nmonitors:\n  - name: x\n    {section}\n");
    check_site(&pki.path("lab.yaml"), &text).await
}

const VERIFY: &str = "ssl_verify: yes\nssl_ca_file: root.pem";

/// A leaf for `www.example.com` alone.
fn of_example(pki: &Pki) -> Arc<ServerConfig> {
    pki.make(&CertificateSpec {
        name: "www",
        extensions: "subjectAltName=DNS:www.example.com",
        ..CertificateSpec::default()
    });
    pki.server(&["www"]).config()
}

#[tokio::test]
async fn a_node_is_asked_by_the_name_that_it_shares_with_others() {
    let pki = Pki::new();
    let config = of_example(&pki);
    let mut node = Tap::of(config, ok("Welcome")).await;
    let section = format!("type: http\naddress: https://{}/\n{VERIFY}", node.address);
    let outcome = check_in(&pki, &section).await;
    assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
    node.seen().await;
    for (name, host) in [
        ("host: www.example.com", "www.example.com".to_owned()),
        ("host: www.example.com:8443", "www.example.com:8443".to_owned()),
        ("sni: www.example.com", node.address.to_string()),
        (
            "host: other.example\nsni: www.example.com",
            "other.example".to_owned(),
        ),
    ] {
        let outcome = check_in(&pki, &format!("{section}\n{name}")).await;
        assert_eq!(reason(&outcome), "up", "{name}");
        let request = node.seen().await.bytes;
        assert!(
            request.contains(&format!("\r\nHost: {host}\r\n")),
            "{name}: {request}"
        );
    }
    let outcome = check_in(&pki, &format!("{section}\nhost: other.example")).await;
    assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
    let tls = format!("type: tcp\naddress: tls://{}\n{VERIFY}", node.address);
    assert_eq!(class(&check_in(&pki, &tls).await), FailureClass::Tls);
    assert_eq!(
        reason(&check_in(&pki, &format!("{tls}\nsni: www.example.com")).await),
        "up"
    );
}

#[tokio::test]
async fn a_redirect_to_the_shared_name_stays_at_the_node() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let node = http_answers(move |request| {
        let _ = sender.send(request.to_owned());
        match request.split(' ').nth(1) {
            // By a name that no resolver knows.
            Some("/") => "HTTP/1.1 302 X\r\nLocation: http://www.example.invalid/home\r\n\r\n".to_owned(),
            Some("/port") => "HTTP/1.1 302 X\r\nLocation: http://www.example.invalid:1/\r\n\r\n".to_owned(),
            _ => ok("Welcome"),
        }
    })
    .await;
    let section = |path: &str| {
        format!(
            "type: http\nname: x\naddress: http://me:s3cret@{node}{path}\nhost: www.example.invalid\n\
             expect: Welcome\nheaders: {{X-Token: mine}}"
        )
    };
    assert_eq!(reason(&check(&section("/"), LONG).await), "up");
    for _ in 0..2 {
        let request = requests.recv().await.unwrap();
        assert!(request.contains("\r\nHost: www.example.invalid\r\n"), "{request}");
        // It is the same server, which may see them again.
        assert!(
            request.contains("Authorization: ") && request.contains("X-Token: mine"),
            "{request}"
        );
    }
    // Another port of the name is that port of the node.
    let outcome = check(&section("/port"), LONG).await;
    assert_eq!(
        reason(&outcome),
        "connect: connection refused (redirected to http://www.example.invalid:1/)"
    );
}

#[tokio::test]
async fn what_a_redirect_to_https_must_prove_can_be_said_of_http() {
    let pki = Pki::new();
    pki.leaf("leaf");
    pki.make(&CertificateSpec {
        name: "itself",
        signer: None,
        ..CertificateSpec::default()
    });
    for (leaf, wanted) in [
        ("leaf", None),
        (
            "itself",
            Some("certificate is not signed by a trusted authority (issuer CN=itself)"),
        ),
    ] {
        let tap = Tap::of(pki.server(&[leaf]).config(), ok("")).await;
        let to = format!("https://{}/", tap.address);
        let plain = http_server(format!("HTTP/1.1 302 X\r\nLocation: {to}\r\n\r\n")).await;
        let section = format!("type: http\naddress: http://{plain}/\n{VERIFY}\nssl_expiry_warn_days: 5");
        let outcome = check_in(&pki, &section).await;
        let wanted = wanted.map(|wanted| format!("{wanted} (redirected to {to})"));
        assert_eq!(outcome.failure().map(|failure| failure.reason.clone()), wanted);
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_demanded_is_reported_alike() {
    let certificate = Certificate::good();
    for version in ["-tls1_2", "-tls1_3"] {
        let server = OpensslServer::start(&certificate, &[version, "-Verify", "1"]);
        for section in [
            format!("type: http\nname: x\naddress: https://{}/", server.address),
            format!("type: tcp\nname: x\naddress: tls://{}", server.address),
            format!(
                "type: tcp\nname: x\naddress: tls://{}\nsend: \"GET / HTTP/1.0\\r\\n\\r\\n\"",
                server.address
            ),
            format!("type: tcp\nname: x\naddress: tls://{}\nexpect: x", server.address),
        ] {
            let outcome = check(&section, LONG).await;
            let wanted = "tls: the server demands a client certificate, and apmon has none";
            assert_eq!(reason(&outcome), wanted, "{version} {section}");
            assert_eq!(class(&outcome), FailureClass::Tls);
        }
    }
    // One that is only asked for is not needed.
    let server = OpensslServer::start(&certificate, &["-tls1_3", "-verify", "1"]);
    for section in [
        format!("type: http\nname: x\naddress: https://{}/", server.address),
        format!("type: tcp\nname: x\naddress: tls://{}", server.address),
    ] {
        assert_eq!(reason(&check(&section, LONG).await), "up", "{section}");
    }
}

/// Passes connections on to `server`, but each answer of the client after the first only when
/// `late` is over, as a slow link does.
async fn late_link(server: SocketAddr, late: Duration) -> SocketAddr {
    tcp_server(move |client: TcpStream| async move {
        let server = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut buffer = [0; 4096];
        let mut is_first = true;
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if !is_first {
                tokio::time::sleep(late).await;
            }
            is_first = false;
            if to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        let _ = back.await;
    })
    .await
}

#[tokio::test]
async fn a_refusal_for_want_of_a_certificate_may_come_late() {
    let certificate = Certificate::good();
    let server = OpensslServer::start(&certificate, &["-tls1_3", "-Verify", "1"]);
    let link = late_link(server.address, Duration::from_secs(1)).await;
    for send in ["", "\nsend: x"] {
        let section = format!("type: tcp\nname: x\naddress: tls://{link}{send}");
        let outcome = check(&section, LONG).await;
        let wanted = "tls: the server demands a client certificate, and apmon has none";
        assert_eq!(reason(&outcome), wanted, "{section}");
    }
}

/// A server that answers HTTP/2 with `frames` after the request, and HTTP/1.1 with a
/// page.
async fn picky_server(pki: &Pki, protocols: &[&str], frames: Vec<u8>) -> SocketAddr {
    pki.leaf("leaf");
    let server = protocols
        .iter()
        .fold(pki.server(&["leaf"]), |server, name| server.protocol(name));
    tls_server(server.config(), move |mut stream| {
        let frames = frames.clone();
        async move {
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                lab::read_request(&mut stream).await;
                let _ = stream.write_all(ok("by 1.1").as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
            let _ = stream.write_all(&SETTINGS).await;
            let mut buffer = [0; 4096];
            let mut seen = Vec::new();
            while !seen
                .windows(4)
                .any(|part| part == [1, 5, 0, 0] || part == [1, 4, 0, 0])
            {
                match stream.read(&mut buffer).await {
                    Ok(n) if n > 0 => seen.extend_from_slice(&buffer[..n]),
                    _ => return,
                }
            }
            let _ = stream.write_all(&frames).await;
            while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_demands_http_1_1_is_asked_again_by_it() {
    const HTTP_1_1_REQUIRED: [u8; 4] = [0, 0, 0, 0xd];
    let pki = Pki::new();
    let reset = frame(3, 0, 1, &HTTP_1_1_REQUIRED);
    let away = frame(7, 0, 0, &[&[0; 4][..], &HTTP_1_1_REQUIRED].concat());
    for frames in [reset, away] {
        let server = picky_server(&pki, &["h2", "http/1.1"], frames).await;
        let section = format!("type: http\nname: x\naddress: https://{server}/\nexpect: by 1.1\nsend: x");
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!(reason(&outcome), "up", "{steps}");
        assert!(steps.contains("request: the server demands HTTP/1.1"), "{steps}");
        let outcome = check(&format!("{section}\nhttp_version: 2"), LONG).await;
        let wanted = "request: the server demands HTTP/1.1, but http_version is 2";
        assert_eq!(reason(&outcome), wanted);
    }
    // Another reset is what it is.
    let server = picky_server(&pki, &["h2", "http/1.1"], frame(3, 0, 1, &[0, 0, 0, 2])).await;
    let outcome = check(&format!("type: http\nname: x\naddress: https://{server}/"), LONG).await;
    assert!(
        reason(&outcome).contains("stream reset by the server"),
        "{}",
        reason(&outcome)
    );
}

#[tokio::test]
async fn the_version_of_http_can_be_chosen() {
    let pki = Pki::new();
    let page = [frame(1, 4, 1, &[0x88]), frame(0, 1, 1, b"by 2")].concat();
    let server = picky_server(&pki, &["h2", "http/1.1"], page.clone()).await;
    for (version, expect) in [("", "by 2"), ("1.1", "by 1.1"), ("1.0", "by 1.1"), ("2", "by 2")] {
        let option = match version {
            "" => String::new(),
            version => format!("\nhttp_version: {version}"),
        };
        let section = format!("type: http\nname: x\naddress: https://{server}/\nexpect: {expect}{option}");
        assert_eq!(reason(&check(&section, LONG).await), "up", "{version}");
    }
    let server = picky_server(&pki, &["http/1.1"], Vec::new()).await;
    let section = format!("type: http\nname: x\naddress: https://{server}/\nhttp_version: 2");
    let outcome = check(&section, LONG).await;
    assert_eq!(class(&outcome), FailureClass::Tls, "{}", reason(&outcome));
    let server = picky_server(&pki, &[], Vec::new()).await;
    let section = format!("type: http\nname: x\naddress: https://{server}/\nhttp_version: 2");
    assert_eq!(
        reason(&check(&section, LONG).await),
        "tls: the server does not choose HTTP/2, but http_version is 2"
    );
    // Without TLS, HTTP/2 begins with the first byte.
    let server = tcp_server(move |mut stream| {
        let page = page.clone();
        async move {
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            assert!(preface.starts_with(b"PRI * HTTP/2.0"));
            let _ = stream.write_all(&[&SETTINGS[..], &page].concat()).await;
            while stream.read(&mut preface).await.is_ok_and(|n| n > 0) {}
        }
    })
    .await;
    let section = format!("type: http\nname: x\naddress: http://{server}/\nhttp_version: 2\nexpect: by 2");
    assert_eq!(reason(&check(&section, LONG).await), "up");
    let (sender, mut requests) = mpsc::unbounded_channel();
    let server = http_answers(move |request| {
        let _ = sender.send(request.to_owned());
        ok("")
    })
    .await;
    let section = format!("type: http\nname: x\naddress: http://{server}/\nhttp_version: 1.0");
    assert_eq!(reason(&check(&section, LONG).await), "up");
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("GET / HTTP/1.0\r\nHost: "), "{request}");
}
