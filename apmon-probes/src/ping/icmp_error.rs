//! The meaning of an ICMP error for a host, as a failure with its reason.

use std::net::IpAddr;

use apmon_core::{Failure, FailureClass};

use super::packet::{Family, IcmpError};

/// The meaning of an ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    /// The last hop tried to resolve the host's link-layer address, without an answer.
    NoNeighbour,
    /// A router has no route.
    Unreachable(&'static str),
    /// The host, or a device in front of it, refuses.
    Refused(&'static str),
    /// A filter rule forbids it.
    Prohibited,
    /// The packet ran out of hops.
    Expired,
    /// No statement about the host.
    Informational,
}

impl IcmpError {
    /// The meaning by type and code (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812
    /// section 5.2.7.1; RFC 4443 section 3).
    fn meaning(self) -> Meaning {
        use Meaning::{Expired, Informational, NoNeighbour, Prohibited, Refused, Unreachable};
        match (self.family, self.kind, self.code) {
            (Family::V4, 3, 1) | (Family::V6, 1, 3) => NoNeighbour,
            (Family::V4, 3, 2) => Refused("protocol unreachable"),
            (Family::V4, 3, 3) | (Family::V6, 1, 4) => Refused("port unreachable"),
            // fragmentation needed: about the path, and our packets are small
            (Family::V4, 3, 4) => Informational,
            (Family::V4, 3, 9 | 10 | 13) | (Family::V6, 1, 1 | 5 | 6) => Prohibited,
            (Family::V4, 3, 0 | 6 | 8 | 11) | (Family::V6, 1, 0) => Unreachable("network unreachable"),
            (Family::V4, 3, _) | (Family::V6, 1, _) => Unreachable("host unreachable"),
            (Family::V4, 11, _) | (Family::V6, 3, _) => Expired,
            _ => Informational,
        }
    }

    /// Whether the error decides nothing: an answer may still arrive.
    pub(super) fn is_informational(self) -> bool {
        self.meaning() == Meaning::Informational
    }

    /// The error as a failure. `from` reported it; `own` says that this is an
    /// address of this machine.
    pub(super) fn failure(self, from: IpAddr, own: bool) -> Failure {
        let (class, reason) = match (self.meaning(), own) {
            (Meaning::NoNeighbour, true) => {
                let protocol = match self.family {
                    Family::V4 => "ARP",
                    Family::V6 => "neighbour discovery",
                };
                (
                    FailureClass::HostUnreachable,
                    format!("host unreachable: no answer to {protocol}"),
                )
            }
            (Meaning::NoNeighbour, false) => (
                FailureClass::HostUnreachable,
                format!("host unreachable, reported by {from}"),
            ),
            // The answer of netfilter's REJECT target: nothing has left this machine.
            (Meaning::Refused(_) | Meaning::Prohibited, true) => (
                FailureClass::Permission,
                "rejected by this machine (a firewall rule?)".to_owned(),
            ),
            (Meaning::Refused(what), false) => (FailureClass::Refused, format!("{what}, reported by {from}")),
            (Meaning::Prohibited, false) => (
                FailureClass::HostUnreachable,
                format!("administratively prohibited, reported by {from} (a firewall?)"),
            ),
            (Meaning::Unreachable(what), _) => (
                FailureClass::HostUnreachable,
                format!("{what}, reported by {from}"),
            ),
            (Meaning::Expired, _) => (
                FailureClass::HostUnreachable,
                format!("time to live exceeded, reported by {from} (a routing loop?)"),
            ),
            (Meaning::Informational, _) => (FailureClass::HostUnreachable, self.describe(from)),
        };
        Failure::new(class, reason)
    }

    /// The error as `--explain` shows it.
    pub(super) fn describe(self, from: IpAddr) -> String {
        format!("ICMP type {} code {} from {from}", self.kind, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icmp_error_has_its_class_and_reason() {
        use FailureClass::{HostUnreachable, Permission, Refused};
        use Family::{V4, V6};
        let router = IpAddr::from([192, 0, 2, 1]);
        for (family, kind, code, own, class, reason) in [
            (
                V4,
                3,
                0,
                false,
                HostUnreachable,
                "network unreachable, reported by 192.0.2.1",
            ),
            (
                V4,
                3,
                1,
                false,
                HostUnreachable,
                "host unreachable, reported by 192.0.2.1",
            ),
            (
                V4,
                3,
                1,
                true,
                HostUnreachable,
                "host unreachable: no answer to ARP",
            ),
            (
                V4,
                3,
                2,
                false,
                Refused,
                "protocol unreachable, reported by 192.0.2.1",
            ),
            (
                V4,
                3,
                3,
                false,
                Refused,
                "port unreachable, reported by 192.0.2.1",
            ),
            (
                V4,
                3,
                3,
                true,
                Permission,
                "rejected by this machine (a firewall rule?)",
            ),
            (
                V4,
                3,
                7,
                false,
                HostUnreachable,
                "host unreachable, reported by 192.0.2.1",
            ),
            (
                V4,
                3,
                13,
                false,
                HostUnreachable,
                "administratively prohibited, reported by 192.0.2.1 (a firewall?)",
            ),
            (
                V4,
                3,
                13,
                true,
                Permission,
                "rejected by this machine (a firewall rule?)",
            ),
            (
                V4,
                11,
                0,
                false,
                HostUnreachable,
                "time to live exceeded, reported by 192.0.2.1 (a routing loop?)",
            ),
            (
                V6,
                1,
                0,
                false,
                HostUnreachable,
                "network unreachable, reported by 192.0.2.1",
            ),
            (
                V6,
                1,
                3,
                false,
                HostUnreachable,
                "host unreachable, reported by 192.0.2.1",
            ),
            (
                V6,
                1,
                3,
                true,
                HostUnreachable,
                "host unreachable: no answer to neighbour discovery",
            ),
            (
                V6,
                1,
                4,
                false,
                Refused,
                "port unreachable, reported by 192.0.2.1",
            ),
            (
                V6,
                1,
                6,
                true,
                Permission,
                "rejected by this machine (a firewall rule?)",
            ),
            (
                V6,
                3,
                0,
                false,
                HostUnreachable,
                "time to live exceeded, reported by 192.0.2.1 (a routing loop?)",
            ),
        ] {
            let error = IcmpError { family, kind, code };
            assert!(!error.is_informational(), "{error:?}");
            assert_eq!(
                error.failure(router, own),
                Failure::new(class, reason),
                "{error:?}"
            );
        }
    }

    #[test]
    fn errors_that_say_nothing_about_the_host_are_informational() {
        for (family, kind, code) in [
            (Family::V4, 3, 4),
            (Family::V4, 4, 0),
            (Family::V4, 5, 1),
            (Family::V4, 12, 0),
            (Family::V6, 2, 0),
            (Family::V6, 4, 1),
        ] {
            let error = IcmpError { family, kind, code };
            assert!(error.is_informational(), "{error:?}");
        }
    }
}
