use super::*;

/// At a start, a channel that is gone may leave a notification that goes before those that wait.
#[test]
fn a_late_notification_takes_no_other_from_the_fallback() {
    let fallback = Fallback {
        to: "d".into(),
        after: Duration::from_secs(600),
    };
    let mut outbox = Outbox::new(
        Duration::from_secs(24 * 3600),
        HashMap::from([("c".to_owned(), fallback)]),
    );
    outbox.load(entry("c", "i", 2, Recovery), now(0));
    let refused = OutboxEntry {
        attempts: 1,
        refused: true,
        last_tried: Some(now(0).wall),
        ..entry("c", "j", 1, Outage)
    };
    outbox.load(refused, now(0));
    outbox.push_decided(entry("c", "i", 1, Outage), at(-60), now(0));
    let due = outbox.take_fallbacks(at(0));
    let keys: Vec<_> = due.iter().map(|due| due.entry.key()).collect();
    assert_eq!(keys, ["j-1-c"]);
}
