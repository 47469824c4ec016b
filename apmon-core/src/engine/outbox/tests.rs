use jiff::Timestamp;

use super::*;
use crate::notification::Notification;

fn now(secs: i64) -> Now {
    Now {
        mono: at(secs),
        wall: Timestamp::from_second(1_770_000_000 + secs).unwrap(),
    }
}

fn at(secs: i64) -> Mono {
    Mono::from_nanos(secs * 1_000_000_000)
}

/// A message about a monitor that has this incident alone.
fn entry(channel: &str, incident: &str, number: u32, kind: NotificationKind) -> OutboxEntry {
    OutboxEntry {
        channel: channel.into(),
        notification: Notification {
            id: format!("{incident}-{number}"),
            incident: incident.into(),
            kind,
            site: "s".into(),
            monitor: format!("monitor of {incident}"),
            address: "a".into(),
            text: "t".into(),
            number,
            at: now(0).wall,
            since: None,
            lasted: None,
            next_reminder: None,
            ended: None,
        },
        attempts: 0,
        last_tried: None,
        last_error: None,
        retry_at: None,
        refused: false,
        addressed: Vec::new(),
    }
}

use NotificationKind::{Outage, Recovery, Reminder};

/// Starts what is due at `secs` and names it.
fn started(outbox: &mut Outbox, secs: i64) -> Vec<String> {
    outbox.start(at(secs)).iter().map(OutboxEntry::key).collect()
}

fn filled(entries: Vec<OutboxEntry>) -> Outbox {
    let mut outbox = Outbox::new(&Plan::new("HomeLab"));
    for entry in entries {
        outbox.push(entry, true, now(0));
    }
    outbox
}

#[test]
fn nothing_is_sent_before_it_is_committed() {
    let mut outbox = Outbox::new(&Plan::new("HomeLab"));
    let outage = entry("c", "i", 1, Outage);
    outbox.push(outage.clone(), false, now(0));
    assert!(outbox.start(at(0)).is_empty());
    outbox.confirm(&[outage]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
}

#[test]
fn one_incident_is_told_in_order() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Recovery)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    assert!(started(&mut outbox, 0).is_empty(), "one at a time");
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert!(started(&mut outbox, 0).is_empty(), "back-off");
    assert_eq!(started(&mut outbox, 1), ["i-1-c"]);
    assert_eq!(
        outbox.finish("c", "i-1-c", Ok(()), now(1)),
        Some(AttemptResult::Delivered)
    );
    assert_eq!(started(&mut outbox, 1), ["i-2-c"]);
}

/// Else the end of the first would be the last word on the second.
#[test]
fn the_outages_of_one_monitor_are_told_one_after_the_other() {
    let about_m = |entry: OutboxEntry| OutboxEntry {
        notification: Notification {
            monitor: "m".into(),
            ..entry.notification
        },
        ..entry
    };
    let mut outbox = filled(vec![
        about_m(entry("c", "i", 1, Outage)),
        about_m(entry("c", "i", 2, Recovery)),
        about_m(entry("c", "j", 1, Outage)),
        about_m(entry("c", "u", 1, NotificationKind::Unknown)),
        about_m(entry("c", "n", 1, NotificationKind::Notice("PORT CHANGE".into()))),
    ]);
    let busy = || Err(DeliveryError::retryable("503"));
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    outbox.finish("c", "i-1-c", busy(), now(0));
    for key in ["u-1-c", "n-1-c"] {
        assert_eq!(
            started(&mut outbox, 1),
            [key],
            "told side by side with its outages"
        );
        outbox.finish("c", key, Ok(()), now(1));
    }
    for key in ["i-1-c", "i-2-c", "j-1-c"] {
        assert_eq!(started(&mut outbox, 1), [key]);
        outbox.finish("c", key, Ok(()), now(1));
    }
}

#[test]
fn a_refused_outage_holds_back_neither_its_recovery_nor_the_next_outage() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    refused(&mut outbox, "i-1-c", 0);
    let mut next = entry("c", "j", 1, Outage);
    next.notification.monitor = "monitor of i".into();
    outbox.push(entry("c", "i", 2, Reminder), true, now(0));
    outbox.push(next, true, now(0));
    assert_eq!(started(&mut outbox, 1), ["j-1-c"]);
}

#[test]
fn a_slow_channel_does_not_hold_up_another() {
    let mut outbox = filled(vec![entry("a", "i", 1, Outage), entry("b", "i", 1, Outage)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-a", "i-1-b"]);
    outbox.finish("b", "i-1-b", Ok(()), now(0));
    assert!(outbox.has_pending_attempts());
}

#[test]
fn a_message_that_is_refused_does_not_keep_its_recovery() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Recovery)]);
    started(&mut outbox, 0);
    let fate = outbox.finish("c", "i-1-c", Err(DeliveryError::permanent("404")), now(0));
    assert!(matches!(fate, Some(AttemptResult::Refused(entry)) if entry.refused && entry.attempts == 1));
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    outbox.finish("c", "i-2-c", Ok(()), now(0));
    assert!(started(&mut outbox, 0).is_empty(), "it has just been tried");
    // The channel takes messages again: so perhaps the refused one.
    outbox.push(entry("c", "j", 1, Outage), true, now(60));
    assert_eq!(started(&mut outbox, 60), ["j-1-c"]);
    outbox.finish("c", "j-1-c", Ok(()), now(60));
    assert_eq!(started(&mut outbox, 60), ["i-1-c"]);
}

#[test]
fn a_refused_message_is_tried_again_after_half_an_hour() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    outbox.finish("c", "i-1-c", Err(DeliveryError::permanent("404")), now(0));
    assert!(started(&mut outbox, 1799).is_empty());
    assert_eq!(outbox.wake_at(), Some(at(1800)));
    assert_eq!(started(&mut outbox, 1800), ["i-1-c"]);
}

#[test]
fn a_refused_message_keeps_its_half_hour_over_a_restart() {
    let refused = OutboxEntry {
        refused: true,
        attempts: 1,
        last_tried: Some(now(-1000).wall),
        ..entry("c", "i", 1, Outage)
    };
    let mut outbox = filled(vec![refused]);
    assert!(started(&mut outbox, 799).is_empty());
    assert_eq!(started(&mut outbox, 800), ["i-1-c"]);
}

#[test]
fn a_reminder_is_replaced_by_its_successor_an_outage_never() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Reminder)]);
    assert_eq!(
        outbox.push(entry("c", "i", 3, Reminder), true, now(0)),
        Some(entry("c", "i", 2, Reminder))
    );
    assert_eq!(outbox.push(entry("c", "j", 2, Reminder), true, now(0)), None);
    assert_eq!(outbox.push(entry("c", "i", 4, Recovery), true, now(0)), None);
    assert_eq!(outbox.keys().count(), 4);
}

#[test]
fn the_pause_doubles_up_to_five_minutes_and_heeds_retry_after() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    let mut time = 0;
    for most in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert_eq!(started(&mut outbox, time).len(), 1);
        outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(time));
        let pause = outbox.wake_at().unwrap().since(at(time)).as_secs_f64();
        let most = f64::from(most);
        assert!(pause <= most && pause >= 0.8 * most, "{pause} of {most}");
        time += pause.ceil() as i64;
    }
    started(&mut outbox, time);
    let error = DeliveryError::Retryable {
        reason: "429".into(),
        retry_after: Some(Duration::from_secs(1000)),
    };
    outbox.finish("c", "i-1-c", Err(error), now(time));
    assert_eq!(outbox.wake_at(), Some(at(time + 1000)));
}

#[test]
fn nobody_can_ask_for_so_long_a_pause_that_the_message_expires() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    let error = DeliveryError::Retryable {
        reason: "503".into(),
        retry_after: Some(Duration::from_secs(86_400)),
    };
    outbox.finish("c", "i-1-c", Err(error), now(0));
    assert_eq!(outbox.wake_at(), Some(at(1800)));
    outbox.retry_all();
    assert_eq!(started(&mut outbox, 1), ["i-1-c"], "somebody mended something");
}

#[test]
fn a_message_under_way_does_not_expire_and_wakes_nobody() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 86_399);
    assert!(outbox.expire(at(86_400)).is_empty());
    assert_eq!(outbox.wake_at(), None);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(86_401));
    assert_eq!(outbox.expire(at(86_401)).len(), 1);
}

#[test]
fn among_failing_messages_the_least_tried_goes_first() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "j", 1, Outage)]);
    started(&mut outbox, 0);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert_eq!(started(&mut outbox, 1), ["j-1-c"]);
}

#[test]
fn a_message_of_a_machine_that_did_not_know_the_time_yet_is_not_given_up_for_its_age() {
    let mut old = entry("c", "i", 1, Outage);
    old.notification.at = Timestamp::UNIX_EPOCH;
    let mut outbox = filled(vec![old]);
    assert!(outbox.expire(at(0)).is_empty());
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert_eq!(outbox.expire(at(86_400)).len(), 1, "but a day later");
}

#[test]
fn after_a_day_a_message_is_given_up() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    assert!(outbox.expire(at(86_399)).is_empty());
    assert_eq!(outbox.expire(at(86_400)).len(), 1);
    assert_eq!(outbox.keys().count(), 0);
}

#[test]
fn messages_of_a_channel_that_is_gone_are_handed_back() {
    let mut outbox = filled(vec![entry("a", "i", 1, Outage), entry("b", "i", 1, Outage)]);
    let gone = outbox.retain_channels(&HashSet::from(["a"]));
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].0.channel, "b");
}

/// Refuses the message under way.
fn refused(outbox: &mut Outbox, key: &str, secs: i64) {
    let fate = outbox.finish("c", key, Err(DeliveryError::permanent("400")), now(secs));
    assert!(matches!(fate, Some(AttemptResult::Refused(_))), "{fate:?}");
}

/// Tells one more message of incident `i`, as the dispatcher does.
fn notifications(outbox: &mut Outbox, number: u32, kind: NotificationKind) -> Vec<String> {
    let entry = entry("c", "i", number, kind);
    outbox.release_incident(&entry.notification);
    let over = match entry.notification.kind.ends_incident() {
        true => outbox.close_incident("i", now(0).wall).0,
        false => Vec::new(),
    };
    let replaced = outbox.push(entry, true, now(0));
    over.iter()
        .map(OutboxEntry::key)
        .chain(replaced.iter().map(OutboxEntry::key))
        .collect()
}

#[test]
fn after_a_refusal_the_last_word_is_right() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    refused(&mut outbox, "i-1-c", 0);
    // A reminder waits for its outage, which is tried before it.
    notifications(&mut outbox, 2, Reminder);
    assert_eq!(started(&mut outbox, 60), ["i-1-c"]);
    refused(&mut outbox, "i-1-c", 60);
    assert!(started(&mut outbox, 61).is_empty());
    assert_eq!(outbox.wake_at(), Some(at(1860)), "and nobody turns in circles");
    assert!(!outbox.has_pending_attempts(), "a pass does not wait for it");
    // The end: nothing to be reminded of, and the receiver takes messages again.
    assert_eq!(notifications(&mut outbox, 3, Recovery), ["i-2-c"]);
    assert!(outbox.has_pending_attempts());
    assert_eq!(started(&mut outbox, 120), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Ok(()), now(120));
    assert_eq!(started(&mut outbox, 120), ["i-3-c"]);
    outbox.finish("c", "i-3-c", Ok(()), now(120));
    assert_eq!(outbox.keys().count(), 0);
}

#[test]
fn a_reminder_under_way_when_its_outage_ends_is_not_tried_again() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder)]);
    started(&mut outbox, 0);
    assert!(notifications(&mut outbox, 3, Recovery).is_empty());
    let fate = outbox.finish("c", "i-2-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Dropped(_))), "{fate:?}");
    assert_eq!(started(&mut outbox, 1), ["i-3-c"]);
}

#[test]
fn a_reminder_under_way_when_its_successor_comes_is_not_tried_again() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder)]);
    started(&mut outbox, 0);
    assert!(notifications(&mut outbox, 3, Reminder).is_empty());
    let fate = outbox.finish("c", "i-2-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Replaced(_))), "{fate:?}");
    assert!(
        started(&mut outbox, 1).is_empty(),
        "the channel pauses all the same"
    );
    assert_eq!(started(&mut outbox, 2), ["i-3-c"]);
}

#[test]
fn what_was_refused_is_tried_again_in_the_order_in_which_it_was_decided() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "j", 1, Outage)]);
    for (key, secs) in [
        ("i-1-c", 0),
        ("j-1-c", 0),
        ("i-1-c", 1800),
        ("j-1-c", 1800),
        ("i-1-c", 3600),
    ] {
        assert_eq!(started(&mut outbox, secs), [key]);
        refused(&mut outbox, key, secs);
    }
    outbox.push(entry("c", "k", 1, Outage), true, now(3601));
    outbox.retry_all();
    for key in ["i-1-c", "j-1-c", "k-1-c"] {
        assert_eq!(started(&mut outbox, 3602), [key]);
        outbox.finish("c", key, Ok(()), now(3602));
    }
}

#[test]
fn a_message_that_comes_from_another_channel_takes_its_place() {
    let mut outbox = filled(vec![entry("c", "i", 2, Recovery), entry("c", "i", 1, Outage)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
}

#[test]
fn what_fails_after_a_refusal_keeps_its_order() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    refused(&mut outbox, "i-1-c", 0);
    notifications(&mut outbox, 2, Recovery);
    started(&mut outbox, 1);
    let fate = outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Retried(entry)) if !entry.refused));
    assert_eq!(started(&mut outbox, 2), ["i-1-c"]);
}

#[test]
fn at_the_end_no_pause_is_kept_and_each_message_has_one_try() {
    let mut outbox = filled(vec![
        entry("c", "i", 1, Outage),
        entry("c", "j", 1, Outage),
        entry("c", "j", 2, Recovery),
        entry("c", "k", 1, Outage),
        entry("c", "k", 2, Reminder),
    ]);
    let last = |outbox: &mut Outbox, secs: i64| {
        let keys: Vec<_> = outbox
            .start_final(at(secs))
            .iter()
            .map(OutboxEntry::key)
            .collect();
        for key in &keys {
            outbox.finish("c", key, Err(DeliveryError::retryable("503")), now(secs));
        }
        keys.concat()
    };
    started(&mut outbox, 9);
    refused(&mut outbox, "i-1-c", 9);
    assert_eq!(started(&mut outbox, 9), ["j-1-c"]);
    outbox.finish("c", "j-1-c", Err(DeliveryError::retryable("503")), now(9));
    assert!(started(&mut outbox, 9).is_empty(), "a pause");
    for key in ["j-1-c", "j-2-c", "k-1-c", ""] {
        assert_eq!(last(&mut outbox, 9), key);
    }
    assert_eq!(last(&mut outbox, 10), "i-1-c", "not refused just now");
}

/// Asked for one second, by a clock that was an hour ahead.
#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer_than_was_asked_for() {
    let hour = jiff::SignedDuration::from_hours(1);
    let tried = now(0).wall + hour;
    let asked = |secs: i64| OutboxEntry {
        attempts: 1,
        last_tried: Some(tried),
        retry_at: Some(tried + jiff::SignedDuration::from_secs(secs)),
        ..entry("c", "i", 1, Outage)
    };
    assert_eq!(filled(vec![asked(1)]).wake_at(), Some(at(1)));
    assert_eq!(filled(vec![asked(100)]).wake_at(), Some(at(100)));
}
