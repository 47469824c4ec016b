//! Devices that answer incorrectly or not at all. A port that was not read is not reported
//! as gone.

use std::{sync::Arc, time::Duration};

use apmon_core::Verdict;
use apmon_snmp_client::{Oid, Value};

use crate::{
    lab::{
        Behaviour, Device,
        agent::{
            behaviour::Damage,
            device::{FIRST_INDEX, IF_ENTRY, mac},
        },
    },
    story::{STATION, Story, notices, switch},
};

/// A time limit that suffices for loopback and keeps the tests short.
const SHORT: Duration = Duration::from_secs(1);

const FDB_PORT: [u32; 13] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2];

#[tokio::test]
async fn a_device_that_dies_during_a_poll_is_down_and_loses_no_ports() {
    let mut device = switch(48);
    device.new_station(STATION, 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: all").await;
    story.agent.count_anew();
    assert_eq!(story.notices_after(60).await, [""; 0]);
    let whole = story.agent.requests();
    let patience = std::mem::replace(&mut story.patience, SHORT);
    for silent_from in [1, 2, whole / 2] {
        story.set(Behaviour {
            silent_from: Some(silent_from),
            ..Behaviour::default()
        });
        let reason = story.failure_after(60).await;
        assert!(reason.starts_with("snmp: no answer within 1 secs"), "{reason}");
    }
    story.set(Behaviour::default());
    story.patience = patience;
    assert_eq!(story.notices_after(60).await, [""; 0]);
}

#[tokio::test]
async fn a_table_that_loops_fails_the_check_and_is_named_in_the_reason() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    let status = |port: u32| Oid::join(&IF_ENTRY, &[8, FIRST_INDEX + port - 1]);
    story.set(Behaviour {
        loops: Some((status(3), status(1))),
        ..Behaviour::default()
    });
    assert_eq!(
        story.failure_after(60).await,
        "snmp: the interface table is incomplete: the agent repeats itself: 1.3.6.1.2.1.2.2.1.8.10102 \
         comes after 1.3.6.1.2.1.2.2.1.8.10103"
    );
    story.set(Behaviour::default());
    assert_eq!(story.notices_after(60).await, [""; 0]);
}

#[tokio::test]
async fn stations_missing_from_a_partial_table_are_not_gone() {
    let mut device = switch(4);
    for station in 1..=4 {
        device.new_station(mac(station), station.into());
    }
    let mut story = Story::begun(device, "type: ports, mac_changes: all").await;
    let row = |station: u8| {
        let index: Vec<u32> = [1].into_iter().chain(mac(station).map(u32::from)).collect();
        Oid::join(&FDB_PORT, &index)
    };
    story.set(Behaviour {
        loops: Some((row(2), Oid::from(FDB_PORT))),
        ..Behaviour::default()
    });
    story.change(|device| device.port_down(4));
    let observation = story.after(60).await;
    assert_eq!(observation.outcome.verdict(), Verdict::Up);
    let warning = observation.outcome.warning_text().unwrap();
    assert!(
        warning.starts_with(
            "stations may be missing: the agent repeats itself: 1.3.6.1.2.1.17.7.1.2.2.1.2.1.2."
        ),
        "{warning}"
    );
    assert_eq!(
        notices(&observation),
        ["PORT CHANGE: GigabitEthernet0/4 oper=down admin=up (was oper=up admin=up)"]
    );
    assert_eq!(story.kept("ports_state")["10104"]["macs"][0], "02:1A:B0:00:00:04");
    story.set(Behaviour::default());
    assert_eq!(story.notices_after(60).await, [""; 0]);
}

#[tokio::test]
async fn an_agent_limited_to_short_answers_is_read_completely() {
    let mut device = switch(24);
    device.new_station(STATION, 24);
    let mut story = Story::of(device, "type: ports");
    story.set(Behaviour {
        octets: Some(484),
        never_cuts: true,
        ..Behaviour::default()
    });
    let observation = story.after(0).await;
    assert_eq!(observation.outcome.failure(), None);
    assert_eq!(observation.outcome.warning_text(), None);
    let ports = story.kept("ports_state");
    assert_eq!(ports.as_object().unwrap().len(), 24);
    assert_eq!(ports["10124"]["macs"][0], "AA:BB:CC:DD:EE:FF");
    let first = story.agent.requests();
    story.agent.count_anew();
    assert_eq!(story.notices_after(60).await, [""; 0]);
    assert!(
        story.agent.requests() < first,
        "it remembers what the agent can answer: {} requests after {first}",
        story.agent.requests()
    );
}

#[tokio::test]
async fn a_malformed_answer_fails_the_check_and_changes_nothing() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    let patience = std::mem::replace(&mut story.patience, SHORT);
    for damage in Damage::ALL {
        story.set(Behaviour {
            damage: Some(damage),
            ..Behaviour::default()
        });
        let reason = story.failure_after(60).await;
        assert!(reason.starts_with("snmp: "), "{damage:?}: {reason}");
    }
    story.set(Behaviour::default());
    story.patience = patience;
    assert_eq!(story.notices_after(60).await, [""; 0]);
}

#[tokio::test]
async fn an_agent_that_suddenly_shows_no_interfaces_loses_no_ports() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    let whole = story.agent.state().device.table.clone();
    story.change(|device| device.table.retain(|oid, _| oid.below(&IF_ENTRY).is_none()));
    assert_eq!(
        story.failure_after(60).await,
        "snmp: the device shows no interfaces; allow this community or user to read 1.3.6.1.2.1.2"
    );
    story.change(|device| device.table = whole);
    assert_eq!(story.notices_after(60).await, [""; 0]);
}

#[tokio::test]
async fn an_agent_that_restarts_during_a_poll_is_polled_again_before_anything_is_reported() {
    let mut story = Story::begun(switch(24), "type: ports").await;
    story.set(Behaviour {
        delay: Duration::from_millis(5),
        ..Behaviour::default()
    });
    let agent = Arc::clone(&story.agent);
    let restarts = async {
        while agent.requests() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        agent.change(|device| {
            device.port_down(24);
            device.clocks = Some((200, 100));
        });
    };
    let (reason, ()) = tokio::join!(story.failure_after(60), restarts);
    assert_eq!(reason, "snmp: the agent was restarted during the poll");
    assert_eq!(
        story.notices_after(1).await,
        [
            "RESTARTED: restarted, up for 2 secs",
            "PORT CHANGE: GigabitEthernet0/24 oper=down admin=up (was oper=up admin=up)",
        ]
    );
}

#[tokio::test]
async fn a_table_that_ends_early_is_accepted_only_the_second_time() {
    const IF_NUMBER: [u32; 9] = [1, 3, 6, 1, 2, 1, 2, 1, 0];
    let device = switch(4);
    let whole = device.table.clone();
    let mut story = Story::begun(device, "type: ports").await;
    let lacks = |device: &mut Device, port: u32| {
        device.remove_port(port);
        device.set(&IF_NUMBER, &[], Value::Integer(4));
    };
    story.change(|device| lacks(device, 4));
    assert_eq!(
        story.failure_after(60).await,
        "snmp: the interface table is incomplete: 3 of 4 interfaces (ifNumber)"
    );
    // The port was present all the time.
    story.change(|device| device.table = whole);
    assert_eq!(story.notices_after(60).await, [""; 0]);
    // The same result twice in a row is accepted, even if ifNumber disagrees.
    story.change(|device| lacks(device, 3));
    story.failure_after(60).await;
    let notices = story.notices_after(60).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("vanished"), "{notices:?}");
}

/// Some devices have no ifAdminStatus, or only that of some interfaces. A pass remembers nothing of an
/// earlier poll.
#[tokio::test]
async fn a_device_that_always_lacks_a_state_of_its_ports_is_read_by_the_first_check() {
    for lacking in [&[1, 2, 3, 4][..], &[4]] {
        let mut device = switch(4);
        for port in lacking {
            let index = FIRST_INDEX + port - 1;
            let admin = Oid::join(&IF_ENTRY, &[7, index]);
            assert!(device.table.remove(&admin).is_some(), "{admin}");
        }
        let mut story = Story::begun(device, "type: ports").await;
        story.change(|device| device.port_down(1));
        let notices = story.notices_after(60).await;
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("oper=down"), "{notices:?}");
    }
}
