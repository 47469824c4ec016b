//! A remote host, and how its name is resolved.

use std::net::IpAddr;

use super::{AddressFamily, Host, NameResolution, Section};

/// A remote host, and how its name is resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// The host. A literal address is of the configured family.
    pub host: Host,
    /// How its name is resolved.
    pub resolve: ResolveOptions,
}

/// Options of name resolution. Default: IPv4 before IPv6, from the hosts file and
/// DNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResolveOptions {
    /// Which addresses may be used: `address_family`.
    pub family: AddressFamily,
    /// Which resolver is used: `resolver`.
    pub by: NameResolution,
}

impl ResolveOptions {
    /// Reads the options of a monitor: its own, or else those of its site.
    pub fn read(section: &mut Section<'_>) -> Self {
        let by = section.defaults().resolver.unwrap_or_default();
        section.depends_on(by);
        section.effective("resolver", by);
        Self {
            family: section.family(),
            by,
        }
    }
}

impl Remote {
    /// Creates a remote from `host` and the section's options. A literal address of
    /// the other family is reported as an error.
    pub fn read(section: &mut Section<'_>, host: Host) -> Option<Self> {
        let resolve = ResolveOptions::read(section);
        if let Host::Address(ip) = host
            && !resolve.family.has(ip)
        {
            let (is, wanted) = match ip {
                IpAddr::V4(_) => ("IPv4", "ipv6"),
                IpAddr::V6(_) => ("IPv6", "ipv4"),
            };
            section.error(
                "address",
                format!("is an {is} address, but address_family is {wanted}"),
            );
            return None;
        }
        if let Host::Address(IpAddr::V6(v6)) = host
            && v6.is_unicast_link_local()
        {
            section.warn(
                "address",
                "is a link-local address, which needs a zone to be reached, and apmon does not support zones; use \
                 another address of the host, or its name",
            );
        }
        Some(Self { host, resolve })
    }
}
