//! Hosts and URLs.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use url::Url;

use crate::text::excerpt;

/// A host in an address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A name, which must be resolved.
    Name(String),
}

impl Host {
    /// Parses an IP address, with or without brackets, or a host name (RFC 1123;
    /// `_` is allowed too, because LANs have such names).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(v4) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(v4.into()));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(v6) = bare.parse::<Ipv6Addr>() {
            return Some(Self::Address(v6.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (name.len() <= 253 && !is_numeric && name.split('.').all(label_ok))
            .then(|| Self::Name(text.to_owned()))
    }

    /// Why `text`, which [`parse`](Self::parse) refuses, is not a host: in words that follow
    /// `"address" `. `None` if nothing more can be said.
    #[must_use]
    pub fn fault(text: &str) -> Option<String> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
        if let Some((address, zone)) = bare.split_once('%')
            && is_v6(address)
        {
            let zone = excerpt(zone, 20);
            return Some(format!(
                "has a zone (%{zone}), which apmon does not support; use another address of the host, or its name"
            ));
        }
        let is_dotted =
            |text: &str| text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_dotted(bare) {
            return Some("is not an IPv4 address, which consists of four numbers from 0 to 255".to_owned());
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok();
        let is_host = Self::parse(host).is_some() && !host.contains("//");
        (is_port && is_host).then(|| {
            format!(
                "must be a host without a port; to check a TCP port, use type tcp with the address tcp://{}",
                excerpt(text, 80)
            )
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(v4) => write!(f, "{v4}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Parses a URL that has a host and one of `schemes`.
///
/// # Errors
/// The fault, as text that follows `"address" `.
pub(super) fn parse_url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let wanted = || {
        let list: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        list.join(" or ")
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("must be a URL that begins with {}", wanted()));
    };
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        // Text that is not a scheme may be the secret part of a URL.
        return Err(match is_scheme(scheme) {
            true => format!("must begin with {}, not {scheme}://", wanted()),
            false => format!("must be a URL that begins with {}", wanted()),
        });
    }
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err("has no host".into());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not contain spaces or control characters; write %20 for a space".into());
    }
    let fault = || Host::fault(host_in(rest));
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::InvalidPort => "has a port that is not between 1 and 65535".to_owned(),
        other => fault().unwrap_or_else(|| format!("is not a valid URL: {other}")),
    })?;
    let host = url.host_str().unwrap_or("");
    if host.is_empty() {
        return Err("has no host".into());
    }
    if Host::parse(host).is_none() {
        return Err(fault().unwrap_or_else(|| "has a host that is neither a name nor an address".into()));
    }
    if url.port() == Some(0) {
        return Err("has a port that is not between 1 and 65535".into());
    }
    Ok(url)
}

/// The host in the part of a URL after its scheme, which may be none.
fn host_in(rest: &str) -> &str {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => host,
    }
}

/// Whether `text` is a URL scheme (RFC 3986) of at most 12 characters, which
/// covers those in use.
fn is_scheme(text: &str) -> bool {
    text.len() <= 12
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// An invalid address for display. The text before an `@` is masked: it may be a
/// password or a community, since an invalid address has no reliable parts.
pub(super) fn shown(address: &str) -> String {
    let Some((_, end)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    match address.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}://***@{end}"),
        _ => format!("***@{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for ok in [
            "localhost",
            "a.b.c.",
            "192.168.1.1",
            "::1",
            "[fe80::1]",
            "my_nas",
            "münchen.example",
        ] {
            assert!(Host::parse(ok).is_some(), "{ok}");
        }
        for bad in [
            "",
            "a b",
            "-a",
            "1.2.3",
            "256.1.1.1",
            "a..b",
            "http://x",
            "a/b",
            &"x".repeat(64),
        ] {
            assert!(Host::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_the_reason() {
        let err = |text| parse_url(text, &["tcp"]).unwrap_err();
        assert_eq!(err("host:22"), "must be a URL that begins with tcp://");
        assert_eq!(err("http://host:22"), "must begin with tcp://, not http://");
        assert_eq!(err("tcp://:22"), "has no host");
        assert_eq!(err("tcp://h:99999"), "has a port that is not between 1 and 65535");
        assert!(parse_url("tcp://[::1]:22", &["tcp"]).is_ok());
        let zone =
            "has a zone (%eth0), which apmon does not support; use another address of the host, or its name";
        assert_eq!(err("tcp://[fe80::1%eth0]:22"), zone);
        assert_eq!(
            err("tcp://u@127.0.0.256:22/x"),
            "is not an IPv4 address, which consists of four numbers from 0 to 255"
        );
    }

    #[test]
    fn a_wrong_host_says_why() {
        for (text, fault) in [
            ("fe80::1%eth0", Some("has a zone (%eth0)")),
            ("127.0.0.256", Some("is not an IPv4 address")),
            ("10.0.0", Some("is not an IPv4 address")),
            (
                "nas:22",
                Some(
                    "must be a host without a port; to check a TCP port, use type tcp with the address tcp://nas:22",
                ),
            ),
            ("http://nas:80", None),
            ("a b", None),
        ] {
            let said = Host::fault(text);
            match fault {
                Some(fault) => assert!(
                    said.as_ref().is_some_and(|said| said.starts_with(fault)),
                    "{text}: {said:?}"
                ),
                None => assert_eq!(said, None, "{text}"),
            }
        }
    }
}
