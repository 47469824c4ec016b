//! The request that a plan makes of a target.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Version,
    header::{self, HeaderValue},
};

use super::{
    judge::ExpectedAnswer,
    options::{Plan, Post},
    target::Target,
};

const USER_AGENT: &str = concat!("apmon/", env!("CARGO_PKG_VERSION"));

impl Plan {
    /// What the answer must be.
    pub(crate) fn expected(&self) -> ExpectedAnswer<'_> {
        ExpectedAnswer {
            body: self.expect.as_ref(),
            statuses: &self.statuses,
        }
    }
}

/// One request of a check: the first, or one that a redirect leads to.
#[derive(Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Target,
    pub(crate) post: Option<&'a Post>,
    /// The cookies that servers have set on the way.
    pub(crate) cookies: Option<&'a HeaderValue>,
}

impl Hop<'_> {
    /// The request in `version`.
    pub(crate) fn compose(self, version: Version) -> Request<Full<Bytes>> {
        let Self {
            plan,
            target,
            post,
            cookies,
        } = self;
        let body = Full::new(post.map(|post| post.body.clone()).unwrap_or_default());
        let mut request = Request::new(body);
        *request.version_mut() = version;
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if plan.expect.is_some() {
            // Other codings are understood, but take more memory.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(authorization) = &target.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(post) = post {
            headers.insert(header::CONTENT_TYPE, post.content_type.clone());
        }
        // They may hold a token, which other servers must not see.
        if target.url.origin() == plan.target.url.origin() {
            headers.extend(plan.headers.clone());
        }
        if let Some(cookies) = cookies {
            add_cookies(headers, cookies);
        }
        let by_proxy = plan.proxy.as_ref().filter(|_| !target.is_tls());
        let is_http1 = version <= Version::HTTP_11;
        if is_http1 {
            // There will be no second request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            if let Some(authorization) = by_proxy.and_then(|proxy| proxy.authorization.as_ref()) {
                headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        *request.uri_mut() = match by_proxy {
            None if is_http1 => target.path.clone(),
            // A proxy goes where the URI says, whatever the header says.
            Some(_) if is_http1 => target.absolute(None),
            // Beyond HTTP/1.1 the host is a part of the URI.
            _ => {
                let host = request.headers_mut().remove(header::HOST);
                target.absolute(host.as_ref())
            }
        };
        if post.is_some() {
            *request.method_mut() = Method::POST;
        }
        request
    }
}

/// Adds cookies to those of the options: there is one such header (RFC 6265 section
/// 5.4).
fn add_cookies(headers: &mut HeaderMap, cookies: &HeaderValue) {
    let all = match headers.get(header::COOKIE) {
        None => Ok(cookies.clone()),
        Some(own) => HeaderValue::from_bytes(&[own.as_bytes(), b"; ", cookies.as_bytes()].concat()),
    };
    if let Ok(mut all) = all {
        all.set_sensitive(true);
        headers.insert(header::COOKIE, all);
    }
}
