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
fn quiet_states_lag_and_news_do_not() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.commit_at(), None);
    ledger.touch(1, at(10), false);
    ledger.touch(2, at(12), false);
    assert_eq!(ledger.commit_at(), Some(at(15)));
    ledger.touch(3, at(13), true);
    assert!(ledger.commit_at().unwrap() < at(0));
    assert_eq!(ledger.take(at(13)).slots, [1, 2, 3]);
    assert_eq!(ledger.commit_at(), None, "one at a time");
}

#[test]
fn what_a_commit_failed_to_write_is_in_the_next_one_in_its_order() {
    let mut ledger = Ledger::default();
    ledger.new_entry(entry(1));
    ledger.new_entry(entry(2));
    assert_eq!(ledger.tell(message(1)), None);
    let batch = ledger.take(at(0));
    // Meanwhile the first was tried, a third came, and the second is over.
    ledger.entry(OutboxEntry {
        attempts: 1,
        ..entry(1)
    });
    ledger.new_entry(entry(3));
    ledger.settle(entry(2).key());
    let told = ledger.failed(batch.slots, batch.commit, at(0));
    assert_eq!(told, [message(1)], "told from memory");
    assert_eq!(ledger.commit_at(), Some(at(5)));
    let next = ledger.take(at(5)).commit;
    assert_eq!(keys(&next), ["i-1-c", "i-3-c"]);
    assert_eq!(next.outbox[0].attempts, 1);
    assert!(next.settled.is_empty(), "the second never was on disk");
}

#[test]
fn what_is_over_is_settled_only_where_it_may_be_on_disk() {
    let mut ledger = Ledger::default();
    ledger.new_entry(entry(1));
    ledger.settle(entry(1).key());
    assert!(ledger.take(at(0)).commit.settled.is_empty());
    ledger.committed();
    ledger.new_entry(entry(2));
    let _ = ledger.take(at(0));
    ledger.settle(entry(2).key());
    ledger.committed();
    assert_eq!(ledger.take(at(0)).commit.settled, ["i-2-c"]);
}

/// A store that fails for a week: nothing piles up.
#[test]
fn a_store_that_never_works_leaves_no_heap_of_keys() {
    let mut ledger = Ledger::default();
    for n in 0..1000 {
        ledger.new_entry(entry(n));
        let batch = ledger.take(at(n.into()));
        ledger.settle(entry(n).key());
        ledger.failed(batch.slots, batch.commit, at(n.into()));
    }
    let commit = ledger.take(at(2000)).commit;
    assert_eq!((commit.outbox.len(), commit.settled.len()), (0, 0));
    assert!(ledger.unwritten.is_empty());
}

#[test]
fn a_commit_that_hangs_is_not_waited_for() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.tell(message(1)), None);
    let _ = ledger.take(at(0));
    assert_eq!(ledger.tell(message(2)), None);
    assert_eq!(ledger.stalls_at(), Some(at(5)));
    assert_eq!(ledger.stall(), [message(1), message(2)]);
    assert_eq!(ledger.tell(message(3)), Some(message(3)), "at once");
    assert_eq!(ledger.stalls_at(), None);
    assert!(ledger.committed().is_empty(), "not told twice");
    assert_eq!(ledger.tell(message(4)), None);
}
