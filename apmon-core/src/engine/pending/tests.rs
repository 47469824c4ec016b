use jiff::Timestamp;

use super::*;
use crate::notification::NotificationKind;

fn at(secs: i64) -> Mono {
    Mono::from_nanos(secs * 1_000_000_000)
}

fn message(number: u32) -> Notification {
    Notification {
        id: format!("i-{number}"),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "s".into(),
        monitor: "m".into(),
        address: "a".into(),
        text: "t".into(),
        number,
        at: Timestamp::UNIX_EPOCH,
        since: None,
        lasted: None,
        next_reminder: None,
        ended: None,
    }
}

fn entry(number: u32) -> OutboxEntry {
    OutboxEntry {
        channel: "c".into(),
        notification: message(number),
        attempts: 0,
        last_tried: None,
        last_error: None,
        retry_at: None,
        refused: false,
        addressed: Vec::new(),
    }
}

fn keys(commit: &Commit) -> Vec<String> {
    commit.outbox.iter().map(OutboxEntry::key).collect()
}

#[test]
fn urgent_changes_are_committed_at_once_and_others_later() {
    let mut pending = PendingWrites::default();
    assert_eq!(pending.commit_at(), None);
    pending.mark_dirty(1, at(10), false);
    pending.mark_dirty(2, at(12), false);
    assert_eq!(pending.commit_at(), Some(at(15)));
    pending.mark_dirty(3, at(13), true);
    assert!(pending.commit_at().unwrap() < at(0));
    assert_eq!(pending.take(at(13)).runtimes, [1, 2, 3]);
    assert_eq!(pending.commit_at(), None, "one at a time");
}

#[test]
fn the_content_of_a_failed_commit_is_in_the_next_one_in_order() {
    let mut pending = PendingWrites::default();
    pending.add_entry(entry(1));
    pending.add_entry(entry(2));
    assert_eq!(pending.add_notification(message(1)), None);
    let batch = pending.take(at(0));
    // Meanwhile the first was tried, a third was added, and the second is finished.
    pending.update_entry(OutboxEntry {
        attempts: 1,
        ..entry(1)
    });
    pending.add_entry(entry(3));
    pending.settle(entry(2).key());
    let notifications = pending.failed(batch.runtimes, batch.commit, at(0));
    assert_eq!(notifications, [message(1)], "sent from memory");
    assert_eq!(pending.commit_at(), Some(at(5)));
    let next = pending.take(at(5)).commit;
    assert_eq!(keys(&next), ["i-1-c", "i-3-c"]);
    assert_eq!(next.outbox[0].attempts, 1);
    assert!(next.settled.is_empty(), "the second never was on disk");
}

#[test]
fn an_entry_is_settled_only_if_it_may_be_on_disk() {
    let mut pending = PendingWrites::default();
    pending.add_entry(entry(1));
    pending.settle(entry(1).key());
    assert!(pending.take(at(0)).commit.settled.is_empty());
    pending.committed();
    pending.add_entry(entry(2));
    let _ = pending.take(at(0));
    pending.settle(entry(2).key());
    pending.committed();
    assert_eq!(pending.take(at(0)).commit.settled, ["i-2-c"]);
}

/// A store that fails for a week: nothing accumulates.
#[test]
fn keys_do_not_accumulate_while_the_store_fails() {
    let mut pending = PendingWrites::default();
    for n in 0..1000 {
        pending.add_entry(entry(n));
        let batch = pending.take(at(n.into()));
        pending.settle(entry(n).key());
        pending.failed(batch.runtimes, batch.commit, at(n.into()));
    }
    let commit = pending.take(at(2000)).commit;
    assert_eq!((commit.outbox.len(), commit.settled.len()), (0, 0));
    assert!(pending.unwritten.is_empty());
}

#[test]
fn a_commit_that_hangs_is_not_waited_for() {
    let mut pending = PendingWrites::default();
    assert_eq!(pending.add_notification(message(1)), None);
    let _ = pending.take(at(0));
    assert_eq!(pending.add_notification(message(2)), None);
    assert_eq!(pending.stalls_at(), Some(at(5)));
    assert_eq!(pending.stall(), [message(1), message(2)]);
    assert_eq!(pending.add_notification(message(3)), Some(message(3)), "at once");
    assert_eq!(pending.stalls_at(), None);
    assert!(pending.committed().is_empty(), "not sent twice");
    assert_eq!(pending.add_notification(message(4)), None);
}
