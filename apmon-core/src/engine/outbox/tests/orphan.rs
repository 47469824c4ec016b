use super::*;

/// The keys of the entries whose channels are gone, and whether each may still be sent.
fn orphans(outbox: &mut Outbox) -> Vec<(String, bool)> {
    let orphans = outbox.retain_channels(&HashSet::new()).into_iter();
    orphans
        .map(|orphan| (orphan.entry.key(), !orphan.is_over))
        .collect()
}

#[test]
fn a_reminder_that_was_in_flight_when_its_outage_ended_goes_to_no_other_channel() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder), entry("c", "j", 1, Outage)]);
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    outbox.close_incident("i", now(1).wall);
    assert_eq!(
        orphans(&mut outbox),
        [("i-2-c".to_owned(), false), ("j-1-c".to_owned(), true)]
    );
    let delivered = outbox.finish("c", "i-2-c", Ok(()), now(2));
    assert!(
        matches!(&delivered, Some(AttemptResult::OrphanDelivered(entry)) if entry.key() == "i-2-c"),
        "{delivered:?}"
    );
}

#[test]
fn a_reminder_in_flight_goes_to_other_channels_while_its_outage_lasts() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder)]);
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    assert_eq!(orphans(&mut outbox), [("i-2-c".to_owned(), true)]);
}

#[test]
fn the_entries_of_two_channels_are_in_the_order_of_the_decisions() {
    let mut outbox = empty();
    for (channel, incident, secs) in [("d", "i", 0), ("c", "j", 60), ("d", "k", 120)] {
        outbox.push_decided(entry(channel, incident, 1, Outage), at(secs), now(120));
    }
    let keys: Vec<String> = orphans(&mut outbox).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["i-1-d", "j-1-c", "k-1-d"]);
}
