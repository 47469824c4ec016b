//! The failure class of a system call's error. Pure: a table, no sockets.

use std::io;

use crate::outcome::{Failure, FailureClass};

/// Error number, class, words. An error number that is not listed is our fault: a system call
/// that fails in an unforeseen way says nothing about the target.
const TABLE: &[(i32, FailureClass, &str)] = &[
    (libc::ECONNREFUSED, FailureClass::Refused, "connection refused"),
    // ICMP protocol unreachable, RFC 1122 section 3.2.2.1
    (libc::ENOPROTOOPT, FailureClass::Refused, "protocol unreachable"),
    (libc::ECONNRESET, FailureClass::Reset, "connection reset"),
    (libc::ECONNABORTED, FailureClass::Reset, "connection aborted"),
    (libc::EPIPE, FailureClass::Reset, "connection closed by the peer"),
    // A LAN host that is switched off: it does not answer ARP.
    (
        libc::EHOSTUNREACH,
        FailureClass::HostUnreachable,
        "no route to host",
    ),
    (libc::EHOSTDOWN, FailureClass::HostUnreachable, "host is down"),
    (libc::ETIMEDOUT, FailureClass::TimedOut, "connection timed out"),
    (
        libc::ENETUNREACH,
        FailureClass::NoRoute,
        "no route to that network from here",
    ),
    (
        libc::ENETDOWN,
        FailureClass::NoRoute,
        "this machine's network is down",
    ),
    (
        libc::EADDRNOTAVAIL,
        FailureClass::NoRoute,
        "no local address or port available",
    ),
    (
        libc::EAFNOSUPPORT,
        FailureClass::NoRoute,
        "this machine does not support that address family",
    ),
    // An IPv6 link-local address without its interface.
    (
        libc::EINVAL,
        FailureClass::NoRoute,
        "that address cannot be reached from here",
    ),
    (
        libc::EPERM,
        FailureClass::Permission,
        "not permitted (a firewall rule on this machine?)",
    ),
    (
        libc::EACCES,
        FailureClass::Permission,
        "permission denied on this machine",
    ),
    (
        libc::EMFILE,
        FailureClass::Resources,
        "too many open files in this process",
    ),
    (
        libc::ENFILE,
        FailureClass::Resources,
        "too many open files on this machine",
    ),
    (
        libc::ENOBUFS,
        FailureClass::Resources,
        "no buffer space left on this machine",
    ),
    (libc::ENOMEM, FailureClass::Resources, "out of memory"),
    (libc::EADDRINUSE, FailureClass::Resources, "local address in use"),
];

/// The failure of `step` ("connect", "send") with `error`, and its class: a refusal or a reset
/// is the target's fault, a lack of descriptors or permissions is ours. `ENETUNREACH` counts as
/// ours; [`OwnNetwork::failure`](crate::OwnNetwork::failure) finds out who reported it.
#[must_use]
pub fn failure(step: &str, error: &io::Error) -> Failure {
    let (class, words) = classify(error);
    match words {
        Some(words) => Failure::new(class, format!("{step}: {words}")),
        None => Failure::new(class, format!("{step}: {error}")),
    }
}

fn classify(error: &io::Error) -> (FailureClass, Option<&'static str>) {
    if let Some(number) = error.raw_os_error() {
        return TABLE
            .iter()
            .find(|row| row.0 == number)
            .map_or((FailureClass::Resources, None), |row| (row.1, Some(row.2)));
    }
    // Errors that a library made, without a number (h2 keeps the kind only).
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => {
            (FailureClass::Closed, Some("connection closed by the peer"))
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            (FailureClass::Reset, Some("connection reset"))
        }
        io::ErrorKind::TimedOut => (FailureClass::TimedOut, Some("connection timed out")),
        io::ErrorKind::HostUnreachable => (FailureClass::HostUnreachable, Some("no route to host")),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (FailureClass::NoRoute, Some("no route to that network from here"))
        }
        // A parser complains about what the peer sent.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => (FailureClass::Protocol, None),
        _ => (FailureClass::Resources, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, Verdict};

    #[test]
    fn every_error_number_has_its_class_and_its_verdict() {
        use FailureClass::{HostUnreachable, NoRoute, Permission, Refused, Reset, Resources, TimedOut};
        for (number, class, verdict) in [
            (libc::ECONNREFUSED, Refused, Verdict::Down),
            (libc::ECONNRESET, Reset, Verdict::Down),
            (libc::EPIPE, Reset, Verdict::Down),
            (libc::EHOSTUNREACH, HostUnreachable, Verdict::Down),
            (libc::ETIMEDOUT, TimedOut, Verdict::Down),
            (libc::ENETUNREACH, NoRoute, Verdict::Unknown),
            (libc::ENETDOWN, NoRoute, Verdict::Unknown),
            (libc::EADDRNOTAVAIL, NoRoute, Verdict::Unknown),
            (libc::EPERM, Permission, Verdict::Unknown),
            (libc::EACCES, Permission, Verdict::Unknown),
            (libc::EMFILE, Resources, Verdict::Unknown),
            (libc::ENFILE, Resources, Verdict::Unknown),
            (libc::ENOBUFS, Resources, Verdict::Unknown),
            (libc::ENOMEM, Resources, Verdict::Unknown),
            (libc::EIO, Resources, Verdict::Unknown),
        ] {
            let failure = failure("connect", &io::Error::from_raw_os_error(number));
            assert_eq!(failure.class, class, "{failure}");
            assert_eq!(Outcome::failed(failure).verdict(), verdict);
        }
    }

    #[test]
    fn the_reason_names_the_step() {
        let refused = failure("connect", &io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(refused.reason, "connect: connection refused");
        let closed = failure("tls", &io::ErrorKind::UnexpectedEof.into());
        assert_eq!(closed.class, FailureClass::Closed);
    }

    #[test]
    fn an_error_without_a_number_has_the_class_of_its_kind() {
        use io::ErrorKind;
        for (kind, class) in [
            (ErrorKind::ConnectionReset, FailureClass::Reset),
            (ErrorKind::TimedOut, FailureClass::TimedOut),
            (ErrorKind::HostUnreachable, FailureClass::HostUnreachable),
            (ErrorKind::NetworkUnreachable, FailureClass::NoRoute),
            (ErrorKind::InvalidData, FailureClass::Protocol),
            (ErrorKind::OutOfMemory, FailureClass::Resources),
        ] {
            assert_eq!(failure("request", &kind.into()).class, class, "{kind}");
        }
    }

    #[test]
    fn no_error_number_is_listed_twice() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|above| above.0 != row.0), "{}", row.2);
        }
    }
}
