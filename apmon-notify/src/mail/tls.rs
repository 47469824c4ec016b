//! The TLS of mail: verified against the system's roots, or not at all.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    net::TcpStream,
    sync::{OnceCell, oneshot},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::trouble::Trouble;
use crate::answer::cause;

const STEP: &str = "TLS";

/// How a server's certificate is judged; read at first use.
#[derive(Default)]
pub(super) struct Tls {
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// Makes `stream` one of TLS.
    pub(super) async fn wrap(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        verify: bool,
    ) -> Result<Box<TlsStream<TcpStream>>, Trouble> {
        let config = self.config.get_or_try_init(|| make(verify)).await;
        let config = config.map_err(|reason| Trouble::Other(format!("{STEP}: {reason}")))?;
        let connector = TlsConnector::from(Arc::clone(config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn refused(error: &io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Trouble::Other(format!(
            "{STEP}: {}; smtp_verify_tls: no takes any certificate",
            cause(error)
        )),
        Some(rustls::Error::InvalidMessage(_)) => Trouble::Other(format!(
            "{STEP}: {}; is it TLS that is spoken on this port?",
            cause(error)
        )),
        _ => Trouble::io(STEP, error),
    }
}

/// Reads the system's certificates (some 13 ms) on a thread of its own.
async fn make(verify: bool) -> Result<Arc<ClientConfig>, String> {
    if !verify {
        return trusting();
    }
    let (reply, made) = oneshot::channel();
    std::thread::Builder::new()
        .name("apmon-mail".into())
        .spawn(move || {
            let _ = reply.send(verifying()); // nobody waits any more
        })
        .map_err(|error| error.to_string())?;
    made.await
        .unwrap_or_else(|_| Err("the thread that reads the certificates has gone".into()))
}

fn verifying() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| cause(&error))?;
    let config = builder.with_platform_verifier().map_err(|error| cause(&error))?;
    Ok(Arc::new(config.with_no_client_auth()))
}

fn trusting() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| cause(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes every certificate of somebody who has its key: `smtp_verify_tls: no`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
