//! The request that a plan makes of a target.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Version,
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
        // They may hold a token, which other servers must not see.
        if target.url.origin() == self.target.url.origin() {
            headers.extend(self.headers.clone());
        }
        let by_proxy = self.proxy.as_ref().filter(|_| !target.is_tls());
        if version == Version::HTTP_11 {
            // There will be no second request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            if let Some(authorization) = by_proxy.and_then(|proxy| proxy.authorization.as_ref()) {
                headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        *request.uri_mut() = match version {
            Version::HTTP_11 if by_proxy.is_none() => target.path.clone(),
            // A proxy goes where the URI says, whatever the header says.
            Version::HTTP_11 => target.absolute(None),
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
