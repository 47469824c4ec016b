//! Compares the notifications with what the targets really did.

use std::{collections::BTreeMap, time::Duration};

use super::{Deliveries, INVENTED, LAST_NOTIFICATION, MISSED, TWICE, Violation, seconds};
use crate::chaos::{
    notification::{NotificationKind, period_of},
    record::{Evidence, Period, Receipt},
    site::Monitor,
};

/// Checks that the last notification to each recipient matches the target's state.
pub(super) fn last_notification(evidence: &Evidence, deliveries: &Deliveries<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, of) in evidence.site.channels.iter().enumerate() {
        for (place, monitor) in evidence.site.monitors.iter().enumerate() {
            let is_up = evidence.truth[place].last().is_some_and(|period| period.is_up);
            // A channel without recoveries keeps the outage as its last notification.
            if !of.covers(monitor) || (is_up && !of.recoveries) {
                continue;
            }
            let last = deliveries.at(channel, place).last();
            let announced_up = last.is_none_or(|receipt| receipt.kind == Some(NotificationKind::Recovery));
            if announced_up != is_up {
                let words = last.map_or("nothing", |receipt| receipt.text.as_str());
                let state = if is_up { "up" } else { "down" };
                let what = format!(
                    "{}: {} is {state}, but the last notification is: {words}",
                    monitor.name, of.id
                );
                found.push(Violation::new(LAST_NOTIFICATION, what));
            }
        }
    }
    found
}

/// Checks that every outage that lasted was announced, and no other.
pub(super) fn outages(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (place, monitor) in evidence.site.monitors.iter().enumerate() {
        let announced = announced_outages(evidence, monitor);
        let periods = &evidence.truth[place];
        let named: Option<Vec<usize>> = announced.iter().map(|receipt| period_of(&receipt.text)).collect();
        match named {
            Some(named) if monitor.fails_by_content => {
                found.extend(by_name(evidence, monitor, periods, &announced, &named))
            }
            _ => found.extend(by_count(evidence, monitor, periods, &announced)),
        }
    }
    found
}

/// The outages that a webhook was offered, the first of each incident, by time.
fn announced_outages<'a>(evidence: &'a Evidence, monitor: &Monitor) -> Vec<&'a Receipt> {
    let mut first: BTreeMap<&str, &Receipt> = BTreeMap::new();
    for receipt in &evidence.receipts {
        let of_it = receipt.monitor == monitor.name && receipt.kind == Some(NotificationKind::Outage);
        if of_it && !evidence.site.channels[receipt.channel].is_mail {
            let first = first.entry(&receipt.incident).or_insert(receipt);
            if receipt.at < first.at {
                *first = receipt;
            }
        }
    }
    let mut announced: Vec<_> = first.into_values().collect();
    announced.sort_by_key(|receipt| receipt.at);
    announced
}

/// Checks outages whose notification contains the period's number.
fn by_name(
    evidence: &Evidence,
    monitor: &Monitor,
    periods: &[Period],
    announced: &[&Receipt],
    named: &[usize],
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (receipt, number) in announced.iter().zip(named) {
        let of = periods.get(*number);
        if of.is_none_or(|period| period.is_up || period.from > receipt.at) {
            found.push(Violation::new(INVENTED, receipt.text.clone()));
        }
        if named.iter().filter(|other| *other == number).count() > 1 {
            let what = format!("{} ({})", receipt.text, receipt.id);
            found.push(Violation::new(TWICE, what));
        }
    }
    // After a period that apmon certainly saw as up, an outage is a new one.
    let mut up = None;
    for (number, period) in periods.iter().enumerate() {
        if !is_certain(evidence, monitor, period) {
            continue;
        }
        if period.is_up {
            up = Some(number);
        } else if !named.iter().any(|named| *named <= number && Some(*named) > up) {
            found.push(Violation::new(MISSED, missed(monitor, period)));
        }
    }
    found
}

/// Checks the number of outages where notifications do not contain the period: it has
/// a lower and an upper bound.
fn by_count(
    evidence: &Evidence,
    monitor: &Monitor,
    periods: &[Period],
    announced: &[&Receipt],
) -> Vec<Violation> {
    let (mut least, mut was_up, mut last) = (0, true, None);
    for period in periods
        .iter()
        .filter(|period| is_certain(evidence, monitor, period))
    {
        if was_up && !period.is_up {
            least += 1;
            last = Some(period);
        }
        was_up = period.is_up;
    }
    let most = periods.iter().filter(|period| !period.is_up).count();
    let mut found = Vec::new();
    if let Some(period) = last.filter(|_| announced.len() < least) {
        let what = format!(
            "{}: {} of {least} announced",
            missed(monitor, period),
            announced.len()
        );
        found.push(Violation::new(MISSED, what));
    }
    // The nth notification comes after the nth outage has begun.
    let downs = periods.iter().filter(|period| !period.is_up);
    let early = announced
        .iter()
        .zip(downs)
        .find(|(receipt, period)| receipt.at < period.from);
    if let Some((receipt, _)) = early.or_else(|| Some((announced.get(most)?, periods.last()?))) {
        found.push(Violation::new(INVENTED, receipt.text.clone()));
    }
    found
}

fn missed(monitor: &Monitor, period: &Period) -> String {
    let (from, to) = (seconds(period.from), seconds(period.to));
    format!("{} was down from {from} to {to}", monitor.name)
}

/// Whether a process ran long enough in a period to notice it.
fn is_certain(evidence: &Evidence, monitor: &Monitor, period: &Period) -> bool {
    let need = monitor.certain_after(period.is_up);
    evidence.awake.iter().any(|(from, to)| {
        let (from, to) = (*from.max(&period.from), *to.min(&period.to));
        to.checked_sub(from).unwrap_or(Duration::ZERO) >= need
    })
}
