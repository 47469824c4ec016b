//! `http`: does it answer, from behind the right certificate, with the right
//! thing?

mod exchange;
mod options;
mod target;

use std::sync::Arc;

use apmon_core::{Blueprint, Failure, FailureClass, Kind, Look, Outcome, Phase, Probe, config::Section};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request,
    header::{self, HeaderValue},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

pub use options::HttpOptions;

use self::{
    exchange::{Answer, exchange},
    options::{Plan, Post},
    target::Target,
};
use crate::{course::Course, resolve::Resolver, tls};

const MAX_REDIRECTS: usize = 10;

const USER_AGENT: &str = concat!("apmon/", env!("CARGO_PKG_VERSION"));

/// The kind `http`.
#[derive(Debug)]
pub struct Http;

impl Kind for Http {
    type Options = HttpOptions;

    fn name(&self) -> &'static str {
        "http"
    }

    fn summary(&self) -> &'static str {
        "requests a URL over HTTP/1.1, with TLS, certificate pin and search of the body"
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

    fn compile(&self, options: HttpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let plan = Arc::new(options.plan(section, &["http", "https"])?);
        Some(Blueprint::probe(move |tools| HttpProbe {
            plan: Arc::clone(&plan),
            resolver: tools.shared(),
        }))
    }
}

struct HttpProbe {
    plan: Arc<Plan>,
    resolver: Arc<Resolver>,
}

#[async_trait]
impl Probe for HttpProbe {
    async fn probe(&self, look: &Look) -> Outcome {
        let mut course = Course::start();
        let result = self.look(look, &mut course).await;
        course.finish(result)
    }
}

impl HttpProbe {
    /// Requests, and follows where it is sent.
    async fn look(&self, look: &Look, course: &mut Course) -> Result<(), Failure> {
        let mut post = self.plan.post.as_ref();
        let mut moved: Option<Target> = None;
        let mut visited: Vec<(Url, bool)> = Vec::new();
        loop {
            let target = moved.as_ref().unwrap_or(&self.plan.target);
            let (status, location) = match self.request(target, post, look, course).await? {
                Answer::Right => return Ok(()),
                Answer::Moved { status, location } => (status, location),
            };
            visited.push((target.url.clone(), post.is_some()));
            // 307 and 308 repeat the request (RFC 9110 section 15.4).
            if !matches!(status.as_u16(), 307 | 308) {
                post = None;
            }
            let next = self.follow(target, &location, course)?;
            look.step("redirect", || format!("to {}", next.shown()));
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
    fn follow(&self, from: &Target, location: &str, course: &mut Course) -> Result<Target, Failure> {
        let next = from
            .follow(location)
            .map_err(|text| protocol(format!("redirected to nowhere: {text}")))?;
        if from.is_tls() && !next.is_tls() {
            let shown = next.shown();
            if self.plan.pinned {
                return Err(Failure::new(
                    FailureClass::Pin,
                    format!("redirected from https to {shown}, where no certificate can be pinned"),
                ));
            }
            course.warn(format!("redirected from https to {shown}"));
        }
        Ok(next)
    }

    /// One request to one target. What follows the connection is boxed: a look
    /// that waits for a dead host needs no room for it.
    async fn request(
        &self,
        target: &Target,
        post: Option<&Post>,
        look: &Look,
        course: &mut Course,
    ) -> Result<Answer, Failure> {
        let stream = target.endpoint.connect(look, course, &self.resolver).await?;
        let request = compose(target, post);
        if target.is_tls() {
            Box::pin(self.over_tls(stream, target, request, look, course)).await
        } else {
            Box::pin(exchange(stream, request, self.plan.expect.as_ref(), look, course)).await
        }
    }

    async fn over_tls(
        &self,
        stream: TcpStream,
        target: &Target,
        request: Request<Full<Bytes>>,
        look: &Look,
        course: &mut Course,
    ) -> Result<Answer, Failure> {
        let name = target.tls.clone().expect("asked only where there is TLS");
        let connector = TlsConnector::from(Arc::clone(&self.plan.tls));
        let stream = look
            .within("tls", connector.connect(name, stream))
            .await?
            .map_err(|error| {
                let failure = tls::failure("tls", &error);
                look.step("tls", || failure.reason.clone());
                failure
            })?;
        course.done(Phase::Tls);
        look.step("tls", || {
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(|chain| chain.first());
            let version = session.protocol_version();
            format!(
                "{}, {}",
                version.and_then(|version| version.as_str()).unwrap_or("TLS"),
                certificate.map(tls::describe).unwrap_or_default()
            )
        });
        exchange(stream, request, self.plan.expect.as_ref(), look, course).await
    }
}

fn compose(target: &Target, post: Option<&Post>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(post.map(|post| post.body.clone()).unwrap_or_default()));
    *request.uri_mut() = target.path.clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, target.host.clone());
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    // One request is all there will be.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(authorization) = &target.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    if let Some(post) = post {
        headers.insert(header::CONTENT_TYPE, post.content_type.clone());
        *request.method_mut() = Method::POST;
    }
    request
}

fn protocol(reason: String) -> Failure {
    Failure::new(FailureClass::Protocol, reason)
}

#[cfg(test)]
mod tests;
