//! Which servers a probe accepts: pins, chains of authorities, dates. A server that
//! is not accepted sees nothing of the request.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{future::Future, net::SocketAddr, path::Path, pin::Pin, sync::Arc};

use apmon_core::{FailureClass, Outcome, Services, Verdict, config};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use lab::{
    LONG, check, check_within, class, ok, parse_site,
    pki::{AUTHORITY, CertificateSpec, LEAF, Pki},
    reason,
    tap::{Prelude, Seen, Tap, without_prelude},
};

const SECRET: &str = "hunter2-the-request";

/// Plays an SMTP server before TLS.
fn smtp(stream: &mut TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async {
        let mut buffer = [0; 1024];
        for line in ["220 lab\r\n", "250-lab\r\n250 STARTTLS\r\n", "220 go\r\n"] {
            stream.write_all(line.as_bytes()).await.unwrap_or_default();
            if !line.ends_with("go\r\n") {
                let _ = stream.read(&mut buffer).await;
            }
        }
    })
}

fn http(server: SocketAddr) -> String {
    format!("type: http\nname: x\naddress: 'https://{server}/?{SECRET}'\nsend: {SECRET}")
}

fn tcp(server: SocketAddr) -> String {
    format!("type: tcp\nname: x\naddress: 'tls://{server}'\nsend: {SECRET}\nexpect: OK")
}

fn starttls(server: SocketAddr) -> String {
    format!("type: tcp\nname: x\naddress: 'tcp://{server}'\nstarttls: smtp\nsend: {SECRET}\nexpect: OK")
}

type Section = fn(SocketAddr) -> String;

const WAYS: [(&str, Prelude, Section); 3] = [
    ("http", without_prelude, http),
    ("tls", without_prelude, tcp),
    ("starttls", smtp, starttls),
];

const NOTHING: Seen = Seen {
    handshake: false,
    bytes: String::new(),
    end: None,
};

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

#[tokio::test]
async fn a_man_in_the_middle_on_every_second_connection_sees_nothing() {
    let pki = Pki::new();
    pki.leaf("right");
    pki.leaf("his");
    for version in VERSIONS {
        for (what, prelude, section) in WAYS {
            let configs = ["right", "his"].map(|name| pki.server(&[name]).version(version).config());
            let mut tap = Tap::start(prelude, move |n| Arc::clone(&configs[n % 2]), ok("OK")).await;
            let pinned = section(tap.address) + "\nssl_fingerprint: " + &pki.pin("right");
            let monitor = lab::monitor(&pinned);
            for _ in 0..3 {
                let outcome = monitor.check(&check_within(LONG)).await.outcome;
                assert_eq!(reason(&outcome), "up", "{what}");
                let seen = tap.seen().await;
                assert!(seen.bytes.contains(SECRET), "{what}: {seen:?}");
                let outcome = monitor.check(&check_within(LONG)).await.outcome;
                assert_eq!(class(&outcome), FailureClass::Pin, "{what}");
                let got = format!("certificate is not the pinned one (got {})", pki.pin("his"));
                assert_eq!(reason(&outcome), got, "{what}");
                assert_eq!(tap.seen().await, NOTHING, "{what}");
            }
        }
    }
}

/// The pinned certificate is public; only its key is secret.
#[tokio::test]
async fn a_server_that_shows_the_right_certificate_without_its_key_sees_nothing() {
    let pki = Pki::new();
    pki.leaf("right");
    pki.leaf("his");
    for version in VERSIONS {
        for (what, prelude, section) in WAYS {
            let config = pki.server(&["right"]).with_key_of(&pki.server(&["his"]));
            let config = config.version(version).config();
            let mut tap = Tap::start(prelude, move |_| Arc::clone(&config), ok("OK")).await;
            let pinned = section(tap.address) + "\nssl_fingerprint: " + &pki.pin("right");
            let outcome = check(&pinned, LONG).await;
            assert_eq!(class(&outcome), FailureClass::Tls, "{what}: {}", reason(&outcome));
            assert!(
                reason(&outcome).starts_with("tls: the server does not hold the certificate's private key"),
                "{}",
                reason(&outcome)
            );
            assert_eq!(tap.seen().await, NOTHING, "{what}");
        }
    }
}

#[tokio::test]
async fn a_list_of_pins_lets_a_certificate_be_renewed() {
    let pki = Pki::new();
    pki.leaf("old");
    pki.leaf("new");
    let both = format!("\nssl_fingerprint: [{}, {}]", pki.pin("old"), pki.pin("new"));
    let old = format!("\nssl_fingerprint: {}", pki.pin("old"));
    for (what, prelude, section) in WAYS {
        let configs = ["old", "new"].map(|name| pki.server(&[name]).config());
        let tap = Tap::start(prelude, move |n| Arc::clone(&configs[n.min(1)]), ok("OK")).await;
        for _ in 0..3 {
            let outcome = check(&(section(tap.address) + &both), LONG).await;
            assert_eq!(reason(&outcome), "up", "{what}");
        }
        let outcome = check(&(section(tap.address) + &old), LONG).await;
        assert_eq!(class(&outcome), FailureClass::Pin, "{what}");
    }
}

/// Checks a server that shows `chain`, as a site with `options` in `pki`'s
/// directory does.
async fn verified(pki: &Pki, chain: &[&str], site: &str, options: &str) -> Outcome {
    let mut tap = Tap::of(pki.server(chain).config(), ok("OK")).await;
    let section = tcp(tap.address) + options;
    let site = site_of(&pki.path("lab.yaml"), site, &section).unwrap_or_else(|error| panic!("{error}"));
    let monitor = site.monitors[0].build(&Services::default());
    let outcome = monitor.check(&check_within(LONG)).await.outcome;
    let seen = tap.seen().await;
    let was_sent = seen.bytes.contains(SECRET);
    assert_eq!(was_sent, outcome.verdict() == Verdict::Up, "{seen:?}");
    outcome
}

fn site_of(path: &Path, site: &str, section: &str) -> Result<config::SiteFile, config::ConfigError> {
    let section = section.replace('\n', "\n    ");
    let text = format!("site:\n  name: Lab\n{site}\nmonitors:\n  - {section}\n");
    parse_site(path, &text)
}

const BY_ROOT: &str = "\nssl_verify: yes\nssl_ca_file: root.pem";

#[tokio::test]
async fn a_chain_to_the_named_authority_is_up() {
    let pki = Pki::new();
    pki.leaf("leaf");
    pki.make(&CertificateSpec {
        name: "between",
        extensions: AUTHORITY,
        ..CertificateSpec::default()
    });
    pki.make(&CertificateSpec {
        name: "below",
        signer: Some("between"),
        ..CertificateSpec::default()
    });
    for chain in [&["leaf"][..], &["leaf", "root"], &["below", "between"]] {
        let outcome = verified(&pki, chain, "", BY_ROOT).await;
        assert_eq!(reason(&outcome), "up", "{chain:?}");
    }
    // The site sets it for all monitors.
    let site = "  ssl_verify: yes\n  ssl_ca_file: root.pem";
    assert_eq!(reason(&verified(&pki, &["leaf"], site, "").await), "up");
    // The server does not show the intermediate.
    let outcome = verified(&pki, &["below"], "", BY_ROOT).await;
    let wanted = "certificate is not signed by a trusted authority (issuer CN=between)";
    assert_eq!((reason(&outcome), class(&outcome)), (wanted, FailureClass::Tls));
    // A file of several authorities.
    pki.write("two.pem", &(pki.read("leaf.pem") + &pki.read("between.pem")));
    let options = BY_ROOT.replace("root.pem", "two.pem");
    assert_eq!(reason(&verified(&pki, &["below"], "", &options).await), "up");
}

#[tokio::test]
async fn the_reason_names_what_is_wrong_with_a_chain() {
    let pki = Pki::new();
    let stranger = Pki::new();
    for pki in [&pki, &stranger] {
        pki.leaf("leaf");
    }
    let make = |name: &str, extensions: &str, signer: Option<&str>| {
        pki.make(&CertificateSpec {
            name,
            extensions,
            signer,
            ..CertificateSpec::default()
        });
    };
    make(
        "elsewhere",
        "subjectAltName=DNS:nas.lan,IP:10.1.2.3",
        Some("root"),
    );
    make("nameless", "basicConstraints=CA:FALSE", Some("root"));
    make("itself", LEAF, None);
    let authority = format!("{AUTHORITY}\n{LEAF}");
    make("appliance", &authority, None);
    make("no-authority", "basicConstraints=critical,CA:FALSE", Some("root"));
    make("by-none", LEAF, Some("no-authority"));
    make(
        "client",
        &format!("{LEAF}\nextendedKeyUsage=clientAuth"),
        Some("root"),
    );
    make(
        "critical",
        &format!("{LEAF}\n1.2.3.4=critical,DER:0500"),
        Some("root"),
    );
    make("first", "", None);
    for (chain, wanted) in [
        (
            &["elsewhere"][..],
            "certificate is not for 127.0.0.1 but for nas.lan, 10.1.2.3",
        ),
        (&["nameless"], "certificate is not for 127.0.0.1 but for no host"),
        (
            &["itself"],
            "certificate is not signed by a trusted authority (issuer CN=itself)",
        ),
        (
            &["appliance"],
            "certificate cannot be verified: it is a CA certificate (self-signed?); pin it, or add it to \
             ssl_ca_file",
        ),
        (
            &["first"],
            "certificate cannot be verified: it is X.509 version 1 (pin it instead)",
        ),
        (
            &["by-none", "no-authority"],
            "certificate is signed by a certificate that is not an authority",
        ),
        (&["client"], "certificate is not for servers"),
        (
            &["critical"],
            "certificate cannot be verified: it or its chain has a critical extension that apmon does not know",
        ),
    ] {
        let outcome = verified(&pki, chain, "", BY_ROOT).await;
        assert_eq!(class(&outcome), FailureClass::Tls, "{chain:?}");
        assert_eq!(reason(&outcome), wanted, "{chain:?}");
    }
    // An authority of the same name, with another key.
    let outcome = verified(
        &stranger,
        &["leaf"],
        "",
        &format!(
            "\nssl_verify: yes\nssl_ca_file: {}",
            pki.path("root.pem").display()
        ),
    )
    .await;
    assert_eq!(
        reason(&outcome),
        "certificate is not signed by a trusted authority (issuer CN=root)"
    );
}

#[tokio::test]
async fn a_certificate_that_is_in_the_file_itself_is_up_for_its_own_names() {
    let pki = Pki::new();
    for (name, extensions) in [
        ("appliance", format!("{AUTHORITY}\n{LEAF}")),
        ("plain", LEAF.to_owned()),
        ("elsewhere", "subjectAltName=DNS:nas.lan".to_owned()),
        ("first", String::new()),
    ] {
        let extensions = extensions.as_str();
        pki.make(&CertificateSpec {
            name,
            extensions,
            signer: None,
            ..CertificateSpec::default()
        });
    }
    let own = |name: &str| format!("\nssl_verify: yes\nssl_ca_file: {name}.pem");
    for name in ["appliance", "plain"] {
        assert_eq!(
            reason(&verified(&pki, &[name], "", &own(name)).await),
            "up",
            "{name}"
        );
    }
    let outcome = verified(&pki, &["elsewhere"], "", &own("elsewhere")).await;
    assert_eq!(
        reason(&outcome),
        "certificate is not for 127.0.0.1 but for nas.lan"
    );
    let outcome = verified(&pki, &["first"], "", &own("first")).await;
    assert_eq!(
        reason(&outcome),
        "certificate cannot be verified: it is X.509 version 1 (pin it instead)"
    );
    // It is trusted, but not what it has signed: it is not an authority.
    pki.make(&CertificateSpec {
        name: "child",
        signer: Some("plain"),
        ..CertificateSpec::default()
    });
    let outcome = verified(&pki, &["child", "plain"], "", &own("plain")).await;
    assert_eq!(outcome.verdict(), Verdict::Down, "{}", reason(&outcome));
}

#[tokio::test]
async fn dates_are_checked_unless_ignored_and_ignoring_them_ignores_nothing_else() {
    let pki = Pki::new();
    let make = |name: &str, dates: (&str, &str), signer: Option<&str>, extensions: &str| {
        pki.make(&CertificateSpec {
            name,
            extensions,
            dates,
            signer,
        });
    };
    let (past, future, now) = (
        ("20200101", "20250201"),
        ("20900101", "20991231"),
        ("20200101", "20991231"),
    );
    make("expired", past, Some("root"), LEAF);
    make("early", future, Some("root"), LEAF);
    make("elsewhere", past, Some("root"), "subjectAltName=DNS:nas.lan");
    make("itself", past, None, LEAF);
    make("old-between", past, Some("root"), AUTHORITY);
    make("below", now, Some("old-between"), LEAF);
    let ignoring = format!("{BY_ROOT}\nignore_ssl_expiry: yes");
    for (name, wanted) in [
        ("expired", "certificate expired "),
        ("early", "certificate is not valid before 2090-01-01"),
    ] {
        let pinned = format!("\nssl_fingerprint: {}", pki.pin(name));
        for options in ["", BY_ROOT, &pinned] {
            let outcome = verified(&pki, &[name], "", options).await;
            assert_eq!(class(&outcome), FailureClass::Expiry, "{name} {options}");
            assert!(reason(&outcome).starts_with(wanted), "{}", reason(&outcome));
            let options = format!("{options}\nignore_ssl_expiry: yes");
            let outcome = verified(&pki, &[name], "", &options).await;
            assert_eq!(reason(&outcome), "up", "{name} {options}");
        }
    }
    for name in ["elsewhere", "itself"] {
        let outcome = verified(&pki, &[name], "", &ignoring).await;
        assert_eq!(class(&outcome), FailureClass::Tls, "{name}");
    }
    let outcome = verified(&pki, &["below", "old-between"], "", BY_ROOT).await;
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        ("a certificate of the chain has expired", FailureClass::Expiry)
    );
}

#[tokio::test]
async fn a_pin_is_enough_if_only_the_site_verifies() {
    let pki = Pki::new();
    pki.make(&CertificateSpec {
        name: "itself",
        signer: None,
        ..CertificateSpec::default()
    });
    let site = "  ssl_verify: yes\n  ssl_ca_file: root.pem";
    let pinned = format!("\nssl_fingerprint: {}", pki.pin("itself"));
    assert_eq!(reason(&verified(&pki, &["itself"], site, &pinned).await), "up");
    // Both, if the monitor sets both.
    let both = format!("{pinned}\nssl_verify: yes");
    assert_eq!(
        class(&verified(&pki, &["itself"], site, &both).await),
        FailureClass::Tls
    );
    // Neither, if the monitor says no, though the site says yes.
    let outcome = verified(&pki, &["itself"], site, "\nssl_verify: no").await;
    assert_eq!(reason(&outcome), "up");
    let outcome = verified(&pki, &["itself"], site, "").await;
    assert_eq!(class(&outcome), FailureClass::Tls);
}

#[tokio::test]
async fn a_certificate_that_expires_soon_warns_and_has_a_metric() {
    let pki = Pki::new();
    let now = today();
    let in_days = |days: i64| (now + days * 86_400) / 86_400;
    for (name, days) in [("soon", 11), ("late", 400)] {
        let until = date(in_days(days));
        pki.make(&CertificateSpec {
            name,
            dates: ("20200101", &until),
            ..CertificateSpec::default()
        });
    }
    let days = |outcome: &Outcome| {
        let metric = outcome
            .metrics
            .iter()
            .find(|metric| metric.name == "ssl_expiry_days");
        metric.expect("measured").value()
    };
    let warn = "\nssl_expiry_warn_days: 30";
    let soon = verified(&pki, &["soon"], "", warn).await;
    // It expires at midnight.
    assert!((10.0..11.0).contains(&days(&soon)), "{}", days(&soon));
    let text = format!("certificate expires in 10 days ({})", dashed(in_days(11)));
    assert_eq!(soon.warning_text().as_deref(), Some(&*text));
    assert_eq!(reason(&soon), "up");
    let site = "  ssl_expiry_warn_days: 30";
    let by_site = verified(&pki, &["soon"], site, "").await;
    assert_eq!(by_site.warning_text().as_deref(), Some(&*text));
    let late = verified(&pki, &["late"], site, "").await;
    assert_eq!((late.warning_text(), days(&late)), (None, 399.0));
    for options in ["", "\nssl_expiry_warn_days: 10", "\nssl_expiry_warn_days: 5"] {
        let quiet = verified(&pki, &["soon"], "", options).await;
        assert_eq!(quiet.warning_text(), None, "{options}");
    }
    pki.make(&CertificateSpec {
        name: "expired",
        dates: ("20200101", "20250201"),
        ..CertificateSpec::default()
    });
    let options = format!("{warn}\nignore_ssl_expiry: yes");
    let expired = verified(&pki, &["expired"], "", &options).await;
    let warning = expired.warning_text();
    assert_eq!(warning.as_deref(), Some("certificate has expired (2025-02-01)"));
    assert!(days(&expired) < -600.0);
}

/// Seconds since 1970.
fn today() -> i64 {
    use apmon_core::Clock as _;
    apmon_core::SystemClock::new().now().wall.as_second()
}

/// `YYYYMMDD` of a day since 1970 (Hinnant's civil_from_days).
fn date(day: i64) -> String {
    dashed(day).replace('-', "")
}

fn dashed(day: i64) -> String {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let y = yoe + era * 400 + i64::from(m <= 2);
    format!("{y:04}-{m:02}-{d:02}")
}
