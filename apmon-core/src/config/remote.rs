//! A remote host, and how its name is resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        if let Some(text) = unused_source(section, &host, resolve.family) {
            section.error("source_address", text);
            return None;
        }
        Some(Self { host, resolve })
    }
}

/// Why a target is never checked from the monitor's own `source_address`, if that is so. The
/// site's may be meant for other monitors.
fn unused_source(section: &Section<'_>, host: &Host, family: AddressFamily) -> Option<String> {
    let source = section.own_source();
    let like = match (host, family) {
        (Host::Address(address), _) => *address,
        (Host::Name(_), AddressFamily::Any) => return None,
        (Host::Name(_), AddressFamily::Ipv4) => Ipv4Addr::UNSPECIFIED.into(),
        (Host::Name(_), AddressFamily::Ipv6) => Ipv6Addr::UNSPECIFIED.into(),
    };
    if source.is_empty() || source.toward(like).is_some() {
        return None;
    }
    let (is, of_target, option) = match like {
        IpAddr::V4(_) => ("IPv6", "IPv4", "ipv4"),
        IpAddr::V6(_) => ("IPv4", "IPv6", "ipv6"),
    };
    Some(match host {
        Host::Address(_) => format!("is an {is} address, but that of the target is an {of_target} address"),
        Host::Name(_) => format!("is an {is} address, but address_family is {option}"),
    })
}
