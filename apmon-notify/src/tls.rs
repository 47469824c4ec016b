//! TLS to a receiver.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{Clock as _, SystemClock};
use apmon_tls::{
    AsyncConnect, KnownOffers, NO_CERTIFICATE, Trust, Verifier, client_config, is_of_offer,
    legacy::{LegacyFailure, LegacyHandshake},
    rustls_error, watching_requests,
};
use rustls::{
    ClientConfig, Error,
    pki_types::{ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;

use crate::{cause::cause, trust::ReceiverTrust};

/// A stream after the handshake.
pub(crate) trait Encrypted: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Encrypted for T {}

/// How TLS is spoken to a receiver.
#[derive(Clone)]
pub(crate) struct Tls {
    trust: Arc<Trust>,
    config: Arc<ClientConfig>,
    /// Whether OpenSSL makes the handshake, in a child.
    is_legacy: bool,
    /// What receivers were found to offer, in their present outages.
    offers: Arc<KnownOffers>,
}

/// One attempt to reach a receiver.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) deadline: Instant,
    /// The option with which the receiver is spoken to in old TLS.
    pub(crate) legacy_option: &'static str,
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) struct HandshakeError {
    pub(crate) reason: String,
    /// Whether the certificate was refused.
    #[cfg_attr(not(feature = "mail"), allow(dead_code))]
    pub(crate) is_of_certificate: bool,
    /// Whether what the receiver sent is not TLS.
    #[cfg_attr(not(feature = "mail"), allow(dead_code))]
    pub(crate) is_not_tls: bool,
    /// What the receiver offers instead, in words.
    pub(crate) offer: Option<String>,
}

impl HandshakeError {
    fn of(reason: String) -> Self {
        Self {
            reason,
            is_of_certificate: false,
            is_not_tls: false,
            offer: None,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.offer {
            Some(offer) => write!(f, "; {offer}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl Tls {
    /// TLS under `trust`, the conditions that `receiver` stands for, with `protocols` offered by
    /// ALPN.
    pub(crate) fn new(
        trust: Trust,
        receiver: &ReceiverTrust,
        protocols: &[&[u8]],
        offers: &Arc<KnownOffers>,
    ) -> Self {
        let trust = Arc::new(trust);
        Self {
            config: Arc::new(client_config(Verifier::new(Arc::clone(&trust)), protocols)),
            trust,
            is_legacy: receiver.is_legacy(),
            offers: Arc::clone(offers),
        }
    }

    /// Makes the handshake. If it fails, the reason says what the receiver offers, as far as
    /// that can be found out over connections that `again` opens.
    pub(crate) async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        again: impl AsyncConnect<Stream = TcpStream>,
        attempt: Attempt,
    ) -> Result<Box<dyn Encrypted>, HandshakeError> {
        let Attempt {
            deadline,
            legacy_option,
        } = attempt;
        let address = stream.peer_addr().ok();
        let made = match self.is_legacy {
            true => self.by_helper(name.clone(), stream, deadline).await,
            false => self.by_rustls(name.clone(), stream).await,
        };
        let peer = address.map(|address| (address, &name));
        match made {
            Ok(stream) => {
                if let Some(peer) = peer {
                    self.offers.forget(peer);
                }
                Ok(stream)
            }
            Err((mut error, true)) => {
                if let Some(peer) = peer {
                    let offer = self.offers.of(peer, &error.reason, deadline, again).await;
                    error.offer = offer.map(|offer| offer.in_words(legacy_option, self.is_legacy));
                }
                Err(error)
            }
            Err((error, false)) => Err(error),
        }
    }

    /// An error comes with whether what the receiver offers may explain it.
    async fn by_rustls(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<Box<dyn Encrypted>, (HandshakeError, bool)> {
        let (config, requests) = watching_requests(&self.config);
        let error = match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => error,
        };
        let inner = rustls_error(&error);
        let wants_certificate = requests.any() && matches!(inner, Some(Error::AlertReceived(_)));
        let reason = match wants_certificate {
            true => NO_CERTIFICATE.to_owned(),
            false => cause(&error),
        };
        Err((
            HandshakeError {
                is_of_certificate: matches!(inner, Some(Error::InvalidCertificate(_))),
                is_not_tls: matches!(inner, Some(Error::InvalidMessage(_))),
                ..HandshakeError::of(reason)
            },
            is_of_offer(&error) && !wants_certificate,
        ))
    }

    async fn by_helper(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        deadline: Instant,
    ) -> Result<Box<dyn Encrypted>, (HandshakeError, bool)> {
        let failed = |LegacyFailure { failure, is_of_offer }| {
            let reason = failure.reason;
            // Of a check, the reason begins with the step.
            let reason = reason.strip_prefix("tls: ").unwrap_or(&reason).to_owned();
            (HandshakeError::of(reason), is_of_offer)
        };
        let begun = LegacyHandshake::begin(&self.trust, name, deadline).await;
        let begun = begun.map_err(|failure| failed(failure.into()))?;
        let now = SystemClock::new().now().wall.as_second();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        match begun.over(stream, now).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Connects to an address over which TLS begins at once.
pub(crate) struct Directly(pub(crate) Option<SocketAddr>);

impl AsyncConnect for Directly {
    type Stream = TcpStream;

    async fn connect(&mut self) -> Option<TcpStream> {
        TcpStream::connect(self.0?).await.ok()
    }
}
