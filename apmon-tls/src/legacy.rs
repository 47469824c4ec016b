//! TLS as old devices speak it: TLS 1.0 and 1.1, CBC ciphers, DHE, RSA key exchange.
//!
//! rustls has none of it, so OpenSSL does this, in a program of its own,
//! `apmon-tls-legacy`: what a device sends is parsed in C, and not in this process.
//! Each connection has a child for itself, which has no socket: bytes of the server are
//! passed to it, and it returns bytes for the server and what they have said. A device
//! that crashes or stalls its child loses its own check.
//!
//! The pin is compared in the child, within the handshake. What else a [`Trust`] asks for
//! is judged here, after the handshake and before anything is sent.

mod helper;
mod stream;
#[doc(hidden)]
pub mod wire;

use std::sync::Arc;

use apmon_core::{Failure, FailureClass, config::Section};
use apmon_worker::{Worker, WorkerError, WorkerLimits};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::Instant,
};

use self::wire::{Fault, Reply, Request};
pub use self::{
    helper::{HELPER, find_helper, use_helper},
    stream::LegacyStream,
};
use crate::{NO_CERTIFICATE, alert_reason, verifier::Trust};

/// The most children at a time.
const MAX_CHILDREN: usize = 64;

static CHILDREN: Semaphore = Semaphore::const_new(MAX_CHILDREN);

/// What was agreed in a handshake.
#[derive(Clone, Debug)]
pub struct LegacySession {
    /// Such as `TLSv1`.
    pub version: String,
    /// Such as `DHE-RSA-AES256-SHA`.
    pub suite: String,
    /// The server's certificates, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether the server has asked for a certificate. It got none: if it demands one, it ends
    /// the connection, in TLS 1.3 after the handshake.
    pub asks_certificate: bool,
}

/// A child.
struct Child {
    worker: Option<Worker>,
}

impl Child {
    fn request(&self, request: &Request<'_>) -> Result<apmon_worker::Reply, Failure> {
        let worker = self.worker.as_ref().ok_or_else(gone)?;
        worker.request(request.encode()).map_err(|_| gone())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing waits for the end of the child.
        if let Some(worker) = self.worker.take() {
            worker.abandon();
        }
    }
}

fn gone() -> Failure {
    own(format!("{HELPER} has ended"))
}

/// A failure on our own side.
fn own(reason: String) -> Failure {
    Failure::new(FailureClass::Resources, reason)
}

/// Starts a child.
async fn child() -> Result<Child, Failure> {
    let path = find_helper().ok_or_else(|| {
        own(format!(
            "ssl_legacy needs the program {HELPER}, which is neither beside apmon nor in PATH; install it"
        ))
    })?;
    let permit = CHILDREN.acquire().await.map_err(|_| gone())?;
    let mut limits = WorkerLimits::default();
    limits.queue = 4;
    limits.open = 1;
    limits.request_time = std::time::Duration::from_secs(5);
    // A second child would know nothing of this connection.
    limits.deaths = 1;
    // The permit is free again when the child has ended, not when nothing needs it any more.
    let worker = Worker::new(helper::command(&path), limits).keeping(permit);
    Ok(Child { worker: Some(worker) })
}

/// A handshake whose child is ready, with its first words for the server.
pub struct LegacyHandshake {
    trust: Arc<Trust>,
    name: ServerName<'static>,
    child: Child,
    hello: Reply,
}

impl LegacyHandshake {
    /// Starts a child for a server whose certificates are judged by `trust`; `name` is the host
    /// to ask for. If as many children as there may be are running, it waits for one to end.
    /// The server has no part in it, so that the time it takes is none of the server's.
    ///
    /// # Errors
    /// There is no child, for a reason on our own side ([`FailureClass::Resources`]), by
    /// `deadline`.
    pub async fn begin(
        trust: &Arc<Trust>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let name_of = match &name {
            ServerName::DnsName(name) => name.as_ref(),
            _ => "",
        };
        let open = Request::Open {
            name: name_of,
            pins: trust.pins.iter().map(|pin| *pin.as_bytes()).collect(),
        };
        let first = async {
            let child = child().await?;
            let hello = child.request(&open)?.await;
            let hello = decode(&hello.map_err(|error| of_worker(&error))?)?;
            Ok::<_, Failure>((child, hello))
        };
        let Ok(first) = tokio::time::timeout_at(deadline, first).await else {
            return Err(own(format!("{HELPER} was not ready in time")));
        };
        let (child, hello) = first?;
        Ok(Self {
            trust: Arc::clone(trust),
            name,
            child,
            hello,
        })
    }

    /// Makes the handshake over `stream`. Nothing but the handshake is sent before the
    /// certificates are accepted.
    ///
    /// # Errors
    /// Why the handshake failed. The class is [`FailureClass::Resources`] if the child died.
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: S,
        now: UnixTime,
    ) -> Result<LegacyStream<S>, LegacyFailure> {
        let mut stream = LegacyStream::new(self.child, stream);
        stream.handshake(self.hello).await?;
        let chain = stream.session().chain.as_slice();
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(Failure::new(FailureClass::Tls, "tls: the server shows no certificate").into());
        };
        self.trust.judge(leaf, intermediates, &self.name, now)?;
        Ok(stream)
    }
}

/// Says what `option`, which is set and asks for this kind of TLS, means, and what it needs.
pub fn check_option(section: &mut Section<'_>, option: &str) {
    section.hint(
        option,
        "lets others on the way read or change what is sent, if the server's TLS is that old",
    );
    if find_helper().is_none() {
        section.warn(
            option,
            format!("needs the program {HELPER}, which is neither beside apmon nor in PATH"),
        );
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug)]
pub struct LegacyFailure {
    /// The reason.
    pub failure: Failure,
    /// Whether what the server [offers](crate::ServerOffer) may explain it.
    pub is_of_offer: bool,
}

impl From<Failure> for LegacyFailure {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            is_of_offer: false,
        }
    }
}

/// What the child reports, in an operator's words.
fn explain(fault: &Fault) -> LegacyFailure {
    let tls = |reason: String| Failure::new(FailureClass::Tls, format!("tls: {reason}"));
    let (failure, is_of_offer) = match fault {
        Fault::Pin(got) => (
            Failure::new(
                FailureClass::Pin,
                format!("certificate is not the pinned one (got {got})"),
            ),
            false,
        ),
        Fault::NoCertificate => (tls("the server shows no certificate".to_owned()), true),
        Fault::Alert(alert) => (tls(alert_reason((*alert).into())), true),
        Fault::CertificateDemanded => (tls(NO_CERTIFICATE.to_owned()), false),
        Fault::Closed => (
            Failure::new(FailureClass::Closed, "tls: connection closed by the peer"),
            true,
        ),
        Fault::NotTls => (tls("the server does not speak TLS".to_owned()), false),
        Fault::Other => (tls("the handshake failed, even with ssl_legacy".to_owned()), true),
        Fault::Setup => (own(format!("{HELPER} cannot use OpenSSL")), false),
    };
    LegacyFailure { failure, is_of_offer }
}

/// What the worker reports.
fn of_worker(error: &WorkerError) -> Failure {
    own(format!("tls: {error}"))
}

/// Reads what the child has answered.
fn decode(answer: &[u8]) -> Result<Reply, Failure> {
    Reply::decode(answer).ok_or_else(|| own(format!("{HELPER} is of another version than apmon")))
}
