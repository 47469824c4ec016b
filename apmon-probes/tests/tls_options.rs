//! The TLS options of a site file: files of authorities, hints, and what makes it
//! another monitor.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use apmon_core::config;

use lab::{
    parse_site,
    pki::{AUTHORITY, CertificateSpec, Pki},
};

/// Reads a site file in `pki`'s directory.
fn site(pki: &Pki, site: &str, section: &str) -> Result<config::SiteFile, config::ConfigError> {
    let section = section.replace('\n', "\n    ");
    let text = format!("site:\n  name: Lab\n{site}\nmonitors:\n  - {section}\n");
    parse_site(&pki.path("lab.yaml"), &text)
}

const HTTP: &str = "type: http\nname: x\naddress: https://h/";

#[track_caller]
fn error(pki: &Pki, of_site: &str, options: &str) -> String {
    let error = site(pki, of_site, &format!("{HTTP}{options}"))
        .map(|_| ())
        .expect_err(options);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let directory = format!("{}/", pki.path("").display());
    text.replace(&directory.replace("//", "/"), "")
}

#[test]
fn an_unusable_file_of_authorities_is_an_error() {
    let pki = Pki::new();
    pki.write("empty.pem", "");
    pki.write("garbage.pem", "\u{1}\u{2} this is not PEM");
    pki.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n",
    );
    pki.write("cut.pem", &pki.read("root.pem")[..200]);
    pki.write(
        "no-certificate.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    std::fs::create_dir(pki.path("directory.pem")).unwrap();
    for (file, wanted) in [
        (
            "missing.pem",
            "missing.pem: No such file or directory (os error 2)",
        ),
        ("empty.pem", "empty.pem contains no certificate"),
        ("garbage.pem", "garbage.pem contains no certificate"),
        ("root.key", "root.key contains no certificate"),
        ("broken.pem", "broken.pem is not a PEM file of certificates: "),
        ("cut.pem", "cut.pem is not a PEM file of certificates: "),
        (
            "no-certificate.pem",
            "no-certificate.pem contains an entry that is not a certificate",
        ),
        (
            "directory.pem",
            "directory.pem is not a PEM file of certificates: ",
        ),
    ] {
        let text = error(&pki, "", &format!("\nssl_verify: yes\nssl_ca_file: {file}"));
        let wanted = format!("lab.yaml:9:18: monitor \"x\": \"ssl_ca_file\" {wanted}");
        assert!(text.starts_with(&wanted), "{text}\n{wanted}");
    }
    // Named by the site: the error points to the site's line.
    let text = error(&pki, "  ssl_verify: yes\n  ssl_ca_file: missing.pem", "");
    assert!(
        text.contains("\"ssl_ca_file\" missing.pem: No such file or directory"),
        "{text}"
    );
    let text = error(&pki, "", "\nssl_ca_file: root.pem");
    assert_eq!(
        text,
        "lab.yaml:8:5: monitor \"x\": \"ssl_ca_file\" needs \"ssl_verify: yes\""
    );
}

#[test]
fn a_relative_path_is_relative_to_the_site_file() {
    let pki = Pki::new();
    std::fs::create_dir(pki.path("tls")).unwrap();
    std::fs::copy(pki.path("root.pem"), pki.path("tls/root.pem")).unwrap();
    let absolute = pki.path("root.pem").display().to_string();
    for path in ["root.pem", "tls/root.pem", "./tls/../root.pem", &absolute] {
        let options = format!("{HTTP}\nssl_verify: yes\nssl_ca_file: {path}");
        site(&pki, "", &options).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn another_file_of_authorities_is_another_monitor() {
    let pki = Pki::new();
    let by_monitor = "\nssl_verify: yes\nssl_ca_file: root.pem";
    let by_site = "  ssl_verify: yes\n  ssl_ca_file: root.pem";
    let checksums = || {
        [("", by_monitor), (by_site, ""), ("", "")].map(|(of_site, options)| {
            let site = site(&pki, of_site, &format!("{HTTP}{options}")).unwrap();
            site.monitors[0].checksum.clone()
        })
    };
    let before = checksums();
    assert_eq!(checksums(), before);
    assert!(before[0] != before[2] && before[1] != before[2]);
    // Of the same length as before: only the content differs.
    let old = pki.read("root.pem");
    pki.write("root.pem", &(old.clone() + "\n# a comment\n"));
    assert_eq!(checksums(), before, "a comment does not count");
    pki.make(&CertificateSpec {
        name: "root",
        extensions: AUTHORITY,
        signer: None,
        ..CertificateSpec::default()
    });
    let after = checksums();
    assert!(after[0] != before[0] && after[1] != before[1]);
    assert_eq!(after[2], before[2], "it does not verify");
    pki.write("root.pem", &old);
    assert_eq!(checksums(), before);
}

#[test]
fn the_tls_options_of_the_site_are_part_of_the_monitor() {
    let pki = Pki::new();
    let checksum = |of_site: &str, options: &str| {
        let site = site(&pki, of_site, &format!("{HTTP}{options}")).unwrap();
        site.monitors[0].checksum.clone()
    };
    let plain = checksum("", "");
    assert_ne!(checksum("  ssl_expiry_warn_days: 30", ""), plain);
    assert_eq!(checksum("  ssl_verify: no", ""), plain);
}

#[test]
fn a_monitor_that_identifies_no_server_gets_a_hint() {
    let pki = Pki::new();
    let hints = |of_site: &str, section: &str| {
        let site = site(&pki, of_site, section).unwrap_or_else(|error| panic!("{section}: {error}"));
        assert!(site.warnings.is_empty(), "{section}: {:?}", site.warnings);
        let texts: Vec<_> = site.hints.iter().map(|hints| hints.text.clone()).collect();
        texts
    };
    let pin = format!("\nssl_fingerprint: {}", "ab".repeat(32));
    let verify = "\nssl_verify: yes\nssl_ca_file: root.pem";
    let by_site = "  ssl_verify: yes\n  ssl_ca_file: root.pem";
    for (section, speaks_tls) in [
        ("type: http\nname: x\naddress: https://h/", true),
        ("type: quic\nname: x\naddress: https://h/", true),
        ("type: tcp\nname: x\naddress: tls://h:1", true),
        ("type: tcp\nname: x\naddress: tcp://h:1\nstarttls: smtp", true),
        ("type: http\nname: x\naddress: http://h/", false),
        ("type: tcp\nname: x\naddress: tcp://h:1", false),
        ("type: ping\nname: x\naddress: h", false),
    ] {
        assert_eq!(hints(by_site, section), [""; 0], "{section}");
        if !speaks_tls {
            assert_eq!(hints("", section), [""; 0], "{section}");
            continue;
        }
        assert_eq!(
            hints("", section),
            [
                "\"address\" is neither pinned nor verified, so the server's identity is not checked; use apmon pin, or set \
                 ssl_verify: yes"
            ],
            "{section}"
        );
        for options in [&*pin, verify] {
            assert_eq!(hints("", &format!("{section}{options}")), [""; 0], "{section}");
        }
        let refused = format!("{section}\nssl_verify: no");
        assert_eq!(hints(by_site, &refused).len(), 1, "{section}");
    }
}

#[test]
fn a_monitor_with_old_tls_is_listed_and_one_without_is_as_it_was() {
    let pki = Pki::new();
    let read = |options: &str| site(&pki, "", &format!("{HTTP}{options}")).unwrap();
    let pin = format!("\nssl_fingerprint: {}", "ab".repeat(32));
    let old = read(&format!("{pin}\nssl_legacy: yes"));
    let hints: Vec<_> = old.hints.iter().map(|hint| hint.text.as_str()).collect();
    assert_eq!(
        hints,
        [
            "\"ssl_legacy\" lets others on the way read or change what is sent, if the server's TLS is that old"
        ]
    );
    // No program is beside this test.
    let warnings: Vec<_> = old.warnings.iter().map(|warning| warning.text.as_str()).collect();
    let found = apmon_tls::legacy::find_helper().is_some();
    let needs =
        "\"ssl_legacy\" needs the program apmon-tls-legacy, which is neither beside apmon nor in PATH";
    assert_eq!(warnings, if found { vec![] } else { vec![needs] });
    let checksum = |options: &str| read(options).monitors[0].checksum.clone();
    assert_ne!(old.monitors[0].checksum, checksum(&pin));
    assert_eq!(checksum(&format!("{pin}\nssl_legacy: no")), checksum(&pin));
    let text = error(&pki, "", "\nssl_legacy: often");
    assert!(text.contains("\"ssl_legacy\" must be"), "{text}");
    for scheme in ["https", "http"] {
        let both = format!("type: http\nname: x\naddress: {scheme}://h/\nssl_legacy: yes\nhttp_version: 2");
        let text = lab::parse(&both).map(|_| ()).unwrap_err().to_string();
        let wanted = "\"http_version\" must not be 2 with ssl_legacy, which carries HTTP/1.1 only";
        assert!(text.contains(wanted), "{text}");
    }
    let quic = "type: quic\nname: x\naddress: https://h/\nssl_legacy: yes";
    let text = site(&pki, "", quic).map(|_| ()).unwrap_err().to_string();
    let wanted = "\"ssl_legacy\" is not for quic, which has TLS 1.3 alone";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn tls_options_need_tls() {
    let pki = Pki::new();
    for option in [
        "ssl_verify: yes",
        "ssl_ca_file: root.pem",
        "ssl_expiry_warn_days: 9",
        "ssl_legacy: yes",
        "sni: h.lan",
    ] {
        let key = option.split(':').next().unwrap();
        let section = format!("type: tcp\nname: x\naddress: tcp://h:1\n{option}");
        let text = site(&pki, "", &section).map(|_| ()).unwrap_err().to_string();
        let needs = format!("\"{key}\" needs an address that begins with tls://, or starttls");
        assert!(text.contains(&needs), "{text}");
    }
    // http:// may redirect to https://, but a pin is for the address itself.
    let http = "type: http\nname: x\naddress: http://h/";
    let options = "ssl_verify: yes\nssl_ca_file: root.pem\nssl_expiry_warn_days: 9\nsni: h.lan";
    assert!(site(&pki, "", &format!("{http}\n{options}")).is_ok());
    let pin = format!("{http}\nssl_fingerprint: {}", "0".repeat(64));
    let text = site(&pki, "", &pin).map(|_| ()).unwrap_err().to_string();
    let needs = "\"ssl_fingerprint\" needs an address that begins with https://";
    assert!(text.contains(needs), "{text}");
    for (value, wanted) in [("0", "must be"), ("-1", "must be"), ("soon", "must be")] {
        let text = error(&pki, "", &format!("\nssl_expiry_warn_days: {value}"));
        assert!(
            text.contains(&format!("\"ssl_expiry_warn_days\" {wanted}")),
            "{text}"
        );
    }
    let both = "type: tcp\nname: x\naddress: tls://h:1\nstarttls: smtp";
    let error = site(&pki, "", both).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.ends_with("\"starttls\" is only for tcp://; tls:// uses TLS from the first byte"),
        "{error}"
    );
}

/// The options of the monitor `section` that are in effect.
fn in_effect(pki: &Pki, of_site: &str, section: &str) -> serde_json::Value {
    site(pki, of_site, section).unwrap().monitors[0].options()
}

#[test]
fn the_options_in_effect_include_those_of_the_site() {
    let pki = Pki::new();
    let of_site = "  ssl_verify: yes\n  ssl_expiry_warn_days: 9\n  ssl_ca_file: root.pem\n  \
                   address_family: ipv4\n  resolver: system";
    let options = in_effect(&pki, of_site, HTTP);
    assert_eq!(options["ssl_verify"], true);
    assert_eq!(options["ssl_expiry_warn_days"], 9);
    assert_eq!(options["ssl_ca_file"], "root.pem");
    assert_eq!(options["address_family"], "ipv4");
    assert_eq!(options["resolver"], "system");

    // The monitor's own come first; a pin replaces the site's verification.
    let own = format!(
        "{HTTP}\nssl_fingerprint: {}\nssl_expiry_warn_days: 3",
        "ab".repeat(32)
    );
    let options = in_effect(&pki, of_site, &own);
    assert_eq!(options["ssl_verify"], false);
    assert_eq!(options["ssl_expiry_warn_days"], 3);
    assert!(options.get("ssl_ca_file").is_none(), "{options}");

    // Options that mean nothing for the monitor are absent.
    let options = in_effect(&pki, of_site, "type: tcp\nname: x\naddress: tcp://h:1");
    assert!(options.get("ssl_verify").is_none(), "{options}");
    assert_eq!(options["address_family"], "ipv4");
}
