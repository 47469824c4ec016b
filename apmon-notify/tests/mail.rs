//! Mail to real servers, and the e-mails that arrive.

#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod lab;
mod mail_options;
mod names;
mod timing;

use std::{env, path::Path, process::Command};

use apmon_core::{DeliveryError, NotificationKind, Notifier};
use apmon_notify::{MailServer, MailServerOptions};
use lab::Lab;
use mail_options::{key, notification, outage, plain, server, server_at, to};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use timing::LONG;

const OPS: &str = "ops@example.com";
const PASSWORD: &str = "s3cret-päss";

#[tokio::test]
async fn an_incident_arrives_as_one_thread() {
    let lab = Lab::start();
    let mail = to(OPS, &plain(lab.port("plain"), LONG));
    for (number, kind) in (1..).zip([
        NotificationKind::Outage,
        NotificationKind::Reminder,
        NotificationKind::Recovery,
    ]) {
        let notification = notification(kind, number);
        mail.deliver(&notification, &key(&notification, OPS))
            .await
            .unwrap();
    }
    let mails = lab.mails();
    assert_eq!(mails.len(), 3);
    let subjects: Vec<_> = mails
        .iter()
        .map(|mail| mail["headers"]["subject"].as_str().unwrap())
        .collect();
    assert_eq!(
        subjects,
        [
            "[OUTAGE] wéb in Hömelab",
            "[REMINDER 1] wéb in Hömelab",
            "[RECOVERY] wéb in Hömelab"
        ]
    );
    let first = &mails[0];
    assert_eq!(first["from"], "apmon@lan.example");
    assert_eq!(first["to"], json!([OPS]));
    assert_eq!(first["headers"]["from"], "apmon@lan.example");
    assert_eq!(first["headers"]["to"], OPS);
    assert_eq!(first["headers"]["date"], "Wed, 11 Feb 2026 14:15:00 +0000");
    assert_eq!(first["headers"]["auto-submitted"], "auto-generated");
    assert_eq!(first["headers"]["references"], json!(null));
    for mail in &mails {
        assert_eq!(mail["defects"], json!([]));
        assert_eq!(mail["tls"], false);
    }
    for later in &mails[1..] {
        assert_eq!(later["headers"]["references"], first["headers"]["message-id"]);
        assert_eq!(later["headers"]["in-reply-to"], first["headers"]["message-id"]);
        assert_ne!(later["headers"]["message-id"], first["headers"]["message-id"]);
    }
    assert_eq!(
        first["body"],
        "wéb in Hömelab new outage: refused (http://192.168.1.12/) at 2:15 PM, down for 0 secs\n\n\
         Site:          Hömelab\n\
         Monitor:       wéb\n\
         Address:       http://192.168.1.12/\n\
         Since:         2026-02-11 14:15:00 UTC\n\
         Duration:      0 secs\n"
    );
}

#[tokio::test]
async fn a_name_cannot_inject_a_header() {
    let lab = Lab::start();
    let mail = to(OPS, &plain(lab.port("plain"), LONG));
    let mut hostile = outage();
    hostile.monitor = "web\r\nBcc: all@example.com\r\n\r\n.\r\nQUIT\r\n".into();
    hostile.text = "a\r\n.\r\nb".into();
    mail.deliver(&hostile, &key(&hostile, OPS)).await.unwrap();
    let mails = lab.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((&mails[0]["count"], &mails[0]["to"]), (&json!(9), &json!([OPS])));
    assert!(
        mails[0]["body"]
            .as_str()
            .unwrap()
            .starts_with("a\\r\\n.\\r\\nb\n")
    );
}

#[tokio::test]
async fn a_line_with_a_single_dot_does_not_end_the_mail() {
    let lab = Lab::start();
    let mail = to(OPS, &plain(lab.port("plain"), LONG));
    let mut notification = outage();
    notification.text = ".".into();
    mail.deliver(&notification, &key(&notification, OPS))
        .await
        .unwrap();
    assert!(lab.mails()[0]["body"].as_str().unwrap().starts_with(".\n\nSite:"));
}

#[tokio::test]
async fn all_recipients_share_a_connection() {
    let lab = Lab::start();
    let server = plain(lab.port("plain"), LONG);
    for address in [OPS, "boss@example.com", OPS] {
        let notification = outage();
        to(address, &server)
            .deliver(&notification, &key(&notification, address))
            .await
            .unwrap();
    }
    let mails = lab.mails();
    assert_eq!(mails.len(), 3);
    assert!(mails.iter().all(|mail| mail["peer"] == mails[0]["peer"]));
    assert_eq!(mails[1]["to"], json!(["boss@example.com"]));
    assert_ne!(
        mails[0]["headers"]["message-id"],
        mails[1]["headers"]["message-id"]
    );
    assert_eq!(
        mails[0]["headers"]["message-id"], mails[2]["headers"]["message-id"],
        "the same notification to the same recipient has the same id"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_by_default() {
    let lab = Lab::start();
    let port = lab.port("starttls");
    let notification = outage();
    let error = to(OPS, &server(port, json!({})))
        .deliver(&notification, "k")
        .await
        .unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable(format!(
            "127.0.0.1:{port}: TLS: certificate is not signed by a trusted authority (issuer CN=apmon test authority); name its authority in ssl_ca_file, or pin it with ssl_fingerprint"
        ))
    );
    assert!(lab.mails().is_empty());
    let mail = to(OPS, &server(port, json!({"smtp_verify_tls": false})));
    let answer = mail.send(&notification, "k").await.unwrap();
    assert_eq!(answer, "250 2.0.0 taken as 1");
    assert_eq!(lab.mails()[0]["tls"], true);
}

#[tokio::test]
async fn the_certificate_may_be_pinned_or_signed_by_an_own_authority() {
    let lab = Lab::start();
    let port = lab.port("starttls");
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs");
    let pem = std::fs::read(certs.join("localhost.pem")).unwrap();
    let der = CertificateDer::from_pem_slice(&pem).unwrap();
    let pin: String = Sha256::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let with = |host: &str, tls: serde_json::Value| {
        let mut options = json!({"smtp_host": host, "smtp_port": port, "from_address": "apmon@lan.example"});
        options["smtp_verify_tls"] = tls["smtp_verify_tls"].clone();
        if options["smtp_verify_tls"].is_null() {
            options.as_object_mut().unwrap().remove("smtp_verify_tls");
        }
        let mut options: MailServerOptions = serde_json::from_value(options).unwrap();
        options.tls = serde_json::from_value(tls).unwrap();
        to(OPS, &MailServer::new(&options, names::names(), LONG).unwrap())
    };
    let ca = certs.join("ca.pem");
    for (host, tls) in [
        ("localhost", json!({"ssl_ca_file": ca})),
        ("127.0.0.1", json!({"ssl_fingerprint": [pin]})),
        (
            "localhost",
            json!({"ssl_fingerprint": ["00".repeat(32), pin], "ssl_verify": true, "ssl_ca_file": ca}),
        ),
        ("127.0.0.1", json!({"ssl_verify": false})),
        ("127.0.0.1", json!({"smtp_verify_tls": false})),
    ] {
        with(host, tls.clone())
            .deliver(&outage(), "k")
            .await
            .unwrap_or_else(|error| panic!("{tls}: {error}"));
    }
    for (host, tls, reason) in [
        (
            "127.0.0.1",
            json!({"ssl_fingerprint": ["00".repeat(32)]}),
            format!("TLS: certificate is not the pinned one (got {pin})"),
        ),
        (
            "127.0.0.1",
            json!({"ssl_fingerprint": [pin], "ssl_verify": true}),
            "TLS: certificate is not signed by a trusted authority (issuer CN=apmon test authority)"
                .to_owned(),
        ),
    ] {
        let error = with(host, tls).deliver(&outage(), "k").await.unwrap_err();
        assert_eq!(
            error,
            DeliveryError::retryable(format!("{host}:{port}: {reason}"))
        );
    }
    assert_eq!(lab.mails().len(), 5);
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let lab = Lab::start();
    let port = lab.port("plain");
    let error = to(OPS, &server(port, json!({})))
        .deliver(&outage(), "k")
        .await
        .unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable(format!(
            "127.0.0.1:{port}: the server does not offer STARTTLS; nothing is sent unencrypted unless use_tls: no is set"
        ))
    );
    assert!(lab.mails().is_empty());
}

#[tokio::test]
async fn a_login_succeeds_or_is_refused_without_its_password() {
    let lab = Lab::start();
    let port = lab.port("login");
    let login = |password: &str| json!({"smtp_username": "apmon", "smtp_password": password, "smtp_verify_tls": false});
    to(OPS, &server(port, login(PASSWORD)))
        .deliver(&outage(), "k")
        .await
        .unwrap();
    assert_eq!(lab.mails()[0]["login"], "apmon");

    let wrong = server(port, login("wr0ng"));
    let error = to(OPS, &wrong).deliver(&outage(), "k").await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::permanent(format!(
            "127.0.0.1:{port}: login: answered 535 5.7.8 no such user"
        ))
    );
    assert!(!format!("{wrong:?} {error:?}").contains("wr0ng"));

    let without = server(port, json!({"smtp_verify_tls": false}));
    let error = to(OPS, &without).deliver(&outage(), "k").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "{error:?}");
    assert!(error.to_string().contains("MAIL FROM: answered 530 "), "{error}");
    assert_eq!(lab.mails().len(), 1);
}

#[tokio::test]
async fn a_login_without_tls_works_if_configured() {
    let lab = Lab::start();
    let options = json!({"smtp_username": "apmon", "smtp_password": PASSWORD, "use_tls": false});
    let server = server(lab.port("clear_login"), options);
    server.try_out().await.unwrap();
    to(OPS, &server).deliver(&outage(), "k").await.unwrap();
    assert_eq!(lab.mails()[0]["login"], "apmon");
}

#[tokio::test]
async fn a_missing_login_mechanism_is_reported() {
    let lab = Lab::start();
    let options = json!({"smtp_username": "apmon", "smtp_password": PASSWORD, "use_tls": false});
    let error = server(lab.port("plain"), options).try_out().await.unwrap_err();
    assert!(
        error.to_string().contains("login: the server offers no login"),
        "{error}"
    );
}

/// Runs the test `name` again under `launcher`, with trust in the lab's authority.
fn run_again(name: &str, launcher: &[&str]) {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs/ca.pem");
    let output = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR")
        .env("APMON_TEST_CHILD", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn is_child() -> bool {
    env::var_os("APMON_TEST_CHILD").is_some()
}

#[tokio::test]
async fn a_certificate_the_system_trusts_is_accepted() {
    if !is_child() {
        return run_again("a_certificate_the_system_trusts_is_accepted", &["env"]);
    }
    let lab = Lab::start();
    let server = server_at("localhost", lab.port("starttls"), json!({}), LONG);
    to(OPS, &server).deliver(&outage(), "k").await.unwrap();
    assert_eq!(lab.mails()[0]["tls"], true);
}

/// Runs in its own network namespace, where port 465 is free and may be bound.
#[tokio::test]
async fn port_465_is_tls_from_the_first_byte_whatever_use_tls_says() {
    if !is_child() {
        let up = "ip link set lo up && exec \"$0\" \"$@\"";
        let launcher = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", up];
        return run_again(
            "port_465_is_tls_from_the_first_byte_whatever_use_tls_says",
            &launcher,
        );
    }
    let lab = Lab::start_with_tls_at(465);
    for use_tls in [false, true] {
        let server = server(465, json!({"use_tls": use_tls}));
        to(OPS, &server).deliver(&outage(), "k").await.unwrap();
    }
    let mails = lab.mails();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail["tls"] == true));
}

#[tokio::test]
async fn a_refused_connection_is_retried() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let error = to(OPS, &plain(port, LONG))
        .deliver(&outage(), "k")
        .await
        .unwrap_err();
    let expected = format!("127.0.0.1:{port}: connect: Connection refused");
    assert!(
        matches!(&error, DeliveryError::Retryable { reason, .. } if reason.starts_with(&expected)),
        "{error:?}"
    );
}
