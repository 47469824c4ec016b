//! `http`: does it answer, from behind the right certificate, with the right
//! thing?

pub(crate) mod body;
mod exchange;
pub(crate) mod judge;
mod options;
pub(crate) mod proxy;
pub(crate) mod target;

use std::sync::Arc;

use apmon_core::{Blueprint, Both, Check, Failure, FailureClass, Kind, Outcome, Probe, config::Section};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Version,
    header::{self, HeaderValue},
};
use url::Url;

pub use self::options::HttpOptions;
pub(crate) use self::options::{Carrier, Plan, Post};
use self::{
    judge::{Answer, ExpectedAnswer},
    target::Target,
};
use crate::{local::Local, quic, recorder::CheckRecorder, tls::TlsOptions};

const MAX_REDIRECTS: usize = 10;

const USER_AGENT: &str = concat!("apmon/", env!("CARGO_PKG_VERSION"));

/// The kind `http`.
#[derive(Debug)]
pub struct Http;

impl Kind for Http {
    type Options = Both<HttpOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        "http"
    }

    fn summary(&self) -> &'static str {
        "requests a URL over HTTP/1.1 or HTTP/2, with TLS, certificate pin and search of the body"
    }

    fn address(&self) -> &'static str {
        "http://host/path or https://host/path"
    }

    fn example(&self) -> &'static str {
        "type: http\nname: nas-web\naddress: https://192.168.1.10:5001/\nexpect: Welcome\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["http", "https"]
    }

    fn compile(&self, Both(options, tls): Self::Options, section: &mut Section<'_>) -> Option<Blueprint> {
        let plan = Arc::new(options.plan(tls, section, Carrier::Tcp)?);
        Some(Blueprint::probe(move |services| HttpProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
            quic: None,
        }))
    }
}

/// Requests, whatever carries the request.
pub(crate) struct HttpProbe {
    pub(crate) plan: Arc<Plan>,
    pub(crate) local: Arc<Local>,
    /// HTTP/3 goes by these.
    pub(crate) quic: Option<Arc<quic::Endpoints>>,
}

#[async_trait]
impl Probe for HttpProbe {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::start();
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, &self.local.network)
    }
}

impl HttpProbe {
    /// Requests, and follows where it is sent.
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let mut post = self.plan.post.as_ref();
        let mut moved: Option<Target> = None;
        let mut visited: Vec<(Url, bool)> = Vec::new();
        loop {
            let target = moved.as_ref().unwrap_or(&self.plan.target);
            let answer = self.request(target, post, check, recorder).await;
            let (status, location) = match answer {
                Ok(Answer::Right) => return Ok(()),
                Ok(Answer::Moved { status, location }) => (status, location),
                Err(failure) if moved.is_none() => return Err(failure),
                // Not of the address that everybody sees.
                Err(Failure { class, reason }) => {
                    let reason = format!("{reason} (redirected to {})", target.shown());
                    return Err(Failure::new(class, reason));
                }
            };
            visited.push((target.url.clone(), post.is_some()));
            // 307 and 308 repeat the request (RFC 9110 section 15.4).
            if !matches!(status.as_u16(), 307 | 308) {
                post = None;
            }
            let next = self.follow(target, &location, recorder)?;
            // What is sent may hold a token, which is nobody else's business.
            let vouched = self.plan.tls.identifies() && next.is_tls();
            if post.is_some() && !next.is_kin && !vouched {
                let shown = next.shown();
                return Err(protocol(format!(
                    "redirected to {shown}, another server, with what is sent"
                )));
            }
            check.step("redirect", || format!("to {}", next.shown()));
            let loops = visited
                .iter()
                .any(|(url, posted)| *url == next.url && *posted == post.is_some());
            if loops {
                return Err(protocol(format!("redirects go in a circle: {}", next.shown())));
            }
            if visited.len() > MAX_REDIRECTS {
                return Err(protocol(format!("more than {MAX_REDIRECTS} redirects")));
            }
            moved = Some(next);
        }
    }

    /// The next target, if it may be asked.
    fn follow(&self, from: &Target, location: &str, recorder: &mut CheckRecorder) -> Result<Target, Failure> {
        let next = from
            .follow(location)
            .map_err(|text| protocol(format!("redirected to nowhere: {text}")))?;
        if self.quic.is_some() && !next.is_tls() {
            return Err(protocol(format!(
                "redirected to {}, where there is no QUIC",
                next.shown()
            )));
        }
        if from.is_tls() && !next.is_tls() {
            let shown = next.shown();
            if self.plan.tls.identifies() {
                return Err(Failure::new(
                    FailureClass::Pin,
                    format!("redirected from https to {shown}, where no certificate vouches for the answer"),
                ));
            }
            recorder.warn(format!("redirected from https to {shown}"));
        }
        Ok(next)
    }

    /// One request to one target. What follows the connection is boxed: a look
    /// that waits for a dead host needs no room for it.
    async fn request(
        &self,
        target: &Target,
        post: Option<&Post>,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<Answer, Failure> {
        if let Some(endpoints) = &self.quic {
            let to = target.endpoint.resolve(check, recorder, &self.local).await?;
            return Box::pin(quic::request(
                &self.plan, endpoints, to, target, post, check, recorder,
            ))
            .await;
        }
        let stream = match &self.plan.proxy {
            None => target.endpoint.connect(check, recorder, &self.local).await?,
            Some(proxy) => Box::pin(proxy.connect(target, check, recorder, &self.local)).await?,
        };
        let wanted = self.plan.wanted();
        if let Some(name) = target.tls.clone() {
            return Box::pin(async move {
                let stream = self.plan.tls.handshake(name, stream, check, recorder).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => {
                        let request = self.plan.compose(target, post, Version::HTTP_2);
                        exchange::by_http2(stream, request, wanted, check, recorder).await
                    }
                    _ => {
                        let request = self.plan.compose(target, post, Version::HTTP_11);
                        exchange::by_http1(stream, request, wanted, check, recorder).await
                    }
                }
            })
            .await;
        }
        let request = self.plan.compose(target, post, Version::HTTP_11);
        Box::pin(exchange::by_http1(stream, request, wanted, check, recorder)).await
    }
}

impl Plan {
    pub(crate) fn wanted(&self) -> ExpectedAnswer<'_> {
        ExpectedAnswer {
            expect: self.expect.as_ref(),
            statuses: &self.statuses,
        }
    }

    /// The request for `target`.
    pub(crate) fn compose(
        &self,
        target: &Target,
        post: Option<&Post>,
        version: Version,
    ) -> Request<Full<Bytes>> {
        let body = Full::new(post.map(|post| post.body.clone()).unwrap_or_default());
        let mut request = Request::new(body);
        *request.version_mut() = version;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if self.expect.is_some() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(header::HOST, target.host.clone());
        if let Some(authorization) = &target.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(post) = post {
            headers.insert(header::CONTENT_TYPE, post.content_type.clone());
        }
        // They may hold a token, which is nobody else's business.
        if target.url.origin() == self.target.url.origin() {
            headers.extend(self.headers.clone());
        }
        let by_proxy = self.proxy.as_ref().filter(|_| !target.is_tls());
        if version == Version::HTTP_11 {
            // One request is all there will be.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            if let Some(authorization) = by_proxy.and_then(|proxy| proxy.authorization.as_ref()) {
                headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        let whole = by_proxy.is_some() || version != Version::HTTP_11;
        *request.uri_mut() = if whole {
            match version {
                // A proxy goes where the URI says, whatever the header does.
                Version::HTTP_11 => target.whole(None),
                // Beyond HTTP/1.1 the host is a part of the URI.
                _ => {
                    let host = request.headers_mut().remove(header::HOST);
                    target.whole(host.as_ref())
                }
            }
        } else {
            target.path.clone()
        };
        if post.is_some() {
            *request.method_mut() = Method::POST;
        }
        request
    }
}

/// An answer of a proxy, a status option and a packed body.
pub(crate) fn fuzz(bytes: &[u8]) {
    std::hint::black_box(proxy::status(bytes));
    body::fuzz(bytes);
}

fn protocol(reason: String) -> Failure {
    Failure::new(FailureClass::Protocol, reason)
}

#[cfg(test)]
mod tests;
