//! Keys and chains that few servers have and everybody else accepts; and what is said of
//! servers that speak something else.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::sync::atomic::{AtomicUsize, Ordering};

use apmon_core::{FailureClass, Verdict};
use apmon_probes::pin::{By, PinTarget};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use lab::{
    LONG, check, check_site, check_within, explain, reason,
    s_server::{Certificates, P256, RSA, SServer},
    tcp_server,
};

const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const RSA_512: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:512";
const RSA_1024: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";
const RSA_PSS: &str = "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048";
const OLD: &str = "-cipher ALL:@SECLEVEL=0";

fn web(server: &SServer) -> String {
    format!(
        "type: http\nname: x\naddress: 'https://{}/'\nexpect: Ciphers supported in s_server",
        server.address
    )
}

#[tokio::test]
async fn keys_of_every_kind_are_up_without_an_option_and_can_be_pinned() {
    let certificates = Certificates::new();
    certificates.own("p521", P521);
    certificates.own("pss", RSA_PSS);
    certificates.own("rsa1024", RSA_1024);
    certificates.own("rsa512", RSA_512);
    certificates.own_signed("sha1", RSA, "-sha1");
    certificates.own_signed("p384", P384, "-sha512");
    for (name, settings) in [
        ("p521", "-tls1_3"),
        ("p521", "-tls1_2"),
        ("pss", "-tls1_3"),
        ("rsa1024", "-tls1_3 -cipher ALL:@SECLEVEL=0"),
        ("rsa1024", "-tls1_2 -cipher ALL:@SECLEVEL=0"),
        ("rsa512", "-tls1_2 -cipher ALL:@SECLEVEL=0"),
        ("sha1", OLD),
        ("p384", "-tls1_3"),
        ("p384", "-tls1_2"),
        ("p384", "-tls1_3 -groups P-521"),
        ("p384", "-tls1_2 -groups P-521:P-384"),
    ] {
        let server = certificates.web_server(name, settings);
        let monitor = web(&server);
        let outcome = check(&monitor, LONG).await;
        assert_eq!(reason(&outcome), "up", "{name} {settings}");
        let pinned = format!("{monitor}\nssl_fingerprint: '{}'", certificates.pin(name));
        assert_eq!(reason(&check(&pinned, LONG).await), "up", "{name} {settings}");
        let wrong = format!("{monitor}\nssl_fingerprint: {}", "00".repeat(32));
        let outcome = check(&wrong, LONG).await;
        let class = outcome.failure().unwrap().class;
        assert_eq!(class, FailureClass::Pin, "{name} {settings}");
    }
}

/// Checks with `ssl_verify` and the authority `file`.
async fn verified(certificates: &Certificates, server: &SServer, file: &str) -> String {
    let section = format!(
        "{}\nssl_verify: yes\nssl_ca_file: {file}.pem",
        web(server).replace("127.0.0.1", "localhost")
    );
    let section = section.replace('\n', "\n    ");
    let text = format!("site:\n  name: Lab\nmonitors:\n  - {section}\n");
    let outcome = check_site(&certificates.path("lab.yaml"), &text).await;
    reason(&outcome).to_owned()
}

#[tokio::test]
async fn chains_of_own_authorities_are_verified_however_they_are_signed() {
    let certificates = Certificates::new();
    for (authority, key, signing, leaf) in [
        ("ecdsa-sha512", P384, "-sha512", P256),
        ("ecdsa-p521", P521, "-sha512", P256),
        ("ecdsa-sha1", P256, "-sha1", P256),
        ("rsa-sha1", RSA, "-sha1", P256),
        ("rsa-sha224", RSA, "-sha224", RSA),
        ("rsa-1024", RSA_1024, "-sha256", P256),
        ("leaf-p521", RSA, "-sha256", P521),
        ("leaf-1024", RSA, "-sha256", RSA_1024),
        ("leaf-pss", RSA, "-sha256", RSA_PSS),
    ] {
        let name = format!("below-{authority}");
        certificates.authority(authority, key, signing);
        certificates.below(authority, &name, leaf, signing);
        let server = certificates.web_server(&name, OLD);
        assert_eq!(
            verified(&certificates, &server, authority).await,
            "up",
            "{authority}"
        );
    }
    // Somebody else with the name of the authority, and a weak signature.
    let other = Certificates::new();
    other.authority("rsa-sha1", RSA, "-sha1");
    other.below("rsa-sha1", "leaf", RSA, "-sha1");
    let server = other.web_server("leaf", OLD);
    let refused = verified(&certificates, &server, "rsa-sha1").await;
    assert_eq!(
        refused,
        "certificate is not signed by a trusted authority (issuer CN=rsa-sha1) (127.0.0.1)"
    );
}

#[tokio::test]
async fn a_failed_handshake_says_what_the_server_offers_and_what_reaches_it() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    certificates.own("rsa1024", RSA_1024);
    certificates.own("ed448", "-algorithm ED448");
    certificates.own("pss", RSA_PSS);
    for (name, settings, offer) in [
        (
            "rsa1024",
            "-tls1 -cipher AES128-SHA:@SECLEVEL=0",
            "TLS 1.0 at most, RSA key exchange, a CBC cipher, an RSA key of 1024 bits",
        ),
        (
            "rsa",
            "-tls1_1 -cipher ALL:@SECLEVEL=0",
            "TLS 1.1 at most, ECDHE on X25519, a CBC cipher, an RSA key of 2048 bits",
        ),
        (
            "rsa",
            "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256",
            "TLS 1.2, DHE with 2048 bits, an authenticated cipher, an RSA key of 2048 bits",
        ),
        (
            "rsa",
            "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256",
            "TLS 1.2, ECDHE on X25519, a CBC cipher, an RSA key of 2048 bits",
        ),
        (
            "rsa",
            "-tls1_2 -groups X448 -cipher ECDHE-RSA-AES128-GCM-SHA256",
            "TLS 1.2, ECDHE on X448, an authenticated cipher, an RSA key of 2048 bits",
        ),
        (
            "pss",
            "-tls1_2",
            "TLS 1.2, ECDHE on X25519, an authenticated cipher, an RSA-PSS key of 2048 bits",
        ),
        ("rsa", "-tls1_3 -groups X448", "TLS 1.3, a key exchange on X448"),
        (
            "ed448",
            "-tls1_3",
            "TLS 1.3, a key exchange on X25519, an Ed448 key",
        ),
    ] {
        let server = certificates.web_server(name, settings);
        let (outcome, steps) = explain(&web(&server), LONG).await;
        let wanted = format!("; the server offers {offer}; set ssl_legacy: yes to reach it");
        let reason = reason(&outcome);
        assert!(reason.starts_with("tls: "), "{settings}: {reason}");
        assert!(reason.ends_with(&wanted), "{settings}: {reason}");
        assert!(
            steps.contains(&format!("tls: the server offers {offer}")),
            "{steps}"
        );
        assert_eq!(outcome.failure().unwrap().class, FailureClass::Tls, "{settings}");
    }
    let server = certificates.server("-nocert -tls1_2 -cipher ADH-AES128-SHA256:@SECLEVEL=0");
    let outcome = check(&web(&server), LONG).await;
    let wanted =
        "; the server offers TLS 1.2, no certificate, a CBC cipher; apmon speaks nothing of that kind";
    assert!(reason(&outcome).ends_with(wanted), "{}", reason(&outcome));
}

#[tokio::test]
async fn what_a_server_offers_is_asked_once_per_outage() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let server = tcp_server(|mut stream: TcpStream| async move {
        CONNECTIONS.fetch_add(1, Ordering::SeqCst);
        // It refuses every hello.
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 40]).await;
    })
    .await;
    let monitor = lab::monitor(&format!("type: tcp\nname: x\naddress: 'tls://{server}'"));
    for connections in [3, 4, 5] {
        let outcome = monitor.check(&check_within(LONG)).await.outcome;
        assert_eq!(reason(&outcome), "tls: refused by the server (handshake failure)");
        assert_eq!(CONNECTIONS.load(Ordering::SeqCst), connections);
    }
}

#[tokio::test]
async fn a_server_that_is_silent_to_hellos_costs_a_check_little_time() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let server = tcp_server(|mut stream: TcpStream| async move {
        if CONNECTIONS.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 40]).await;
            return;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let section = format!("type: tcp\nname: x\naddress: 'tls://{server}'");
    let started = apmon_core::Stopwatch::start();
    let outcome = lab::monitor(&section).check(&check_within(LONG)).await.outcome;
    assert_eq!(outcome.verdict(), Verdict::Down);
    assert_eq!(reason(&outcome), "tls: refused by the server (handshake failure)");
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn pin_shows_the_certificate_of_the_name_that_is_asked_for() {
    let certificates = Certificates::new();
    certificates.own("nas", RSA);
    certificates.own("other", RSA);
    let server = certificates.web_server("nas", "-cert2 other.pem -key2 other.key -servername other.lan");
    let target = PinTarget::read(&format!("https://{}", server.address), By::Tls).unwrap();
    for (target, name) in [
        (target.clone(), "nas"),
        (target.clone().sni("other.lan").unwrap(), "other"),
    ] {
        let chain = target.certificates(&check_within(LONG)).await.unwrap();
        assert_eq!(chain[0].fingerprint.in_pairs(), certificates.pin(name));
    }
    let wrong = target.sni("other.lan:443").map(|_| ()).unwrap_err();
    assert_eq!(
        wrong,
        "must be a host name such as www.example.com, without a port"
    );
}
