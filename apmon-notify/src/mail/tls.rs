//! TLS to a mail server.

use std::{io, sync::Arc};

use apmon_tls::{Verifier, client_config, explain, rustls_error};
use rustls::{ClientConfig, Error, pki_types::ServerName};
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::TlsConnector;

use super::{dialogue::Encrypted, error::SmtpError};
use crate::{authority::AuthorityError, trust::ReceiverTrust};

const STEP: &str = "TLS";

/// The client configuration for one mail server, created on first use.
pub(super) struct Tls {
    trust: ReceiverTrust,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(trust: ReceiverTrust) -> Self {
        Self {
            trust,
            config: OnceCell::new(),
        }
    }

    /// Performs the TLS handshake over `stream`.
    pub(super) async fn wrap(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<Box<dyn Encrypted>, SmtpError> {
        let config = self.config.get_or_try_init(|| create(&self.trust)).await;
        let config = config.map_err(|error| SmtpError::Other(format!("{STEP}: {error}")))?;
        let connector = TlsConnector::from(Arc::clone(config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &io::Error) -> SmtpError {
        let Some(error) = rustls_error(error) else {
            return SmtpError::io(STEP, error);
        };
        let reason = explain(error).reason;
        SmtpError::Other(match error {
            Error::InvalidCertificate(_) if self.trust.is_of_system() => {
                format!("{STEP}: {reason}; name its authority in ssl_ca_file, or pin it with ssl_fingerprint")
            }
            Error::InvalidMessage(_) => format!("{STEP}: {reason} on this port"),
            _ => format!("{STEP}: {reason}"),
        })
    }
}

async fn create(trust: &ReceiverTrust) -> Result<Arc<ClientConfig>, AuthorityError> {
    let trust = trust.conditions().await?;
    Ok(Arc::new(client_config(Verifier::new(trust), &[])))
}
