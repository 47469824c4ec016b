//! A connection over QUIC to one address of a server after the other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{Check, Failure, FailureClass, Phase};
use apmon_tls::{Verifier, alert_reason, describe};
use quinn::{
    ConnectError, ConnectionError, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig,
};
use rustls::pki_types::{CertificateDer, ServerName};

use super::{peers::Subscription, prefixed, quinn_endpoint::Endpoints};
use crate::{endpoint::Endpoint, local::Local, recorder::CheckRecorder, tls::Tls};

/// H3_NO_ERROR (RFC 9114 section 8.1).
pub(super) const DONE: VarInt = VarInt::from_u32(0x100);

/// The most bytes of a stream that wait to be read.
pub(super) const STREAM_WINDOW: u64 = 1024 * 1024;

/// The first estimate of the round-trip time. QUIC's own of a third of a second is
/// for the Internet; it also lets an abandoned connection linger for seconds.
const FIRST_RTT: Duration = Duration::from_millis(100);

/// The certificates that the server at `endpoint` shows.
pub(crate) async fn certificates(
    tls: &Tls,
    endpoint: &Endpoint,
    name: &ServerName<'static>,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let client = Client {
        tls,
        endpoints: &Endpoints::default(),
        name,
    };
    let (connection, chain, _peer) = client.connect(endpoint, check, recorder, local).await?;
    connection.close(DONE, b"");
    Ok(chain)
}

/// A connection, the certificates that the server presented, and the subscription by which
/// answers are let in.
pub(super) type Connected = (quinn::Connection, Vec<CertificateDer<'static>>, Subscription);

/// How a connection is made.
pub(super) struct Client<'a> {
    pub(super) tls: &'a Tls,
    pub(super) endpoints: &'a Endpoints,
    pub(super) name: &'a ServerName<'static>,
}

impl Client<'_> {
    /// Connects to the server at `endpoint`.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<Connected, Failure> {
        if let Some(to) = endpoint.turn(check) {
            return self.connect_to(to, check, recorder).await;
        }
        let mut attempts = endpoint.onward(check, recorder, local).await?;
        while let Some(attempt) = attempts.next_check() {
            let Some(to) = endpoint.turn(&attempt) else { break };
            match self.connect_to(to, &attempt, recorder).await {
                Ok(connected) => {
                    recorder.arrives(&attempts, &attempt, check);
                    return Ok(connected);
                }
                Err(failure) if attempts.goes_on(&attempt, &failure) => {}
                Err(failure) => return Err(attempts.failure(&attempt, failure)),
            }
        }
        Err(attempts.all_failed())
    }

    async fn connect_to(
        &self,
        to: SocketAddr,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<Connected, Failure> {
        recorder.goes_to(to.ip());
        let connected = connect(self, to, check, recorder).await?;
        check.reached();
        Ok(connected)
    }
}

/// Connects to `to`.
async fn connect(
    Client { tls, endpoints, name }: &Client<'_>,
    to: SocketAddr,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<Connected, Failure> {
    let shared = endpoints.of(to, check.source(to.ip()))?;
    let (client, verifier) = tls.for_quic(b"h3");
    let mut peer = shared.subscribe(to);
    check.step("connect", || format!("QUIC to {to}"));
    let connecting = shared
        .endpoint
        .connect_with(settings(client, check)?, to, &name.to_str())
        .map_err(|error| not_started(&error))?;
    let connection = tokio::select! {
        connection = check.within("quic", connecting) => connection?.map_err(|error| failure(&error, &verifier)),
        failure = peer.failure() => Err(prefixed(&failure)),
    };
    let connection = connection
        .map_err(|failure| match (failure.class, peer.held_back()) {
            // Not even our own questions went out.
            (FailureClass::TimedOut, count @ 1..) => Failure::new(
                FailureClass::Resources,
                format!(
                    "quic: this machine's send buffer had no room for {count} datagrams (net.core.wmem_max)"
                ),
            ),
            _ => failure,
        })
        .inspect_err(|failure| check.step("quic", || failure.reason.clone()))?;
    peer.connected();
    recorder.done(Phase::Tls);
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .map(|chain| *chain)
        .unwrap_or_default();
    check.step("quic", || {
        format!(
            "QUIC version 1, {}",
            chain.first().map(describe).unwrap_or_default()
        )
    });
    Ok((connection, chain, peer))
}

fn settings(client: rustls::ClientConfig, check: &Check) -> Result<quinn::ClientConfig, Failure> {
    let crypto = QuicClientConfig::try_from(client)
        .map_err(|error| Failure::new(FailureClass::Resources, format!("quic: {error}")))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    // The check's own deadline comes first.
    let idle = IdleTimeout::try_from(check.timeout + Duration::from_secs(1)).ok();
    transport
        .max_idle_timeout(idle)
        .initial_rtt(FIRST_RTT)
        // The server opens three streams (RFC 9114 section 6.2), and none for requests.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .receive_window(VarInt::from_u32(2 * 1024 * 1024))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW as u32))
        // For one request a larger packet does not pay off.
        .mtu_discovery_config(None);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn not_started(error: &ConnectError) -> Failure {
    Failure::new(FailureClass::Resources, format!("quic: {error}"))
}

/// Why a connection could not be opened, or ended.
fn failure(error: &ConnectionError, verifier: &Verifier) -> Failure {
    if let Some(refusal) = verifier.refusal() {
        return refusal;
    }
    lost(error)
}

/// Why a connection ended.
pub(super) fn lost(error: &ConnectionError) -> Failure {
    let (class, words) = match error {
        ConnectionError::VersionMismatch => (
            FailureClass::Protocol,
            "the server supports no QUIC version that apmon knows".to_owned(),
        ),
        ConnectionError::Reset => (
            FailureClass::Reset,
            "reset by the peer (stateless reset: it does not know this connection)".to_owned(),
        ),
        ConnectionError::TimedOut => (FailureClass::TimedOut, "no answer".to_owned()),
        ConnectionError::ConnectionClosed(close) => {
            let code = u64::from(close.error_code);
            match code {
                // TLS alerts (RFC 9001 section 4.8)
                0x100..=0x1ff => (FailureClass::Tls, alert_reason((code as u8).into())),
                2 => (FailureClass::Refused, "the server refuses connections".to_owned()),
                _ => (FailureClass::Protocol, format!("closed by the server: {close}")),
            }
        }
        ConnectionError::ApplicationClosed(close) => {
            (FailureClass::Closed, format!("closed by the server: {close}"))
        }
        ConnectionError::TransportError(error) => {
            let class = match u64::from(error.code) {
                0x100..=0x1ff => FailureClass::Tls,
                _ => FailureClass::Protocol,
            };
            (class, error.to_string())
        }
        other => (FailureClass::Resources, other.to_string()),
    };
    Failure::new(class, format!("quic: {}", apmon_core::text::excerpt(&words, 160)))
}
