//! An address to request, taken apart.

use std::net::IpAddr;

use apmon_core::{
    config::{Host, Remote, ResolveOptions},
    text::{excerpt, without_userinfo},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{
    Uri,
    header::HeaderValue,
    http::uri::{Authority, Scheme},
};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use url::{Position, Url};

use crate::{
    endpoint::Endpoint,
    tls::{self, Tls},
};

/// An address, taken apart once for all requests.
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) endpoint: Endpoint,
    /// The name the handshake asks for; `None`: plain http.
    pub(crate) tls: Option<ServerName<'static>>,
    /// Path and query (RFC 9112 section 3.2.1).
    pub(crate) path: Uri,
    /// What the request calls the server.
    pub(crate) host: HeaderValue,
    /// Where a proxy is to connect to.
    authority: HeaderValue,
    pub(crate) authorization: Option<HeaderValue>,
    /// Whether it is the server that redirected here, which may see what was sent
    /// to the first.
    pub(crate) is_same_server: bool,
}

impl Target {
    /// Takes a URL apart. An error is in words that follow `"address" `.
    pub(crate) fn new(url: Url, resolve: ResolveOptions) -> Result<Self, String> {
        let host = url.host_str().and_then(Host::parse).ok_or("has no host")?;
        let port = url.port_or_known_default().ok_or("has no port")?;
        let path = url[Position::BeforePath..Position::AfterQuery].parse();
        let host_header = authority(&url)?;
        Ok(Self {
            tls: (url.scheme() == "https").then(|| tls::server_name(&host)),
            endpoint: Endpoint {
                remote: Remote { host, resolve },
                port,
            },
            path: path.map_err(|_| "has a path that HTTP cannot carry")?,
            authority: host_header.clone(),
            host: host_header,
            authorization: basic(&url),
            is_same_server: true,
            url,
        })
    }

    /// Calls the server at this address by another name: `host` or `host:port`. An
    /// error is in words that follow `"host" `.
    pub(crate) fn called(mut self, name: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be a host name, with :port if the server expects one in the Host header";
        let named = Url::parse(&format!("{}://{name}/", self.url.scheme())).map_err(|_| EXPECTED)?;
        let is_host = named[Position::BeforeHost..Position::AfterPort].len() + self.url.scheme().len() + 4
            == named.as_str().len();
        let host = named
            .host_str()
            .and_then(Host::parse)
            .filter(|_| is_host)
            .ok_or(EXPECTED)?;
        self.url.set_host(named.host_str()).map_err(|_| EXPECTED)?;
        self.url.set_port(named.port()).map_err(|()| EXPECTED)?;
        self.host = authority(&self.url).map_err(|_| EXPECTED)?;
        self.tls = self.tls.map(|_| tls::server_name(&host));
        Ok(self)
    }

    /// Connects to the server at `node`, one of many that have the same name, if this
    /// is its name, and asks it for the name that `tls` says.
    pub(crate) fn stay_at(&mut self, node: &Self, tls: &Tls) {
        if self.url.host() != node.url.host() {
            return;
        }
        self.tls = self.tls.take().map(|name| tls.name_instead_of(name));
        if node.authority != node.host {
            self.endpoint.remote.host.clone_from(&node.endpoint.remote.host);
            if self.port() == node.port() {
                self.endpoint.port = node.endpoint.port;
            }
            let authority = format!("{}:{}", self.endpoint.remote.host, self.endpoint.port);
            if let Ok(authority) = HeaderValue::from_str(&authority) {
                self.authority = authority;
            }
        }
    }

    /// The port in the URL, which need not be that of the connection.
    fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// The absolute URI, with `host` instead of its own if given.
    pub(crate) fn absolute(&self, host: Option<&HeaderValue>) -> Uri {
        let host = host.unwrap_or(&self.authority);
        let authority = Authority::try_from(host.as_bytes());
        let mut parts = self.path.clone().into_parts();
        parts.scheme = Some(match self.is_tls() {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
        parts.authority = authority
            .or_else(|_| Authority::try_from(self.host.as_bytes()))
            .ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.path.clone())
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The target that a redirect to `location` names. The password is sent within
    /// the same origin, or from http to https of the same host, and nowhere else.
    pub(crate) fn follow(&self, location: &str) -> Result<Self, String> {
        let url = self.url.join(location).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "{}:// is neither http:// nor https://",
                excerpt(url.scheme(), 40)
            ));
        }
        let mut next = Self::new(url, self.endpoint.remote.resolve)?;
        let family = self.endpoint.remote.resolve.family;
        if let Host::Address(ip) = next.endpoint.remote.host
            && !family.has(ip)
        {
            let (is, wanted) = match ip {
                IpAddr::V4(_) => ("IPv4", "ipv6"),
                IpAddr::V6(_) => ("IPv6", "ipv4"),
            };
            return Err(format!("{ip} is an {is} address, but address_family is {wanted}"));
        }
        let upgraded = next.url.host() == self.url.host()
            && (self.port(), next.port()) == (Some(80), Some(443))
            && next.is_tls();
        next.is_same_server = upgraded || next.url.origin() == self.url.origin();
        if next.authorization.is_none() && next.is_same_server {
            next.authorization.clone_from(&self.authorization);
        }
        Ok(next)
    }

    /// The address as it is shown, without a password.
    pub(crate) fn shown(&self) -> String {
        excerpt(&without_userinfo(self.url.as_str()), 120)
    }
}

/// Host and port of a URL, as the Host header shows them.
fn authority(url: &Url) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|_| "has a host that HTTP cannot carry")
}

/// The `Authorization` header for user name and password of a URL (RFC 7617).
pub(crate) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or("")));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::new(url.parse().unwrap(), ResolveOptions::default()).unwrap()
    }

    #[test]
    fn an_address_is_taken_apart() {
        let plain = target("http://user:p%40ss@[::1]:8080/a?b=c#d");
        assert_eq!(plain.host, "[::1]:8080");
        assert_eq!(plain.path, "/a?b=c");
        assert_eq!(plain.endpoint.port, 8080);
        assert_eq!(plain.endpoint.remote.host, Host::Address("::1".parse().unwrap()));
        assert_eq!(plain.authorization.as_ref().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(!format!("{:?}{}", plain.authorization, plain.shown()).contains("p%40ss"));
        let tls = target("https://nas.lan");
        assert_eq!((tls.endpoint.port, tls.is_tls()), (443, true));
        assert_eq!(tls.host, "nas.lan");
    }

    #[test]
    fn a_password_is_sent_to_no_other_host() {
        let from = target("http://u:p@nas.lan/a");
        let sent = |location| from.follow(location).unwrap().authorization.is_some();
        assert!(sent("/b"));
        assert!(sent("http://nas.lan/b"));
        assert!(sent("https://nas.lan/b"));
        assert!(!sent("http://nas.lan:8080/b"));
        assert!(!sent("http://evil.lan/b"));
        assert!(!sent("//evil.lan/b"));
        let from = target("https://u:p@nas.lan/a");
        assert!(from.follow("http://nas.lan/").unwrap().authorization.is_none());
    }

    #[test]
    fn only_http_is_followed() {
        let from = target("http://nas.lan/a");
        assert_eq!(
            from.follow("ftp://nas.lan/").err().unwrap(),
            "ftp:// is neither http:// nor https://"
        );
        assert!(from.follow("http://[::").is_err());
    }
}
