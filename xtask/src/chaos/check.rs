//! Was the promise kept? The rules by which a round is judged, on nothing but
//! its evidence.

mod story;
mod truth;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use self::story::Story;
use super::record::{Evidence, Receipt, Told, plain, read_line, read_sentence};

pub(super) const LOST_OUTAGE: &str = "an outage was not delivered";
pub(super) const LOST_RECOVERY: &str = "a recovery was not delivered";
pub(super) const UNTOLD: &str = "an outage that lasted was not seen";
pub(super) const INVENTED: &str = "an outage was told that was none";
pub(super) const TWICE: &str = "one outage was told as two";
pub(super) const TWO_IDS: &str = "one message has two ids";
pub(super) const ONE_ID: &str = "one id has two messages";
pub(super) const ORDER: &str = "the messages of an incident are out of order";
pub(super) const OVERLAP: &str = "two incidents of a monitor overlap";
pub(super) const LAST_WORD: &str = "the last word is not the truth";
pub(super) const SWITCH: &str = "a recipient got what its switch holds back";
pub(super) const STRANGE: &str = "a message makes no sense";
pub(super) const PRINTED: &str = "what was printed was not delivered";
pub(super) const OUTBOX: &str = "a message still waits";
pub(super) const STATE: &str = "the state file knows another state";
pub(super) const HISTORY: &str = "the history differs from what was told";
pub(super) const LOG: &str = "the log complains";
pub(super) const EXIT: &str = "apmon ended by itself";

/// A rule that was broken, and by what.
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

    /// Nothing that may still come mends it.
    pub(super) fn stays(&self) -> bool {
        let may_come = [
            LOST_OUTAGE,
            LOST_RECOVERY,
            UNTOLD,
            TWO_IDS,
            LAST_WORD,
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

/// All that is wrong.
pub(super) fn check(evidence: &Evidence) -> Vec<Violation> {
    let story = Story::new(evidence);
    let complaints = evidence.complaints.iter();
    let mut found: Vec<_> = complaints.map(|line| Violation::new(LOG, line)).collect();
    found.extend(single(evidence));
    found.extend(ids(evidence));
    found.extend(order(evidence, &story));
    found.extend(complete(evidence, &story));
    found.extend(alike(evidence, &story));
    found.extend(truth::last_word(evidence, &story));
    found.extend(truth::outages(evidence));
    found.extend(printed(evidence, &story));
    found.extend(stored(evidence, &story));
    found
}

/// Each receipt by itself.
fn single(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for receipt in &evidence.receipts {
        let channel = &evidence.site.channels[receipt.channel];
        let monitors = &evidence.site.monitors;
        let monitor = monitors.iter().find(|monitor| monitor.name == receipt.monitor);
        let (Some(told), Some(monitor)) = (receipt.told, monitor) else {
            found.push(Violation::new(STRANGE, shown(evidence, receipt)));
            continue;
        };
        if !channel.takes(told) || !channel.hears_of(monitor) {
            found.push(Violation::new(SWITCH, shown(evidence, receipt)));
        }
    }
    found
}

/// Ids and messages belong to each other, tries included.
fn ids(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_id: BTreeMap<(usize, &str), &Receipt> = BTreeMap::new();
    let mut by_message: BTreeMap<(usize, &str, Told), &Receipt> = BTreeMap::new();
    for receipt in &evidence.receipts {
        let first = *by_id.entry((receipt.channel, &receipt.id)).or_insert(receipt);
        if first.told != receipt.told
            || first.incident != receipt.incident
            || plain(&first.text) != plain(&receipt.text)
        {
            let both = format!("{} / {}", shown(evidence, first), shown(evidence, receipt));
            found.push(Violation::new(ONE_ID, both));
        }
        let Some(told) = receipt.told else {
            continue;
        };
        let first = *by_message
            .entry((receipt.channel, &receipt.incident, told))
            .or_insert(receipt);
        if first.id != receipt.id {
            let both = format!("{} / {}", shown(evidence, first), shown(evidence, receipt));
            found.push(Violation::new(TWO_IDS, both));
        }
    }
    // Both webhooks get all, and the incident stands in the id.
    let hooks = evidence.site.channels.iter().enumerate();
    let hooks: Vec<usize> = hooks.filter(|(_, it)| !it.is_mail).map(|(at, _)| at).collect();
    let incidents = |channel: usize| -> BTreeMap<&str, &Receipt> {
        let of_it = evidence.receipts.iter();
        let of_it = of_it.filter(|receipt| receipt.channel == channel && receipt.taken);
        of_it
            .map(|receipt| (receipt.incident.as_str(), receipt))
            .collect()
    };
    for (one, other) in hooks.iter().zip(hooks.iter().skip(1)) {
        let (one, other) = (incidents(*one), incidents(*other));
        for (incident, receipt) in one.iter().chain(&other) {
            if !(one.contains_key(incident) && other.contains_key(incident)) {
                let what = format!("no other webhook has its incident: {}", shown(evidence, receipt));
                found.push(Violation::new(TWO_IDS, what));
            }
        }
    }
    found
}

/// First deliveries come in the order of their incident, and the incidents of
/// a monitor one after the other.
fn order(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, monitor, firsts) in story.all() {
        let recoveries = evidence.site.channels[channel].recoveries;
        let mut heard: BTreeMap<&str, Told> = BTreeMap::new();
        let mut open: Option<&str> = None;
        for receipt in firsts {
            let Some(told) = receipt.told else {
                continue;
            };
            let before = heard.insert(&receipt.incident, told);
            let what = || format!("{monitor}: {}", shown(evidence, receipt));
            match before {
                None if told != Told::Outage => found.push(Violation::new(ORDER, what())),
                Some(before) if before >= told => found.push(Violation::new(ORDER, what())),
                _ => {}
            }
            match (told, open) {
                (Told::Outage, Some(_)) if recoveries => found.push(Violation::new(OVERLAP, what())),
                (Told::Outage, _) => {}
                (_, Some(open)) if open != receipt.incident => found.push(Violation::new(OVERLAP, what())),
                _ => {}
            }
            open = (told != Told::Recovery).then_some(receipt.incident.as_str());
        }
    }
    found
}

/// Each incident that a channel has heard of, or must have, is complete there.
fn complete(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (channel, monitor, firsts) in story.all() {
        let Some(place) = story.place(monitor) else {
            continue;
        };
        let is_up = evidence.truth[place].last().is_some_and(|spell| spell.is_up);
        let incidents = story::incidents(firsts);
        for (n, incident) in incidents.iter().enumerate() {
            let has = |told| {
                let mut of_it = firsts.iter().filter(|receipt| receipt.incident == *incident);
                of_it.any(|receipt| receipt.told == Some(told))
            };
            let what = || {
                format!(
                    "{monitor} at {}: incident {incident}",
                    evidence.site.channels[channel].id
                )
            };
            if !has(Told::Outage) {
                found.push(Violation::new(LOST_OUTAGE, what()));
            }
            let is_over = n + 1 < incidents.len() || is_up;
            if evidence.site.channels[channel].recoveries && is_over && !has(Told::Recovery) {
                found.push(Violation::new(LOST_RECOVERY, what()));
            }
        }
    }
    found
}

/// What one channel was told of, or anybody tried to tell, all were told.
fn alike(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (told, rule) in [(Told::Outage, LOST_OUTAGE), (Told::Recovery, LOST_RECOVERY)] {
        for (place, monitor) in evidence.site.monitors.iter().enumerate() {
            // How often each sentence was told, at most; two incidents may share one.
            let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
            for channel in 0..evidence.site.channels.len() {
                for (text, count) in story.texts(channel, place, told) {
                    let most = texts.entry(text).or_default();
                    *most = (*most).max(count);
                }
            }
            let tries = evidence.receipts.iter();
            for receipt in tries.filter(|it| it.monitor == monitor.name && it.told == Some(told)) {
                texts.entry(plain(&receipt.text)).or_insert(1);
            }
            for (channel, of) in evidence.site.channels.iter().enumerate() {
                if !of.takes(told) || !of.hears_of(monitor) {
                    continue;
                }
                let heard = story.texts(channel, place, told);
                for (text, count) in &texts {
                    let has = heard.get(text).copied().unwrap_or(0);
                    if has < *count {
                        let what = format!("{} was told {has} times, not {count}: {text}", of.id);
                        found.push(Violation::new(rule, what));
                    }
                }
            }
        }
    }
    found
}

/// A line is printed once its message is on disk.
fn printed(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for said in &evidence.said {
        let Some(text) = read_line(&said.text) else {
            continue;
        };
        let Some((monitor, told)) = read_sentence(text) else {
            found.push(Violation::new(STRANGE, format!("printed: {}", said.text)));
            continue;
        };
        let Some(place) = story.place(monitor) else {
            continue;
        };
        // A reminder may be replaced, or have nothing left to say.
        if matches!(told, Told::Reminder(_)) {
            continue;
        }
        for (channel, of) in evidence.site.channels.iter().enumerate() {
            let wanted = of.takes(told) && of.hears_of(&evidence.site.monitors[place]);
            if wanted && !story.texts(channel, place, told).contains_key(plain(text)) {
                found.push(Violation::new(PRINTED, format!("{}: {text}", of.id)));
            }
        }
    }
    found
}

/// What is kept says the same.
fn stored(evidence: &Evidence, story: &Story<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let stored = &evidence.stored;
    for waiting in stored.outbox.iter().filter(|waiting| !waiting.is_reminder) {
        let what = format!("{} for {}", waiting.key, waiting.channel);
        found.push(Violation::new(OUTBOX, what));
    }
    for (monitor, spells) in evidence.site.monitors.iter().zip(&evidence.truth) {
        let is = spells.last().map(|spell| spell.is_up);
        let kept = stored.states.iter().find(|(name, _)| *name == monitor.name);
        let kept = kept.and_then(|(_, is_up)| *is_up);
        if kept != is {
            let what = format!("{}: {kept:?}, and it is {is:?}", monitor.name);
            found.push(Violation::new(STATE, what));
        }
    }
    let Some(history) = &stored.history else {
        return found;
    };
    let hook = evidence.site.channels.iter().position(|channel| !channel.is_mail);
    let told = hook.map(|hook| story.incidents_at(hook)).unwrap_or_default();
    for incident in &history.incidents {
        let what = || format!("{}: incident {} ", incident.monitor, incident.id);
        match told.get(incident.id.as_str()) {
            None => found.push(Violation::new(HISTORY, what() + "was not told")),
            Some(told) => {
                if told.ended != incident.ended {
                    let word = if incident.ended { "has ended" } else { "goes on" };
                    found.push(Violation::new(HISTORY, what() + word));
                }
                if told.messages > incident.messages || (told.ended && told.messages != incident.messages) {
                    let count = format!("has {} messages, not {}", incident.messages, told.messages);
                    found.push(Violation::new(HISTORY, what() + &count));
                }
            }
        }
    }
    let kept: BTreeSet<&str> = history.incidents.iter().map(|it| it.id.as_str()).collect();
    for id in told.keys().filter(|id| !kept.contains(*id)) {
        found.push(Violation::new(HISTORY, format!("incident {id} is not in it")));
    }
    let taken = evidence.receipts.iter().filter(|receipt| receipt.taken);
    let taken: BTreeSet<&str> = taken.map(|receipt| receipt.id.as_str()).collect();
    for (channel, key) in &history.delivered {
        // A mail's id is another one.
        let is_mail = evidence
            .site
            .channels
            .iter()
            .any(|it| it.id == *channel && it.is_mail);
        if !is_mail && !taken.contains(key.as_str()) {
            found.push(Violation::new(
                HISTORY,
                format!("{key} counts as delivered, and did not arrive"),
            ));
        }
    }
    found
}

fn shown(evidence: &Evidence, receipt: &Receipt) -> String {
    let Receipt { at, id, text, .. } = receipt;
    let channel = &evidence.site.channels[receipt.channel].id;
    let word = if receipt.taken { "got" } else { "was offered" };
    format!("{channel} {word} at {} {id} \"{text}\"", seconds(*at))
}

fn seconds(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

#[cfg(test)]
mod tests;
