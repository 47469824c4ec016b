//! Builds monitors from a few lines of YAML, and peers for them to check.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

pub mod flood;
#[cfg(feature = "quic")]
pub mod h3;
#[cfg(feature = "quic")]
pub mod named;
pub mod namespace;
pub mod odd_http;
pub mod openssl_server;
pub mod pki;
#[cfg(feature = "quic")]
pub mod quic_flood;
pub mod real;
pub mod records;
pub mod s_server;
pub mod tap;

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Check, Clock, FailureClass, Monitor, Outcome, Services, Stopwatch, SystemClock, Trace, config,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// The time limit for anything immediate. A slow and busy machine may suspend a
/// process for seconds, so no test demands more. Anything that has to wait for
/// something else gets [`LONG`].
pub const STALL: Duration = Duration::from_secs(5);

/// The deadline of a check of a peer that sends nothing.
pub const SHORT: Duration = Duration::from_millis(700);

/// The deadline of a check of a peer that falls silent after its first bytes:
/// they must have arrived by then.
pub const MIDWAY: Duration = STALL;

/// The deadline of a check of a peer that answers or refuses.
pub const LONG: Duration = STALL.saturating_mul(4);

/// The deadline of an expensive check: one of hundreds at the same time, or one
/// that transfers megabytes.
pub const CROWD: Duration = LONG.saturating_mul(6);

/// How late a timer fires before a check reports that the process stood still.
const STANDSTILL: Duration = Duration::from_secs(1);

pub fn parse(monitor: &str) -> Result<config::SiteFile, config::ConfigError> {
    let monitor = monitor.replace('\n', "\n    ");
    let site = format!("site:\n  name: Lab\nmonitors:\n  - {monitor}\n");
    parse_site("lab.yaml".as_ref(), &site)
}

/// Parses a whole site file, whose paths are relative to `path`.
pub fn parse_site(path: &Path, text: &str) -> Result<config::SiteFile, config::ConfigError> {
    config::parse(path, text, apmon_probes::KINDS, &[], &config::ProcessEnvironment)
}

/// Checks the only monitor of a site file.
pub async fn check_site(path: &Path, text: &str) -> Outcome {
    let site = parse_site(path, text).unwrap_or_else(|error| panic!("{error}"));
    let monitor = site.monitors[0].build(&Services::default());
    monitor.check(&check_within(LONG)).await.outcome
}

/// Builds a monitor from its section, with services of its own.
pub fn monitor(section: &str) -> Arc<dyn Monitor> {
    build(section, &Services::default())
}

pub fn build(section: &str, services: &Services) -> Arc<dyn Monitor> {
    let site = parse(section).unwrap_or_else(|error| panic!("{error}"));
    site.monitors[0].build(services)
}

pub fn check_within(timeout: Duration) -> Check {
    let now = SystemClock::new().now();
    Check::new(now.mono, now, timeout)
}

/// Runs one check, which ends by its deadline whatever the peer does.
pub async fn check(section: &str, timeout: Duration) -> Outcome {
    in_time(section, timeout, || check_within(timeout)).await
}

/// Runs one check, and returns the trace that `--explain` shows as well.
pub async fn explain(section: &str, timeout: Duration) -> (Outcome, String) {
    let mut trace = Trace::start();
    let outcome = in_time(section, timeout, || {
        trace = Trace::start();
        check_within(timeout).with_trace(Arc::clone(&trace))
    });
    let outcome = outcome.await;
    let steps = trace.steps();
    let lines: Vec<_> = steps
        .iter()
        .map(|step| format!("{}: {}", step.name, step.text))
        .collect();
    (outcome, lines.join("\n"))
}

/// Runs a check until this process does not sleep through it, since such a check
/// says nothing about the peer.
async fn in_time(section: &str, timeout: Duration, mut make: impl FnMut() -> Check) -> Outcome {
    let monitor = monitor(section);
    loop {
        let watch = Stopwatch::start();
        let outcome = monitor.check(&make()).await.outcome;
        let took = watch.elapsed();
        assert!(took < timeout + STALL, "{section}: took {took:?} of {timeout:?}");
        if !slept_through(&outcome, took, timeout) {
            return outcome;
        }
    }
}

/// Whether the outcome says that this process stood still at the deadline, and the
/// time taken confirms it.
fn slept_through(outcome: &Outcome, took: Duration, timeout: Duration) -> bool {
    let failure = outcome.failure();
    let is_reported = failure.is_some_and(|failure| {
        failure.class == FailureClass::Resources && failure.reason.contains("this process was stalled for ")
    });
    is_reported && took > timeout + STANDSTILL
}

pub fn reason(outcome: &Outcome) -> &str {
    outcome.failure().map_or("up", |failure| failure.reason.as_str())
}

pub fn class(outcome: &Outcome) -> FailureClass {
    outcome.failure().expect("not up").class
}

/// Starts a TCP server that runs `serve` on every connection.
pub async fn tcp_server<F, S>(serve: S) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Starts a server that answers each request with the same text and closes.
pub async fn http_server(answer: impl Into<String>) -> SocketAddr {
    let answer: Arc<str> = answer.into().into();
    tcp_server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Starts a server that computes each answer from the text of the request.
pub async fn http_answers(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let answer = Arc::new(answer);
    tcp_server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let request = read_request(&mut stream).await;
            let _ = stream.write_all(answer(&request).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Reads the head and the body of a request.
pub async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            });
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return text,
        }
    }
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A port of this machine on which nothing listens.
pub async fn closed_port() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    // Held until the end of the test, or the server of another test may get it.
    std::mem::forget(socket);
    address
}

/// A self-signed certificate and its key, created by openssl.
pub struct Certificate {
    directory: tempfile::TempDir,
}

impl Certificate {
    /// A certificate valid for `days`, which may be negative.
    pub fn valid_for(days: i32) -> Self {
        // Not every version accepts a negative `-days`: the start moves instead.
        let (from, until) = match days {
            ..0 => ("20200101000000Z", "20250201000000Z"),
            _ => ("20200101000000Z", "20991231000000Z"),
        };
        let certificate = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        certificate.key();
        let config = certificate.path("ca.conf");
        let text = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\n\
                    default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n\
                    [e]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n";
        std::fs::write(&config, text).unwrap();
        std::fs::write(certificate.path("index.txt"), "").unwrap();
        std::fs::write(certificate.path("serial"), "01").unwrap();
        certificate.openssl("req -new -key key.pem -subj /CN=lab -out request.pem");
        certificate.openssl(&format!(
            "ca -batch -config ca.conf -selfsign -keyfile key.pem -in request.pem -out cert.pem -notext \
             -startdate {from} -enddate {until}"
        ));
        certificate
    }

    pub fn good() -> Self {
        Self::valid_for(1)
    }

    /// A certificate of X.509 version 1, as old devices have it.
    pub fn version_1() -> Self {
        let certificate = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        certificate.key();
        certificate.openssl("req -new -key key.pem -subj /CN=lab -out request.pem");
        certificate.openssl("x509 -req -in request.pem -signkey key.pem -days 30 -out cert.pem");
        certificate
    }

    fn key(&self) {
        self.openssl("genrsa -out key.pem 2048");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &str) -> String {
        openssl(self.directory.path(), arguments)
    }

    /// The SHA-256 fingerprint as openssl prints it, with colons.
    pub fn fingerprint(&self) -> String {
        let line = self.openssl("x509 -in cert.pem -noout -fingerprint -sha256");
        line.trim().split_once('=').unwrap().1.to_owned()
    }

    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        let chain = vec![CertificateDer::from_pem_file(self.path("cert.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}

fn openssl(directory: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("this test needs the openssl binary (apt install openssl)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
