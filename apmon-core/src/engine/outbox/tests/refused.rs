use super::*;

/// An entry about the monitor `m`.
fn about_m(incident: &str, number: u32, kind: NotificationKind) -> OutboxEntry {
    let entry = entry("c", incident, number, kind);
    OutboxEntry {
        notification: Notification {
            monitor: "m".into(),
            ..entry.notification
        },
        ..entry
    }
}

/// Adds an entry that is on disk at once.
fn push(outbox: &mut Outbox, entry: OutboxEntry, secs: i64) {
    outbox.push(entry, now(secs));
    let unsaved = outbox.take_unsaved();
    outbox.commit_ended(unsaved, true);
}

fn finish(outbox: &mut Outbox, key: &str, result: Result<(), DeliveryError>, secs: i64) {
    outbox.finish("c", key, result, now(secs)).unwrap();
}

fn refusal() -> Result<(), DeliveryError> {
    Err(DeliveryError::permanent("400"))
}

/// The end of the outage `i` was refused; the outage `j` has been delivered since.
fn refused_end() -> Outbox {
    let mut outbox = empty();
    push(&mut outbox, about_m("i", 2, Recovery), 0);
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    finish(&mut outbox, "i-2-c", refusal(), 0);
    push(&mut outbox, about_m("j", 1, Outage), 100);
    assert_eq!(started(&mut outbox, 100), ["j-1-c"]);
    finish(&mut outbox, "j-1-c", Ok(()), 100);
    outbox
}

#[test]
fn a_refused_end_waits_for_that_of_a_newer_outage_and_is_sent_before_it() {
    let mut outbox = refused_end();
    for secs in [100, 1_801, 40_000] {
        assert_eq!(started(&mut outbox, secs), [""; 0], "{secs}");
    }
    // Nothing else makes it be sent: another acceptance, a request, or the end of the run.
    push(&mut outbox, entry("c", "k", 1, Outage), 40_000);
    assert_eq!(started(&mut outbox, 40_000), ["k-1-c"]);
    finish(&mut outbox, "k-1-c", Ok(()), 40_000);
    outbox.retry(None);
    assert_eq!(started(&mut outbox, 40_000), [""; 0]);
    assert!(outbox.start_final(at(40_000)).is_empty());
    assert!(!outbox.has_pending_attempts());
    outbox.outage_over("m", "another");
    assert_eq!(started(&mut outbox, 40_000), [""; 0]);
    outbox.outage_over("m", "j");
    push(&mut outbox, about_m("j", 2, Recovery), 40_001);
    assert_eq!(started(&mut outbox, 40_001), ["i-2-c"]);
    finish(&mut outbox, "i-2-c", Ok(()), 40_001);
    assert_eq!(started(&mut outbox, 40_001), ["j-2-c"]);
}

#[test]
fn an_end_that_is_refused_after_the_newer_outage_was_decided_waits_too() {
    let mut outbox = empty();
    push(&mut outbox, about_m("i", 2, Recovery), 0);
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    push(&mut outbox, about_m("j", 1, Outage), 1);
    assert_eq!(started(&mut outbox, 1), [""; 0], "in order");
    finish(&mut outbox, "i-2-c", refusal(), 2);
    assert_eq!(started(&mut outbox, 2), ["j-1-c"]);
    finish(&mut outbox, "j-1-c", Ok(()), 3);
    assert_eq!(started(&mut outbox, 1_900), [""; 0]);
    outbox.outage_over("m", "j");
    assert_eq!(started(&mut outbox, 1_900), ["i-2-c"]);
}

#[test]
fn a_refused_end_of_a_previous_run_waits_if_the_state_knows_a_newer_outage() {
    let refused = || OutboxEntry {
        refused: true,
        last_tried: Some(now(0).wall),
        ..about_m("i", 2, Recovery)
    };
    let mut outbox = filled(vec![refused()]);
    outbox.outage_runs("c", "m", "j");
    assert_eq!(started(&mut outbox, 1_801), [""; 0]);
    // Its own outage is no reason, nor is one on another channel.
    for (channel, incident) in [("c", "i"), ("d", "j")] {
        let mut outbox = filled(vec![refused()]);
        outbox.outage_runs(channel, "m", incident);
        assert_eq!(started(&mut outbox, 1_801), ["i-2-c"]);
    }
    // Where incidents are kept apart, nobody is misled.
    let mut outbox = filled(vec![refused()]);
    outbox.set_keyed(HashSet::from(["c".to_owned()]));
    outbox.outage_runs("c", "m", "j");
    assert_eq!(started(&mut outbox, 1_801), ["i-2-c"]);
}

#[test]
fn a_refused_beginning_is_sent_again_during_a_newer_outage() {
    let mut outbox = empty();
    push(&mut outbox, about_m("i", 1, Outage), 0);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    finish(&mut outbox, "i-1-c", refusal(), 0);
    push(&mut outbox, about_m("j", 1, Outage), 100);
    assert_eq!(started(&mut outbox, 100), ["j-1-c"]);
    finish(&mut outbox, "j-1-c", Ok(()), 100);
    assert_eq!(started(&mut outbox, 1_800), ["i-1-c"]);
}

#[test]
fn an_end_that_is_held_back_is_given_up_when_it_expires() {
    let mut outbox = refused_end();
    assert_eq!(outbox.wake_at(), Some(at(24 * 3600)));
    let expired: Vec<String> = outbox
        .expire(at(24 * 3600))
        .iter()
        .map(OutboxEntry::key)
        .collect();
    assert_eq!(expired, ["i-2-c"]);
    outbox.outage_over("m", "j");
    assert_eq!(started(&mut outbox, 24 * 3600), [""; 0]);
}
