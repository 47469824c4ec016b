//! `ssl_legacy` against openssl's server, as monitors and `apmon pin` use it.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

#[path = "../../apmon-probes/tests/lab/s_server.rs"]
mod s_server;

use std::{net::SocketAddr, path::Path, time::Duration};

use apmon_core::{Check, Clock as _, FailureClass, Outcome, Services, SystemClock, Trace, config};
use apmon_probes::{
    StartTls,
    pin::{By, PinTarget},
};
use s_server::{Certificates, P256, RSA, SServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Long enough for a busy machine.
const LONG: Duration = Duration::from_secs(20);

const SECRET: &str = "hunter2-the-request";

const TLS_1_0: &str = "-tls1 -cipher ALL:@SECLEVEL=0";
const RSA_KEY_EXCHANGE: &str = "-tls1_2 -cipher AES128-GCM-SHA256:AES128-SHA";
const RSA_1024: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";

fn helper() {
    apmon_tls::legacy::use_helper(env!("CARGO_BIN_EXE_apmon-tls-legacy").into());
}

fn check_within(timeout: Duration) -> Check {
    let now = SystemClock::new().now();
    Check::new(now.mono, now, timeout)
}

async fn check_of(path: &Path, section: &str, check: &Check) -> Outcome {
    helper();
    let section = section.replace('\n', "\n    ");
    let text = format!("site:\n  name: Lab\nmonitors:\n  - {section}\n");
    let site = config::parse(path, &text, apmon_probes::KINDS, &[], &config::ProcessEnvironment);
    let site = site.unwrap_or_else(|error| panic!("{error}"));
    let monitor = site.monitors[0].build(&Services::default());
    monitor.check(check).await.outcome
}

async fn check(section: &str) -> Outcome {
    check_of("lab.yaml".as_ref(), section, &check_within(LONG)).await
}

fn reason(outcome: &Outcome) -> &str {
    outcome.failure().map_or("up", |failure| failure.reason.as_str())
}

fn class(outcome: &Outcome) -> FailureClass {
    outcome.failure().expect("not up").class
}

fn web(address: SocketAddr) -> String {
    format!(
        "type: http\nname: x\naddress: 'https://{address}/'\nexpect: Ciphers supported in s_server\nssl_legacy: yes"
    )
}

fn sends(address: SocketAddr) -> String {
    format!("type: tcp\nname: x\naddress: 'tls://{address}'\nssl_legacy: yes\nsend: {SECRET}")
}

#[tokio::test]
async fn every_old_server_is_up_with_the_option() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    certificates.own("rsa1024", RSA_1024);
    certificates.own("rsa512", "-algorithm RSA -pkeyopt rsa_keygen_bits:512");
    certificates.own("pss", "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048");
    certificates.own("ed448", "-algorithm ED448");
    certificates.own(
        "brainpool",
        "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
    );
    certificates.own("p256", P256);
    for (name, settings) in [
        ("rsa1024", TLS_1_0),
        ("rsa512", TLS_1_0),
        ("rsa", "-tls1_1 -cipher ALL:@SECLEVEL=0"),
        ("rsa", "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256"),
        ("rsa", "-tls1_2 -cipher DHE-RSA-AES128-SHA"),
        ("rsa", "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256"),
        ("rsa", RSA_KEY_EXCHANGE),
        ("pss", "-tls1_2"),
        ("ed448", "-tls1_3"),
        ("brainpool", "-tls1_2 -groups brainpoolP256r1"),
        ("rsa", "-tls1_3 -groups P-521"),
        ("rsa", "-tls1_3 -groups X448"),
        ("rsa", "-tls1_2 -groups X448 -cipher ECDHE-RSA-AES128-GCM-SHA256"),
        ("rsa", "-tls1_2 -legacy_renegotiation"),
        // What needs no option works with it too.
        ("p256", "-tls1_3"),
        ("rsa", "-tls1_2"),
    ] {
        let server = certificates.web_server(name, settings);
        let outcome = check(&web(server.address)).await;
        assert_eq!(reason(&outcome), "up", "{name} {settings}");
        let metric = outcome
            .metrics
            .iter()
            .find(|metric| metric.name == "ssl_expiry_days");
        assert!(metric.is_some(), "{name} {settings}");
    }
}

#[tokio::test]
async fn the_pin_is_compared_within_the_handshake_and_another_server_sees_nothing() {
    let certificates = Certificates::new();
    certificates.own("right", RSA);
    certificates.own("his", RSA);
    for settings in [TLS_1_0, RSA_KEY_EXCHANGE, "-tls1_3"] {
        let pinned = |address| {
            format!(
                "{}\nssl_fingerprint: '{}'",
                sends(address),
                certificates.pin("right")
            )
        };
        let server = certificates.printing_server("right", settings);
        let outcome = check(&pinned(server.address)).await;
        assert_eq!(reason(&outcome), "up", "{settings}");
        assert!(server.end().contains(SECRET), "{settings}");

        let server = certificates.printing_server("his", settings);
        let outcome = check(&pinned(server.address)).await;
        assert_eq!(
            class(&outcome),
            FailureClass::Pin,
            "{settings}: {}",
            reason(&outcome)
        );
        let got = certificates.pin("his").replace(':', "").to_lowercase();
        assert_eq!(
            reason(&outcome),
            format!("certificate is not the pinned one (got {got})")
        );
        let printed = server.end();
        assert!(!printed.contains(SECRET), "{settings}: {printed}");
        // Below TLS 1.3 the handshake was not even completed.
        if settings != "-tls1_3" {
            assert!(!printed.contains("CIPHER is"), "{settings}: {printed}");
        }
    }
}

/// A suite without a certificate leaves nothing to compare with a pin.
#[tokio::test]
async fn a_server_without_a_certificate_is_refused_pinned_or_not() {
    let certificates = Certificates::new();
    certificates.own("right", RSA);
    let pin = format!("\nssl_fingerprint: '{}'", certificates.pin("right"));
    for version in ["-tls1", "-tls1_2"] {
        for options in ["", pin.as_str(), "\nignore_ssl_expiry: yes"] {
            let server = certificates.server(&format!("-nocert {version} -cipher aNULL:eNULL:@SECLEVEL=0"));
            let outcome = check(&(sends(server.address) + options)).await;
            assert_eq!(
                class(&outcome),
                FailureClass::Tls,
                "{version}: {}",
                reason(&outcome)
            );
            let words = "no certificate, a CBC cipher; apmon speaks nothing of that kind";
            assert!(reason(&outcome).contains(words), "{}", reason(&outcome));
            let printed = server.end();
            assert!(!printed.contains(SECRET), "{version}: {printed}");
        }
    }
}

#[tokio::test]
async fn authorities_are_judged_before_anything_is_sent() {
    let certificates = Certificates::new();
    certificates.authority("root", RSA, "-sha1");
    certificates.authority("other", RSA, "-sha1");
    certificates.below("root", "leaf", RSA_1024, "-sha1");
    let verify = |address: SocketAddr, file: &str| {
        sends(address).replace("127.0.0.1", "localhost") + "\nssl_verify: yes\nssl_ca_file: " + file
    };
    let path = certificates.path("lab.yaml");
    for (file, wanted) in [
        ("root.pem", "up"),
        (
            "other.pem",
            "certificate is not signed by a trusted authority (issuer CN=root) (127.0.0.1)",
        ),
    ] {
        let server = certificates.printing_server("leaf", TLS_1_0);
        let outcome = check_of(&path, &verify(server.address, file), &check_within(LONG)).await;
        assert_eq!(reason(&outcome), wanted);
        assert_eq!(server.end().contains(SECRET), wanted == "up");
    }
}

/// Plays a mail server before TLS, and passes on what follows.
async fn smtp_before(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                for line in ["220 lab\r\n", "250-lab\r\n250 STARTTLS\r\n", "220 go\r\n"] {
                    stream.write_all(line.as_bytes()).await.unwrap();
                    if !line.ends_with("go\r\n") {
                        let _ = stream.read(&mut buffer).await;
                    }
                }
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn starttls_leads_to_old_tls_too() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let server = certificates.printing_server("rsa", TLS_1_0);
    let address = smtp_before(server.address).await;
    let section = format!("type: tcp\nname: x\naddress: 'tcp://{address}'\nstarttls: smtp\nsend: {SECRET}");
    let outcome = check(&section).await;
    let offers = "the server offers TLS 1.0 at most, ECDHE on X25519, a CBC cipher, an RSA key of 2048 bits; \
                  set ssl_legacy: yes to reach it";
    assert!(reason(&outcome).ends_with(offers), "{}", reason(&outcome));
    let outcome = check(&format!("{section}\nssl_legacy: yes")).await;
    assert_eq!(reason(&outcome), "up");
    assert!(server.end().contains(SECRET));

    helper();
    let server = certificates.web_server("rsa", TLS_1_0);
    let address = smtp_before(server.address).await;
    let by = By::StartTls(StartTls::Smtp);
    let target = PinTarget::read(&format!("tcp://{address}"), by)
        .unwrap()
        .legacy(true);
    let chain = target.certificates(&check_within(LONG)).await.unwrap();
    assert_eq!(chain[0].fingerprint.in_pairs(), certificates.pin("rsa"));
}

#[tokio::test]
async fn pin_shows_the_certificate_of_an_old_server() {
    helper();
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let server = certificates.web_server("rsa", TLS_1_0);
    let target = PinTarget::read(&format!("https://{}", server.address), By::Tls).unwrap();
    let failure = target.certificates(&check_within(LONG)).await.unwrap_err();
    assert!(
        failure.reason.contains("set ssl_legacy: yes"),
        "{}",
        failure.reason
    );
    let chain = target
        .legacy(true)
        .certificates(&check_within(LONG))
        .await
        .unwrap();
    assert_eq!(chain[0].fingerprint.in_pairs(), certificates.pin("rsa"));
}

#[tokio::test]
async fn the_trace_says_what_was_agreed() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let server = certificates.web_server("rsa", "-tls1 -cipher AES128-SHA:@SECLEVEL=0");
    let trace = Trace::start();
    let check = check_within(LONG).with_trace(trace.clone());
    let outcome = check_of("lab.yaml".as_ref(), &web(server.address), &check).await;
    assert_eq!(reason(&outcome), "up");
    let steps: Vec<_> = trace.steps().iter().map(|step| step.text.clone()).collect();
    assert!(
        steps
            .iter()
            .any(|step| step.starts_with("TLSv1 with AES128-SHA (ssl_legacy), certificate sha-256 ")),
        "{steps:?}"
    );
}

/// What a server without TLS, or with bad TLS, does to a check.
#[tokio::test]
async fn hostile_answers_end_their_own_check_only() {
    let answers: [&[u8]; 7] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        &[21, 3, 1, 0, 2, 2, 40],
        &[22, 3, 1, 0, 4, 14, 0, 0, 0],
        &[22, 3, 1, 0xff, 0xff, 2, 0xff, 0xff, 0xff],
        &[0xff; 20_000],
        b"",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        let outcome = check(&sends(address)).await;
        let class = class(&outcome);
        assert!(
            matches!(
                class,
                FailureClass::Tls | FailureClass::Closed | FailureClass::Reset | FailureClass::Protocol
            ),
            "{}",
            reason(&outcome)
        );
        for word in ["ssl3", "sslv3", "error:", "routines", "Error {"] {
            assert!(!reason(&outcome).contains(word), "{}", reason(&outcome));
        }
        server.abort();
    }
}

/// A child of this process that is a helper: its status file (proc_pid_status(5)), and
/// what that says. Another test's child is as good.
fn child() -> Option<(String, String)> {
    let own = format!("PPid:\t{}\n", std::process::id());
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let path = entry.unwrap().path().join("status");
        let status = std::fs::read_to_string(&path).ok()?;
        let is_child = status.starts_with("Name:\tapmon-tls-leg") && status.contains(&own);
        is_child.then(|| (path.display().to_string(), status))
    })
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_deadline_and_its_child_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let check = check_within(Duration::from_secs(2));
    let section = sends(address);
    let seen = async {
        // It has said hello, so it is ready.
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 22);
        let (path, status) = child().expect("a child");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(
                status.contains(&format!("{set}:\t0000000000000000\n")),
                "{status}"
            );
        }
        (path, stream)
    };
    let checked = check_of("lab.yaml".as_ref(), &section, &check);
    let (outcome, (path, _stream)) = tokio::join!(checked, seen);
    while Path::new(&path).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(class(&outcome), FailureClass::TimedOut, "{}", reason(&outcome));
    assert_eq!(reason(&outcome), "tls: no answer within 2 secs");
}

/// Below TLS 1.3 there is no alert for it.
#[tokio::test]
async fn a_client_certificate_that_is_demanded_is_reported_and_one_that_is_asked_for_is_not_needed() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    for version in [TLS_1_0, RSA_KEY_EXCHANGE, "-tls1_3"] {
        let server = certificates.web_server("rsa", &format!("{version} -Verify 1"));
        let expects = format!("{}\nexpect: x", sends(server.address));
        for section in [web(server.address), sends(server.address), expects] {
            let outcome = check(&section).await;
            let wanted = "tls: the server demands a client certificate, and apmon has none";
            assert_eq!(reason(&outcome), wanted, "{version} {section}");
            assert_eq!(class(&outcome), FailureClass::Tls);
        }
        let server = certificates.web_server("rsa", &format!("{version} -verify 1"));
        for section in [web(server.address), sends(server.address)] {
            assert_eq!(reason(&check(&section).await), "up", "{version} {section}");
        }
    }
}

#[tokio::test]
async fn a_large_page_arrives_whole() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let page = "x".repeat(3_000_000) + "needle";
    std::fs::write(certificates.path("page"), page).unwrap();
    let server = certificates.server(&format!("-cert rsa.pem -key rsa.key -WWW {TLS_1_0}"));
    let section = web(server.address)
        .replace("/'", "/page'")
        .replace("Ciphers supported in s_server", "needle");
    assert_eq!(reason(&check(&section).await), "up");
}

#[tokio::test]
async fn many_checks_at_once_each_have_a_child() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let servers: Vec<SServer> = (0..4).map(|_| certificates.web_server("rsa", TLS_1_0)).collect();
    let mut checks = tokio::task::JoinSet::new();
    for i in 0..24 {
        let section = web(servers[i % servers.len()].address);
        checks.spawn(async move { reason(&check(&section).await).to_owned() });
    }
    assert_eq!(checks.join_all().await, vec!["up"; 24]);
}
