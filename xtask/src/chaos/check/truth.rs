//! What was told, beside what was so.

use std::{collections::BTreeMap, time::Duration};

use super::{INVENTED, LAST_WORD, Story, TWICE, UNTOLD, Violation, seconds};
use crate::chaos::{
    record::{Evidence, Receipt, Spell, Told, spell_of},
    site::Monitor,
};

/// The last word to each recipient says how it is.
pub(super) fn last_word(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, of) in evidence.site.channels.iter().enumerate() {
        for (place, monitor) in evidence.site.monitors.iter().enumerate() {
            let is_up = evidence.truth[place].last().is_some_and(|spell| spell.is_up);
            // Who gets no recoveries is left with the outage.
            if !of.hears_of(monitor) || (is_up && !of.recoveries) {
                continue;
            }
            let last = story.at(channel, place).last();
            let told_up = last.is_none_or(|receipt| receipt.told == Some(Told::Recovery));
            if told_up != is_up {
                let words = last.map_or("nothing", |receipt| receipt.text.as_str());
                let state = if is_up { "up" } else { "down" };
                let what = format!("{}: {} is {state}, and was told: {words}", monitor.name, of.id);
                found.push(Violation::new(LAST_WORD, what));
            }
        }
    }
    found
}

/// Outages that must have been seen were, and none was that was none.
pub(super) fn outages(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (place, monitor) in evidence.site.monitors.iter().enumerate() {
        let told = told_outages(evidence, monitor);
        let spells = &evidence.truth[place];
        let named: Option<Vec<usize>> = told.iter().map(|receipt| spell_of(&receipt.text)).collect();
        match named {
            Some(named) if monitor.speaks => found.extend(by_name(evidence, monitor, spells, &told, &named)),
            _ => found.extend(by_count(evidence, monitor, spells, &told)),
        }
    }
    found
}

/// The outages that any webhook was offered, one of each incident, by time.
fn told_outages<'a>(evidence: &'a Evidence, monitor: &Monitor) -> Vec<&'a Receipt> {
    let mut first: BTreeMap<&str, &Receipt> = BTreeMap::new();
    for receipt in &evidence.receipts {
        let of_it = receipt.monitor == monitor.name && receipt.told == Some(Told::Outage);
        if of_it && !evidence.site.channels[receipt.channel].is_mail {
            let first = first.entry(&receipt.incident).or_insert(receipt);
            if receipt.at < first.at {
                *first = receipt;
            }
        }
    }
    let mut told: Vec<_> = first.into_values().collect();
    told.sort_by_key(|receipt| receipt.at);
    told
}

/// The target's own words say which outage is meant.
fn by_name(
    evidence: &Evidence,
    monitor: &Monitor,
    spells: &[Spell],
    told: &[&Receipt],
    named: &[usize],
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (receipt, number) in told.iter().zip(named) {
        let of = spells.get(*number);
        if of.is_none_or(|spell| spell.is_up || spell.from > receipt.at) {
            found.push(Violation::new(INVENTED, receipt.text.clone()));
        }
        if named.iter().filter(|other| *other == number).count() > 1 {
            let what = format!("{} ({})", receipt.text, receipt.id);
            found.push(Violation::new(TWICE, what));
        }
    }
    // Since it was surely seen up, an outage can only be a new one.
    let mut up = None;
    for (number, spell) in spells.iter().enumerate() {
        if !is_certain(evidence, monitor, spell) {
            continue;
        }
        if spell.is_up {
            up = Some(number);
        } else if !named.iter().any(|named| *named <= number && Some(*named) > up) {
            found.push(Violation::new(UNTOLD, untold(monitor, spell)));
        }
    }
    found
}

/// Of the others it is known how many there must be, and how many there can be.
fn by_count(evidence: &Evidence, monitor: &Monitor, spells: &[Spell], told: &[&Receipt]) -> Vec<Violation> {
    let (mut least, mut was_up, mut last) = (0, true, None);
    for spell in spells.iter().filter(|spell| is_certain(evidence, monitor, spell)) {
        if was_up && !spell.is_up {
            least += 1;
            last = Some(spell);
        }
        was_up = spell.is_up;
    }
    let most = spells.iter().filter(|spell| !spell.is_up).count();
    let mut found = Vec::new();
    if let Some(spell) = last.filter(|_| told.len() < least) {
        let what = format!("{}: {} of {least} were told", untold(monitor, spell), told.len());
        found.push(Violation::new(UNTOLD, what));
    }
    // The nth is told after the nth has begun.
    let downs = spells.iter().filter(|spell| !spell.is_up);
    let early = told
        .iter()
        .zip(downs)
        .find(|(receipt, spell)| receipt.at < spell.from);
    if let Some((receipt, _)) = early.or_else(|| Some((told.get(most)?, spells.last()?))) {
        found.push(Violation::new(INVENTED, receipt.text.clone()));
    }
    found
}

fn untold(monitor: &Monitor, spell: &Spell) -> String {
    let (from, to) = (seconds(spell.from), seconds(spell.to));
    format!("{} was down from {from} to {to}", monitor.name)
}

/// A process ran for long enough while it lasted.
fn is_certain(evidence: &Evidence, monitor: &Monitor, spell: &Spell) -> bool {
    let need = monitor.certain_after(spell.is_up);
    evidence.awake.iter().any(|(from, to)| {
        let (from, to) = (*from.max(&spell.from), *to.min(&spell.to));
        to.checked_sub(from).unwrap_or(Duration::ZERO) >= need
    })
}
