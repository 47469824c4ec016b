//! Kind `ports`: what is otherwise at a device's ports than before, and who is
//! to hear of it.
//!
//! Two things are remembered of each port: how it was at the last look (the
//! baseline: seed 003's `ports_state`, which advances at every good look) and
//! what was told of it last. Changes, for the history, are differences to the
//! baseline. Messages are differences to what was told: after a message about a
//! port nothing is told of it for a while ([`silence`]), and when that is over
//! one message tells how it is now, if that is otherwise than was told. So
//! nobody's last word is wrong, and what went and came back meanwhile is no news.
//!
//! Only complete polls come here: a port that was not read is not gone.
//!
//! Decided where seed 003 is silent:
//! - The first good look tells nothing. Only what the site file forbids
//!   (`allow_macs`, `max_macs_per_port`) is told even if it was so from the
//!   start, from the second look on.
//! - Of one port, one look tells at most one message of each label. `PORT
//!   CHANGE` and `PORT MAC CHANGE` share one silence; `NEW STATION` and `TOO MANY
//!   STATIONS` another: plugging a cable in must not hide who is at its end.
//! - Ports are followed by name ([`crate::follow`]). One more, or one less, is a
//!   `PORT CHANGE`: `appeared` with the stations on it, `vanished`. More than
//!   [`MOST_APART`] of a kind in one look are one message: a member of a stack
//!   was lost, or is back.
//! - A station that is on another port than was told is told once, there. It is
//!   not told as gone while the port it is on waits to tell it.
//! - `mac_changes: appeared`: who went is told with the next appearance on that
//!   port. Who comes back to the port where it was told last is no news, for a
//!   device forgets stations that are silent; after a week's absence it is.
//! - A station that is not allowed is told once for each port; again after a
//!   week's absence. One that came and went during the silence is told after it.
//! - For five minutes after a restart nobody is told as gone: the device has to
//!   learn its stations again.
//! - Where the table of stations could not be read, they are as they were.

mod state;
mod station;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apmon_core::{Mac, Notice, Policy, PortChange, PortEvent, PortState, rule::window};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::state::State;
use self::{
    state::{Base, RestartTold, Tracked},
    words::Label,
};
use crate::{
    follow::{Identity, follow},
    pattern::Pattern,
    restart::{Restart, Uptimes},
};

/// So many ports that appear, or vanish, in one look are told each by itself.
const MOST_APART: usize = 10;
/// Who was away for so long is news again.
const LONG_ABSENCE: Duration = Duration::from_secs(7 * 86_400);
/// So long after a restart nobody is told as gone.
const LEARNING: Duration = Duration::from_secs(300);
/// Two restarts closer together than this are the same one, seen twice.
const SAME_RESTART: Duration = Duration::from_secs(120);

/// A port as a look saw it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct SeenPort {
    /// ifIndex.
    pub index: u32,
    /// ifDescr.
    pub name: String,
    /// ifName.
    pub short_name: Option<String>,
    /// ifAlias.
    pub alias: Option<String>,
    /// Its state.
    pub state: PortState,
    /// The stations learned there; `None` where the table could not be read.
    pub macs: Option<BTreeSet<Mac>>,
    /// The table was read in part: who is not in `macs` may be there.
    pub is_partial: bool,
}

/// One complete poll of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll<'a> {
    /// Its ports.
    pub ports: &'a [SeenPort],
    /// What was restarted since the last look.
    pub restart: Restart,
    /// How long it has been running.
    pub uptimes: Uptimes,
}

/// What the operator wants to hear.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wishes {
    /// Nothing is told of these ports, by name, short name or alias.
    pub ignore_ports: Vec<Pattern>,
    /// Which stations that come and go are told.
    pub mac_changes: MacChanges,
    /// All others are told as new stations; `None`: nobody is.
    pub allow_macs: Option<BTreeSet<Mac>>,
    /// More stations than that on a port are told.
    pub max_macs_per_port: Option<u32>,
}

/// Which stations that come and go are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MacChanges {
    /// Those that appear on a port; those that went from it along with the next
    /// one that appears there. Switches forget silent stations after some 300 s.
    #[default]
    Appeared,
    /// Those that go, too.
    All,
    /// None.
    No,
}

/// What a poll means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// To be remembered.
    pub state: State,
    /// All that is otherwise, told or not, by ifIndex.
    pub changes: Vec<PortChange>,
    /// What is to be told.
    pub notices: Vec<Notice>,
}

/// A port then and now.
struct Entity<'a> {
    /// As it is remembered; its baseline is that of now.
    port: Tracked,
    was: Option<Base>,
    is: Option<&'a SeenPort>,
    label: Label,
    is_ignored: bool,
    may_tell: bool,
    /// Something of these was told in this look.
    told_state: bool,
    told_stations: bool,
    /// A message about another port says where its stations are.
    told_elsewhere: bool,
}

/// Compares a poll with what is remembered; `None` at the first good one.
pub(crate) fn compare(
    before: Option<State>,
    poll: &Poll<'_>,
    wishes: &Wishes,
    policy: &Policy,
    now: Timestamp,
) -> Found {
    let Some(before) = before else {
        let mut ports: Vec<Tracked> = poll.ports.iter().map(Tracked::at_first).collect();
        ports.sort_by_key(|port| port.index);
        return Found {
            state: State { ports, restart: None },
            changes: Vec::new(),
            notices: Vec::new(),
        };
    };
    let mut notices = Vec::new();
    let restart = restarted(before.restart, poll, now, &mut notices);
    let is_learning = restart.is_some_and(|it| age(it.seen_at, now) < LEARNING);
    let mut entities = entities(before.ports, poll.ports, wishes);
    for entity in &mut entities {
        let silence = &mut entity.port.silence;
        *silence = silence
            .map(|it| it.anchored(now))
            .filter(|it| !window::is_over(it, policy, now));
        // What nobody hears is not told: it is when alarms are on again.
        entity.may_tell =
            policy.alarms && !entity.is_ignored && window::may_notify(silence.as_ref(), policy, now);
        entity.port.note_absences(now);
    }
    tell_changes(&mut entities, wishes, is_learning, &mut notices);
    for entity in &mut entities {
        if entity.told_state || entity.told_stations {
            let port = &mut entity.port;
            port.silence = Some(window::notified(port.silence, policy, now));
        }
        station::watch(entity, wishes, policy, now, &mut notices);
        if entity.is_ignored {
            entity.port.settle();
        } else if wishes.mac_changes == MacChanges::No {
            entity.port.settle_stations();
        }
    }
    let changes = entities.iter().flat_map(changes).collect();
    let ports = entities.into_iter().map(|entity| entity.port);
    let ports = ports.filter(|port| !port.is_over()).collect();
    Found {
        state: State { ports, restart },
        changes,
        notices,
    }
}

fn entities<'a>(known: Vec<Tracked>, ports: &'a [SeenPort], wishes: &Wishes) -> Vec<Entity<'a>> {
    let (here, away): (Vec<_>, Vec<_>) = known.into_iter().partition(|port| port.base.is_some());
    let seen: Vec<Identity<'_>> = ports.iter().map(SeenPort::identity).collect();
    let found = follow(&identities(&here), &seen);
    let rest: Vec<usize> = (0..ports.len()).filter(|i| found[*i].is_none()).collect();
    let missing: Vec<Identity<'_>> = rest.iter().map(|i| seen[*i]).collect();
    let back = follow(&identities(&away), &missing);
    let back: BTreeMap<usize, usize> = rest
        .into_iter()
        .zip(back)
        .filter_map(|(i, at)| Some((i, at?)))
        .collect();

    let (mut here, mut away) = (some(here), some(away));
    let mut all: Vec<(Tracked, Option<&SeenPort>)> = Vec::with_capacity(ports.len());
    for (i, port) in ports.iter().enumerate() {
        let known = match (found[i], back.get(&i)) {
            (Some(at), _) => here[at].take(),
            (None, Some(at)) => away[*at].take(),
            (None, None) => None,
        };
        all.push((known.unwrap_or_else(|| Tracked::new(port)), Some(port)));
    }
    let gone = here.into_iter().chain(away).flatten();
    all.extend(gone.map(|port| (port, None)));
    all.sort_by_key(|(port, is)| (is.is_none(), is.map_or(port.index, |is| is.index)));

    let labels = words::labels(
        all.iter()
            .map(|(port, is)| is.map_or(port.identity(), SeenPort::identity)),
    );
    // Who is seen somewhere is not elsewhere, however little was read.
    let anywhere: BTreeSet<Mac> = ports
        .iter()
        .filter_map(|port| port.macs.as_ref())
        .flatten()
        .copied()
        .collect();
    let entities = all.into_iter().zip(labels).map(|((mut port, is), label)| {
        let mut was = port.base.take();
        port.see(is, was.as_mut(), &anywhere);
        let is_ignored = wishes.ignores(port.names());
        Entity {
            port,
            was,
            is,
            label,
            is_ignored,
            may_tell: false,
            told_state: false,
            told_stations: false,
            told_elsewhere: false,
        }
    });
    entities.collect()
}

fn some<T>(all: Vec<T>) -> Vec<Option<T>> {
    all.into_iter().map(Some).collect()
}

fn identities(ports: &[Tracked]) -> Vec<Identity<'_>> {
    ports.iter().map(Tracked::identity).collect()
}

/// Tells states, ports that appeared and vanished, and stations.
fn tell_changes(entities: &mut [Entity<'_>], wishes: &Wishes, is_learning: bool, notices: &mut Vec<Notice>) {
    let is_telling = |appears: bool| {
        move |entity: &&Entity<'_>| {
            entity.may_tell && entity.port.told.state.is_none() == appears && entity.is.is_some() == appears
        }
    };
    let names = |appears| -> Vec<String> {
        let telling = entities.iter().filter(is_telling(appears));
        telling.map(|entity| entity.label.to_string()).collect()
    };
    let (appearing, vanishing) = (names(true), names(false));
    let mut together = |names: &[String], what: &str| {
        let is_many = names.len() > MOST_APART;
        if is_many {
            notices.push(words::port_change(words::together(names, what)));
        }
        is_many
    };
    let vanish_together = together(&vanishing, "vanished");
    let appear_together = together(&appearing, "appeared");

    let news = station::news(entities, wishes, is_learning);
    let mut moved = Vec::new();
    for (entity, news) in entities.iter_mut().zip(news) {
        if !entity.may_tell {
            continue;
        }
        let told = entity.port.told.state;
        let is = entity.is.map(|port| port.state);
        entity.told_state = told != is;
        match (told, is) {
            (Some(told), Some(is)) if told != is => {
                let text = format!("{} {is} (was {told})", entity.label);
                notices.push(words::port_change(text));
            }
            (Some(told), None) if !vanish_together => {
                let text = format!("{} vanished (was {told})", entity.label);
                notices.push(words::port_change(text));
            }
            (None, Some(is)) if !appear_together => {
                let text = words::appeared(&entity.label, is, &news);
                notices.push(words::port_change(text));
            }
            _ => {}
        }
        entity.port.told.state = is;
        match (told, is) {
            (_, None) => entity.port.forget_stations(),
            // Said with the port.
            (None, Some(_)) if appear_together => entity.port.settle_stations(),
            (None, Some(_)) => {
                entity.port.tell_stations(&news);
                moved.extend(news.moved);
            }
            (Some(_), Some(_)) => {
                if let Some(text) = words::stations(&entity.label, &news) {
                    notices.push(words::mac_change(text));
                    entity.told_stations = true;
                    entity.port.tell_stations(&news);
                    moved.extend(news.moved);
                }
            }
        }
    }
    for station::Move { mac, from, .. } in moved {
        entities[from].told_elsewhere |= entities[from].has_lost(mac);
        entities[from].port.told.macs.remove(&mac);
        entities[from].port.gone.remove(&mac);
    }
}

/// What is otherwise than at the last look.
fn changes(entity: &Entity<'_>) -> Vec<PortChange> {
    let change = |event, notified| PortChange {
        index: entity.port.index,
        port: entity.port.shown_name(),
        event,
        notified,
    };
    let mut changes = Vec::new();
    match (&entity.was, &entity.port.base) {
        (Some(was), Some(is)) => {
            if was.state != is.state {
                let event = PortEvent::State {
                    was: was.state,
                    is: is.state,
                };
                changes.push(change(event, entity.told_state));
            }
            if was.macs != is.macs {
                let event = PortEvent::Stations {
                    appeared: is.macs.difference(&was.macs).copied().collect(),
                    gone: was.macs.difference(&is.macs).copied().collect(),
                };
                changes.push(change(event, entity.told_stations || entity.told_elsewhere));
            }
        }
        (None, Some(is)) => changes.push(change(PortEvent::Added { is: is.state }, entity.told_state)),
        (Some(was), None) => {
            changes.push(change(PortEvent::Removed { was: was.state }, entity.told_state));
        }
        (None, None) => {}
    }
    changes
}

/// The restart that was told last, that of now among them.
fn restarted(
    before: Option<RestartTold>,
    poll: &Poll<'_>,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) -> Option<RestartTold> {
    let before = before.map(|it| RestartTold {
        seen_at: it.seen_at.min(now),
        ..it
    });
    let up_for = match poll.restart {
        Restart::No => return before,
        Restart::Device => poll.uptimes.host,
        Restart::Agent | Restart::AgentAtLeast => poll.uptimes.agent,
    };
    let up_for = Duration::from_millis(u64::from(up_for.unwrap_or(0)) * 10);
    let began_at = now.checked_sub(up_for).unwrap_or(now);
    let is_same = |it: &RestartTold| {
        let apart = it.began_at.duration_since(began_at).unsigned_abs();
        apart <= SAME_RESTART
    };
    if before.as_ref().is_some_and(is_same) {
        return before;
    }
    notices.push(words::restarted(poll.restart, up_for));
    // A device that has gone on has forgotten nobody.
    let seen_at = match poll.restart.is_of_counts() {
        true => now,
        false => before.map_or(Timestamp::UNIX_EPOCH, |it| it.seen_at),
    };
    Some(RestartTold { began_at, seen_at })
}

impl SeenPort {
    fn identity(&self) -> Identity<'_> {
        Identity {
            index: self.index,
            name: &self.name,
            short_name: self.short_name.as_deref(),
        }
    }
}

impl Wishes {
    fn ignores(&self, names: [Option<&str>; 3]) -> bool {
        let matches = |pattern: &Pattern| names.iter().flatten().any(|name| pattern.matches(name));
        self.ignore_ports.iter().any(matches)
    }
}

impl Entity<'_> {
    /// The stations that are on it now.
    fn present(&self) -> Option<&BTreeSet<Mac>> {
        self.port.base.as_ref().map(|base| &base.macs)
    }

    fn has(&self, mac: Mac) -> bool {
        self.present().is_some_and(|macs| macs.contains(&mac))
    }

    /// It was there at the last look.
    fn has_lost(&self, mac: Mac) -> bool {
        self.was.as_ref().is_some_and(|was| was.macs.contains(&mac))
    }
}

/// Zero where it lies in the future.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
