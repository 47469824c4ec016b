use std::{io, net::Ipv4Addr};

use super::*;

fn probe(host: Host) -> PingProbe {
    PingProbe {
        remote: Remote {
            host,
            resolve: apmon_core::config::ResolveOptions::default(),
        },
        plan: Plan::from(&PingOptions::default()),
        sockets: Arc::default(),
        local: Arc::default(),
    }
}

#[test]
fn a_missing_permission_is_reported_with_both_remedies() {
    let failure = socket::open_failure(&io::ErrorKind::PermissionDenied.into());
    assert_eq!(failure.class, FailureClass::Permission);
    for remedy in ["net.ipv4.ping_group_range", "setcap cap_net_raw"] {
        assert!(failure.reason.contains(remedy), "{failure}");
    }
}

#[tokio::test]
async fn a_waiting_check_takes_little_memory() {
    let probe = probe(Host::Name("nas.lan".to_owned()));
    let check = crate::recorder::check(Duration::from_secs(20));
    let size = size_of_val(&probe.check(&check, &mut CheckRecorder::start()));
    assert!(size < 1_536, "{size}");
}

#[tokio::test]
async fn a_finished_check_leaves_no_pending_requests() {
    // TEST-NET-2 (RFC 5737): no host answers.
    let silent = Ipv4Addr::new(198, 51, 100, 7);
    let probe = probe(Host::Address(silent.into()));
    let socket = probe.sockets.socket(Family::V4).unwrap().socket;
    let inbox = Arc::default();
    // A request of another check, which continues.
    socket.table.insert(silent.into(), &[7; 24], 0, &inbox).unwrap();
    let check = crate::recorder::check(Duration::from_millis(100));
    let outcome = probe.probe(&check).await;
    assert!(outcome.failure().is_some());
    assert_eq!(socket.table.len(), 1);
    // A check that is cut off halfway.
    let check = crate::recorder::check(Duration::from_secs(10));
    let cut_off = tokio::time::timeout(Duration::from_millis(50), probe.probe(&check)).await;
    drop(cut_off);
    assert_eq!(socket.table.len(), 1);
}

#[test]
fn a_new_runtime_gets_a_new_socket() {
    let probe = probe(Host::Address(Ipv4Addr::LOCALHOST.into()));
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let check = crate::recorder::check(Duration::from_secs(5));
            probe.probe(&check).await
        });
        assert_eq!(outcome.failure(), None);
    }
}
