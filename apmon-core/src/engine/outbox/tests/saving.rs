use super::*;

fn written(unsaved: &Unsaved) -> Vec<String> {
    unsaved.entries.iter().map(OutboxEntry::key).collect()
}

#[test]
fn the_content_of_a_failed_commit_is_in_the_next_one_in_order() {
    let mut outbox = empty();
    outbox.push(entry("c", "i", 1, Outage), now(0));
    outbox.push(entry("c", "j", 1, Outage), now(0));
    outbox.send_from_memory();
    let unsaved = outbox.take_unsaved();
    // Meanwhile the first was tried, a third was added, and the second is delivered.
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Err(DeliveryError::permanent("401")), now(0));
    outbox.push(entry("c", "k", 1, Outage), now(0));
    assert_eq!(started(&mut outbox, 0), ["j-1-c"]);
    outbox.finish("c", "j-1-c", Ok(()), now(0));
    outbox.commit_ended(unsaved, false);
    let next = outbox.take_unsaved();
    assert_eq!(written(&next), ["i-1-c", "k-1-c"]);
    assert_eq!(next.entries[0].attempts, 1);
    assert!(next.settled.is_empty(), "the second never was on disk");
}

#[test]
fn an_entry_is_settled_only_if_it_may_be_on_disk() {
    let mut outbox = empty();
    outbox.push(entry("c", "i", 2, Reminder), now(0));
    outbox.close_incident("i", now(0).wall);
    assert_eq!(outbox.take_unsaved(), Unsaved::default());
    outbox.push(entry("c", "j", 2, Reminder), now(0));
    let unsaved = outbox.take_unsaved();
    outbox.close_incident("j", now(0).wall);
    outbox.commit_ended(unsaved, true);
    assert_eq!(outbox.take_unsaved().settled, ["j-2-c"]);
    outbox.load(entry("c", "k", 2, Reminder), now(0));
    outbox.close_incident("k", now(0).wall);
    assert_eq!(outbox.take_unsaved().settled, ["k-2-c"]);
}

/// A store that fails for a week: nothing accumulates.
#[test]
fn keys_do_not_accumulate_while_the_store_fails() {
    let mut outbox = empty();
    for n in 0..1000 {
        let incident = format!("i{n}");
        outbox.push(entry("c", &incident, 2, Reminder), now(n));
        let unsaved = outbox.take_unsaved();
        outbox.close_incident(&incident, now(n).wall);
        outbox.commit_ended(unsaved, false);
    }
    assert_eq!(outbox.take_unsaved(), Unsaved::default());
    assert!(outbox.writing.is_empty());
}

#[test]
fn what_a_failed_commit_settled_is_settled_by_the_next() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Ok(()), now(0));
    let unsaved = outbox.take_unsaved();
    assert_eq!(unsaved.settled, ["i-1-c"]);
    outbox.commit_ended(unsaved, false);
    assert_eq!(outbox.take_unsaved().settled, ["i-1-c"]);
}

/// A commit that was too large for the store is written in parts.
#[test]
fn an_entry_that_is_finished_while_its_part_is_written_is_settled() {
    let mut outbox = empty();
    outbox.push(entry("c", "i", 1, Outage), now(0));
    outbox.push(entry("c", "j", 2, Reminder), now(0));
    let Unsaved { entries, .. } = outbox.take_unsaved();
    let [first, second] = [0, 1].map(|at| Unsaved {
        entries: vec![entries[at].clone()],
        settled: Vec::new(),
    });
    outbox.commit_ended(first, true);
    outbox.close_incident("j", now(0).wall);
    outbox.commit_ended(second, true);
    assert_eq!(outbox.take_unsaved().settled, ["j-2-c"]);
    assert!(outbox.writing.is_empty());
}

#[test]
fn what_no_commit_held_is_in_the_next_one_in_order_and_still_waits() {
    let mut outbox = filled(vec![entry("c", "g", 2, Reminder), entry("c", "h", 2, Reminder)]);
    for (incident, kind) in [("i", Outage), ("j", Outage), ("k", Reminder)] {
        outbox.push(entry("c", incident, 2, kind), now(0));
    }
    outbox.close_incident("g", now(0).wall);
    let Unsaved { entries, settled } = outbox.take_unsaved();
    assert_eq!(settled, ["g-2-c"]);
    // The second is written; meanwhile a stored entry is finished, and another one is added.
    let [first, second, third] = entries.try_into().unwrap();
    outbox.commit_ended(Unsaved::entries(vec![second]), true);
    outbox.close_incident("h", now(1).wall);
    outbox.push(entry("c", "l", 2, Outage), now(1));
    outbox.take_back(Unsaved {
        entries: vec![third, first],
        settled,
    });
    assert_eq!(started(&mut outbox, 1), ["j-2-c"], "the others are not on disk");
    assert!(outbox.writing.is_empty(), "no commit holds them");
    // One that no commit has held need not be settled.
    outbox.close_incident("k", now(1).wall);
    let next = outbox.take_unsaved();
    assert_eq!(written(&next), ["i-2-c", "l-2-c"]);
    assert_eq!(next.settled, ["g-2-c", "h-2-c"]);
}

#[test]
fn a_held_notification_is_not_sent_because_another_is_accepted() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "j", 1, Outage)]);
    outbox.hold(&entry("c", "i", 1, Outage).notification, at(20));
    assert_eq!(started(&mut outbox, 0), ["j-1-c"]);
    outbox.finish("c", "j-1-c", Ok(()), now(0));
    assert!(started(&mut outbox, 19).is_empty());
    assert_eq!(outbox.wake_at(), Some(at(20)));
    assert_eq!(started(&mut outbox, 20), ["i-1-c"]);
}

#[test]
fn the_notifications_of_all_channels_are_stored_in_the_order_of_their_decisions() {
    let mut outbox = empty();
    let decided_at = |channel: &str, incident: &str, secs: i64| {
        let mut entry = entry(channel, incident, 1, Outage);
        entry.notification.at = now(secs).wall;
        entry
    };
    outbox.push(decided_at("phone", "i", 1), now(1));
    outbox.push(decided_at("mail", "i", 1), now(1));
    outbox.push(decided_at("phone", "j", 1), now(1));
    outbox.push(decided_at("mail", "k", 2), now(2));
    // From a channel that is gone.
    outbox.push_decided(decided_at("mail", "h", 0), at(0), now(2));
    let keys = written(&outbox.take_unsaved());
    assert_eq!(
        keys,
        ["h-1-mail", "i-1-phone", "i-1-mail", "j-1-phone", "k-1-mail"]
    );
}
