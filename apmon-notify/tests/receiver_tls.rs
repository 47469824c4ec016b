//! Receivers whose certificate no authority of this machine has signed: webhooks and heartbeats
//! of a site file, with a CA file, a pin, or without verification.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;
mod site;
mod timing;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use apmon_core::{
    DeliveryError, Heartbeat, HeartbeatSender, Notification, NotificationKind, Services,
    config::{ProcessEnvironment, Tables},
};
use apmon_notify::{HEARTBEAT, HttpClient, HttpHeartbeats};
use names::names;
use sha2::{Digest as _, Sha256};
use timing::LONG;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

fn certs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs")
}

fn pin() -> String {
    let pem = std::fs::read(certs().join("localhost.pem")).unwrap();
    let der = CertificateDer::from_pem_slice(&pem).unwrap();
    Sha256::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Starts a server that answers every request with 200, and counts them.
async fn serve() -> (u16, Arc<AtomicUsize>) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("certs/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certs/localhost.key")).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = [0; 8192];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    counted.fetch_add(1, Relaxed);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    (port, requests)
}

fn notification() -> Notification {
    Notification {
        id: "i-1".into(),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "Lab".into(),
        monitor: "door".into(),
        address: "front".into(),
        text: "door in Lab is down".into(),
        number: 1,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

fn services() -> Services {
    let services = Services::default();
    services.provide_names(names());
    services
}

/// Delivers to the webhook with these options.
async fn deliver(port: u16, options: &str, services: &Services) -> Result<(), DeliveryError> {
    let file = site::valid(&format!(
        "outage_webhooks: [{{endpoint_url: 'https://localhost:{port}/T0KEN', request_method: POST, request_encoding: JSON{options}}}]"
    ));
    let notifier = file.channels[0].build(services, LONG);
    notifier.deliver(&notification(), "key").await
}

#[tokio::test]
async fn a_webhook_accepts_what_its_options_say() {
    let (port, requests) = serve().await;
    let (ca, pin) = (certs().join("ca.pem"), pin());
    let ca = ca.display();
    let services = services();
    let good = [
        format!(", ssl_ca_file: {ca}"),
        format!(", ssl_fingerprint: {pin}"),
        format!(
            ", ssl_fingerprint: [{}, {pin}], ssl_verify: yes, ssl_ca_file: {ca}",
            "0".repeat(64)
        ),
        ", ssl_verify: no".to_owned(),
    ];
    for options in &good {
        deliver(port, options, &services).await.unwrap();
    }
    // A connection that was opened without verification is none for those who verify.
    let wrong = "0".repeat(64);
    for (options, reason) in [
        (
            String::new(),
            "certificate is not signed by a trusted authority (issuer CN=apmon test authority)".to_owned(),
        ),
        (
            format!(", ssl_fingerprint: {wrong}"),
            format!("certificate is not the pinned one (got {pin})"),
        ),
        (
            format!(", ssl_fingerprint: {wrong}, ssl_verify: yes, ssl_ca_file: {ca}"),
            format!("certificate is not the pinned one (got {pin})"),
        ),
    ] {
        let error = deliver(port, &options, &services).await.unwrap_err();
        assert_eq!(
            error,
            DeliveryError::retryable(format!("https://localhost:{port}: {reason}"))
        );
    }
    assert_eq!(
        requests.load(Relaxed),
        good.len(),
        "nobody else saw the notification"
    );
}

/// The heartbeats of the site and of a monitor, as the site file describes them.
fn heartbeats(site: &str, monitor: &str) -> Result<[Option<Heartbeat>; 2], String> {
    let tables = Tables {
        kinds: site::KINDS,
        heartbeat: Some(HEARTBEAT),
        ..Tables::default()
    };
    let text = format!(
        "site: {{name: Lab{site}}}\nmonitors: [{{type: manual, name: door, address: front{monitor}}}]\n"
    );
    let file = tables.parse(Path::new("lab.yaml"), &text, &ProcessEnvironment);
    let plan = file.map_err(|error| error.to_string())?.plan(&services());
    let of_monitor = plan.monitors[0].watch().policy.heartbeat.clone();
    Ok([plan.heartbeat, of_monitor])
}

#[tokio::test]
async fn a_heartbeat_accepts_what_the_monitor_or_else_the_site_says() {
    let (port, requests) = serve().await;
    let (ca, pin) = (certs().join("ca.pem"), pin());
    let url = format!(", heartbeat_url: 'https://localhost:{port}/T0KEN'");
    let of_ca = format!("{url}, heartbeat_ssl_ca_file: {}", ca.display());
    let of_pin = format!("{url}, heartbeat_ssl_fingerprint: {pin}");
    let wrong = format!("{url}, heartbeat_ssl_fingerprint: {}", "0".repeat(64));
    let sender = HttpHeartbeats::new(HttpClient::new(names()));
    for (site, monitor, accepted) in [
        (&of_ca, &url, [true, true]),
        (&of_ca, &wrong, [true, false]),
        (&url, &of_pin, [false, true]),
        (&wrong, &of_ca, [false, true]),
    ] {
        let mut sent = Vec::new();
        for heartbeat in heartbeats(site, monitor).unwrap().into_iter().flatten() {
            sent.push(sender.send(&heartbeat, LONG).await.is_ok());
        }
        assert_eq!(sent, accepted, "{site} {monitor}");
    }
    assert_eq!(requests.load(Relaxed), 5);
}

/// A file may be changed while apmon runs.
#[tokio::test]
async fn nothing_is_sent_in_clear_text_if_the_url_in_a_file_makes_a_pin_vain() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("url");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let (ca, services) = (certs().join("ca.pem"), services());
    for (options, option) in [
        (format!("ssl_fingerprint: {}", pin()), "ssl_fingerprint"),
        (format!("ssl_ca_file: {}", ca.display()), "ssl_ca_file"),
        ("ssl_verify: yes".to_owned(), "ssl_verify"),
    ] {
        let site = site::valid(&format!(
            "outage_webhooks: [{{endpoint_url_file: {}, request_method: POST, request_encoding: JSON, {options}}}]",
            file.display()
        ));
        let notifier = site.channels[0].build(&services, LONG);
        for scheme in ["http", "HTTP", " http"] {
            std::fs::write(&file, format!("{scheme}://127.0.0.1:{port}/T0KEN\n")).unwrap();
            let error = notifier.deliver(&notification(), "key").await.unwrap_err();
            assert!(matches!(error, DeliveryError::Retryable { .. }), "{error}");
            let text = error.to_string();
            let wanted = format!("\"{option}\" needs a URL that begins with https://");
            assert!(text.ends_with(&wanted) && !text.contains("T0KEN"), "{text}");
        }
    }
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, plain.accept()).await;
    assert!(nobody.is_err(), "a connection was opened");
}

#[test]
fn wrong_options_are_reported() {
    let hook = |url: &str, options: &str| {
        let text = format!(
            "outage_webhooks: [{{endpoint_url: '{url}', request_method: POST, request_encoding: JSON, {options}}}]"
        );
        let all = site::errors(&text);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].split_once("outage_webhooks 1: ").unwrap().1.to_owned()
    };
    let https = |options: &str| hook("https://h/", options);
    assert_eq!(
        https("ssl_fingerprint: []"),
        "\"ssl_fingerprint\" must not be an empty list"
    );
    assert_eq!(
        https("ssl_verify: no, ssl_ca_file: ca.pem"),
        "\"ssl_ca_file\" needs \"ssl_verify: yes\""
    );
    assert_eq!(
        https("ssl_ca_file: absent.pem"),
        "\"ssl_ca_file\" absent.pem: No such file or directory (os error 2)"
    );
    assert_eq!(
        hook("http://h/", "ssl_verify: no"),
        "\"ssl_verify\" needs a URL that begins with https://"
    );
    assert_eq!(
        hook("http://h/", "ssl_legacy: yes"),
        "\"ssl_legacy\" needs a URL that begins with https://"
    );
    assert_eq!(
        https("ssl_legacy: often"),
        "\"ssl_legacy\" must be yes or no, not \"often\""
    );
    // A GET may be redirected to where TLS is, but what a pin protects is sent before.
    let get = |options: &str| {
        format!(
            "outage_webhooks: [{{endpoint_url: 'http://h/', request_method: GET, request_encoding: URL, {options}}}]"
        )
    };
    site::valid(&get("ssl_verify: no"));
    let pin = format!("ssl_fingerprint: {}", "ab".repeat(32));
    let errors = site::errors(&get(&pin));
    assert!(
        matches!(&errors[..], [one] if one.ends_with("\"ssl_fingerprint\" needs a URL that begins with https://")),
        "{errors:?}"
    );
    let url = ", heartbeat_url: 'http://h/'";
    for (site, monitor) in [(url, ""), ("", url)] {
        let pin = format!(", heartbeat_{pin}");
        let both = |options: &str| {
            if options.is_empty() {
                String::new()
            } else {
                format!("{options}{pin}")
            }
        };
        let error = heartbeats(&both(site), &both(monitor)).unwrap_err();
        let wanted = "\"heartbeat_ssl_fingerprint\" needs a heartbeat_url that begins with https://";
        assert!(error.contains(wanted), "{error}");
    }
    assert!(heartbeats(&format!("{url}, heartbeat_ssl_verify: no"), "").is_ok());
    let error = heartbeats(", heartbeat_ssl_verify: no", "").unwrap_err();
    assert!(
        error.contains("\"heartbeat_ssl_verify\" needs \"heartbeat_url\""),
        "{error}"
    );
    let url = ", heartbeat_url: 'https://h/', heartbeat_ssl_fingerprint: 12";
    let error = heartbeats("", url).unwrap_err();
    assert!(
        error.contains("\"heartbeat_ssl_fingerprint\" must be a SHA-256 fingerprint"),
        "{error}"
    );
}
