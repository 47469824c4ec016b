//! TLS of a probe: the handshake within a check, and the certificate's expiry.

mod offer;
mod options;
mod stream;

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use apmon_core::{Check, Failure, FailureClass, Phase, Stopwatch, Warning, WarningClass, config::Host};
use apmon_tls::{
    Expiry, KnownOffers, NO_CERTIFICATE, Trust, Verifier, client_config, describe, is_of_offer,
    legacy::{HELPER, LegacyHandshake},
    quic_client_config, rustls_error, watching_requests,
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::options::TlsOptions;
pub(crate) use self::{
    offer::Prelude,
    options::{NOT_A_NAME, read_sni},
    stream::SecureStream,
};
use crate::{
    budget::{Framing, Meter, Metered},
    recorder::{CheckRecorder, seconds},
};

/// How long the helper may take to be ready for the server to be blamed for what follows: that
/// it closes the connection, or does not answer in the time that is left.
const PROMPT: Duration = Duration::from_secs(1);

/// How a monitor speaks TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    trust: Arc<Trust>,
    warn_days: Option<u32>,
    /// The name to ask for and to verify, instead of the host's own.
    sni: Option<ServerName<'static>>,
    client: Arc<ClientConfig>,
    /// Whether OpenSSL makes the handshake, in a child.
    is_legacy: bool,
    /// What servers were found to offer, in their present outages.
    offers: Arc<KnownOffers>,
}

/// A handshake that failed.
struct FailedHandshake {
    failure: Failure,
    /// Whether what the server offers may explain it.
    is_of_offer: bool,
}

impl From<Failure> for FailedHandshake {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            is_of_offer: false,
        }
    }
}

impl Tls {
    pub(crate) fn new(trust: Trust, warn_days: Option<u32>, protocols: &[&[u8]], is_legacy: bool) -> Self {
        let trust = Arc::new(trust);
        let verifier = Verifier::new(Arc::clone(&trust));
        Self {
            trust,
            warn_days,
            sni: None,
            client: Arc::new(client_config(verifier, protocols)),
            is_legacy,
            offers: Arc::default(),
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
            is_legacy: self.is_legacy,
            offers: Arc::clone(&self.offers),
        }
    }

    /// The name to ask the monitor's own host for, whose name is `name`.
    pub(crate) fn name_instead_of(&self, name: ServerName<'static>) -> ServerName<'static> {
        self.sni.clone().unwrap_or(name)
    }

    /// Whether servers are identified by their very certificates.
    pub(crate) fn is_pinned(&self) -> bool {
        !self.trust.pins.is_empty()
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

    /// Makes the handshake over an open connection, whose budget begins here. If it
    /// fails, the reason says what the server offers, as far as that can be found out:
    /// `prelude` is what leads to TLS on another connection to the same server.
    pub(crate) async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        prelude: Prelude<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<SecureStream<TcpStream>, Failure> {
        let place = offer::Place::of(&stream);
        let stream = Metered::wire(stream, Framing::tls());
        let meter = stream.meter().clone();
        let made = async {
            match self.is_legacy {
                true => self.by_helper(name.clone(), stream, check, recorder).await,
                false => self.by_rustls(name.clone(), stream, check).await,
            }
        };
        let stream = match made.await {
            Ok(stream) => stream,
            Err(failed) => {
                let failed = match meter.flood() {
                    Some(flood) => flood.failure("tls").into(),
                    None => failed,
                };
                check.step("tls", || failed.failure.reason.clone());
                if !failed.is_of_offer {
                    return Err(failed.failure);
                }
                let explained = self.explained(failed.failure, &name, place, prelude, check);
                return Err(Box::pin(explained).await);
            }
        };
        if let Some(place) = place {
            self.offers.forget((place.peer, &name));
        }
        recorder.done(Phase::Tls);
        let certificate = stream.chain().first();
        check.step("tls", || {
            let certificate = certificate.map(describe).unwrap_or_default();
            format!("{}, {certificate}", stream.version())
        });
        if let Some(certificate) = certificate {
            self.record_expiry(certificate, check, recorder);
        }
        Ok(stream)
    }

    async fn by_rustls(
        &self,
        name: ServerName<'static>,
        stream: Metered<TcpStream>,
        check: &Check,
    ) -> Result<SecureStream<TcpStream>, FailedHandshake> {
        let (client, requests) = watching_requests(&self.client);
        let meter = stream.meter().clone();
        let connector = TlsConnector::from(client);
        let made = check.within("tls", connector.connect(name, stream)).await?;
        if requests.any() {
            meter.certificate_asked();
        }
        let stream = made.map_err(|error| FailedHandshake {
            failure: failure("tls", &error, &meter),
            is_of_offer: is_of_offer(&error) && !requests.any(),
        })?;
        Ok(SecureStream::Modern(Box::new(stream)))
    }

    async fn by_helper(
        &self,
        name: ServerName<'static>,
        stream: Metered<TcpStream>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<SecureStream<TcpStream>, FailedHandshake> {
        let watch = Stopwatch::start();
        let begun = LegacyHandshake::begin(&self.trust, name, check.deadline()).await;
        let waited = watch.elapsed();
        recorder.spent_on_our_side(waited);
        let now = u64::try_from(check.started.wall.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let meter = stream.meter().clone();
        let made = check.within("tls", begun?.over(stream, now)).await;
        let made = made.unwrap_or_else(|failure| Err(failure.into()));
        let stream = made.map_err(|failed| {
            let Failure { class, reason } = &failed.failure;
            let is_late = waited >= PROMPT
                && matches!(
                    class,
                    FailureClass::Closed | FailureClass::Reset | FailureClass::TimedOut
                );
            match is_late {
                true => Failure::new(
                    FailureClass::Resources,
                    format!(
                        "{reason}, after {HELPER} had taken {} to be ready",
                        seconds(waited)
                    ),
                )
                .into(),
                false => FailedHandshake {
                    failure: failed.failure,
                    is_of_offer: failed.is_of_offer,
                },
            }
        })?;
        if stream.session().asks_certificate {
            meter.certificate_asked();
        }
        Ok(SecureStream::Legacy(Box::new(stream)))
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
