//! Receivers of notifications with old TLS, played by openssl's server: without `ssl_legacy` the
//! reason says what they offer, with it they are reached.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

#[path = "../../apmon-notify/tests/names/mod.rs"]
mod names;
#[allow(dead_code)] // not every test file uses everything
#[path = "../../apmon-probes/tests/lab/s_server.rs"]
mod s_server;

use std::{net::SocketAddr, path::Path, time::Duration};

use apmon_core::{
    DeliveryError, Heartbeat, HeartbeatSender as _, MonitorKind, Notification, NotificationKind, Services,
    config::{ProcessEnvironment, SiteFile, Tables},
};
use apmon_notify::{CHANNELS, HEARTBEAT, HttpClient, HttpHeartbeats};
use names::names;
use s_server::{Certificates, RSA, SServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Long enough for a busy machine.
const LONG: Duration = Duration::from_secs(20);

const TLS_1_0: &str = "-tls1 -cipher ALL:@SECLEVEL=0";
const OFFER: &str =
    "the server offers TLS 1.0 at most, ECDHE on X25519, a CBC cipher, an RSA key of 2048 bits";

fn helper() {
    apmon_tls::legacy::use_helper(env!("CARGO_BIN_EXE_apmon-tls-legacy").into());
}

fn read(site: &str) -> SiteFile {
    helper();
    let text =
        format!("site:\n  name: Lab\n{site}\nmonitors:\n- type: ping\n  name: door\n  address: 127.0.0.1\n");
    const KINDS: &[&dyn MonitorKind] = apmon_probes::KINDS;
    let tables = Tables {
        kinds: KINDS,
        channels: CHANNELS,
        heartbeat: Some(HEARTBEAT),
        ..Tables::default()
    };
    let file = tables.parse(Path::new("lab.yaml"), &text, &ProcessEnvironment);
    file.unwrap_or_else(|error| panic!("{error}"))
}

fn services() -> Services {
    let services = Services::default();
    services.provide_names(names());
    services
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

/// Delivers over the only channel of the site.
async fn deliver(site: &str, services: &Services) -> Result<(), DeliveryError> {
    let notifier = read(site).channels[0].build(services, LONG);
    notifier.deliver(&notification(), "key").await
}

async fn reason(site: &str, services: &Services) -> String {
    match deliver(site, services).await {
        Ok(()) => "delivered".to_owned(),
        Err(DeliveryError::Retryable { reason, .. }) => reason,
        Err(other) => panic!("it is not tried again: {other}"),
    }
}

/// openssl's server answers a GET with a page.
fn webhook(server: SocketAddr, options: &str) -> String {
    format!(
        "  outage_webhooks:\n  - endpoint_url: 'https://localhost:{}/T0KEN?text='\n    request_method: GET\n    \
         request_encoding: URL\n{options}",
        server.port()
    )
}

#[tokio::test]
async fn a_webhook_says_what_its_receiver_offers_and_reaches_it_with_the_option() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    certificates.own("other", RSA);
    let server = certificates.web_server("rsa", TLS_1_0);
    let origin = format!("https://localhost:{}", server.address.port());
    let pin = format!("    ssl_fingerprint: '{}'\n", certificates.pin("rsa"));
    let services = services();
    for options in [String::new(), pin.clone()] {
        assert_eq!(
            reason(&webhook(server.address, &options), &services).await,
            format!(
                "{origin}: refused by the server (protocol version); {OFFER}; set ssl_legacy: yes to reach it"
            )
        );
    }
    let legacy = |options: &str| webhook(server.address, &format!("{options}    ssl_legacy: yes\n"));
    for options in [pin.as_str(), "    ssl_verify: no\n"] {
        assert_eq!(reason(&legacy(options), &services).await, "delivered");
    }
    let another = format!("    ssl_fingerprint: '{}'\n", certificates.pin("other"));
    let got = certificates.pin("rsa").replace(':', "").to_lowercase();
    assert_eq!(
        reason(&legacy(&another), &services).await,
        format!("{origin}: certificate is not the pinned one (got {got})")
    );
    // Without a pin, an authority must have signed it, as ever.
    let text = reason(&legacy(""), &services).await;
    assert!(text.contains(": certificate "), "{text}");
}

#[tokio::test]
async fn a_heartbeat_says_what_its_receiver_offers_and_reaches_it_with_the_option() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let server = certificates.web_server("rsa", TLS_1_0);
    let sender = HttpHeartbeats::new(HttpClient::new(names()));
    let heartbeat = |options: &str| -> Heartbeat {
        let url = format!(
            "  heartbeat_url: 'https://localhost:{}/T0KEN'\n",
            server.address.port()
        );
        let plan = read(&(url + options)).plan(&services());
        plan.heartbeat.expect("the site has a heartbeat")
    };
    for options in ["", "  heartbeat_ssl_verify: no\n"] {
        let error = sender.send(&heartbeat(options), LONG).await.unwrap_err();
        let wanted = format!("; {OFFER}; set heartbeat_ssl_legacy: yes to reach it");
        assert!(error.to_string().ends_with(&wanted), "{error}");
    }
    let options = "  heartbeat_ssl_verify: no\n  heartbeat_ssl_legacy: yes\n";
    sender.send(&heartbeat(options), LONG).await.unwrap();
}

/// Plays a mail server before TLS, passes on what follows, and reports each connection.
async fn smtp_before(server: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = sender.send(());
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
    (address, connections)
}

fn mail(server: SocketAddr, options: &str) -> String {
    format!(
        "  email_server:\n    smtp_host: localhost\n    smtp_port: {}\n    from_address: apmon@example.com\n\
         {options}  outage_emails:\n  - email: ops@example.com\n",
        server.port()
    )
}

#[tokio::test]
async fn a_mail_server_behind_starttls_says_what_it_offers_and_is_reached_with_the_option() {
    let certificates = Certificates::new();
    certificates.own("rsa", RSA);
    let mut server: SServer = certificates.printing_server("rsa", TLS_1_0);
    let (address, mut connections) = smtp_before(server.address).await;
    let pin = format!("    ssl_fingerprint: '{}'\n", certificates.pin("rsa"));
    let services = services();
    // Recipients share the server, and it is asked once.
    let file = read(&mail(address, &pin));
    for asked in [2, 1] {
        let notifier = file.channels[0].build(&services, LONG);
        let error = notifier.deliver(&notification(), "key").await.unwrap_err();
        assert_eq!(
            error,
            DeliveryError::retryable(format!(
                "localhost:{}: TLS: refused by the server (protocol version); {OFFER}; set ssl_legacy: yes to reach it",
                address.port()
            ))
        );
        for _ in 0..asked {
            connections.try_recv().unwrap();
        }
        assert!(connections.try_recv().is_err());
    }
    let answers = std::thread::spawn(move || {
        server.answer(&[
            ("EHLO ", "250 lab\r\n"),
            ("MAIL FROM:", "250 ok\r\n"),
            ("RCPT TO:", "250 ok\r\n"),
            ("DATA\r\n", "354 go\r\n"),
            ("\r\n.\r\n", "250 queued\r\n"),
        ]);
        server
    });
    let legacy = mail(address, &format!("{pin}    ssl_legacy: yes\n"));
    assert_eq!(reason(&legacy, &services).await, "delivered");
    let printed = answers.join().unwrap().end();
    for part in [
        "MAIL FROM:<apmon@example.com>",
        "RCPT TO:<ops@example.com>",
        "door in Lab is down",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn the_option_is_hinted_at_and_refused_where_nothing_is_encrypted() {
    helper();
    let file = read(&webhook("127.0.0.1:9".parse().unwrap(), "    ssl_legacy: yes\n"));
    let hints: Vec<_> = file.hints.iter().map(ToString::to_string).collect();
    assert!(
        hints
            .iter()
            .any(|hint| hint.contains("\"ssl_legacy\" lets others on the way read or change what is sent")),
        "{hints:?}"
    );
}
