//! `http`: whether a server answers, behind the expected certificate, with the
//! expected content.

pub(crate) mod body;
pub(crate) mod carrier;
mod cookies;
mod exchange;
pub(crate) mod judge;
mod lenient;
mod options;
pub(crate) mod proxy;
mod request;
pub(crate) mod target;
mod version;

use std::sync::Arc;

use apmon_core::{
    Blueprint, Both, Check, Failure, FailureClass, Kind, Outcome, Probe, ProbeTarget, Warning, WarningClass,
    config::Section,
};
use async_trait::async_trait;
use hyper::header::HeaderValue;
use url::Url;

#[cfg(feature = "quic")]
pub(crate) use self::lenient::MAX_HEAD;
use self::{
    carrier::{Carrier, TcpCarrier},
    cookies::Cookies,
    judge::HttpAnswer,
    target::Target,
};
pub use self::{options::HttpOptions, version::HttpVersion};
pub(crate) use self::{
    options::{Plan, Transport},
    request::Hop,
};
use crate::{local::Local, recorder::CheckRecorder, tls::TlsOptions};

/// As many as Python's requests follows.
const MAX_REDIRECTS: usize = 30;

/// The kind `http`.
#[derive(Debug)]
pub struct Http;

impl Kind for Http {
    type Options = Both<HttpOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        "http"
    }

    fn summary(&self) -> &'static str {
        "requests a URL over HTTP/1.1 or HTTP/2; can pin the certificate and search the body"
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
        let plan = Arc::new(options.plan(tls, section, Transport::Tcp)?);
        Some(Blueprint::probe(move |services| HttpProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
            carrier: TcpCarrier,
        }))
    }
}

/// Makes a request and follows redirects, whatever carries them.
pub(crate) struct HttpProbe<C> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) local: Arc<Local>,
    pub(crate) carrier: C,
}

#[async_trait]
impl<C: Carrier> Probe for HttpProbe<C> {
    async fn probe(&self, check: &Check) -> Outcome {
        let mut recorder = CheckRecorder::of(check);
        let result = self.check(check, &mut recorder).await;
        recorder.finish(result, check, &self.local.network)
    }

    fn target(&self) -> Option<ProbeTarget<'_>> {
        Some(self.local.target(self.plan.connects_to()))
    }
}

impl<C: Carrier> HttpProbe<C> {
    async fn check(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<(), Failure> {
        let mut post = self.plan.post.as_ref();
        let mut moved: Option<Target> = None;
        let mut visited: Vec<(Url, bool, Option<Box<HeaderValue>>)> = Vec::new();
        let mut jar = Cookies::default();
        loop {
            let target = moved.as_ref().unwrap_or(&self.plan.target);
            let cookies = jar.header(&target.url);
            let hop = Hop {
                plan: &self.plan,
                target,
                post,
                cookies: cookies.as_deref(),
            };
            let answer = self.carrier.request(hop, check, recorder, &self.local).await;
            let (status, location) = match answer {
                Ok(HttpAnswer::Accepted) => return Ok(()),
                Ok(HttpAnswer::WantsHttp1) => {
                    return Err(protocol("request: the server demands HTTP/1.1".to_owned()));
                }
                Ok(HttpAnswer::Redirect {
                    status,
                    location,
                    cookies,
                }) => {
                    jar.keep(&target.url, &cookies);
                    (status, location)
                }
                Err(failure) if moved.is_none() => return Err(failure),
                // The failure concerns another address than the monitor's.
                Err(Failure { class, reason }) => {
                    let reason = format!("{reason} (redirected to {})", target.shown());
                    return Err(Failure::new(class, reason));
                }
            };
            visited.push((target.url.clone(), post.is_some(), cookies));
            // 307 and 308 repeat the request (RFC 9110 section 15.4).
            if !matches!(status.as_u16(), 307 | 308) {
                post = None;
            }
            let next = self.follow(target, &location, recorder)?;
            // The body may hold a token, which other servers must not see. An authority says that
            // a server is who it is, not that it is the one for which the body is meant; a pin does.
            let is_pinned = self.plan.tls.is_pinned() && next.is_tls();
            if post.is_some() && !next.is_same_server && !is_pinned {
                let shown = next.shown();
                return Err(protocol(format!(
                    "redirected to {shown}, another server, which must not receive the body of the request"
                )));
            }
            check.step("redirect", || format!("to {}", next.shown()));
            // A server that has set a cookie may answer otherwise now.
            let next_cookies = jar.header(&next.url);
            let loops = visited.iter().any(|(url, posted, cookies)| {
                *url == next.url && *posted == post.is_some() && *cookies == next_cookies
            });
            if loops {
                return Err(protocol(format!("redirects form a loop: {}", next.shown())));
            }
            if visited.len() > MAX_REDIRECTS {
                return Err(protocol(format!("more than {MAX_REDIRECTS} redirects")));
            }
            moved = Some(next);
        }
    }

    /// The target that `location` names, if a redirect may lead there.
    fn follow(&self, from: &Target, location: &str, recorder: &mut CheckRecorder) -> Result<Target, Failure> {
        let mut next = from
            .follow(location)
            .map_err(|text| protocol(format!("redirected to an invalid address: {text}")))?;
        next.stay_at(&self.plan.target, &self.plan.tls);
        if C::TLS_ONLY && !next.is_tls() {
            return Err(protocol(format!(
                "redirected to {}, which QUIC cannot reach",
                next.shown()
            )));
        }
        if from.is_tls() && !next.is_tls() {
            let shown = next.shown();
            if self.plan.tls.identifies() {
                return Err(Failure::new(
                    FailureClass::Pin,
                    format!("redirected from https to {shown}, where no certificate identifies the server"),
                ));
            }
            let text = format!("redirected from https to {shown}");
            recorder.warn(Warning::degrades(WarningClass::Redirect, text));
        }
        Ok(next)
    }
}

/// Reads `bytes` as a proxy's answer and as a packed body, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    std::hint::black_box(proxy::status(bytes));
    body::fuzz(bytes);
}

/// Rewrites `bytes` as an answer, for the fuzz target.
pub(crate) fn fuzz_answer(bytes: &[u8]) {
    lenient::fuzz(bytes);
}

/// Follows the redirects in `bytes`, for the fuzz target.
pub(crate) fn fuzz_redirects(bytes: &[u8]) {
    const FIRST: &str = "http://staff:s3cr3t@nas.lan/login";
    let url = Url::parse(FIRST).expect("a valid URL");
    let mut target = Target::new(url, Default::default()).expect("a valid address");
    let mut jar = Cookies::default();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        if let [b' ', cookie @ ..] = line {
            let value = HeaderValue::from_bytes(cookie).ok();
            jar.keep(&target.url, value.as_slice());
        } else if let Ok(next) = target.follow(&judge::as_url(line)) {
            let is_its_own = next.authorization == target::basic(&next.url);
            assert!(
                next.is_same_server || is_its_own,
                "another server gets the password"
            );
            std::hint::black_box((next.shown(), jar.header(&next.url)));
            target = next;
        }
    }
}

fn protocol(reason: String) -> Failure {
    Failure::new(FailureClass::Protocol, reason)
}

#[cfg(test)]
mod tests;
