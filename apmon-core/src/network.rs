//! Decides whether our own end of the network is to blame for a failure. The
//! implementation is provided: `apmon_probes::install` provides one that knows the
//! interfaces.

use std::{io, net::IpAddr};

use crate::{
    errno,
    outcome::{Failure, FailureClass},
};

/// Our own end of the network. Monitors get it from
/// [`Services::network`](crate::Services::network).
pub trait OwnNetwork: Send + Sync {
    /// The fault of our own end on the way to `to`, if there is one: no route, no
    /// carrier. Never sends, and is fast enough to be called for every failed check.
    fn fault(&self, to: IpAddr) -> Option<Failure>;

    /// The same for a check that is made from the address `from` of this machine, whose packets may
    /// take another way. Default: it makes no difference.
    fn fault_from(&self, from: IpAddr, to: IpAddr) -> Option<Failure> {
        let _ = from;
        self.fault(to)
    }

    /// Whether `address` is one of this machine's own, so that checks can be made from it.
    /// Default: yes, so that the attempt shows it.
    fn has(&self, address: IpAddr) -> bool {
        let _ = address;
        true
    }

    /// Returns `failure` of a check of `to`, or a failure of our own network if that is
    /// to blame. Only timeouts and unreachable hosts are reconsidered: any other failure
    /// happened beyond our own cable.
    fn blame(&self, to: IpAddr, failure: Failure) -> Failure {
        if !matches!(
            failure.class,
            FailureClass::HostUnreachable | FailureClass::TimedOut
        ) {
            return failure;
        }
        match self.fault(to) {
            Some(fault) => Failure::new(fault.class, format!("{fault}: {failure}")),
            None => failure,
        }
    }

    /// The failure of `step` with `error` on the way to `to`, attributed to the side that
    /// is to blame. `ENETUNREACH` is our fault if we have no route; if we have one, a
    /// router reported it.
    fn failure(&self, step: &str, to: IpAddr, error: &io::Error) -> Failure {
        let mut failure = errno::failure(step, error);
        if error.raw_os_error() == Some(libc::ENETUNREACH) && self.fault(to).is_none() {
            failure = Failure::new(
                FailureClass::HostUnreachable,
                format!("{step}: network unreachable, reported by a router on the way"),
            );
        }
        self.blame(to, failure)
    }
}

/// The network on the way from a certain address of this machine, if one is given.
pub(crate) struct NetworkFrom<'a> {
    pub(crate) network: &'a dyn OwnNetwork,
    pub(crate) from: Option<IpAddr>,
}

impl OwnNetwork for NetworkFrom<'_> {
    fn fault(&self, to: IpAddr) -> Option<Failure> {
        match self.from {
            Some(from) => self.network.fault_from(from, to),
            None => self.network.fault(to),
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.network.has(address)
    }

    fn failure(&self, step: &str, to: IpAddr, error: &io::Error) -> Failure {
        let is_ours = error.raw_os_error() != Some(libc::ENETUNREACH) || self.fault(to).is_some();
        match self.from {
            Some(_) if is_ours => self.blame(to, errno::failure(step, error)),
            _ => self.network.failure(step, to, error),
        }
    }
}

/// The default if none is provided: a failure is our own only if the error number by
/// itself shows that.
pub(crate) struct NoNetwork;

impl OwnNetwork for NoNetwork {
    fn fault(&self, _: IpAddr) -> Option<Failure> {
        None
    }

    /// Our routes are not known here, so "no route" remains our own fault.
    fn failure(&self, step: &str, _: IpAddr, error: &io::Error) -> Failure {
        errno::failure(step, error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::services::Services;

    const TO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// A cable that may be unplugged.
    struct Cable {
        unplugged: bool,
    }

    impl OwnNetwork for Cable {
        fn fault(&self, _: IpAddr) -> Option<Failure> {
            self.unplugged
                .then(|| Failure::new(FailureClass::NoRoute, "no carrier on eth0"))
        }
    }

    #[test]
    fn a_timeout_is_blamed_on_an_unplugged_cable_and_an_answer_is_not() {
        let services = Services::default();
        services.provide_network(Arc::new(Cable { unplugged: true }));
        let network = services.network();
        for class in [FailureClass::TimedOut, FailureClass::HostUnreachable] {
            let failure = network.blame(TO, Failure::new(class, "no reply"));
            assert_eq!(failure.class, FailureClass::NoRoute);
            assert_eq!(failure.reason, "no carrier on eth0: no reply");
        }
        for class in [
            FailureClass::Refused,
            FailureClass::Content,
            FailureClass::Permission,
        ] {
            let failure = Failure::new(class, "x");
            assert_eq!(network.blame(TO, failure.clone()), failure);
        }
        let silent = Failure::new(FailureClass::TimedOut, "no reply");
        assert_eq!(Cable { unplugged: false }.blame(TO, silent.clone()), silent);
    }

    #[test]
    fn an_unreachable_network_is_our_fault_unless_we_have_a_route_to_it() {
        let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
        for (network, class) in [
            (
                &Cable { unplugged: true } as &dyn OwnNetwork,
                FailureClass::NoRoute,
            ),
            (&Cable { unplugged: false }, FailureClass::HostUnreachable),
            (&NoNetwork, FailureClass::NoRoute),
        ] {
            let failure = network.failure("send", TO, &error);
            assert_eq!(failure.class, class, "{failure}");
        }
    }
}
