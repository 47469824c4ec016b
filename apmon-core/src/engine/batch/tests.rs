use jiff::Timestamp;

use super::*;
use crate::notification::{Notification, NotificationKind};

fn entry(monitor: &str, number: u32) -> OutboxEntry {
    let notification = Notification {
        id: format!("{monitor}-{number}"),
        incident: monitor.into(),
        kind: NotificationKind::Outage,
        site: "s".into(),
        monitor: monitor.into(),
        address: "a".into(),
        text: "t".into(),
        number,
        at: Timestamp::UNIX_EPOCH,
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    };
    OutboxEntry::new("c", notification, Vec::new())
}

/// Two monitors that were removed, and three that run, with two entries each.
fn batch() -> Batch {
    let names = ["gone", "old", "a", "b", "c"];
    let state = |name: &&str| ((*name).to_owned(), Arc::new(MonitorState::default()));
    Batch {
        commit: Commit {
            states: names.iter().map(state).collect(),
            outbox: (1..3).flat_map(|n| names.map(|name| entry(name, n))).collect(),
            settled: vec!["settled".into()],
            forget: vec!["forgotten".into()],
            pass: Some((Timestamp::UNIX_EPOCH, std::time::Duration::ZERO)),
            ..Commit::default()
        },
        monitors: vec![7, 8, 9],
    }
}

fn names(batch: &Batch) -> Vec<&str> {
    batch
        .commit
        .states
        .iter()
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn a_commit_within_the_limits_is_not_split() {
    assert_eq!(batch().split(StoreLimits::default()).parts.len(), 1);
    let limits = StoreLimits {
        items: Some(17),
        ..StoreLimits::default()
    };
    let parts = batch().split(limits).parts;
    assert_eq!(parts.len(), 1);
    assert_eq!((names(&parts[0]).len(), &*parts[0].monitors), (5, &[7, 8, 9][..]));
}

#[test]
fn the_state_of_a_monitor_stays_with_its_notifications() {
    for limits in [
        StoreLimits {
            items: Some(4),
            ..StoreLimits::default()
        },
        StoreLimits {
            bytes: Some(1_500),
            ..StoreLimits::default()
        },
        StoreLimits {
            items: Some(3),
            ..StoreLimits::default()
        },
    ] {
        let Split { parts, too_large, .. } = batch().split(limits);
        assert!(too_large.is_empty(), "{limits:?}");
        assert!(parts.len() >= 5, "{limits:?}: {} parts", parts.len());
        let mut seen = Vec::new();
        for part in &parts {
            let names = names(part);
            let entries = part.commit.outbox.iter();
            for entry in entries {
                assert!(names.contains(&&*entry.notification.monitor), "{limits:?}");
            }
            assert_eq!(part.commit.outbox.len(), 2 * names.len(), "{limits:?}");
            let running = &names[names.len() - part.monitors.len()..];
            let expected: Vec<&str> = part
                .monitors
                .iter()
                .map(|index| ["a", "b", "c"][index - 7])
                .collect();
            assert_eq!(running, expected, "{limits:?}");
            seen.extend(names.iter().map(|name| (*name).to_owned()));
        }
        assert_eq!(seen, ["gone", "old", "a", "b", "c"]);
        let last = &parts[parts.len() - 1].commit;
        assert_eq!((last.pass.is_some(), last.settled.len()), (true, 1));
        assert!(parts[0].commit.pass.is_none());
    }
}

#[test]
fn what_is_too_large_alone_is_in_no_part_and_the_rest_is() {
    let mut batch = batch();
    batch.commit.outbox.extend([entry("b", 3), entry("old", 3)]);
    let limits = StoreLimits {
        items: Some(3),
        ..StoreLimits::default()
    };
    let split = batch.split(limits);
    let stored: Vec<&str> = split.parts.iter().flat_map(names).collect();
    assert_eq!(stored, ["gone", "a", "c"]);
    assert_eq!(names(&split.rest), ["old", "b"]);
    assert_eq!(
        (&*split.rest.monitors, split.rest.commit.outbox.len()),
        (&[8][..], 6)
    );
    let too_large = split.too_large.iter();
    let too_large: Vec<_> = too_large.map(|it| (it.name.as_str(), it.items)).collect();
    assert_eq!(too_large, [("old", 4), ("b", 4)]);
    let settled = split.parts.iter().map(|part| part.commit.settled.len());
    assert_eq!(settled.sum::<usize>(), 1);
}
