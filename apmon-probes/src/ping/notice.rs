//! What an ICMP error says about a host, in words.

use std::net::IpAddr;

use apmon_core::{Failure, FailureClass};

use super::packet::{Family, Notice};

/// What an ICMP error comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    /// The last hop asked for the host, and nobody answered.
    NoNeighbour,
    /// A router has no way.
    Unreachable(&'static str),
    /// The host, or somebody before it, does not want to.
    Refused(&'static str),
    /// A rule forbids it.
    Prohibited,
    /// It went round in circles.
    Expired,
    /// It says nothing about the host.
    Remark,
}

impl Notice {
    /// RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1; RFC 4443
    /// section 3.
    fn meaning(self) -> Meaning {
        use Meaning::{Expired, NoNeighbour, Prohibited, Refused, Remark, Unreachable};
        match (self.family, self.kind, self.code) {
            (Family::V4, 3, 1) | (Family::V6, 1, 3) => NoNeighbour,
            (Family::V4, 3, 2) => Refused("protocol unreachable"),
            (Family::V4, 3, 3) | (Family::V6, 1, 4) => Refused("port unreachable"),
            // fragmentation needed: about the way, and our packets are small
            (Family::V4, 3, 4) => Remark,
            (Family::V4, 3, 9 | 10 | 13) | (Family::V6, 1, 1 | 5 | 6) => Prohibited,
            (Family::V4, 3, 0 | 6 | 8 | 11) | (Family::V6, 1, 0) => Unreachable("network unreachable"),
            (Family::V4, 3, _) | (Family::V6, 1, _) => Unreachable("host unreachable"),
            (Family::V4, 11, _) | (Family::V6, 3, _) => Expired,
            _ => Remark,
        }
    }

    /// Whether it changes nothing: an answer may still come.
    pub(super) fn is_remark(self) -> bool {
        self.meaning() == Meaning::Remark
    }

    /// The notice as a failure, said by `from`, which is `own` where it is an
    /// address of this machine.
    pub(super) fn failure(self, from: IpAddr, own: bool) -> Failure {
        let (class, words) = match (self.meaning(), own) {
            (Meaning::NoNeighbour, true) => {
                let asked = match self.family {
                    Family::V4 => "ARP",
                    Family::V6 => "neighbour discovery",
                };
                (
                    FailureClass::HostUnreachable,
                    format!("host unreachable: it does not answer {asked}"),
                )
            }
            (Meaning::NoNeighbour, false) => (
                FailureClass::HostUnreachable,
                format!("host unreachable, says {from}"),
            ),
            // What netfilter's REJECT says: then nothing has left this machine.
            (Meaning::Refused(_) | Meaning::Prohibited, true) => (
                FailureClass::Permission,
                "rejected by this machine itself (a firewall rule?)".to_owned(),
            ),
            (Meaning::Refused(words), false) => (FailureClass::Refused, format!("{words}, says {from}")),
            (Meaning::Prohibited, false) => (
                FailureClass::HostUnreachable,
                format!("administratively prohibited, says {from} (a firewall?)"),
            ),
            (Meaning::Unreachable(words), _) => {
                (FailureClass::HostUnreachable, format!("{words}, says {from}"))
            }
            (Meaning::Expired, _) => (
                FailureClass::HostUnreachable,
                format!("time to live exceeded, says {from}: a routing loop?"),
            ),
            (Meaning::Remark, _) => (FailureClass::HostUnreachable, self.remark(from)),
        };
        Failure::new(class, words)
    }

    /// The notice as `--explain` shows it.
    pub(super) fn remark(self, from: IpAddr) -> String {
        format!("ICMP type {} code {} from {from}", self.kind, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_has_its_class_and_its_words() {
        use FailureClass::{HostUnreachable, Permission, Refused};
        use Family::{V4, V6};
        let router = IpAddr::from([192, 0, 2, 1]);
        for (family, kind, code, own, class, words) in [
            (
                V4,
                3,
                0,
                false,
                HostUnreachable,
                "network unreachable, says 192.0.2.1",
            ),
            (
                V4,
                3,
                1,
                false,
                HostUnreachable,
                "host unreachable, says 192.0.2.1",
            ),
            (
                V4,
                3,
                1,
                true,
                HostUnreachable,
                "host unreachable: it does not answer ARP",
            ),
            (V4, 3, 2, false, Refused, "protocol unreachable, says 192.0.2.1"),
            (V4, 3, 3, false, Refused, "port unreachable, says 192.0.2.1"),
            (
                V4,
                3,
                3,
                true,
                Permission,
                "rejected by this machine itself (a firewall rule?)",
            ),
            (
                V4,
                3,
                7,
                false,
                HostUnreachable,
                "host unreachable, says 192.0.2.1",
            ),
            (
                V4,
                3,
                13,
                false,
                HostUnreachable,
                "administratively prohibited, says 192.0.2.1 (a firewall?)",
            ),
            (
                V4,
                3,
                13,
                true,
                Permission,
                "rejected by this machine itself (a firewall rule?)",
            ),
            (
                V4,
                11,
                0,
                false,
                HostUnreachable,
                "time to live exceeded, says 192.0.2.1: a routing loop?",
            ),
            (
                V6,
                1,
                0,
                false,
                HostUnreachable,
                "network unreachable, says 192.0.2.1",
            ),
            (
                V6,
                1,
                3,
                false,
                HostUnreachable,
                "host unreachable, says 192.0.2.1",
            ),
            (
                V6,
                1,
                3,
                true,
                HostUnreachable,
                "host unreachable: it does not answer neighbour discovery",
            ),
            (V6, 1, 4, false, Refused, "port unreachable, says 192.0.2.1"),
            (
                V6,
                1,
                6,
                true,
                Permission,
                "rejected by this machine itself (a firewall rule?)",
            ),
            (
                V6,
                3,
                0,
                false,
                HostUnreachable,
                "time to live exceeded, says 192.0.2.1: a routing loop?",
            ),
        ] {
            let notice = Notice { family, kind, code };
            assert!(!notice.is_remark(), "{notice:?}");
            assert_eq!(
                notice.failure(router, own),
                Failure::new(class, words),
                "{notice:?}"
            );
        }
    }

    #[test]
    fn what_says_nothing_about_the_host_is_a_remark() {
        for (family, kind, code) in [
            (Family::V4, 3, 4),
            (Family::V4, 4, 0),
            (Family::V4, 5, 1),
            (Family::V4, 12, 0),
            (Family::V6, 2, 0),
            (Family::V6, 4, 1),
        ] {
            let notice = Notice { family, kind, code };
            assert!(notice.is_remark(), "{notice:?}");
        }
    }
}
