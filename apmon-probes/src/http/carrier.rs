//! The carriers of a request: HTTP/1.1 and HTTP/2 over TCP are here, HTTP/3 over
//! QUIC is in [`crate::quic`].

use std::future::Future;

use apmon_core::{Check, Failure, FailureClass};
use hyper::Version;

use super::{exchange, judge::HttpAnswer, request::Hop, version::HttpVersion};
use crate::{
    budget::{Framing, Metered},
    local::Local,
    recorder::CheckRecorder,
    tls::Tls,
};

/// Carries requests to servers and brings their answers.
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Whether it carries `https` alone.
    const TLS_ONLY: bool;

    /// Makes one request to one target and judges the answer.
    ///
    /// What follows the connection belongs into a box: a check that waits for a
    /// dead host needs no room for it.
    fn request(
        &self,
        hop: Hop<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> impl Future<Output = Result<HttpAnswer, Failure>> + Send;
}

/// HTTP/1.1, or HTTP/2 where a server chooses it in the TLS handshake.
pub(crate) struct TcpCarrier;

impl Carrier for TcpCarrier {
    const TLS_ONLY: bool = false;

    async fn request(
        &self,
        hop: Hop<'_>,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<HttpAnswer, Failure> {
        let answer = attempt(hop, &hop.plan.tls, check, recorder, local).await?;
        if !matches!(answer, HttpAnswer::WantsHttp1) {
            return Ok(answer);
        }
        if HttpVersion::is_2(hop.plan.version) {
            let words = "request: the server demands HTTP/1.1, but http_version is 2";
            return Err(Failure::new(FailureClass::Protocol, words));
        }
        check.step("request", || "the server demands HTTP/1.1".to_owned());
        let tls = hop.plan.tls.speaking(&[b"http/1.1"]);
        Box::pin(async move { attempt(hop, &tls, check, recorder, local).await }).await
    }
}

async fn attempt(
    hop: Hop<'_>,
    tls: &Tls,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<HttpAnswer, Failure> {
    let Hop { plan, target, .. } = hop;
    let stream = match &plan.proxy {
        None => target.endpoint.connect(check, recorder, local).await?,
        Some(proxy) => Box::pin(proxy.connect(target, check, recorder, local)).await?,
    };
    let expected = plan.expected();
    let wants_2 = HttpVersion::is_2(plan.version);
    let http1 = HttpVersion::of_http1(plan.version);
    if let Some(name) = target.tls.clone() {
        return Box::pin(async move {
            let stream = tls.handshake(name, stream, check, recorder).await?;
            let (connection, session) = stream.get_ref();
            let meter = connection.meter().clone();
            match session.alpn_protocol() {
                Some(b"h2") => {
                    let stream = Metered::decrypted(stream, Framing::http2(), meter);
                    let request = hop.compose(Version::HTTP_2);
                    exchange::by_http2(stream, request, expected, check, recorder).await
                }
                _ if wants_2 => Err(Failure::new(
                    FailureClass::Protocol,
                    "tls: the server does not choose HTTP/2, but http_version is 2",
                )),
                _ => {
                    let stream = Metered::decrypted(stream, Framing::http1(), meter);
                    exchange::by_http1(stream, hop.compose(http1), expected, check, recorder).await
                }
            }
        })
        .await;
    }
    if wants_2 {
        let stream = Metered::wire(stream, Framing::http2());
        let request = hop.compose(Version::HTTP_2);
        return Box::pin(exchange::by_http2(stream, request, expected, check, recorder)).await;
    }
    let stream = Metered::wire(stream, Framing::http1());
    let request = hop.compose(http1);
    Box::pin(exchange::by_http1(stream, request, expected, check, recorder)).await
}
