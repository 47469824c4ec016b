//! TLS to a mail server, verified against this machine's authorities or not at all.

use std::{io, sync::Arc};

use apmon_tls::{Trust, Verifier, client_config, explain, rustls_error};
use rustls::{ClientConfig, Error, pki_types::ServerName};
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::SmtpError;
use crate::authority::{AuthorityError, authorities};

const STEP: &str = "TLS";

/// The client configuration for one mail server, created on first use.
#[derive(Default)]
pub(super) struct Tls {
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// Performs the TLS handshake over `stream`.
    pub(super) async fn wrap(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        verify: bool,
    ) -> Result<Box<TlsStream<TcpStream>>, SmtpError> {
        let config = self.config.get_or_try_init(|| create(verify)).await;
        let config = config.map_err(|error| SmtpError::Other(format!("{STEP}: {error}")))?;
        let connector = TlsConnector::from(Arc::clone(config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &io::Error) -> SmtpError {
    let Some(error) = rustls_error(error) else {
        return SmtpError::io(STEP, error);
    };
    let reason = explain(error).reason;
    SmtpError::Other(match error {
        Error::InvalidCertificate(_) => {
            format!("{STEP}: {reason}; smtp_verify_tls: no accepts any certificate")
        }
        Error::InvalidMessage(_) => format!("{STEP}: {reason} on this port"),
        _ => format!("{STEP}: {reason}"),
    })
}

/// Creates a configuration.
async fn create(verify: bool) -> Result<Arc<ClientConfig>, AuthorityError> {
    if !verify {
        return Ok(config(Trust::any()));
    }
    Ok(config(Trust::signed_by(Arc::new(authorities().await?))))
}

fn config(trust: Trust) -> Arc<ClientConfig> {
    Arc::new(client_config(Verifier::new(trust), &[]))
}
