//! `apmon pin`, against openssl's server.

#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod support;

use std::process::{Command, Stdio};

use support::{Lab, Process};

/// An openssl server with a self-signed certificate that is valid for 40 days.
struct Server {
    _process: Process,
    address: String,
    /// As openssl prints it.
    fingerprint: String,
}

impl Server {
    fn start(lab: &Lab) -> Self {
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(lab.path("."));
            command
        };
        let made = openssl(
            "req -x509 -nodes -days 40 -subj /CN=nas.lan -addext subjectAltName=DNS:nas.lan,IP:127.0.0.1 \
             -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout key -out certificate",
        )
        .stderr(Stdio::null())
        .status();
        assert!(
            made.expect("openssl is required: `cargo xtask test` installs it")
                .success()
        );
        let print = openssl("x509 -in certificate -noout -fingerprint -sha256")
            .output()
            .unwrap();
        let print = String::from_utf8(print.stdout).unwrap();
        let mut process = Process::start(openssl(
            "s_server -accept 127.0.0.1:0 -key key -cert certificate -www",
        ));
        let line = process.wait_for_out("ACCEPT 127.0.0.1:");
        Self {
            address: line.strip_prefix("ACCEPT ").unwrap().to_owned(),
            fingerprint: print.trim().split_once('=').unwrap().1.to_owned(),
            _process: process,
        }
    }
}

#[test]
fn the_certificate_is_shown_with_the_option_that_pins_it() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    let (url, pin) = (format!("https://{}", server.address), &server.fingerprint);
    let output = lab.run(&["pin", &url]);
    output.assert_code(0);
    let out = output.out.join("\n");
    assert!(
        out.starts_with(&format!(
            "{url} presents 1 certificate\n\n1  subject  CN=nas.lan\n"
        )),
        "{out}"
    );
    for part in [
        "   issuer   CN=nas.lan\n",
        "   for      nas.lan, 127.0.0.1\n",
        " days left)\n",
        &format!("   sha-256  {pin}\n"),
    ] {
        assert!(out.contains(part), "{part:?} in {out}");
    }
    assert!(
        out.ends_with(&format!("\n    ssl_fingerprint: \"{pin}\"")),
        "{out}"
    );
    let output = lab.run(&["pin", "--json", &url]);
    let json: serde_json::Value = serde_json::from_str(&output.out.join("\n")).unwrap();
    assert_eq!(json[0]["sha256"], **pin);
    assert_eq!(json[0]["names"][1], "127.0.0.1");
}

const SITE: &str = "# the lab\nsite: {name: Lab}\nmonitors:\n  - type: http   # the shelf\n    name: nas\n    \
                    address: https://ADDRESS/a   # by night\n    ignore_ssl_expiry: no\n  \
                    - {type: tcp, name: raw, address: 'tls://ADDRESS'}\n  \
                    - {type: tcp, name: plain, address: 'tcp://ADDRESS'}\n";

#[test]
fn the_pin_is_written_into_the_site_file_and_nothing_else_changes() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    let (url, pin) = (format!("https://{}", server.address), &server.fingerprint);
    let before = SITE.replace("ADDRESS", &server.address);
    lab.write("lab.yaml", &before);
    let output = lab.run(&["pin", &url, "--write", "lab.yaml"]);
    output.assert_code(0);
    assert_eq!(
        output.out[output.out.len() - 2..],
        [
            "lab.yaml: monitor \"nas\" is pinned",
            "lab.yaml: monitor \"raw\" is pinned"
        ]
    );
    let after = std::fs::read_to_string(lab.path("lab.yaml")).unwrap();
    let line = format!("    ssl_fingerprint: \"{pin}\"\n");
    let inline = format!(", ssl_fingerprint: \"{pin}\"");
    assert_eq!(after.replacen(&line, "", 1).replacen(&inline, "", 1), before);
    assert_eq!(after.matches(pin.as_str()).count(), 2);
    // The written pin works.
    lab.run(&["check", "lab.yaml", "nas"]).assert_code(0);
    let output = lab.run(&["pin", &url, "--write", "lab.yaml"]);
    output.assert_code(0);
    assert!(
        output.text().contains("monitor \"raw\" already has this pin"),
        "{}",
        output.text()
    );
    assert_eq!(std::fs::read_to_string(lab.path("lab.yaml")).unwrap(), after);
    // A new pin replaces the old one.
    let other = Server::start(&lab);
    lab.write("lab.yaml", after.replace(&server.address, &other.address));
    lab.run(&["check", "lab.yaml", "nas"]).assert_code(2);
    let url = format!("https://{}", other.address);
    lab.run(&["pin", &url, "--write", "lab.yaml", "--monitor", "nas"])
        .assert_code(0);
    lab.run(&["check", "lab.yaml", "nas"]).assert_code(0);
    let last = std::fs::read_to_string(lab.path("lab.yaml")).unwrap();
    assert_eq!(last.matches(pin.as_str()).count(), 1, "{last}");
}

#[test]
fn an_error_is_explained_and_nothing_is_written() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    let url = format!("https://{}", server.address);
    let site = SITE.replace("ADDRESS", "127.0.0.1:9");
    lab.write("lab.yaml", &site);
    for (arguments, reason) in [
        (
            &["pin", &url, "--write", "lab.yaml"][..],
            "lab.yaml: no monitor uses TLS at that host and port; choose one with --monitor",
        ),
        (
            &["pin", &url, "--write", "lab.yaml", "--monitor", "nass"],
            "lab.yaml: no monitor is called \"nass\"",
        ),
        (
            &["pin", &url, "--write", "lab.yaml", "--monitor", "plain"],
            "plain",
        ),
        (
            &["pin", "https://127.0.0.1:9"],
            "https://127.0.0.1:9: connect: connection refused",
        ),
        (
            &["pin", "--quic", "https://127.0.0.1:9"],
            "https://127.0.0.1:9: quic: connect: connection refused",
        ),
        (
            &["pin", "tcp://127.0.0.1:9"],
            "tcp://127.0.0.1:9 must begin with https:// or tls://",
        ),
        (
            &["pin", "http://user:secret@127.0.0.1:9"],
            "http://user:***@127.0.0.1:9 must begin with https:// or tls://",
        ),
    ] {
        let output = lab.run(arguments);
        output.assert_code(1);
        assert!(output.text().contains(reason), "{reason:?} in {}", output.text());
        assert!(!output.text().contains("secret"));
    }
    assert_eq!(std::fs::read_to_string(lab.path("lab.yaml")).unwrap(), site);
    lab.run(&["pin", &url, "--quic", "--starttls", "smtp"])
        .assert_code(2);
}
