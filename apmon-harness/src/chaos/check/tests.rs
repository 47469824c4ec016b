//! Invented evidence: correct, and wrong in each possible way.

use super::*;
use crate::chaos::{
    notification::NotificationKind,
    record::{History, Incident, OutputLine, Period, Stored, Waiting},
    site::Site,
};

const OUTAGE: &str =
    "m00 in Chaos new outage: closed after 1 bytes without \"up\" (tcp://h:7) at 2:15 PM, down for 0 secs";
const REMINDER: &str =
    "m00 in Chaos is down: closed after 1 bytes without \"up\" (tcp://h:7) at 2:15 PM, down for 1 secs";
const RECOVERY: &str = "m00 in Chaos is UP (tcp://h:7) at 2:16 PM, outage lasted 10 secs";
/// Indexes of channels: a webhook, and mail without reminders.
const HOOK: usize = 0;
const OPS: usize = 2;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn period(is_up: bool, from: u64, to: u64) -> Period {
    Period {
        is_up,
        from: secs(from),
        to: secs(to),
    }
}

/// The `number`th notification of `incident`, received at `at`.
fn receipt(site: &Site, channel: usize, incident: &str, number: u32, text: &str, at: u64) -> Receipt {
    let (monitor, kind) = read_sentence(text).unwrap();
    let of = &site.channels[channel];
    let (id, incident) = match of.is_mail {
        true => (format!("<{incident}-{number}>"), format!("<{incident}-1>")),
        false => (format!("{incident}-{number}-{}", of.id), incident.to_owned()),
    };
    Receipt {
        at: secs(at),
        channel,
        id,
        incident,
        kind: Some(match kind {
            NotificationKind::Reminder(_) => NotificationKind::Reminder(number - 1),
            other => other,
        }),
        monitor: monitor.to_owned(),
        text: text.to_owned(),
        accepted: true,
    }
}

/// Delivers a notification to every channel that takes it.
fn deliver(evidence: &mut Evidence, incident: &str, number: u32, text: &str, at: u64) {
    let site = evidence.site.clone();
    for (channel, of) in site.channels.iter().enumerate() {
        let receipt = receipt(&site, channel, incident, number, text, at);
        if of.takes(receipt.kind.unwrap()) {
            evidence.receipts.push(receipt);
        }
    }
}

/// `m00` was down from 10 to 20, every channel received its notifications, and apmon ran throughout.
fn good() -> Evidence {
    let site = Site::new();
    let mut truth = vec![vec![period(true, 0, 60)]; site.monitors.len()];
    truth[0] = vec![period(true, 0, 10), period(false, 10, 20), period(true, 20, 60)];
    let hooks = site.channels.iter().filter(|channel| !channel.is_mail);
    let delivered = hooks.flat_map(|hook| {
        let key = |number: u32| (hook.id.clone(), format!("i-{number}-{}", hook.id));
        [key(1), key(2), key(3)]
    });
    let stored = Stored {
        outbox: Vec::new(),
        states: site
            .monitors
            .iter()
            .map(|it| (it.name.clone(), Some(true)))
            .collect(),
        history: Some(History {
            incidents: vec![Incident {
                id: "i".into(),
                monitor: "m00".into(),
                ended: true,
                notifications: 3,
            }],
            delivered: delivered.collect(),
        }),
    };
    let output = |label: &str, text: &str| OutputLine {
        at: secs(11),
        text: format!("##### {label}: {text} #####"),
    };
    let mut evidence = Evidence {
        truth,
        awake: vec![(secs(0), secs(60))],
        receipts: Vec::new(),
        output: vec![
            output("NEW OUTAGE", OUTAGE),
            output("DOWN", REMINDER),
            output("RECOVERY", RECOVERY),
        ],
        complaints: Vec::new(),
        stored,
        site,
    };
    deliver(&mut evidence, "i", 1, OUTAGE, 11);
    deliver(&mut evidence, "i", 2, REMINDER, 13);
    deliver(&mut evidence, "i", 3, RECOVERY, 21);
    evidence
}

/// The rules that are broken once `change` has been made.
fn broken(change: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut evidence = good();
    change(&mut evidence);
    let rules: BTreeSet<_> = check(&evidence).iter().map(|it| it.rule).collect();
    rules.into_iter().collect()
}

fn sorted<const N: usize>(mut rules: [&'static str; N]) -> Vec<&'static str> {
    rules.sort_unstable();
    rules.to_vec()
}

fn find(evidence: &mut Evidence, channel: usize, kind: NotificationKind) -> &mut Receipt {
    let mut receipts = evidence.receipts.iter_mut();
    receipts
        .find(|it| it.channel == channel && it.kind == Some(kind))
        .unwrap()
}

fn lose(evidence: &mut Evidence, channel: usize, kind: NotificationKind) {
    evidence
        .receipts
        .retain(|it| !(it.channel == channel && it.kind == Some(kind)));
}

#[test]
fn correct_evidence_breaks_no_rule() {
    assert_eq!(check(&good()), []);
}

#[test]
fn a_notification_may_arrive_twice_with_a_late_suffix_on_the_second() {
    assert_eq!(
        broken(|evidence| {
            let mut again = find(evidence, HOOK, NotificationKind::Outage).clone();
            again.at = secs(12);
            again.text += " (was down 14:15-14:16; delivered 26 mins 0 secs late)";
            evidence.receipts.push(again);
        }),
        [""; 0]
    );
}

#[test]
fn a_reminder_may_be_missing() {
    assert_eq!(
        broken(|evidence| {
            lose(evidence, HOOK, NotificationKind::Reminder(1));
            let history = evidence.stored.history.as_mut().unwrap();
            history.delivered.retain(|(_, key)| !key.starts_with("i-2-"));
        }),
        [""; 0]
    );
}

#[test]
fn a_lost_outage_is_detected() {
    let rules = broken(|evidence| lose(evidence, OPS, NotificationKind::Outage));
    assert_eq!(rules, sorted([LOST_OUTAGE, ORDER, PRINTED]));
}

#[test]
fn an_incident_that_one_channel_never_received_is_detected() {
    let rules = broken(|evidence| evidence.receipts.retain(|it| it.channel != OPS));
    assert_eq!(rules, sorted([LOST_OUTAGE, LOST_RECOVERY, PRINTED]));
}

#[test]
fn a_lost_recovery_is_detected() {
    let rules = broken(|evidence| lose(evidence, OPS, NotificationKind::Recovery));
    assert_eq!(rules, sorted([LOST_RECOVERY, LAST_NOTIFICATION, PRINTED]));
}

#[test]
fn a_notification_that_was_only_offered_is_not_delivered() {
    let rules = broken(|evidence| find(evidence, HOOK, NotificationKind::Recovery).accepted = false);
    assert_eq!(
        rules,
        sorted([LOST_RECOVERY, LAST_NOTIFICATION, PRINTED, HISTORY])
    );
}

#[test]
fn an_outage_without_any_notification_is_detected() {
    let rules = broken(|evidence| {
        evidence.receipts.clear();
        evidence.output.clear();
        evidence.stored.history = Some(History::default());
    });
    assert_eq!(rules, [MISSED]);
}

#[test]
fn an_outage_while_apmon_did_not_run_needs_no_notification() {
    let rules = broken(|evidence| {
        evidence.receipts.clear();
        evidence.output.clear();
        evidence.stored.history = Some(History::default());
        evidence.awake = vec![(secs(0), secs(11)), (secs(19), secs(60))];
    });
    assert_eq!(rules, [""; 0]);
}

#[test]
fn outages_of_a_closed_port_are_counted() {
    let closed = good()
        .site
        .monitors
        .iter()
        .position(|it| !it.fails_by_content)
        .unwrap();
    let rules = broken(|evidence| {
        evidence.truth[closed] = vec![period(true, 0, 10), period(false, 10, 20), period(true, 20, 60)];
    });
    assert_eq!(rules, [MISSED]);
}

#[test]
fn an_invented_outage_is_detected() {
    let rules = broken(|evidence| evidence.truth[0] = vec![period(true, 0, 60)]);
    assert_eq!(rules, [INVENTED]);
    let early = broken(|evidence| find(evidence, HOOK, NotificationKind::Outage).at = secs(9));
    assert_eq!(early, [INVENTED]);
}

#[test]
fn one_outage_announced_as_two_is_detected() {
    let rules = broken(|evidence| {
        deliver(evidence, "j", 1, OUTAGE, 22);
        deliver(evidence, "j", 2, RECOVERY, 23);
        let history = evidence.stored.history.as_mut().unwrap();
        let mut second = history.incidents[0].clone();
        (second.id, second.notifications) = ("j".into(), 2);
        history.incidents.push(second);
    });
    assert_eq!(rules, [TWICE]);
}

#[test]
fn one_notification_with_two_ids_is_detected() {
    let rules = broken(|evidence| {
        let mut again = find(evidence, OPS, NotificationKind::Recovery).clone();
        again.id = "<another>".into();
        evidence.receipts.push(again);
    });
    assert!(rules.contains(&TWO_IDS), "{rules:?}");
    let on_two_channels = broken(|evidence| {
        for receipt in evidence.receipts.iter_mut().filter(|it| it.channel == HOOK) {
            receipt.incident = "j".into();
            receipt.id = receipt.id.replacen('i', "j", 1);
        }
    });
    assert!(on_two_channels.contains(&TWO_IDS), "{on_two_channels:?}");
}

#[test]
fn one_id_with_two_notifications_is_detected() {
    let rules = broken(|evidence| {
        let mut again = find(evidence, HOOK, NotificationKind::Outage).clone();
        again.text = again.text.replace("0 secs", "5 secs");
        evidence.receipts.push(again);
    });
    // The other channels lack the text that only one received.
    assert_eq!(rules, sorted([ONE_ID, LOST_OUTAGE]));
}

#[test]
fn a_recovery_before_its_outage_is_detected() {
    let rules = broken(|evidence| find(evidence, OPS, NotificationKind::Recovery).at = secs(10));
    assert_eq!(rules, sorted([ORDER, LAST_NOTIFICATION]));
}

#[test]
fn a_reminder_after_the_recovery_is_detected() {
    let rules = broken(|evidence| find(evidence, HOOK, NotificationKind::Reminder(1)).at = secs(30));
    assert_eq!(rules, sorted([ORDER, LAST_NOTIFICATION]));
}

#[test]
fn an_outage_that_overtakes_the_previous_recovery_is_detected() {
    let rules = broken(|evidence| {
        let periods = [(true, 0, 10), (false, 10, 20), (true, 20, 30), (false, 30, 60)];
        evidence.truth[0] = periods.map(|(is_up, from, to)| period(is_up, from, to)).to_vec();
        evidence.stored.states[0].1 = Some(false);
        deliver(evidence, "j", 1, &OUTAGE.replace("1 bytes", "3 bytes"), 31);
        find(evidence, OPS, NotificationKind::Recovery).at = secs(32);
        let history = evidence.stored.history.as_mut().unwrap();
        history.incidents.push(Incident {
            id: "j".into(),
            monitor: "m00".into(),
            ended: false,
            notifications: 1,
        });
    });
    assert_eq!(rules, sorted([OVERLAP, LAST_NOTIFICATION]));
}

#[test]
fn a_last_notification_that_does_not_match_the_state_is_detected() {
    let rules = broken(|evidence| {
        evidence.truth[0].push(period(false, 60, 61));
        evidence.stored.states[0].1 = Some(false);
    });
    assert_eq!(rules, [LAST_NOTIFICATION]);
}

#[test]
fn a_reminder_to_a_recipient_without_reminders_is_detected() {
    let rules = broken(|evidence| {
        let reminder = receipt(&evidence.site, OPS, "i", 2, REMINDER, 13);
        evidence.receipts.push(reminder);
    });
    assert_eq!(rules, [SWITCH]);
}

#[test]
fn a_notification_that_cannot_be_understood_is_detected() {
    let rules = broken(|evidence| {
        let mut strange = find(evidence, HOOK, NotificationKind::Outage).clone();
        (strange.kind, strange.id) = (None, "x".into());
        evidence.receipts.push(strange);
    });
    assert!(rules.contains(&STRANGE), "{rules:?}");
}

#[test]
fn an_undelivered_notification_is_detected_unless_it_is_a_reminder() {
    let waits = |is_reminder| {
        broken(|evidence| {
            evidence.stored.outbox.push(Waiting {
                channel: "c".into(),
                key: "i-1-c".into(),
                is_reminder,
            });
        })
    };
    assert_eq!(waits(false), [OUTBOX]);
    assert_eq!(waits(true), [""; 0]);
}

#[test]
fn a_state_file_with_a_wrong_state_is_detected() {
    assert_eq!(
        broken(|evidence| evidence.stored.states[3].1 = Some(false)),
        [STATE]
    );
    assert_eq!(broken(|evidence| evidence.stored.states.clear()), [STATE]);
}

#[test]
fn a_history_that_differs_is_detected() {
    let change =
        |change: fn(&mut History)| broken(|evidence| change(evidence.stored.history.as_mut().unwrap()));
    assert_eq!(change(|history| history.incidents.clear()), [HISTORY]);
    assert_eq!(change(|history| history.incidents[0].ended = false), [HISTORY]);
    assert_eq!(
        change(|history| history.incidents[0].notifications = 2),
        [HISTORY]
    );
    assert_eq!(change(|history| history.incidents[0].id = "j".into()), [HISTORY]);
    assert_eq!(
        change(|history| history
            .delivered
            .push(("webhook:h".into(), "i-9-webhook:h".into()))),
        [HISTORY]
    );
}

#[test]
fn a_fault_in_the_log_is_detected() {
    assert_eq!(
        broken(|evidence| evidence.complaints.push("DAMAGED".into())),
        [LOG]
    );
}
