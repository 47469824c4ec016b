use super::*;
use crate::notification::{Notification, NotificationKind, Subject};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn actor() -> Actor {
    Actor {
        name: "max".into(),
        means: "command line".into(),
    }
}

fn entry(channel: &str, number: u32) -> OutboxEntry {
    let notification = Notification {
        id: format!("i-{number}"),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "Home".into(),
        monitor: "web".into(),
        address: "http://h/".into(),
        text: "web in Home new outage".into(),
        number,
        at: at(0),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Subject::default(),
        covers: Vec::new(),
        ended: None,
    };
    OutboxEntry::new(channel, notification, vec![channel.into()])
}

/// A site with a refused, a paused and a fresh notification for `one`, and a refused one for `two`.
fn snapshot() -> Snapshot {
    let refused = |entry| OutboxEntry {
        refused: true,
        attempts: 1,
        last_tried: Some(at(0)),
        ..entry
    };
    let paused = OutboxEntry {
        attempts: 2,
        last_tried: Some(at(0)),
        retry_at: Some(at(600)),
        ..entry("one", 2)
    };
    Snapshot {
        epoch: 7,
        outbox: vec![
            refused(entry("one", 1)),
            paused,
            entry("one", 3),
            refused(entry("two", 4)),
        ],
        ..Snapshot::default()
    }
}

fn retry(channel: Option<&str>) -> Action {
    Action::Retry {
        channel: channel.map(str::to_owned),
    }
}

#[test]
fn pauses_of_a_channel_end_and_its_other_notifications_stay_as_they_are() {
    let decision = retry(Some("one"))
        .decide(&snapshot(), &[], &actor(), at(10))
        .unwrap();
    assert_eq!((decision.affected, decision.sends), (3, true));
    let freed: Vec<_> = decision
        .outbox
        .iter()
        .map(|entry| {
            (
                entry.notification.number,
                entry.last_tried,
                entry.retry_at,
                entry.refused,
            )
        })
        .collect();
    assert_eq!(freed, [(1, None, None, true), (2, None, None, false)]);
}

#[test]
fn all_channels_are_retried_without_one_named() {
    let decision = retry(None).decide(&snapshot(), &[], &actor(), at(10)).unwrap();
    assert_eq!((decision.affected, decision.outbox.len()), (4, 3));
}

#[test]
fn a_channel_must_be_in_the_plan_or_in_the_outbox() {
    let channels = ["three".to_owned()];
    let decide = |channel| retry(Some(channel)).decide(&snapshot(), &channels, &actor(), at(10));
    assert!(decide("two").is_ok());
    let nothing = decide("three").unwrap();
    assert_eq!((nothing.affected, nothing.sends), (0, false));
    let error = decide("four").unwrap_err().to_string();
    assert_eq!(error, "no such channel: four; known channels: one, three, two");
}

#[test]
fn the_actor_is_recorded_and_only_the_last_actions_are_kept() {
    let mut snapshot = snapshot();
    for second in 0..(MAX_ACTIONS as i64 + 5) {
        let decision = retry(Some("two"))
            .decide(&snapshot, &[], &actor(), at(second))
            .unwrap();
        let (key, record) = decision.records.into_iter().next().unwrap();
        snapshot.records.insert(key, record.unwrap());
    }
    let actions = recorded_actions(&snapshot);
    assert_eq!((actions.len(), actions[0].at), (MAX_ACTIONS, at(5)));
    let last = actions.last().unwrap();
    assert_eq!((&*last.action, &last.actor), ("retry", &actor()));
    assert_eq!((last.subject.as_deref(), last.affected), (Some("two"), 1));
}

#[test]
fn a_record_of_a_newer_apmon_is_replaced() {
    let mut snapshot = snapshot();
    let newer = StateRecord {
        version: VERSION + 1,
        json: "{}".into(),
    };
    snapshot.records.insert(ACTIONS.to_owned(), newer);
    assert_eq!(recorded_actions(&snapshot), []);
    assert!(retry(None).decide(&snapshot, &[], &actor(), at(0)).is_ok());
}
