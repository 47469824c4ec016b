//! The options of `http` and `quic`, and what they come to.

use std::sync::Arc;

use apmon_core::{
    Secret,
    config::{Host, Section, Text, one_or_many},
};
use bytes::Bytes;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::target::Target;
use crate::{
    endpoint::Remote,
    expect::Expect,
    tls::{self, Fingerprint},
};

/// Options of `type: http` and `type: quic`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct HttpOptions {
    /// Must appear in the body (in its first 4 MiB), in this very case; the
    /// status then does not matter. Without it the status must be 200.
    pub expect: Option<Text>,
    /// SHA-256 of the server's certificate, 64 hex digits with or without
    /// colons; a list where several are right. Compared within the handshake:
    /// no other server sees the request. It also covers every `https` address
    /// redirected to. Without it any certificate is accepted.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "OneOrMany")]
    pub ssl_fingerprint: Vec<Fingerprint>,
    /// Whether a certificate outside its dates is accepted. Default no.
    #[serde(default)]
    pub ignore_ssl_expiry: bool,
    /// Sent as the body of a POST request; without it the request is a GET.
    pub send: Option<Secret>,
    /// The MIME type of `send`. Default `text/plain; charset=utf-8`.
    #[serde(serialize_with = "effective")]
    pub content_type: Option<Text>,
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The checksum does not see whether a default is written out.
#[allow(clippy::ref_option)] // serde's form
fn effective<S: Serializer>(content_type: &Option<Text>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(content_type.as_ref().map_or(PLAIN_TEXT, Text::as_str))
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)] // stands for its schema
enum OneOrMany {
    One(Fingerprint),
    Many(Vec<Fingerprint>),
}

/// What to request and what to make of the answer.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) post: Option<Post>,
    pub(crate) expect: Option<Expect>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) pinned: bool,
}

/// The body of a POST request.
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
}

impl HttpOptions {
    /// Checks what no type can.
    pub(crate) fn plan(self, section: &mut Section<'_>, schemes: &[&str]) -> Option<Plan> {
        let content_type = self.content_type(section);
        // An empty list would quietly trust everybody.
        if section.has("ssl_fingerprint")
            && self.ssl_fingerprint.is_empty()
            && !section.is_wrong("ssl_fingerprint")
        {
            section.mistake("ssl_fingerprint", "must not be an empty list");
        }
        let url = section.address_url(schemes);
        if let Some(url) = &url
            && url.scheme() == "http"
            && section.has("ssl_fingerprint")
        {
            section.misplaced("ssl_fingerprint", "needs an address that begins with https://");
        }
        let url = url?;
        let host = url.host_str().and_then(Host::parse)?;
        let way = Remote::read(section, host)?.way;
        let target = match Target::new(url, way) {
            Ok(target) => target,
            Err(text) => {
                section.mistake("address", text);
                return None;
            }
        };
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
            expect: self.expect.as_ref().map(Expect::new),
            pinned: !self.ssl_fingerprint.is_empty(),
            tls: tls::client(self.ssl_fingerprint, self.ignore_ssl_expiry),
        })
    }

    fn content_type(&self, section: &mut Section<'_>) -> Option<HeaderValue> {
        if section.has("content_type") && !section.has("send") {
            section.misplaced("content_type", "needs send beside it");
        }
        let Some(text) = &self.content_type else {
            return Some(HeaderValue::from_static(PLAIN_TEXT));
        };
        let value = HeaderValue::from_str(text.as_str()).ok();
        if value.is_none() {
            section.mistake("content_type", "must be a MIME type such as application/json");
        }
        value
    }
}
