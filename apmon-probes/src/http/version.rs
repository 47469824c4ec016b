//! The version of HTTP to speak.

use hyper::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A version of HTTP over TCP: `1.0`, `1.1` or `2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct HttpVersion(#[schemars(with = "String", regex(pattern = "^(1[.][01]|2)$"))] Version);

impl HttpVersion {
    /// The protocols to offer in the TLS handshake (RFC 7301), the preferred one first.
    pub(crate) fn protocols(version: Option<Self>) -> &'static [&'static [u8]] {
        match version.map(|version| version.0) {
            None => &[b"h2", b"http/1.1"],
            Some(Version::HTTP_2) => &[b"h2"],
            // Hardly any server knows its name.
            Some(Version::HTTP_10) => &[],
            Some(_) => &[b"http/1.1"],
        }
    }

    /// Whether it is HTTP/2, which nothing can replace.
    pub(crate) fn is_2(version: Option<Self>) -> bool {
        version.is_some_and(|version| version.0 == Version::HTTP_2)
    }

    /// The version of a request over a connection that carries HTTP/1.
    pub(crate) fn of_http1(version: Option<Self>) -> Version {
        match version {
            Some(Self(Version::HTTP_10)) => Version::HTTP_10,
            _ => Version::HTTP_11,
        }
    }
}

impl Serialize for HttpVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.0 {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        })
    }
}

impl<'de> Deserialize<'de> for HttpVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "1.0" => Ok(Self(Version::HTTP_10)),
            "1.1" => Ok(Self(Version::HTTP_11)),
            "2" | "2.0" => Ok(Self(Version::HTTP_2)),
            _ => Err(D::Error::custom(
                "must be 1.0, 1.1 or 2 (for HTTP/3, use type: quic)",
            )),
        }
    }
}
