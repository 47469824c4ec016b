use std::io;

use apmon_core::Verdict;

use super::*;

#[test]
fn errors_of_sending_are_sorted_by_whose_fault_they_are() {
    for (number, verdict) in [
        (libc::EHOSTUNREACH, Verdict::Down),
        (libc::ENETUNREACH, Verdict::Unknown),
        (libc::EPERM, Verdict::Unknown),
        (libc::ENOBUFS, Verdict::Unknown),
    ] {
        let error = SurgeError::IOError(io::Error::from_raw_os_error(number));
        assert_eq!(Outcome::failed(failure(&error)).verdict(), verdict, "{error}");
    }
    let lost = Outcome::failed(failure(&SurgeError::ClientDestroyed));
    assert_eq!(lost.verdict(), Verdict::Unknown);
}

#[test]
fn without_permission_both_remedies_are_named() {
    let failure = sockets::closed(&io::ErrorKind::PermissionDenied.into());
    assert_eq!(failure.class, FailureClass::Permission);
    for remedy in ["net.ipv4.ping_group_range", "setcap cap_net_raw"] {
        assert!(failure.reason.contains(remedy), "{failure}");
    }
}

#[tokio::test]
async fn a_look_that_waits_takes_little_room() {
    let probe = PingProbe {
        remote: Remote {
            host: Host::Name("nas.lan".to_owned()),
            way: crate::endpoint::Way::default(),
        },
        sockets: Arc::default(),
        resolver: Arc::default(),
    };
    let look = crate::course::look(std::time::Duration::from_secs(20));
    let size = size_of_val(&probe.look(&look, &mut Course::start()));
    assert!(size < 1_536, "{size}");
}
