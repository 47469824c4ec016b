//! Certificates are verified against the system's authorities.
//!
//! `certs/localhost.pem` is signed by `certs/ca.pem`, which no system trusts.
//! `SSL_CERT_FILE` makes it trusted; the client reads that when it is created,
//! so each case runs in a process of its own: this binary again.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod names;

use std::{env, path::Path, process::Command, sync::Arc, time::Duration};

use apmon_core::{DeliveryError, Heartbeat, HeartbeatSender, Secret};
use apmon_notify::{HttpClient, HttpHeartbeats};
use names::names;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Starts a server on all loopback addresses that answers 200 to every client that
/// accepts its certificate.
async fn serve() -> u16 {
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
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

async fn send(host: &str, port: u16) -> Result<(), DeliveryError> {
    let heartbeat = Heartbeat {
        url: Secret::new(format!("https://{host}:{port}/T0KEN")),
        every: None,
        options: None,
    };
    HttpHeartbeats::new(HttpClient::new(names()))
        .send(&heartbeat, Duration::from_secs(20))
        .await
}

/// Runs the test `name` again with `roots` as the system's authorities.
fn run_again(name: &str, roots: &str) {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certs")
        .join(roots);
    let output = Command::new(env::current_exe().unwrap())
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
        return run_again("a_certificate_the_system_trusts_is_accepted", "ca.pem");
    }
    send("localhost", serve().await).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    if !is_child() {
        return run_again("a_certificate_of_another_name_is_refused", "ca.pem");
    }
    let port = serve().await;
    let error = send("127.0.0.2", port).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "https://127.0.0.2:{port}: certificate is not for 127.0.0.2 but for "
        )),
        "{text}"
    );
    assert!(!text.contains("T0KEN"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let port = serve().await;
    let error = send("localhost", port).await.unwrap_err();
    assert_eq!(
        error,
        DeliveryError::retryable(format!(
            "https://localhost:{port}: certificate is not signed by a trusted authority (issuer CN=apmon test authority)"
        ))
    );
}

#[tokio::test]
async fn a_machine_without_authorities_is_reported() {
    if !is_child() {
        return run_again("a_machine_without_authorities_is_reported", "none.pem");
    }
    let port = serve().await;
    let error = send("localhost", port).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DeliveryError::Retryable { .. }));
    assert!(
        text.contains("(no certificate authorities on this machine; install ca-certificates"),
        "{text}"
    );
}
