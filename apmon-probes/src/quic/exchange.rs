//! One request and its answer in HTTP/3.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{Check, Failure, FailureClass, Phase};
use apmon_tls::{Verifier, alert_reason, describe};
use bytes::{Buf as _, Bytes};
use h3::{
    client::RequestStream,
    error::{Code, ConnectionError as H3ConnectionError, LocalError, StreamError},
};
use hyper::Version;
use quinn::{
    ConnectError, ConnectionError, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig,
};
use rustls::pki_types::{CertificateDer, ServerName};

use super::{metered::Metered, peers::Subscription, prefixed, quinn_endpoint::Endpoints};
use crate::{
    budget::{Flood, MAX_BYTES, MAX_EMPTY, MAX_FRAMES, MAX_HEAD, Meter, Passed},
    endpoint::Endpoint,
    http::{
        Hop,
        body::{BodyError, Pieces},
        carrier::Carrier,
        judge::HttpAnswer,
    },
    local::Local,
    recorder::CheckRecorder,
    tls::Tls,
};

/// H3_NO_ERROR (RFC 9114 section 8.1).
const DONE: VarInt = VarInt::from_u32(0x100);

/// The number of empty frames in a row that is taken for the end.
const EMPTY_FRAMES: usize = 16;

/// The most bytes of a stream that wait to be read.
const STREAM_WINDOW: u64 = 1024 * 1024;

/// The first estimate of the round-trip time. QUIC's own of a third of a second is
/// for the Internet; it also lets an abandoned connection linger for seconds.
const FIRST_RTT: Duration = Duration::from_millis(100);

/// HTTP/3.
pub(crate) struct QuicCarrier(pub(super) Arc<Endpoints>);

impl Carrier for QuicCarrier {
    const TLS_ONLY: bool = true;

    async fn request(
        &self,
        hop: Hop<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<HttpAnswer, Failure> {
        let to = hop.target.endpoint.resolve(check, recorder, local).await?;
        Box::pin(request(hop, &self.0, to, check, recorder)).await
    }
}

/// Makes the request at `to` and judges the answer.
async fn request(
    hop: Hop<'_>,
    endpoints: &Endpoints,
    to: SocketAddr,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<HttpAnswer, Failure> {
    let Hop { plan, target, .. } = hop;
    let Some(name) = &target.tls else {
        return Err(Failure::new(
            FailureClass::Protocol,
            format!("redirected to {}, which QUIC cannot reach", target.shown()),
        ));
    };
    let (connection, chain, mut peer) = connect(&plan.tls, endpoints, to, name, check, recorder).await?;
    if let Some(certificate) = chain.first() {
        plan.tls.record_expiry(certificate, check, recorder);
    }
    let result = converse(hop, connection.clone(), &mut peer, check, recorder)
        .await
        // The end of the connection is a better reason than its effect on the
        // request. If our side closed it, that was because of this failure.
        .map_err(|failure| match (failure.class, connection.close_reason()) {
            (_, Some(ConnectionError::LocallyClosed)) => failure,
            (FailureClass::Protocol | FailureClass::Closed, Some(reason)) => lost(&reason),
            _ => failure,
        });
    connection.close(DONE, b"");
    peer.took(connection.stats().udp_rx.datagrams);
    result
}

/// The certificates that the server at `endpoint` shows.
pub(crate) async fn certificates(
    tls: &Tls,
    endpoint: &Endpoint,
    name: &ServerName<'static>,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let to = endpoint.resolve(check, recorder, local).await?;
    let endpoints = Endpoints::default();
    let (connection, chain, _peer) = connect(tls, &endpoints, to, name, check, recorder).await?;
    connection.close(DONE, b"");
    Ok(chain)
}

/// Connects to `to`; returns the certificates shown there too, and the subscription by
/// which answers are let in.
async fn connect(
    tls: &Tls,
    endpoints: &Endpoints,
    to: SocketAddr,
    name: &ServerName<'_>,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<(quinn::Connection, Vec<CertificateDer<'static>>, Subscription), Failure> {
    let shared = endpoints.of(to)?;
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

async fn converse(
    hop: Hop<'_>,
    connection: quinn::Connection,
    peer: &mut Subscription,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<HttpAnswer, Failure> {
    let (head, _) = hop.compose(Version::HTTP_3).into_parts();
    let request = hyper::Request::from_parts(head, ());
    let body = hop.post.map(|post| post.body.clone());
    let mut builder = h3::client::builder();
    builder.max_field_section_size(crate::http::MAX_HEAD as u64);
    let watched = connection.clone();
    let meter = Meter::default();
    let metered = Metered::connection(h3_quinn::Connection::new(connection), &meter);
    let (mut driver, mut sender) = check
        .within("request", builder.build::<_, _, Bytes>(metered))
        .await?
        .map_err(|error| of_connection(&error))?;
    let work = async {
        let asked = async {
            let failed = |error| of_stream(&error);
            let mut stream = sender.send_request(request).await.map_err(failed)?;
            // A server may answer before it has read everything, and stop reading.
            match send(&mut stream, body).await {
                Ok(()) | Err(StreamError::RemoteTerminate { .. }) => {}
                Err(error) => return Err(of_stream(&error)),
            }
            loop {
                let answer = stream.recv_response().await.map_err(failed)?;
                // Informational answers come before the final one (RFC 9110 section 15.2).
                if !answer.status().is_informational() {
                    meter.answer_begins();
                    return Ok((stream, answer));
                }
                let interim = Passed {
                    interim: 1,
                    ..Passed::default()
                };
                meter.add(interim).map_err(|flood| flood.failure("request"))?;
            }
        };
        let (stream, answer) = check.within("request", asked).await??;
        let (head, ()) = answer.into_parts();
        hop.plan
            .expected()
            .judge(head.status, &head.headers, &mut Data(stream), check, recorder)
            .await
    };
    tokio::pin!(work);
    let flood = flood(&watched, &meter, peer);
    tokio::pin!(flood);
    // h3 has another name for a flood that ends a stream.
    let by_flood = |failure| meter.flood().map_or(failure, |flood| flood.failure("request"));
    // The driver reads the server's settings and its wish to close. What ends the
    // connection ends the request too, with a better reason.
    tokio::select! {
        biased;
        result = &mut work => return result.map_err(by_flood),
        failure = &mut flood => return Err(failure),
        _ = std::future::poll_fn(|context| driver.poll_close(context)) => {}
    }
    match meter.flood() {
        Some(flood) => Err(flood.failure("request")),
        None => work.await.map_err(by_flood),
    }
}

async fn send(stream: &mut RequestStream<Stream, Bytes>, body: Option<Bytes>) -> Result<(), StreamError> {
    if let Some(body) = body {
        stream.send_data(body).await?;
    }
    stream.finish().await
}

/// Ends once the server has sent more than any answer needs, in frames of QUIC that
/// no stream shows or that h3 does not read, or in datagrams of no connection.
async fn flood(connection: &quinn::Connection, meter: &Meter, peer: &mut Subscription) -> Failure {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            flood = peer.flood() => return flood.failure("request"),
        }
        let stats = connection.stats();
        peer.took(stats.udp_rx.datagrams);
        if let Some(flood) = exceeded(&stats, meter.has_answer()) {
            return flood.failure("request");
        }
    }
}

fn exceeded(stats: &quinn::ConnectionStats, has_answer: bool) -> Option<Flood> {
    let frames = &stats.frame_rx;
    let empty = [
        frames.ping,
        frames.max_data,
        frames.max_stream_data,
        frames.max_streams_bidi,
        frames.max_streams_uni,
        frames.data_blocked,
        frames.stream_data_blocked,
        frames.streams_blocked_bidi,
        frames.streams_blocked_uni,
        frames.new_connection_id,
        frames.retire_connection_id,
        frames.new_token,
        frames.path_challenge,
        frames.path_response,
        frames.reset_stream,
        frames.stop_sending,
        frames.datagram,
        frames.ack_frequency,
        frames.immediate_ack,
        // Some servers acknowledge in each datagram.
        frames.acks.saturating_sub(frames.stream),
    ];
    let data = frames.stream + frames.crypto;
    // As much as the window lets come may wait to be read.
    let is_head = !has_answer && stats.udp_rx.bytes > MAX_HEAD + STREAM_WINDOW;
    [
        (stats.udp_rx.bytes > MAX_BYTES, Flood::Bytes),
        (is_head, Flood::Head),
        (empty.iter().sum::<u64>() > MAX_EMPTY, Flood::EmptyFrames),
        (stats.udp_rx.datagrams > MAX_EMPTY + data, Flood::EmptyDatagrams),
        (data > MAX_FRAMES, Flood::Frames),
    ]
    .into_iter()
    .find_map(|(exceeds, flood)| exceeds.then_some(flood))
}

/// The stream of a request.
type Stream = Metered<h3_quinn::BidiStream<Bytes>>;

struct Data(RequestStream<Stream, Bytes>);

impl Pieces for Data {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        // h3 reports an empty frame as the end too. The real end stays the end.
        for _ in 0..EMPTY_FRAMES {
            match self.0.recv_data().await {
                Ok(Some(mut piece)) => return Ok(Some(piece.copy_to_bytes(piece.remaining()))),
                Ok(None) => {}
                Err(error) => return Err(BodyError::Failed(of_stream(&error))),
            }
        }
        Ok(None)
    }
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

fn lost(error: &ConnectionError) -> Failure {
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

fn of_connection(error: &H3ConnectionError) -> Failure {
    match error {
        H3ConnectionError::Timeout { .. } => {
            Failure::new(FailureClass::TimedOut, "quic: the peer stopped answering")
        }
        H3ConnectionError::Local {
            error: LocalError::Application { code, reason, .. },
            ..
        } => invalid(*code, reason),
        other => request_failed(FailureClass::Protocol, &other.to_string()),
    }
}

fn invalid(code: Code, reason: &str) -> Failure {
    request_failed(
        FailureClass::Protocol,
        &format!("the answer is not valid HTTP/3: {reason} ({code})"),
    )
}

fn of_stream(error: &StreamError) -> Failure {
    match error {
        StreamError::RemoteTerminate { code, .. } => request_failed(
            FailureClass::Closed,
            &format!("stream reset by the server ({code})"),
        ),
        StreamError::RemoteClosing { .. } => {
            request_failed(FailureClass::Closed, "the server is shutting down")
        }
        StreamError::ConnectionError { 0: error, .. } => of_connection(error),
        StreamError::StreamError { code, reason, .. } => invalid(*code, reason),
        other => request_failed(FailureClass::Protocol, &other.to_string()),
    }
}

fn request_failed(class: FailureClass, words: &str) -> Failure {
    Failure::new(
        class,
        format!("request: {}", apmon_core::text::excerpt(words, 160)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_stream_shows_is_counted() {
        type Change = fn(&mut quinn::ConnectionStats, u64);
        let limits: [(Change, u64, Flood); 10] = [
            (|stats, n| stats.frame_rx.ping = n, 10_000, Flood::EmptyFrames),
            (
                |stats, n| stats.frame_rx.path_challenge = n,
                10_000,
                Flood::EmptyFrames,
            ),
            (
                |stats, n| stats.frame_rx.new_connection_id = n,
                10_000,
                Flood::EmptyFrames,
            ),
            (|stats, n| stats.frame_rx.acks = n, 10_000, Flood::EmptyFrames),
            (|stats, n| stats.frame_rx.datagram = n, 10_000, Flood::EmptyFrames),
            (
                |stats, n| stats.udp_rx.datagrams = n,
                10_000,
                Flood::EmptyDatagrams,
            ),
            (|stats, n| stats.frame_rx.stream = n, 500_000, Flood::Frames),
            (|stats, n| stats.frame_rx.crypto = n, 500_000, Flood::Frames),
            (|stats, n| stats.udp_rx.bytes = n, 2 << 20, Flood::Head),
            (
                |stats, n| {
                    stats.frame_rx.stream = 10;
                    stats.frame_rx.acks = n;
                },
                10_010,
                Flood::EmptyFrames,
            ),
        ];
        for (change, limit, flood) in limits {
            for (count, expected) in [(limit, None), (limit + 1, Some(flood))] {
                let mut stats = quinn::ConnectionStats::default();
                change(&mut stats, count);
                assert_eq!(exceeded(&stats, false), expected, "{count}");
            }
        }
        let mut stats = quinn::ConnectionStats::default();
        stats.udp_rx.bytes = 16 << 20;
        assert_eq!(exceeded(&stats, true), None);
        stats.udp_rx.bytes += 1;
        assert_eq!(exceeded(&stats, true), Some(Flood::Bytes));
    }

    #[test]
    fn an_answer_letter_by_letter_in_datagrams_of_their_own_is_not_a_flood() {
        let mut stats = quinn::ConnectionStats::default();
        stats.udp_rx.datagrams = 300_000;
        stats.udp_rx.bytes = 15 << 20;
        stats.frame_rx.stream = 300_000;
        stats.frame_rx.acks = 300_000;
        assert_eq!(exceeded(&stats, true), None);
    }
}
