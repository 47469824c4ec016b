//! TLS of a probe: the handshake within a check, and the certificate's expiry.

mod options;

use std::{io, net::Ipv4Addr, sync::Arc};

use apmon_core::{Check, Failure, FailureClass, Phase, Warning, WarningClass, config::Host};
use apmon_tls::{
    Expiry, NO_CERTIFICATE, Trust, Verifier, client_config, describe, quic_client_config, rustls_error,
    watching_requests,
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use self::options::TlsOptions;
use crate::{
    budget::{Framing, Meter, Metered},
    recorder::CheckRecorder,
};

/// How a monitor speaks TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    trust: Arc<Trust>,
    warn_days: Option<u32>,
    /// The name to ask for and to verify, instead of the host's own.
    sni: Option<ServerName<'static>>,
    client: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(trust: Trust, warn_days: Option<u32>, protocols: &[&[u8]]) -> Self {
        let trust = Arc::new(trust);
        let verifier = Verifier::new(Arc::clone(&trust));
        Self {
            trust,
            warn_days,
            sni: None,
            client: Arc::new(client_config(verifier, protocols)),
        }
    }

    /// The same, but with another name for the monitor's own host.
    pub(crate) fn named(self, sni: Option<ServerName<'static>>) -> Self {
        Self { sni, ..self }
    }

    /// The same, but offering only `protocols`.
    pub(crate) fn speaking(&self, protocols: &[&[u8]]) -> Self {
        let mut client = (*self.client).clone();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self {
            trust: Arc::clone(&self.trust),
            warn_days: self.warn_days,
            sni: self.sni.clone(),
            client: Arc::new(client),
        }
    }

    /// The name to ask the monitor's own host for, whose name is `name`.
    pub(crate) fn name_instead_of(&self, name: ServerName<'static>) -> ServerName<'static> {
        self.sni.clone().unwrap_or(name)
    }

    /// Whether the server's identity is checked.
    pub(crate) fn identifies(&self) -> bool {
        self.trust.identifies()
    }

    /// The configuration of one QUIC connection, and the verifier that knows why
    /// the certificate was refused: the reason does not come through QUIC.
    #[cfg_attr(not(feature = "quic"), expect(dead_code))]
    pub(crate) fn for_quic(&self, protocol: &[u8]) -> (ClientConfig, Arc<Verifier>) {
        let verifier = Verifier::new(Arc::clone(&self.trust));
        (quic_client_config(Arc::clone(&verifier), protocol), verifier)
    }

    /// Makes the handshake over an open connection, whose budget begins here.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        stream: S,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<TlsStream<Metered<S>>, Failure> {
        let (client, requests) = watching_requests(&self.client);
        let connector = TlsConnector::from(client);
        let stream = Metered::wire(stream, Framing::tls());
        let meter = stream.meter().clone();
        let result = check.within("tls", connector.connect(name, stream)).await?;
        if requests.any() {
            meter.certificate_asked();
        }
        let stream = result.map_err(|error| {
            let failure = failure("tls", &error, &meter);
            check.step("tls", || failure.reason.clone());
            failure
        })?;
        recorder.done(Phase::Tls);
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        check.step("tls", || {
            let version = session.protocol_version();
            format!(
                "{}, {}",
                version.and_then(|version| version.as_str()).unwrap_or("TLS"),
                certificate.map(describe).unwrap_or_default()
            )
        });
        if let Some(certificate) = certificate {
            self.record_expiry(certificate, check, recorder);
        }
        Ok(stream)
    }

    /// Records the days until the certificate expires, and warns if they are few.
    pub(crate) fn record_expiry(
        &self,
        certificate: &CertificateDer<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) {
        let Some(expiry) = Expiry::of(certificate) else {
            return;
        };
        let days = expiry.days_left(check.started.wall.as_second());
        #[allow(clippy::cast_precision_loss)] // so few days are exact
        recorder.measured_least("ssl_expiry_days", days as f64);
        if self.warn_days.is_some_and(|warn| days < i64::from(warn)) {
            let date = expiry.date;
            let text = match days {
                ..0 => format!("certificate has expired ({date})"),
                0 => format!("certificate expires within a day ({date})"),
                1 => format!("certificate expires in 1 day ({date})"),
                _ => format!("certificate expires in {days} days ({date})"),
            };
            recorder.warn(Warning::degrades(WarningClass::Expiry, text));
        }
    }
}

/// The failure of a handshake, or of a connection after it. The alert of a server
/// that demands a certificate comes within the handshake or, in TLS 1.3, after it
/// (RFC 8446 section 4.4.2.4).
pub(crate) fn failure(step: &str, error: &io::Error, meter: &Meter) -> Failure {
    if let Some(flood) = meter.flood() {
        return flood.failure(step);
    }
    match rustls_error(error) {
        Some(rustls::Error::AlertReceived(_)) if meter.asks_certificate() => {
            Failure::new(FailureClass::Tls, format!("tls: {NO_CERTIFICATE}"))
        }
        _ => apmon_tls::failure(step, error),
    }
}

/// The name a handshake asks for. A name that TLS does not know (some LANs have
/// them) is left out of it.
pub(crate) fn server_name(host: &Host) -> ServerName<'static> {
    match host {
        Host::Address(ip) => ServerName::IpAddress((*ip).into()),
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name).unwrap_or_else(|_| ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_tls_does_not_know_is_left_out_of_the_handshake() {
        let named = |host: &str| server_name(&Host::parse(host).unwrap()).to_str().into_owned();
        assert_eq!(named("nas.lan."), "nas.lan");
        assert_eq!(named("::1"), "::1");
        assert_eq!(named("127.0.0.1"), "127.0.0.1");
        assert_eq!(named("müller.lan"), "0.0.0.0");
    }
}
