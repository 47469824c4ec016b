//! The rules of delivery, checked against the evidence of a round.

mod delivery;
mod truth;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use self::delivery::Deliveries;
use super::{
    notification::{NotificationKind, plain, read_line, read_sentence},
    record::{Evidence, Receipt},
};

pub(super) const LOST_OUTAGE: &str = "an outage was not delivered";
pub(super) const LOST_RECOVERY: &str = "a recovery was not delivered";
pub(super) const MISSED: &str = "an outage that lasted was not announced";
pub(super) const INVENTED: &str = "an outage was announced that did not happen";
pub(super) const TWICE: &str = "one outage was announced as two";
pub(super) const TWO_IDS: &str = "one notification has two ids";
pub(super) const ONE_ID: &str = "one id has two notifications";
pub(super) const ORDER: &str = "the notifications of an incident are out of order";
pub(super) const OVERLAP: &str = "two incidents of a monitor overlap";
pub(super) const LAST_NOTIFICATION: &str = "the last notification does not match the target's state";
pub(super) const SWITCH: &str = "a recipient got a notification that its switches exclude";
pub(super) const STRANGE: &str = "a notification cannot be understood";
pub(super) const PRINTED: &str = "a printed notification was not delivered";
pub(super) const OUTBOX: &str = "a notification is still in the outbox";
pub(super) const STATE: &str = "the state file has another state than the target";
pub(super) const HISTORY: &str = "the history differs from what was delivered";
pub(super) const LOG: &str = "the log reports a fault";
pub(super) const EXIT: &str = "apmon ended by itself";
pub(super) const DAMAGE: &str = "state that others damaged was not written anew";
pub(super) const TRUST: &str = "apmon ran on a state that others may write";
pub(super) const HOSTILE: &str = "hostile servers were not checked";

/// A broken rule, and the evidence against it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) evidence: String,
}

impl Violation {
    pub(super) fn new(rule: &'static str, evidence: impl Into<String>) -> Self {
        Self {
            rule,
            evidence: evidence.into(),
        }
    }

    /// Whether no later delivery can repair it.
    pub(super) fn stays(&self) -> bool {
        let may_come = [
            LOST_OUTAGE,
            LOST_RECOVERY,
            MISSED,
            TWO_IDS,
            LAST_NOTIFICATION,
            PRINTED,
            OUTBOX,
            STATE,
            HISTORY,
        ];
        !may_come.contains(&self.rule)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.evidence)
    }
}

/// All violations in the evidence.
pub(super) fn check(evidence: &Evidence) -> Vec<Violation> {
    let deliveries = Deliveries::new(evidence);
    let complaints = evidence.complaints.iter();
    let mut found: Vec<_> = complaints.map(|line| Violation::new(LOG, line)).collect();
    found.extend(single(evidence));
    found.extend(ids(evidence));
    found.extend(order(evidence, &deliveries));
    found.extend(complete(evidence, &deliveries));
    found.extend(alike(evidence, &deliveries));
    found.extend(truth::last_notification(evidence, &deliveries));
    found.extend(truth::outages(evidence));
    found.extend(printed(evidence, &deliveries));
    found.extend(stored(evidence, &deliveries));
    found
}

/// Checks each receipt by itself.
fn single(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for receipt in &evidence.receipts {
        let channel = &evidence.site.channels[receipt.channel];
        let monitors = &evidence.site.monitors;
        let monitor = monitors.iter().find(|monitor| monitor.name == receipt.monitor);
        let (Some(kind), Some(monitor)) = (receipt.kind, monitor) else {
            found.push(Violation::new(STRANGE, shown(evidence, receipt)));
            continue;
        };
        if !channel.takes(kind) || !channel.covers(monitor) {
            found.push(Violation::new(SWITCH, shown(evidence, receipt)));
        }
    }
    found
}

/// Checks that ids and notifications match one to one, unaccepted attempts included.
fn ids(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_id: BTreeMap<(usize, &str), &Receipt> = BTreeMap::new();
    let mut by_notification: BTreeMap<(usize, &str, NotificationKind), &Receipt> = BTreeMap::new();
    for receipt in &evidence.receipts {
        let first = *by_id.entry((receipt.channel, &receipt.id)).or_insert(receipt);
        if first.kind != receipt.kind
            || first.incident != receipt.incident
            || plain(&first.text) != plain(&receipt.text)
        {
            let both = format!("{} / {}", shown(evidence, first), shown(evidence, receipt));
            found.push(Violation::new(ONE_ID, both));
        }
        let Some(kind) = receipt.kind else {
            continue;
        };
        let first = *by_notification
            .entry((receipt.channel, &receipt.incident, kind))
            .or_insert(receipt);
        if first.id != receipt.id {
            let both = format!("{} / {}", shown(evidence, first), shown(evidence, receipt));
            found.push(Violation::new(TWO_IDS, both));
        }
    }
    // Both webhooks get every notification, and the id contains the incident.
    let hooks = evidence.site.channels.iter().enumerate();
    let hooks: Vec<usize> = hooks.filter(|(_, it)| !it.is_mail).map(|(at, _)| at).collect();
    let incidents = |channel: usize| -> BTreeMap<&str, &Receipt> {
        let of_it = evidence.receipts.iter();
        let of_it = of_it.filter(|receipt| receipt.channel == channel && receipt.accepted);
        of_it
            .map(|receipt| (receipt.incident.as_str(), receipt))
            .collect()
    };
    for (one, other) in hooks.iter().zip(hooks.iter().skip(1)) {
        let (one, other) = (incidents(*one), incidents(*other));
        for (incident, receipt) in one.iter().chain(&other) {
            if !(one.contains_key(incident) && other.contains_key(incident)) {
                let what = format!(
                    "the other webhook does not have its incident: {}",
                    shown(evidence, receipt)
                );
                found.push(Violation::new(TWO_IDS, what));
            }
        }
    }
    found
}

/// Checks that first deliveries arrive in the order of their incident, and the
/// incidents of a monitor one after the other.
fn order(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, monitor, firsts) in deliveries.all() {
        let recoveries = evidence.site.channels[channel].recoveries;
        let mut delivered: BTreeMap<&str, NotificationKind> = BTreeMap::new();
        let mut open: Option<&str> = None;
        for receipt in firsts {
            let Some(kind) = receipt.kind else {
                continue;
            };
            let before = delivered.insert(&receipt.incident, kind);
            let what = || format!("{monitor}: {}", shown(evidence, receipt));
            match before {
                None if kind != NotificationKind::Outage => found.push(Violation::new(ORDER, what())),
                Some(before) if before >= kind => found.push(Violation::new(ORDER, what())),
                _ => {}
            }
            match (kind, open) {
                (NotificationKind::Outage, Some(_)) if recoveries => {
                    found.push(Violation::new(OVERLAP, what()))
                }
                (NotificationKind::Outage, _) => {}
                (_, Some(open)) if open != receipt.incident => found.push(Violation::new(OVERLAP, what())),
                _ => {}
            }
            open = (kind != NotificationKind::Recovery).then_some(receipt.incident.as_str());
        }
    }
    found
}

/// Checks that each incident is complete on every channel that has a part of it.
fn complete(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, monitor, firsts) in deliveries.all() {
        let Some(place) = deliveries.place(monitor) else {
            continue;
        };
        let is_up = evidence.truth[place].last().is_some_and(|period| period.is_up);
        let incidents = delivery::incidents(firsts);
        for (n, incident) in incidents.iter().enumerate() {
            let has = |kind| {
                let mut of_it = firsts.iter().filter(|receipt| receipt.incident == *incident);
                of_it.any(|receipt| receipt.kind == Some(kind))
            };
            let what = || {
                format!(
                    "{monitor} at {}: incident {incident}",
                    evidence.site.channels[channel].id
                )
            };
            if !has(NotificationKind::Outage) {
                found.push(Violation::new(LOST_OUTAGE, what()));
            }
            let is_over = n + 1 < incidents.len() || is_up;
            if evidence.site.channels[channel].recoveries && is_over && !has(NotificationKind::Recovery) {
                found.push(Violation::new(LOST_RECOVERY, what()));
            }
        }
    }
    found
}

/// Checks that what one channel received or was offered reached all the others.
fn alike(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (kind, rule) in [
        (NotificationKind::Outage, LOST_OUTAGE),
        (NotificationKind::Recovery, LOST_RECOVERY),
    ] {
        for (place, monitor) in evidence.site.monitors.iter().enumerate() {
            // The most deliveries of each sentence on a channel; two incidents may share one.
            let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
            for channel in 0..evidence.site.channels.len() {
                for (text, count) in deliveries.texts(channel, place, kind) {
                    let most = texts.entry(text).or_default();
                    *most = (*most).max(count);
                }
            }
            let tries = evidence.receipts.iter();
            for receipt in tries.filter(|it| it.monitor == monitor.name && it.kind == Some(kind)) {
                texts.entry(plain(&receipt.text)).or_insert(1);
            }
            for (channel, of) in evidence.site.channels.iter().enumerate() {
                if !of.takes(kind) || !of.covers(monitor) {
                    continue;
                }
                let delivered = deliveries.texts(channel, place, kind);
                for (text, count) in &texts {
                    let has = delivered.get(text).copied().unwrap_or(0);
                    if has < *count {
                        let what = format!("{}: received {has} of {count}: {text}", of.id);
                        found.push(Violation::new(rule, what));
                    }
                }
            }
        }
    }
    found
}

/// Checks that printed notifications were delivered: they are on disk before they are printed.
fn printed(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for output in &evidence.output {
        let Some(text) = read_line(&output.text) else {
            continue;
        };
        let Some((monitor, kind)) = read_sentence(text) else {
            found.push(Violation::new(STRANGE, format!("printed: {}", output.text)));
            continue;
        };
        let Some(place) = deliveries.place(monitor) else {
            continue;
        };
        // A later notification may supersede a reminder.
        if matches!(kind, NotificationKind::Reminder(_)) {
            continue;
        }
        for (channel, of) in evidence.site.channels.iter().enumerate() {
            let wanted = of.takes(kind) && of.covers(&evidence.site.monitors[place]);
            if wanted && !deliveries.texts(channel, place, kind).contains_key(plain(text)) {
                found.push(Violation::new(PRINTED, format!("{}: {text}", of.id)));
            }
        }
    }
    found
}

/// Checks that the state file agrees with the targets and the receivers.
fn stored(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let stored = &evidence.stored;
    for waiting in stored.outbox.iter().filter(|waiting| !waiting.is_reminder) {
        let what = format!("{} for {}", waiting.key, waiting.channel);
        found.push(Violation::new(OUTBOX, what));
    }
    for (monitor, periods) in evidence.site.monitors.iter().zip(&evidence.truth) {
        let is = periods.last().map(|period| period.is_up);
        let kept = stored.states.iter().find(|(name, _)| *name == monitor.name);
        let kept = kept.and_then(|(_, is_up)| *is_up);
        if kept != is {
            let word = |is_up| match is_up {
                Some(true) => "up",
                Some(false) => "down",
                None => "no state",
            };
            let what = format!("{}: {} instead of {}", monitor.name, word(kept), word(is));
            found.push(Violation::new(STATE, what));
        }
    }
    let Some(history) = &stored.history else {
        return found;
    };
    let hook = evidence.site.channels.iter().position(|channel| !channel.is_mail);
    let delivered = hook.map(|hook| deliveries.incidents_at(hook)).unwrap_or_default();
    for incident in &history.incidents {
        let what = || format!("{}: incident {} ", incident.monitor, incident.id);
        match delivered.get(incident.id.as_str()) {
            None => found.push(Violation::new(HISTORY, what() + "was not announced")),
            Some(delivered) => {
                if delivered.ended != incident.ended {
                    let word = if incident.ended {
                        "has ended"
                    } else {
                        "has not ended"
                    };
                    found.push(Violation::new(HISTORY, what() + word));
                }
                if delivered.notifications > incident.notifications
                    || (delivered.ended && delivered.notifications != incident.notifications)
                {
                    let count = format!(
                        "counts {} notifications instead of {}",
                        incident.notifications, delivered.notifications
                    );
                    found.push(Violation::new(HISTORY, what() + &count));
                }
            }
        }
    }
    let kept: BTreeSet<&str> = history.incidents.iter().map(|it| it.id.as_str()).collect();
    for id in delivered.keys().filter(|id| !kept.contains(*id)) {
        found.push(Violation::new(HISTORY, format!("incident {id} is missing")));
    }
    let accepted = evidence.receipts.iter().filter(|receipt| receipt.accepted);
    let accepted: BTreeSet<&str> = accepted.map(|receipt| receipt.id.as_str()).collect();
    for (channel, key) in &history.delivered {
        // The id of a mail has another form.
        let is_mail = evidence
            .site
            .channels
            .iter()
            .any(|it| it.id == *channel && it.is_mail);
        if !is_mail && !accepted.contains(key.as_str()) {
            found.push(Violation::new(
                HISTORY,
                format!("{key} is recorded as delivered but did not arrive"),
            ));
        }
    }
    found
}

fn shown(evidence: &Evidence, receipt: &Receipt) -> String {
    let Receipt { at, id, text, .. } = receipt;
    let channel = &evidence.site.channels[receipt.channel].id;
    let word = if receipt.accepted { "got" } else { "was offered" };
    format!("{channel} {word} at {} {id} \"{text}\"", seconds(*at))
}

fn seconds(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

#[cfg(test)]
mod tests;
