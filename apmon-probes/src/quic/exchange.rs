//! One request and its answer in HTTP/3.

use std::{sync::Arc, time::Duration};

use apmon_core::{Check, Failure, FailureClass};
use bytes::{Buf as _, Bytes};
use h3::{
    client::RequestStream,
    error::{Code, ConnectionError as H3ConnectionError, LocalError, StreamError},
    quic::ConnectionErrorIncoming,
};
use hyper::Version;
use quinn::ConnectionError;

use super::{
    connect::{Client, DONE, STREAM_WINDOW, lost},
    metered::Metered,
    peers::Subscription,
    quinn_endpoint::Endpoints,
};
use crate::{
    budget::{Flood, MAX_BYTES, MAX_EMPTY, MAX_FRAMES, MAX_HEAD, Meter, Passed},
    http::{
        Hop,
        body::{BodyError, Pieces},
        carrier::Carrier,
        judge::HttpAnswer,
    },
    local::Local,
    recorder::CheckRecorder,
};

/// The number of empty frames in a row that is taken for the end.
const EMPTY_FRAMES: usize = 16;

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
        Box::pin(request(hop, &self.0, check, recorder, local)).await
    }
}

/// Makes the request and judges the answer.
async fn request(
    hop: Hop<'_>,
    endpoints: &Endpoints,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<HttpAnswer, Failure> {
    let Hop { plan, target, .. } = hop;
    let Some(name) = &target.tls else {
        return Err(Failure::new(
            FailureClass::Protocol,
            format!("redirected to {}, which QUIC cannot reach", target.shown()),
        ));
    };
    let client = Client {
        tls: &plan.tls,
        endpoints,
        name,
    };
    let (connection, chain, mut peer) = client.connect(&target.endpoint, check, recorder, local).await?;
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

fn of_connection(error: &H3ConnectionError) -> Failure {
    match error {
        H3ConnectionError::Timeout { .. } => {
            Failure::new(FailureClass::TimedOut, "quic: the peer stopped answering")
        }
        H3ConnectionError::Local {
            error: LocalError::Application { code, reason, .. },
            ..
        } => invalid(*code, reason),
        H3ConnectionError::Remote {
            0: ConnectionErrorIncoming::ApplicationClose { error_code, .. },
            ..
        } => {
            let code = Code::from(*error_code);
            request_failed(
                FailureClass::Closed,
                &format!("the server closed the connection ({code})"),
            )
        }
        _ => request_failed(FailureClass::Closed, "the connection ended"),
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
        StreamError::HeaderTooBig { actual_size, .. } => request_failed(
            FailureClass::Protocol,
            &format!("the headers of the answer are too large ({actual_size} bytes)"),
        ),
        _ => request_failed(FailureClass::Protocol, "the stream ended"),
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
