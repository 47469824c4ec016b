//! Whether our own end of the network is to blame for a failure. Who can tell
//! is brought along: `apmon_probes::install` brings one that knows the interfaces.

use std::{io, net::IpAddr};

use crate::{
    errno,
    outcome::{Failure, FailureClass},
};

/// Our own end of the network. Monitors get it from
/// [`Services::network`](crate::Services::network).
pub trait OwnNetwork: Send + Sync {
    /// What is wrong with our own way to `to`, if anything: no route, no
    /// carrier. Never sends; quick enough to be asked at every failed look.
    fn trouble(&self, to: IpAddr) -> Option<Failure>;

    /// `failure` of a look at `to`, or the one that says that our own network
    /// is to blame. Only silence and unreachability are called in question:
    /// whatever else a look met, it met it beyond our own cable.
    fn blame(&self, to: IpAddr, failure: Failure) -> Failure {
        if !matches!(
            failure.class,
            FailureClass::HostUnreachable | FailureClass::TimedOut
        ) {
            return failure;
        }
        match self.trouble(to) {
            Some(trouble) => Failure::new(trouble.class, format!("{trouble}: {failure}")),
            None => failure,
        }
    }

    /// The failure of `step` with `error` on the way to `to`, blamed on who is
    /// to blame for it. `ENETUNREACH` is ours where we have no route, and the
    /// target's where we have one: then a router has said so.
    fn failure(&self, step: &str, to: IpAddr, error: &io::Error) -> Failure {
        let mut failure = errno::failure(step, error);
        if error.raw_os_error() == Some(libc::ENETUNREACH) && self.trouble(to).is_none() {
            failure = Failure::new(
                FailureClass::HostUnreachable,
                format!("{step}: network unreachable, reported by a router on the way"),
            );
        }
        self.blame(to, failure)
    }
}

/// Where nobody has brought any: nothing is blamed on us but what an error
/// number says by itself.
pub(crate) struct NoNetwork;

impl OwnNetwork for NoNetwork {
    fn trouble(&self, _: IpAddr) -> Option<Failure> {
        None
    }

    /// Nobody knows our routes: "no route" stays our own.
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

    /// A cable that is pulled, or not.
    struct Cable {
        pulled: bool,
    }

    impl OwnNetwork for Cable {
        fn trouble(&self, _: IpAddr) -> Option<Failure> {
            self.pulled
                .then(|| Failure::new(FailureClass::NoRoute, "no carrier on eth0"))
        }
    }

    #[test]
    fn silence_is_blamed_on_a_pulled_cable_and_an_answer_is_not() {
        let services = Services::default();
        services.provide_network(Arc::new(Cable { pulled: true }));
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
        assert_eq!(Cable { pulled: false }.blame(TO, silent.clone()), silent);
    }

    #[test]
    fn an_unreachable_network_is_ours_unless_we_have_a_route_to_it() {
        let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
        for (network, class) in [
            (&Cable { pulled: true } as &dyn OwnNetwork, FailureClass::NoRoute),
            (&Cable { pulled: false }, FailureClass::HostUnreachable),
            (&NoNetwork, FailureClass::NoRoute),
        ] {
            let failure = network.failure("send", TO, &error);
            assert_eq!(failure.class, class, "{failure}");
        }
    }
}
