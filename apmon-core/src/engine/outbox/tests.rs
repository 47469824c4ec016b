mod fallback;
mod orphan;
mod refused;
mod saving;

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

/// An entry about a monitor that has only this incident.
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
            subject: Default::default(),
            covers: Vec::new(),
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

fn count(outbox: &Outbox) -> usize {
    let (stored, lost) = outbox.stored_and_lost();
    stored + lost
}

/// Starts the attempts that are due at `secs` and returns their keys.
fn started(outbox: &mut Outbox, secs: i64) -> Vec<String> {
    outbox.start(at(secs)).iter().map(OutboxEntry::key).collect()
}

fn empty() -> Outbox {
    Outbox::new(Duration::from_secs(24 * 3600), HashMap::new())
}

fn filled(entries: Vec<OutboxEntry>) -> Outbox {
    let mut outbox = empty();
    for entry in entries {
        outbox.load(entry, now(0));
    }
    outbox
}

#[test]
fn nothing_is_sent_before_it_is_committed() {
    let mut outbox = empty();
    let outage = entry("c", "i", 1, Outage);
    outbox.push(outage, now(0));
    assert!(outbox.start(at(0)).is_empty());
    let unsaved = outbox.take_unsaved();
    assert!(outbox.start(at(0)).is_empty());
    outbox.commit_ended(unsaved, true);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
}

#[test]
fn notifications_of_one_incident_are_sent_in_order() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Recovery)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    assert!(started(&mut outbox, 0).is_empty(), "one at a time");
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert!(started(&mut outbox, 0).is_empty(), "back-off");
    assert_eq!(started(&mut outbox, 1), ["i-1-c"]);
    let delivered = outbox.finish("c", "i-1-c", Ok(()), now(1));
    assert!(
        matches!(delivered, Some(AttemptResult::Delivered(_))),
        "{delivered:?}"
    );
    assert_eq!(started(&mut outbox, 1), ["i-2-c"]);
}

/// Otherwise the end of the first could be the last notification after the beginning of the
/// second.
#[test]
fn outages_of_one_monitor_are_sent_one_after_the_other() {
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
            "sent independently of its outages"
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
    outbox.load(entry("c", "i", 2, Reminder), now(0));
    outbox.load(next, now(0));
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
fn a_refused_outage_does_not_hold_back_its_recovery() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Recovery)]);
    started(&mut outbox, 0);
    let fate = outbox.finish("c", "i-1-c", Err(DeliveryError::permanent("404")), now(0));
    assert!(matches!(fate, Some(AttemptResult::Refused(entry)) if entry.refused && entry.attempts == 1));
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    outbox.finish("c", "i-2-c", Ok(()), now(0));
    assert!(started(&mut outbox, 0).is_empty(), "it has just been refused");
    // The channel accepts again, so it may accept the refused one.
    outbox.load(entry("c", "j", 1, Outage), now(60));
    assert_eq!(started(&mut outbox, 60), ["j-1-c"]);
    outbox.finish("c", "j-1-c", Ok(()), now(60));
    assert_eq!(started(&mut outbox, 60), ["i-1-c"]);
}

#[test]
fn a_refused_notification_is_retried_after_half_an_hour() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    outbox.finish("c", "i-1-c", Err(DeliveryError::permanent("404")), now(0));
    assert!(started(&mut outbox, 1799).is_empty());
    assert_eq!(outbox.wake_at(), Some(at(1800)));
    assert_eq!(started(&mut outbox, 1800), ["i-1-c"]);
}

#[test]
fn the_half_hour_after_a_refusal_survives_a_restart() {
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
fn a_reminder_is_replaced_by_the_next_one_and_an_outage_never() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "i", 2, Reminder)]);
    assert_eq!(
        outbox.load(entry("c", "i", 3, Reminder), now(0)),
        Some(entry("c", "i", 2, Reminder))
    );
    assert_eq!(outbox.load(entry("c", "j", 2, Reminder), now(0)), None);
    assert_eq!(outbox.load(entry("c", "i", 4, Recovery), now(0)), None);
    assert_eq!(count(&outbox), 4);
}

#[test]
fn the_pause_doubles_up_to_five_minutes_and_honours_retry_after() {
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
fn a_requested_delay_does_not_make_a_notification_expire() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    let error = DeliveryError::Retryable {
        reason: "503".into(),
        retry_after: Some(Duration::from_secs(86_400)),
    };
    outbox.finish("c", "i-1-c", Err(error), now(0));
    assert_eq!(outbox.wake_at(), Some(at(1800)));
    outbox.retry(None);
    assert_eq!(started(&mut outbox, 1), ["i-1-c"], "something was fixed");
}

#[test]
fn an_entry_in_flight_does_not_expire_and_sets_no_timer() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 86_399);
    assert!(outbox.expire(at(86_400)).is_empty());
    assert_eq!(outbox.wake_at(), None);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(86_401));
    assert_eq!(outbox.expire(at(86_401)).len(), 1);
}

#[test]
fn the_entry_with_the_fewest_attempts_goes_first() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage), entry("c", "j", 1, Outage)]);
    started(&mut outbox, 0);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert_eq!(started(&mut outbox, 1), ["j-1-c"]);
}

#[test]
fn a_notification_from_before_the_clock_was_set_does_not_expire_by_its_timestamp() {
    let mut old = entry("c", "i", 1, Outage);
    old.notification.at = Timestamp::UNIX_EPOCH;
    let mut outbox = filled(vec![old]);
    assert!(outbox.expire(at(0)).is_empty());
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(0));
    assert_eq!(outbox.expire(at(86_400)).len(), 1, "a day later it does");
}

#[test]
fn a_notification_expires_after_a_day() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    assert!(outbox.expire(at(86_399)).is_empty());
    assert_eq!(outbox.expire(at(86_400)).len(), 1);
    assert_eq!(count(&outbox), 0);
}

#[test]
fn entries_of_a_removed_channel_are_returned() {
    let mut outbox = filled(vec![entry("a", "i", 1, Outage), entry("b", "i", 1, Outage)]);
    let gone = outbox.retain_channels(&HashSet::from(["a"]));
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].entry.channel, "b");
}

#[test]
fn an_entry_of_a_removed_channel_says_whether_its_receiver_may_have_it() {
    let untried = |outbox: &mut Outbox| -> Vec<bool> {
        let gone = outbox.retain_channels(&HashSet::new());
        gone.iter().map(|orphan| orphan.is_untried).collect()
    };
    let mut outbox = empty();
    outbox.send_from_memory();
    outbox.load(entry("c", "h", 1, Outage), now(0));
    outbox.push(entry("c", "i", 1, Outage), now(0));
    assert_eq!(untried(&mut outbox), [false, true]);
    // One is under way, or was refused, and one waits.
    for is_over in [false, true] {
        let mut outbox = empty();
        outbox.send_from_memory();
        outbox.push(entry("c", "i", 1, Outage), now(0));
        outbox.push(entry("c", "j", 1, Outage), now(0));
        assert_eq!(outbox.start(at(0)).len(), 1);
        if is_over {
            refused(&mut outbox, "i-1-c", 0);
        }
        assert_eq!(untried(&mut outbox), [false, true], "{is_over}");
    }
}

/// Refuses the entry in flight.
fn refused(outbox: &mut Outbox, key: &str, secs: i64) {
    let fate = outbox.finish("c", key, Err(DeliveryError::permanent("400")), now(secs));
    assert!(matches!(fate, Some(AttemptResult::Refused(_))), "{fate:?}");
}

/// Adds one more notification of incident `i`, as the dispatcher does.
fn add_notification(outbox: &mut Outbox, number: u32, kind: NotificationKind) -> Vec<String> {
    let entry = entry("c", "i", number, kind);
    outbox.release_incident(&entry.notification);
    let over = match entry.notification.kind.ends_incident() {
        true => outbox.close_incident("i", now(0).wall),
        false => Vec::new(),
    };
    let replaced = outbox.load(entry, now(0));
    over.iter()
        .map(OutboxEntry::key)
        .chain(replaced.iter().map(OutboxEntry::key))
        .collect()
}

#[test]
fn after_a_refusal_the_order_is_kept() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    refused(&mut outbox, "i-1-c", 0);
    // A reminder waits for its outage, which is retried first.
    add_notification(&mut outbox, 2, Reminder);
    assert_eq!(started(&mut outbox, 60), ["i-1-c"]);
    refused(&mut outbox, "i-1-c", 60);
    assert!(started(&mut outbox, 61).is_empty());
    assert_eq!(outbox.wake_at(), Some(at(1860)), "and there is no busy loop");
    assert!(!outbox.has_pending_attempts(), "a pass does not wait for it");
    // The outage ends: the reminder is dropped, and the receiver accepts again.
    assert_eq!(add_notification(&mut outbox, 3, Recovery), ["i-2-c"]);
    assert!(outbox.has_pending_attempts());
    assert_eq!(started(&mut outbox, 120), ["i-1-c"]);
    outbox.finish("c", "i-1-c", Ok(()), now(120));
    assert_eq!(started(&mut outbox, 120), ["i-3-c"]);
    outbox.finish("c", "i-3-c", Ok(()), now(120));
    assert_eq!(count(&outbox), 0);
}

#[test]
fn a_reminder_in_flight_when_its_outage_ends_is_not_retried() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder)]);
    started(&mut outbox, 0);
    assert!(add_notification(&mut outbox, 3, Recovery).is_empty());
    let fate = outbox.finish("c", "i-2-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Dropped(_))), "{fate:?}");
    assert_eq!(started(&mut outbox, 1), ["i-3-c"]);
}

#[test]
fn a_reminder_in_flight_when_the_next_is_decided_is_not_retried() {
    let mut outbox = filled(vec![entry("c", "i", 2, Reminder)]);
    started(&mut outbox, 0);
    assert!(add_notification(&mut outbox, 3, Reminder).is_empty());
    let fate = outbox.finish("c", "i-2-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Replaced(_))), "{fate:?}");
    assert!(started(&mut outbox, 1).is_empty(), "the channel still pauses");
    assert_eq!(started(&mut outbox, 2), ["i-3-c"]);
}

#[test]
fn refused_notifications_are_retried_in_their_order() {
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
    outbox.load(entry("c", "k", 1, Outage), now(3601));
    outbox.retry(None);
    for key in ["i-1-c", "j-1-c", "k-1-c"] {
        assert_eq!(started(&mut outbox, 3602), [key]);
        outbox.finish("c", key, Ok(()), now(3602));
    }
}

#[test]
fn a_late_notification_is_sorted_into_its_incident() {
    let mut outbox = filled(vec![entry("c", "i", 2, Recovery), entry("c", "i", 1, Outage)]);
    assert_eq!(started(&mut outbox, 0), ["i-1-c"]);
}

#[test]
fn an_entry_that_fails_after_a_refusal_keeps_its_order() {
    let mut outbox = filled(vec![entry("c", "i", 1, Outage)]);
    started(&mut outbox, 0);
    refused(&mut outbox, "i-1-c", 0);
    add_notification(&mut outbox, 2, Recovery);
    started(&mut outbox, 1);
    let fate = outbox.finish("c", "i-1-c", Err(DeliveryError::retryable("503")), now(1));
    assert!(matches!(fate, Some(AttemptResult::Retried(entry)) if !entry.refused));
    assert_eq!(started(&mut outbox, 2), ["i-1-c"]);
}

#[test]
fn at_the_end_each_notification_has_one_attempt_without_a_pause() {
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
    assert_eq!(last(&mut outbox, 10), "i-1-c", "no longer refused just now");
}

/// The receiver asked for one second, while the clock was an hour ahead.
#[test]
fn setting_the_clock_back_does_not_lengthen_a_requested_delay() {
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

/// What waits for the checks of other monitors goes on waiting when a retry is requested.
#[test]
fn a_retry_ends_refusals_but_not_the_wait_for_other_checks() {
    let mut outbox = Outbox::new(Duration::from_secs(1000), HashMap::new());
    let refused = OutboxEntry {
        refused: true,
        last_tried: Some(now(0).wall),
        ..entry("c", "refused", 1, Outage)
    };
    let held = entry("d", "held", 1, Outage);
    outbox.load(refused, now(0));
    outbox.load(held.clone(), now(0));
    outbox.hold(&held.notification, at(100));
    assert_eq!(started(&mut outbox, 1), [""; 0]);
    outbox.retry(None);
    assert_eq!(started(&mut outbox, 1), ["refused-1-c"]);
    outbox.release_incident(&held.notification);
    assert_eq!(started(&mut outbox, 101), ["held-1-d"]);
}

#[test]
fn what_is_delivered_after_its_channel_left_is_not_sent_again_when_it_is_back() {
    let mut outbox = filled(vec![entry("c", "i", 2, Recovery)]);
    assert_eq!(started(&mut outbox, 0), ["i-2-c"]);
    assert_eq!(outbox.retain_channels(&HashSet::new()).len(), 1);
    outbox.push(entry("c", "i", 2, Recovery), now(1));
    assert!(outbox.retain_channels(&HashSet::from(["c"])).is_empty());
    let result = outbox.finish("c", "i-2-c", Ok(()), now(2));
    assert!(
        matches!(result, Some(AttemptResult::OrphanDelivered(_))),
        "{result:?}"
    );
    assert_eq!(count(&outbox), 0);
    assert!(started(&mut outbox, 60).is_empty());
}
