//! A host, and how its address is found.

use std::net::IpAddr;

use super::{AddressFamily, Host, NameResolution, Section};

/// A host, and how to find its address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// The host; a literal address is of the family that is wanted.
    pub host: Host,
    /// How its name becomes an address.
    pub resolve: ResolveOptions,
}

/// How names become addresses. Default: IPv4 before IPv6, by the hosts file and
/// DNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResolveOptions {
    /// Which addresses may be looked at: `address_family`.
    pub family: AddressFamily,
    /// Who is asked: `resolver`.
    pub by: NameResolution,
}

impl ResolveOptions {
    /// The monitor's, or its site's.
    pub fn read(section: &mut Section<'_>) -> Self {
        let by = section.defaults().resolver.unwrap_or_default();
        section.depends_on(by);
        Self {
            family: section.family(),
            by,
        }
    }
}

impl Remote {
    /// `host`, reached as the section says. A literal address of the other
    /// family is a mistake, which is noted.
    pub fn read(section: &mut Section<'_>, host: Host) -> Option<Self> {
        let resolve = ResolveOptions::read(section);
        if let Host::Address(ip) = host
            && !resolve.family.has(ip)
        {
            let (is, wanted) = match ip {
                IpAddr::V4(_) => ("IPv4", "ipv6"),
                IpAddr::V6(_) => ("IPv6", "ipv4"),
            };
            section.error("address", format!("is {is}, and address_family is {wanted}"));
            return None;
        }
        Some(Self { host, resolve })
    }
}
