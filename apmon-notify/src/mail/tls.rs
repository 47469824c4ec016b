//! TLS to a mail server.

use std::sync::Arc;

use apmon_tls::{AsyncConnect, KnownOffers};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::OnceCell, time::Instant};

use super::error::SmtpError;
use crate::{
    authority::AuthorityError,
    tls::{self, Attempt, Encrypted, HandshakeError},
    trust::{RECEIVER, ReceiverTrust},
};

pub(super) const STEP: &str = "TLS";

/// How TLS is spoken to one mail server, set up on first use.
pub(super) struct Tls {
    trust: ReceiverTrust,
    tls: OnceCell<tls::Tls>,
    offers: Arc<KnownOffers>,
}

impl Tls {
    pub(super) fn new(trust: ReceiverTrust) -> Self {
        Self {
            trust,
            tls: OnceCell::new(),
            offers: Arc::default(),
        }
    }

    /// Performs the TLS handshake over `stream`. `again` opens connections to the same server on
    /// which TLS may begin.
    pub(super) async fn wrap(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        again: impl AsyncConnect<Stream = TcpStream>,
        deadline: Instant,
    ) -> Result<Box<dyn Encrypted>, SmtpError> {
        let tls = self.tls.get_or_try_init(|| self.create()).await;
        let tls = tls.map_err(|error| SmtpError::Other(format!("{STEP}: {error}")))?;
        let attempt = Attempt {
            deadline,
            legacy_option: RECEIVER.legacy,
        };
        let made = tls.handshake(name, stream, again, attempt).await;
        made.map_err(|error| self.failed(error))
    }

    fn failed(&self, mut error: HandshakeError) -> SmtpError {
        if error.is_of_certificate && self.trust.is_of_system() {
            error
                .reason
                .push_str("; name its authority in ssl_ca_file, or pin it with ssl_fingerprint");
        } else if error.is_not_tls {
            error.reason.push_str(" on this port");
        }
        SmtpError::Other(format!("{STEP}: {error}"))
    }

    async fn create(&self) -> Result<tls::Tls, AuthorityError> {
        let trust = self.trust.conditions().await?;
        Ok(tls::Tls::new(trust, &self.trust, &[], &self.offers))
    }
}
