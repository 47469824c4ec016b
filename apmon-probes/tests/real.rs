//! The kinds against real servers, and the lab's servers as seen by other
//! clients.
#![cfg(all(feature = "dns", feature = "quic"))]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use apmon_core::{FailureClass, Stopwatch, Verdict};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio::net::UdpSocket;

use lab::{
    Certificate, LONG, SHORT, check, class, explain,
    real::{Caddy, Dovecot, Nginx, Slapd, Smtp, Snmpd, Sshd, Vsftpd},
    reason,
};

fn web(scheme: &str, server: SocketAddr, path: &str) -> String {
    format!("type: http\nname: x\naddress: '{scheme}://{server}{path}'")
}

#[tokio::test]
async fn nginx_is_up_by_http_and_by_https() {
    let certificate = Certificate::good();
    let nginx = Nginx::start(&certificate);
    for (scheme, server) in [("http", nginx.http()), ("https", nginx.https())] {
        let section = web(scheme, server, "/");
        assert_eq!(reason(&check(&section, LONG).await), "up", "{scheme}");
        let section = format!("{section}\nexpect: '{}'", Nginx::TITLE);
        assert_eq!(reason(&check(&section, LONG).await), "up", "{scheme}");
        let section = web(scheme, server, "/status/503");
        let outcome = check(&section, LONG).await;
        assert_eq!(reason(&outcome), "status 503 Service Unavailable");
        let outcome = check(&web(scheme, server, "/status/204"), LONG).await;
        assert_eq!(reason(&outcome), "status 204 No Content");
    }
    let outcome = check(&web("https", nginx.http(), "/"), LONG).await;
    assert_eq!(reason(&outcome), "tls: the server does not speak TLS");
    let outcome = check(&web("http", nginx.https(), "/"), LONG).await;
    assert_eq!(reason(&outcome), "status 400 Bad Request");
}

#[tokio::test]
async fn nginx_is_up_with_its_pin_and_down_with_another() {
    let certificate = Certificate::good();
    let nginx = Nginx::start(&certificate);
    let section = web("https", nginx.https(), "/");
    let pinned = format!("{section}\nssl_fingerprint: '{}'", certificate.fingerprint());
    let (outcome, steps) = explain(&pinned, LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert!(steps.contains("valid until 2099-12-31"), "{steps}");
    let other = format!("{section}\nssl_fingerprint: '{}'", "0".repeat(64));
    assert_eq!(class(&check(&other, LONG).await), FailureClass::Pin);
}

#[tokio::test]
async fn nginx_with_an_expired_certificate_is_down_unless_ignored() {
    let nginx = Nginx::start(&Certificate::valid_for(-1));
    let section = web("https", nginx.https(), "/");
    assert_eq!(class(&check(&section, LONG).await), FailureClass::Expiry);
    let section = section + "\nignore_ssl_expiry: yes";
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn nginx_redirects_are_followed_to_their_end() {
    let certificate = Certificate::good();
    let nginx = Nginx::start(&certificate);
    for (scheme, server) in [("http", nginx.http()), ("https", nginx.https())] {
        let section = web(scheme, server, "/redirect/1") + "\nexpect: '" + Nginx::TITLE + "'";
        assert_eq!(reason(&check(&section, LONG).await), "up", "{scheme}");
        let outcome = check(&web(scheme, server, "/loop"), LONG).await;
        let circle = format!("redirects form a loop: {scheme}://{server}/loop");
        assert_eq!(reason(&outcome), circle);
    }
    let upgrade = web("http", nginx.http(), "/to-https") + "\nexpect: '" + Nginx::TITLE + "'";
    let outcome = check(&upgrade, LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert_eq!(outcome.warning_text(), None);
    let downgrade = web("https", nginx.https(), "/to-http");
    let outcome = check(&downgrade, LONG).await;
    assert_eq!(reason(&outcome), "up");
    let warning = format!("redirected from https to http://{}/", nginx.http());
    assert_eq!(outcome.warning_text(), Some(warning));
    let pinned = format!("{downgrade}\nssl_fingerprint: '{}'", certificate.fingerprint());
    assert_eq!(class(&check(&pinned, LONG).await), FailureClass::Pin);
}

#[tokio::test]
async fn nginx_receives_what_is_posted() {
    let nginx = Nginx::start(&Certificate::good());
    for (scheme, server) in [("http", nginx.http()), ("https", nginx.https())] {
        let echo =
            web(scheme, server, "/echo") + "\nsend: |\n  two lines\n  of 'ü'\nexpect: \"lines\\nof 'ü'\"";
        assert_eq!(reason(&check(&echo, LONG).await), "up", "{scheme}");
        let section = web(scheme, server, "/post");
        let posted = format!("{section}\nsend: x\nexpect: posted");
        assert_eq!(reason(&check(&posted, LONG).await), "up", "{scheme}");
        let outcome = check(&section, LONG).await;
        assert_eq!(reason(&outcome), "status 405 Method Not Allowed");
    }
}

#[tokio::test]
async fn nginx_grants_access_with_the_right_password() {
    let nginx = Nginx::start(&Certificate::good());
    let outcome = check(&web("http", nginx.http(), "/private/"), LONG).await;
    assert_eq!(reason(&outcome), "status 401 Unauthorized");
    for (password, expected) in [("pass%20word", "up"), ("wrong", "status 401 Unauthorized")] {
        let address = format!("http://user:{password}@{}/private/", nginx.http());
        let section = format!("type: http\nname: x\naddress: '{address}'");
        assert_eq!(reason(&check(&section, LONG).await), expected);
    }
    let secret = format!(
        "type: http\nname: x\naddress: 'http://user:pass%20word@{}/private/'\nexpect: '{}'",
        nginx.http(),
        Nginx::SECRET
    );
    assert_eq!(reason(&check(&secret, LONG).await), "up");
}

#[tokio::test]
async fn nginx_receives_the_intended_request() {
    let nginx = Nginx::start(&Certificate::good());
    let expected = format!("x-lab=; host={}; protocol=HTTP/1.1", nginx.http());
    let section = web("http", nginx.http(), "/header") + "\nexpect: '" + &expected + "'";
    assert_eq!(reason(&check(&section, LONG).await), "up");
}

#[tokio::test]
async fn a_page_larger_than_the_limit_is_read_only_in_part() {
    let nginx = Nginx::start(&Certificate::good());
    let section = web("https", nginx.https(), "/big") + "\nexpect: the end";
    let outcome = check(&section, LONG).await;
    assert_eq!(
        reason(&outcome),
        "\"the end\" not in the first 4194304 bytes (status 200)"
    );
    assert_eq!(
        reason(&check(&web("https", nginx.https(), "/big"), LONG).await),
        "up"
    );
}

#[test]
fn nginx_speaks_http_2_and_gzip() {
    let certificate = Certificate::good();
    let nginx = Nginx::start(&certificate);
    let output = s_client(nginx.https(), &["-alpn", "h2,http/1.1"]);
    assert!(output.contains("\nALPN protocol: h2\n"), "{output}");
    assert_eq!(fingerprint(&output), certificate.fingerprint());
    let get = "GET / HTTP/1.1\r\nHost: lab\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let answer = exchange(nginx.http(), get);
    assert!(answer.contains("\r\nContent-Encoding: gzip\r\n"), "{answer}");
}

#[tokio::test]
async fn caddy_is_up_on_both_families() {
    let certificate = Certificate::good();
    let caddy = Caddy::start(&certificate);
    for server in [caddy.v4(), caddy.v6()] {
        let pin = certificate.fingerprint();
        let section = web("https", server, "/a") + "\nssl_fingerprint: '" + &pin + "'";
        let get = section.clone() + "\nexpect: caddy HTTP/2.0 GET /a";
        assert_eq!(reason(&check(&get, LONG).await), "up", "{server}");
        let output = s_client(server, &["-alpn", "h2"]);
        assert!(output.contains("\nALPN protocol: h2\n"), "{output}");
    }
    let redirected = web("https", caddy.v4(), "/redirect") + "\nexpect: GET /there";
    assert_eq!(reason(&check(&redirected, LONG).await), "up");
    // The same over HTTP/3.
    for server in [caddy.v4(), caddy.v6()] {
        let quic = web("https", server, "/a").replace("type: http", "type: quic");
        let right = format!(
            "{quic}\nssl_fingerprint: '{}'\nexpect: caddy HTTP/3.0 GET /a",
            certificate.fingerprint()
        );
        let (outcome, steps) = explain(&right, LONG).await;
        assert_eq!(reason(&outcome), "up", "{steps}");
        let wrong = format!("{quic}\nssl_fingerprint: '{}'", "00".repeat(32));
        let outcome = check(&wrong, LONG).await;
        assert_eq!(class(&outcome), FailureClass::Pin, "{}", reason(&outcome));
    }
    let echo = web("https", caddy.v4(), "/echo") + "\nsend: hello\nexpect: 'body: hello'";
    assert_eq!(reason(&check(&echo, LONG).await), "up");
    let outcome = check(&web("https", caddy.v4(), "/status/503"), LONG).await;
    assert_eq!(reason(&outcome), "status 503 Service Unavailable");
}

/// Debian 12 has no HTTP/3 client. But every QUIC server answers an unknown version
/// with those that it supports (RFC 9000, section 6).
#[tokio::test]
async fn caddy_speaks_quic_on_both_families() {
    let caddy = Caddy::start(&Certificate::good());
    for server in [caddy.v4(), caddy.v6()] {
        let mut packet = vec![0; 1200];
        // A long header; a version reserved for forcing this negotiation (section
        // 15); the two connection IDs, each after its length.
        let header = b"\xc0\x1a\x2a\x3a\x4a\x08to-caddy\x08from-lab";
        packet[..header.len()].copy_from_slice(header);
        let local: SocketAddr = if server.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        }
        .parse()
        .unwrap();
        let socket = UdpSocket::bind(local).await.unwrap();
        socket.send_to(&packet, server).await.unwrap();
        let mut answer = [0; 1500];
        let length = tokio::time::timeout(LONG, socket.recv(&mut answer))
            .await
            .unwrap_or_else(|_| panic!("{server} does not speak QUIC"))
            .unwrap();
        let negotiation = &answer[1..length];
        let prefix = b"\0\0\0\0\x08from-lab\x08to-caddy";
        let versions = negotiation.strip_prefix(prefix);
        let versions = versions.unwrap_or_else(|| panic!("{negotiation:?}"));
        assert!(versions.chunks(4).any(|version| version == [0, 0, 0, 1]));
    }
}

#[tokio::test]
async fn sshd_greets() {
    let sshd = Sshd::start();
    let section = format!("type: tcp\nname: x\naddress: tcp://{}", sshd.address());
    let greeted = section.clone() + "\nexpect: SSH-2.0-OpenSSH";
    assert_eq!(reason(&check(&greeted, LONG).await), "up");
    let (outcome, steps) = explain(&section, LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert!(steps.contains("bytes: SSH-2.0-OpenSSH"), "{steps}");
}

#[tokio::test]
async fn snmpd_answers_a_get_made_by_hand() {
    let snmpd = Snmpd::start();
    // Version 2c, community lab, get of 1.3.6.1.2.1.1.1.0 (sysDescr.0).
    let get = |community: &str| {
        format!(
            "type: udp\nname: x\naddress: udp://{}\ncontent_type: hex\n\
             send: 30 23 02 01 01 04 03 {community} a0 19 02 01 01 02 01 00 02 01 00 \
             30 0e 30 0c 06 08 2b 06 01 02 01 01 01 00 05 00\nexpect: '{}'",
            snmpd.address(),
            Snmpd::SYS_DESCR
        )
    };
    assert_eq!(reason(&check(&get("6c 61 62"), LONG).await), "up");
    // A wrong community gets no answer.
    let outcome = check(&get("6c 61 63"), SHORT).await;
    assert_eq!(reason(&outcome), "receive: no answer within 0.7 secs");
}

#[tokio::test]
async fn mail_servers_greet() {
    let certificate = Certificate::good();
    let (smtp, dovecot) = (Smtp::start(&certificate), Dovecot::start(&certificate));
    for (server, greeting) in [
        (smtp.starttls(), "220 lab Python SMTP"),
        (dovecot.imap(), "STARTTLS"),
        (dovecot.pop3(), "+OK Dovecot"),
    ] {
        let section = format!("type: tcp\nname: x\naddress: tcp://{server}\nexpect: '{greeting}'");
        assert_eq!(reason(&check(&section, LONG).await), "up", "{greeting}");
    }
}

#[test]
fn smtp_has_starttls_and_tls() {
    let certificate = Certificate::good();
    let smtp = Smtp::start(&certificate);
    assert_tls(&certificate, smtp.starttls(), "smtp");
    assert_tls(&certificate, smtp.implicit(), "");
}

#[test]
fn dovecot_has_starttls_and_tls() {
    let certificate = Certificate::good();
    let dovecot = Dovecot::start(&certificate);
    assert_tls(&certificate, dovecot.imap(), "imap");
    assert_tls(&certificate, dovecot.imaps(), "");
    assert_tls(&certificate, dovecot.pop3(), "pop3");
    assert_tls(&certificate, dovecot.pop3s(), "");
    let output = exchange(dovecot.pop3(), "CAPA\r\nQUIT\r\n");
    assert!(output.contains("\r\nSTLS\r\n"), "{output}");
    let output = exchange(dovecot.imap(), "a LOGIN anybody secret\r\nb LOGOUT\r\n");
    assert!(
        output.contains("\r\na OK") && output.contains("\r\nb OK"),
        "{output}"
    );
}

#[test]
fn slapd_has_starttls_and_tls() {
    let certificate = Certificate::good();
    let slapd = Slapd::start(&certificate);
    assert_tls(&certificate, slapd.ldap(), "ldap");
    assert_tls(&certificate, slapd.ldaps(), "");
}

#[tokio::test]
async fn vsftpd_greets_and_has_auth_tls() {
    let certificate = Certificate::good();
    let vsftpd = Vsftpd::start(&certificate);
    let section = format!(
        "type: tcp\nname: x\naddress: tcp://{}\nexpect: 220 apmon lab",
        vsftpd.address()
    );
    assert_eq!(reason(&check(&section, LONG).await), "up");
    assert_tls(&certificate, vsftpd.address(), "ftp");
}

#[tokio::test]
async fn a_stopped_server_refuses_connections() {
    let certificate = Certificate::good();
    let (dovecot, vsftpd) = (Dovecot::start(&certificate), Vsftpd::start(&certificate));
    let servers = [dovecot.imap(), vsftpd.address()];
    let watch = Stopwatch::start();
    drop((dovecot, vsftpd));
    assert!(watch.elapsed() < lab::real::STOP_TIMEOUT, "{:?}", watch.elapsed());
    for server in servers {
        let section = format!("type: tcp\nname: x\naddress: tcp://{server}");
        let outcome = check(&section, LONG).await;
        assert_eq!(outcome.verdict(), Verdict::Down);
        assert_eq!(class(&outcome), FailureClass::Refused);
    }
}

/// Asserts that openssl can establish a TLS connection and receives `certificate`.
/// It uses the STARTTLS of that protocol unless it is "".
#[track_caller]
fn assert_tls(certificate: &Certificate, server: SocketAddr, starttls: &str) {
    let options: &[&str] = match starttls {
        "" => &[],
        protocol => &["-starttls", protocol],
    };
    let output = s_client(server, options);
    assert_eq!(
        fingerprint(&output),
        certificate.fingerprint(),
        "{starttls}: {output}"
    );
}

/// The output of `openssl s_client` for a connection.
#[track_caller]
fn s_client(server: SocketAddr, options: &[&str]) -> String {
    let result = Command::new("timeout")
        .args(["10", "openssl", "s_client", "-connect", &server.to_string()])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("this test needs timeout (apt install coreutils)");
    let stdout = String::from_utf8_lossy(&result.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{options:?}: {stdout}{stderr}");
    stdout
}

/// The fingerprint of the certificate in the output of `openssl s_client`, in the
/// form that [`Certificate::fingerprint`] returns.
#[track_caller]
fn fingerprint(output: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(output.as_bytes()).unwrap();
    let digest = Sha256::digest(&certificate);
    let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Sends `text` and reads the answer to its end.
fn exchange(server: SocketAddr, text: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
