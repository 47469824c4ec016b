//! Whether our own end of the network is up.
//!
//! A pulled cable makes every host silent, and none of them is down. So when a
//! check meets silence, the interface that its packets leave by is examined too.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{Failure, FailureClass, OwnNetwork};
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::InterfaceFlags,
    sys::socket::SockaddrStorage,
};
use tokio::time::Instant;

/// How long a reading of the interfaces is used: when a switch fails, a thousand
/// checks fail at once.
const FRESH: Duration = Duration::from_secs(1);

/// The discard port (RFC 863). Nothing is ever sent to it: only the route matters.
const ANY_PORT: u16 = 9;

/// The interfaces of this machine, shared by all probes: `services.shared()`.
#[derive(Default)]
pub(crate) struct Network {
    last: Mutex<Option<InterfaceSnapshot>>,
}

#[derive(Clone)]
struct InterfaceSnapshot {
    at: Instant,
    interfaces: Arc<[Interface]>,
    /// Whether a loopback interface is up, or that is not known.
    has_loopback: bool,
}

/// One address of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Interface {
    name: String,
    address: IpAddr,
    /// Up, and with a carrier.
    works: bool,
}

impl OwnNetwork for Network {
    fn fault(&self, to: IpAddr) -> Option<Failure> {
        self.fault_on_the_way(None, to)
    }

    fn fault_from(&self, from: IpAddr, to: IpAddr) -> Option<Failure> {
        self.fault_on_the_way(Some(from), to)
    }

    /// Asked of the kernel, which also accepts addresses that no interface shows.
    fn has(&self, address: IpAddr) -> bool {
        let Err(error) = UdpSocket::bind((address, 0)) else {
            return true;
        };
        // Out of descriptors, or the like: that says nothing about the address.
        !matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
        )
    }
}

impl Network {
    /// The fault of our own end on the way to `to`, from an address of ours if one is given.
    fn fault_on_the_way(&self, from: Option<IpAddr>, to: IpAddr) -> Option<Failure> {
        match local_address(from, to) {
            // The address is our own: everything stays on the loopback interface.
            Ok(from) if from == to || to.is_loopback() => self.no_loopback(),
            Ok(from) => no_carrier(&self.interfaces(), from),
            Err(error) if lacks_route(&error) => {
                let of_loopback = to.is_loopback().then(|| self.no_loopback()).flatten();
                Some(of_loopback.unwrap_or_else(|| {
                    Failure::new(FailureClass::NoRoute, format!("no route to {to} from here"))
                }))
            }
            // Out of descriptors, or the like: that says nothing about the network.
            Err(_) => None,
        }
    }

    /// Whether `address` belongs to this machine, for what it reports about itself.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self
                .interfaces()
                .iter()
                .any(|interface| interface.address == address)
    }

    /// The failure if the loopback interface is down, as it is in a new network namespace.
    fn no_loopback(&self) -> Option<Failure> {
        let snapshot = self.snapshot();
        (!snapshot.has_loopback).then(|| {
            Failure::new(
                FailureClass::NoRoute,
                "the loopback interface of this machine or namespace is down",
            )
        })
    }

    fn interfaces(&self) -> Arc<[Interface]> {
        self.snapshot().interfaces
    }

    fn snapshot(&self) -> InterfaceSnapshot {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(reading) = &*last
            && now.duration_since(reading.at) < FRESH
        {
            return reading.clone();
        }
        let reading = read(now);
        *last = Some(reading.clone());
        reading
    }
}

/// The source address of a packet to `to`: `from` if it is given. Connecting a UDP socket chooses
/// the route and sends nothing.
fn local_address(from: Option<IpAddr>, to: IpAddr) -> io::Result<IpAddr> {
    let from = from.unwrap_or(match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    });
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(SocketAddr::new(to, ANY_PORT))?;
    Ok(socket.local_addr()?.ip())
}

/// Whether there is no route, or one that refuses (`unreachable`, `prohibit`,
/// `blackhole`).
fn lacks_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EACCES | libc::EINVAL)
    )
}

/// The failure if no interface with the address `from` works. Several may have
/// it; one that works is enough.
fn no_carrier(interfaces: &[Interface], from: IpAddr) -> Option<Failure> {
    let mut dead = None;
    for interface in interfaces.iter().filter(|interface| interface.address == from) {
        if interface.works {
            return None;
        }
        dead.get_or_insert(interface);
    }
    let name = &dead?.name;
    Some(Failure::new(
        FailureClass::NoRoute,
        format!("no carrier on {name} (this machine's cable?)"),
    ))
}

/// Reads the interfaces. If that fails, the network is not blamed for anything.
fn read(at: Instant) -> InterfaceSnapshot {
    match getifaddrs() {
        Ok(all) => {
            let all: Vec<_> = all.collect();
            let loopback = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_LOOPBACK;
            InterfaceSnapshot {
                at,
                has_loopback: all.iter().any(|entry| entry.flags.contains(loopback)),
                interfaces: all.into_iter().filter_map(interface).collect(),
            }
        }
        Err(error) => {
            tracing::debug!(%error, "the network interfaces cannot be read");
            InterfaceSnapshot {
                at,
                has_loopback: true,
                interfaces: Arc::default(),
            }
        }
    }
}

fn interface(entry: InterfaceAddress) -> Option<Interface> {
    // A lost carrier shows at once; that it does not run follows within a second.
    let needed = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_LOWER_UP | InterfaceFlags::IFF_RUNNING;
    Some(Interface {
        address: ip(entry.address.as_ref()?)?,
        works: entry.flags.contains(needed),
        name: entry.interface_name,
    })
}

/// The IP address of a socket address, if it has one.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, address: [u8; 4], works: bool) -> Interface {
        Interface {
            name: name.to_owned(),
            address: address.into(),
            works,
        }
    }

    #[test]
    fn only_the_interface_that_a_packet_leaves_by_is_blamed() {
        let interfaces = [
            entry("lo", [127, 0, 0, 1], true),
            entry("eth0", [10, 0, 0, 1], false),
            entry("eth1", [10, 0, 1, 1], true),
            entry("eth2", [10, 0, 2, 1], false),
            entry("eth3", [10, 0, 2, 1], true),
        ];
        let blamed = |from: [u8; 4]| no_carrier(&interfaces, from.into()).map(|failure| failure.reason);
        assert_eq!(
            blamed([10, 0, 0, 1]).as_deref(),
            Some("no carrier on eth0 (this machine's cable?)")
        );
        assert_eq!(blamed([10, 0, 1, 1]), None);
        assert_eq!(blamed([10, 0, 2, 1]), None, "two interfaces with one address");
        assert_eq!(blamed([192, 0, 2, 1]), None, "not an address of ours");
    }

    #[test]
    fn loopback_that_is_up_is_never_to_blame() {
        let network = Network::default();
        assert!(network.is_own([127, 0, 0, 1].into()));
        assert!(network.is_own(Ipv4Addr::new(127, 9, 9, 9).into()));
        assert!(!network.is_own(Ipv4Addr::new(198, 51, 100, 7).into()));
        for to in [IpAddr::from([127, 1, 2, 3]), Ipv6Addr::LOCALHOST.into()] {
            assert_eq!(network.fault(to), None, "{to}");
            let failure = Failure::new(FailureClass::TimedOut, "no reply");
            assert_eq!(network.blame(to, failure.clone()), failure);
        }
    }

    #[test]
    fn the_interfaces_are_read_once_a_second() {
        let network = Network::default();
        assert!(Arc::ptr_eq(&network.interfaces(), &network.interfaces()));
    }
}
