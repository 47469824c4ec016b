//! The carriers of a request: HTTP/1.1 and HTTP/2 over TCP are here, HTTP/3 over
//! QUIC is in [`crate::quic`].

use std::future::Future;

use apmon_core::{Check, Failure};
use hyper::Version;

use super::{
    exchange,
    judge::HttpAnswer,
    options::{Plan, Post},
    target::Target,
};
use crate::{
    budget::{Framing, Metered},
    local::Local,
    recorder::CheckRecorder,
    tls::Prelude,
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
        plan: &Plan,
        target: &Target,
        post: Option<&Post>,
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
        plan: &Plan,
        target: &Target,
        post: Option<&Post>,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<HttpAnswer, Failure> {
        let stream = match &plan.proxy {
            None => target.endpoint.connect(check, recorder, local).await?,
            Some(proxy) => Box::pin(proxy.connect(target, check, recorder, local)).await?,
        };
        let expected = plan.expected();
        if let Some(name) = target.tls.clone() {
            return Box::pin(async move {
                let prelude = match &plan.proxy {
                    None => Prelude::None,
                    Some(proxy) => Prelude::Proxy(proxy, target),
                };
                let stream = plan.tls.handshake(name, stream, prelude, check, recorder).await?;
                let meter = stream.meter().clone();
                match stream.protocol() {
                    Some(b"h2") => {
                        let stream = Metered::decrypted(stream, Framing::http2(), meter);
                        let request = plan.compose(target, post, Version::HTTP_2);
                        exchange::by_http2(stream, request, expected, check, recorder).await
                    }
                    _ => {
                        let stream = Metered::decrypted(stream, Framing::http1(), meter);
                        let request = plan.compose(target, post, Version::HTTP_11);
                        exchange::by_http1(stream, request, expected, check, recorder).await
                    }
                }
            })
            .await;
        }
        let stream = Metered::wire(stream, Framing::http1());
        let request = plan.compose(target, post, Version::HTTP_11);
        Box::pin(exchange::by_http1(stream, request, expected, check, recorder)).await
    }
}
