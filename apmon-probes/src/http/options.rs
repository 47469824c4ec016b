//! The options of `http` and `quic`, and the plan made of them.

use std::collections::BTreeMap;

use apmon_core::{
    Secret,
    config::{Host, Remote, Section, StatusRange, Text, one_or_many},
    text::shown_name,
};
use bytes::Bytes;
use hyper::{
    header::{self, HeaderMap, HeaderName, HeaderValue},
    http::uri::Authority,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{proxy::Proxy, target::Target, version::HttpVersion};
use crate::{
    expect::Expect,
    one_or_many::OneOrMany,
    tls::{Tls, TlsOptions},
};

/// Headers that delimit a message or control the connection.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Options of `type: http` and `type: quic`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct HttpOptions {
    /// Text that must appear in the body (in its first 4 MiB, uncompressed),
    /// case-sensitive, whatever encoding the page has; the status then does not matter unless `expect_status` is
    /// given. Without either the status must be 200.
    pub expect: Option<Text>,
    /// The accepted statuses: `200`, `200-299`, or a list of these. With `expect`,
    /// both must match. A redirect status that is listed here is not followed. (An
    /// addition.)
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "OneOrMany<StatusRange>")]
    pub expect_status: Vec<StatusRange>,
    /// Sent as the body of a POST request; without it the request is a GET.
    pub send: Option<Secret>,
    /// The MIME type of `send`. Default `text/plain; charset=utf-8`.
    #[serde(serialize_with = "effective")]
    pub content_type: Option<Text>,
    /// Headers to send, at most 1,000, each `Name: value`; values are never printed.
    /// apmon's own headers (`User-Agent`, `Accept`, `Host`) can be replaced. They are
    /// sent to the address itself and to redirects within the same origin. (An
    /// addition.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// The name of the server, if the address is one node of many: it is sent in the
    /// Host header as it is written here (with `:port` if the server expects one there),
    /// and is the name that TLS asks for and verifies. A redirect to this name leads to
    /// the same node. Default: host and port of the address. (An addition.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Text>,
    /// The version of HTTP to speak: `1.0`, `1.1` or `2`; over `http`, `2` means HTTP/2
    /// from the first byte. Default: for `https` HTTP/2 if the server chooses it, else
    /// HTTP/1.1. Not for `quic`. (An addition.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_version: Option<HttpVersion>,
    /// The HTTP proxy to use: `http://host:port`, with `user:password@` before the
    /// host if it needs a login. Default: none, whatever the environment says. Not
    /// for `quic`. (An addition.)
    pub proxy: Option<Secret>,
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Writes the default where none is given, so that the checksum is the same.
#[allow(clippy::ref_option)] // serde's form
fn effective<S: Serializer>(content_type: &Option<Text>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(content_type.as_ref().map_or(PLAIN_TEXT, Text::as_str))
}

/// The most headers of a monitor. Servers accept about a hundred.
const MAX_HEADERS: usize = 1000;

/// What to request, and what the answer must be.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) post: Option<Post>,
    pub(crate) headers: HeaderMap,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) expect: Option<Expect>,
    pub(crate) statuses: Vec<StatusRange>,
    pub(crate) version: Option<HttpVersion>,
    pub(crate) tls: Tls,
}

impl Plan {
    /// The host of the first connection: the target's, or the proxy.
    pub(crate) fn connects_to(&self) -> &Remote {
        let proxy = self.proxy.as_ref();
        proxy.map_or(&self.target.endpoint.remote, Proxy::remote)
    }
}

/// The body of a POST request.
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
}

/// The transport of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1 or HTTP/2 over TCP.
    Tcp,
    /// HTTP/3 over QUIC.
    Quic,
}

impl HttpOptions {
    /// Checks what types cannot.
    pub(crate) fn plan(
        self,
        tls: TlsOptions,
        section: &mut Section<'_>,
        transport: Transport,
    ) -> Option<Plan> {
        let content_type = self.content_type(section);
        if let Some(status) = self.expect.as_ref().map(Text::as_str)
            && status.len() == 3
            && status
                .parse()
                .is_ok_and(|status: u16| (100..600).contains(&status))
        {
            section.hint(
                "expect",
                format!("is searched in the body of the answer; for the status use expect_status: {status}"),
            );
        }
        let headers = self.headers(section);
        if section.has("expect_status") && self.expect_status.is_empty() && !section.is_wrong("expect_status")
        {
            section.error("expect_status", "must not be an empty list");
        }
        let url = section.address_url(match transport {
            Transport::Tcp => &["http", "https"],
            Transport::Quic => &["https"],
        });
        if tls.ssl_legacy && transport == Transport::Tcp && HttpVersion::is_2(self.http_version) {
            section.misplaced(
                "http_version",
                "must not be 2 with ssl_legacy, which carries HTTP/1.1 only",
            );
        }
        let speaks_tls = url.as_ref().is_none_or(|url| url.scheme() == "https");
        let tls = tls.plan(
            section,
            HttpVersion::protocols(self.http_version),
            (!speaks_tls).then_some("needs an address that begins with https://"),
            true,
        );
        let url = url?;
        let host = url.host_str().and_then(Host::parse)?;
        let resolve = Remote::read(section, host)?.resolve;
        if transport == Transport::Quic && section.has("ssl_legacy") {
            section.misplaced("ssl_legacy", "is not for quic, which has TLS 1.3 alone");
        }
        let proxy = match &self.proxy {
            Some(_) if transport == Transport::Quic => {
                section.misplaced("proxy", "cannot carry QUIC");
                None
            }
            Some(text) => match Proxy::read(text.reveal(), resolve) {
                Ok(proxy) => Some(proxy),
                Err(wrong) => {
                    section.error("proxy", wrong);
                    None
                }
            },
            None => None,
        };
        if section.has("http_version") && transport == Transport::Quic {
            section.misplaced("http_version", "cannot be chosen: quic always speaks HTTP/3");
        } else if HttpVersion::is_2(self.http_version) && proxy.is_some() && !speaks_tls {
            section.misplaced("http_version", "must not be 2 for http:// through a proxy");
        }
        let mut target = match Target::new(url, resolve) {
            Ok(target) => target,
            Err(text) => {
                section.error("address", text);
                return None;
            }
        };
        if let Some(name) = &self.host {
            if headers.contains_key(header::HOST) {
                section.misplaced("host", "sets the Host header, which \"headers\" contains too");
            }
            target = match target.called(name.as_str()) {
                Ok(target) => target,
                Err(text) => {
                    section.error("host", text);
                    return None;
                }
            };
        }
        let tls = tls?;
        target.tls = target.tls.map(|name| tls.name_instead_of(name));
        let post = match self.send {
            None => None,
            Some(send) => Some(Post {
                body: Bytes::copy_from_slice(send.reveal().as_bytes()),
                content_type: content_type?,
            }),
        };
        Some(Plan {
            target,
            post,
            headers,
            proxy,
            expect: self.expect.as_ref().map(Expect::new),
            statuses: self.expect_status,
            version: self.http_version,
            tls,
        })
    }

    fn headers(&self, section: &mut Section<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.headers.len() > MAX_HEADERS {
            let count = self.headers.len();
            let words = format!("contains {count} headers; use at most {MAX_HEADERS}");
            section.error("headers", words);
            return headers;
        }
        for (name, value) in &self.headers {
            let shown = shown_name(name, 40);
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                section.error(
                    "headers",
                    format!("has a name that HTTP cannot carry: \"{shown}\""),
                );
                continue;
            };
            if RESERVED.contains(&name.as_str()) {
                section.error(
                    "headers",
                    format!("must not contain {name}: the connection depends on it"),
                );
                continue;
            }
            if headers.contains_key(&name) {
                section.error("headers", format!("contains {name} twice"));
                continue;
            }
            // Beyond HTTP/1.1 the host is a part of the URI.
            if name == header::HOST && Authority::try_from(value.reveal()).is_err() {
                section.error("headers", "has a Host that is not host:port");
                continue;
            }
            match HeaderValue::from_str(value.reveal()) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                Err(_) => section.error(
                    "headers",
                    format!("has a value for {name} that HTTP cannot carry"),
                ),
            }
        }
        headers
    }

    fn content_type(&self, section: &mut Section<'_>) -> Option<HeaderValue> {
        if section.has("content_type") && !section.has("send") {
            section.misplaced("content_type", "needs \"send\"");
        }
        let Some(text) = &self.content_type else {
            return Some(HeaderValue::from_static(PLAIN_TEXT));
        };
        let value = HeaderValue::from_str(text.as_str()).ok();
        if value.is_none() {
            section.error("content_type", "must be a MIME type such as application/json");
        }
        value
    }
}
