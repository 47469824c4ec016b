//! What must be told, worked out from what was observed, and what is wrong with
//! what was told.
//!
//! It shares no code with the engine. Of the engine it is shown: each look that
//! ended, each commit, each try to deliver. Everything it believes it believes
//! twice: now, and as of the last commit that came to the disk; when a process
//! ends, only the second remains.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use NotificationKind::{Known, NoLongerWatched, Outage, Recovery, Reminder, Unknown};
use apmon_core::{
    Clock, Commit, Mono, Notification, NotificationKind, OutboxEntry, Policy, SystemClock, Verdict,
};
use jiff::Timestamp;

use crate::{
    disk::Permission,
    ears::Ears,
    setup::{MONITORS, Setup},
};

/// What is believed of one monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Belief {
    is_up: Option<bool>,
    failed: u32,
    /// The running outage.
    outage: Option<usize>,
    /// Somebody was to be told of it.
    told: bool,
    unknown_since: Option<Mono>,
    unknown: Option<usize>,
    removed: bool,
    /// Its switches at the last look, `alarms` and `email`.
    switches: Option<(bool, bool)>,
    /// How many messages were decided.
    decided: usize,
}

pub type Beliefs = Vec<(String, Belief)>;

impl Belief {
    /// What was known of a monitor that is no longer in the site file.
    fn last_policy(&self) -> Policy {
        let (alarms, email) = self.switches.unwrap_or((true, true));
        Policy {
            alarms,
            email,
            ..Policy::default()
        }
    }
}

#[derive(Default)]
struct Watched {
    now: Belief,
    on_disk: Belief,
    /// All its messages, in the order in which they were decided. Those that
    /// were decided but not on disk when a process ended are gone from here.
    messages: Vec<usize>,
}

/// Something that began, and all messages of which share an id.
struct Incident {
    id: Option<String>,
}

struct Message {
    monitor: String,
    incident: usize,
    kind: NotificationKind,
    /// Place among the messages of its monitor.
    place: usize,
    at: Mono,
    /// What it was seen as, once it was seen.
    seen: Option<Notification>,
    /// Who is to have it, with what has come of that.
    due: BTreeMap<String, Due>,
    /// Everybody who ever was to have it.
    addressed: BTreeSet<String>,
    /// Who has it in the place of a channel that is gone.
    heirs: BTreeMap<String, String>,
    heard: BTreeMap<String, Heard>,
    refused: BTreeSet<String>,
    /// The process that had decided it ended before it was on disk.
    void: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Due {
    Waiting,
    /// The engine knows that it arrived.
    Done(Mono),
}

#[derive(Clone, Copy)]
struct Heard {
    /// Which of all hearings the first was.
    first: usize,
    last: usize,
    /// In the last second of a process that could not save its state.
    last_chance: bool,
}

pub struct Reference {
    clock: Arc<SystemClock>,
    ears: Ears,
    setup: Setup,
    /// All site files so far, and since when they held.
    setups: Vec<(Mono, Setup)>,
    watched: BTreeMap<&'static str, Watched>,
    incidents: Vec<Incident>,
    messages: Vec<Message>,
    by_id: HashMap<String, usize>,
    hearings: usize,
    under_way: BTreeSet<&'static str>,
    /// Tries and commits at one moment.
    turns: (Mono, u32),
    /// The disk has done its work since then.
    sound_since: Option<Mono>,
    is_ending: bool,
    /// When the process was started.
    begun: Mono,
    pub wrong: Vec<String>,
}

/// At one moment there are fewer tries and commits than that.
const MOST_TURNS: u32 = 1000;
/// Within so long a disk that works has what was decided.
const PROMPT: Duration = Duration::from_secs(15);
/// Within so long a receiver that takes everything has everything: the longest
/// pause is half an hour.
const PATIENT: Duration = Duration::from_secs(31 * 60);

impl Reference {
    pub fn new(clock: &Arc<SystemClock>, ears: Ears) -> Self {
        Self {
            clock: Arc::clone(clock),
            ears,
            setup: Setup::new(),
            setups: Vec::new(),
            watched: MONITORS
                .into_iter()
                .map(|name| (name, Watched::default()))
                .collect(),
            incidents: Vec::new(),
            messages: Vec::new(),
            by_id: HashMap::new(),
            hearings: 0,
            under_way: BTreeSet::new(),
            turns: (Mono::ORIGIN, 0),
            sound_since: Some(Mono::ORIGIN),
            is_ending: false,
            begun: Mono::ORIGIN,
            wrong: Vec::new(),
        }
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Where a moment that is written in a message lies.
    pub fn mono(&self, at: Timestamp) -> Mono {
        self.clock.now().mono_of(at)
    }

    fn complain(&mut self, what: impl std::fmt::Display) {
        let secs = self.now().since(Mono::ORIGIN).as_secs_f64();
        self.wrong.push(format!("{secs:.3}: {what}"));
    }

    /// Under paused time nothing else would end an engine that does the same
    /// again and again. Once it did, it is slowed down for good.
    pub fn turns_in_circles(&mut self) -> bool {
        let now = self.now();
        if self.turns.0 != now && self.turns.1 < MOST_TURNS {
            self.turns = (now, 0);
        }
        self.turns.1 += 1;
        if self.turns.1 == MOST_TURNS {
            self.complain("the engine turns in circles");
        }
        self.turns.1 >= MOST_TURNS
    }

    pub fn disk_is(&mut self, sound: bool) {
        let now = self.now();
        self.sound_since = sound.then(|| self.sound_since.unwrap_or(now));
    }

    /// The process was told to end.
    pub fn ending(&mut self) {
        self.is_ending = true;
    }
}

/// What is decided.
impl Reference {
    /// A look of the process ended.
    pub fn looked(&mut self, name: &str, verdict: Verdict) {
        let now = self.now();
        let Some(policy) = self.setup.policy(name) else {
            return self.complain(format!("{name} was looked at, and is not in the site file"));
        };
        let mut belief = self.believed(name).clone();
        belief.switches = Some((policy.alarms, policy.email));
        match verdict {
            Verdict::Unknown => {
                let since = *belief.unknown_since.get_or_insert(now);
                if belief.unknown.is_none() && policy.alarms && now.since(since) >= policy.unknown_after {
                    let incident = self.begins();
                    belief.unknown = Some(incident);
                    self.decide(name, &mut belief, Unknown, incident, &policy);
                }
            }
            Verdict::Up | Verdict::Down => {
                belief.unknown_since = None;
                if let Some(incident) = belief.unknown.take().filter(|_| policy.alarms) {
                    self.decide(name, &mut belief, Known, incident, &policy);
                }
            }
        }
        match verdict {
            Verdict::Unknown => {}
            Verdict::Up => {
                belief.is_up = Some(true);
                belief.failed = 0;
                if let Some(incident) = belief.outage.take()
                    && std::mem::take(&mut belief.told)
                    && policy.alarms
                {
                    self.decide(name, &mut belief, Recovery, incident, &policy);
                }
                belief.told = false;
            }
            Verdict::Down => {
                belief.failed += 1;
                if belief.is_up != Some(false) && belief.failed >= policy.max_retries.get() {
                    belief.is_up = Some(false);
                    belief.outage = Some(self.begins());
                }
            }
        }
        // Also one that began while alarms were off.
        if let Some(incident) = belief.outage.filter(|_| !belief.told && policy.alarms) {
            belief.told = true;
            self.decide(name, &mut belief, Outage, incident, &policy);
        }
        *self.believed(name) = belief;
    }

    /// Another site file holds from now on.
    pub fn reload(&mut self, setup: Setup) {
        let before = self.setup.clone();
        self.takes_hold(setup);
        for name in MONITORS {
            match (before.policy(name), self.setup.policy(name)) {
                (Some(policy), None) => self.removed(name, &policy),
                (None, Some(_)) => self.believed(name).removed = false,
                _ => {}
            }
        }
        self.readdress();
    }

    fn takes_hold(&mut self, setup: Setup) {
        self.setups.push((self.now(), setup.clone()));
        self.setup = setup;
    }

    fn removed(&mut self, name: &str, policy: &Policy) {
        let mut belief = self.believed(name).clone();
        if belief.removed {
            return;
        }
        if belief.is_up == Some(false) {
            belief.is_up = None;
            if let Some(incident) = belief.outage.filter(|_| belief.told && policy.alarms) {
                self.decide(name, &mut belief, NoLongerWatched, incident, policy);
            }
        }
        *self.believed(name) = Belief {
            is_up: belief.is_up,
            decided: belief.decided,
            removed: true,
            switches: belief.switches,
            ..Belief::default()
        };
    }

    fn believed(&mut self, name: &str) -> &mut Belief {
        &mut self.watched.get_mut(name).unwrap().now
    }

    fn begins(&mut self) -> usize {
        self.incidents.push(Incident { id: None });
        self.incidents.len() - 1
    }

    fn decide(
        &mut self,
        name: &str,
        belief: &mut Belief,
        kind: NotificationKind,
        incident: usize,
        policy: &Policy,
    ) -> usize {
        let takers = self
            .setup
            .receivers()
            .filter(|receiver| receiver.takes(&kind, policy));
        let takers: BTreeSet<String> = takers.map(|receiver| receiver.id.to_owned()).collect();
        let watched = self.watched.get_mut(name).unwrap();
        watched.messages.push(self.messages.len());
        belief.decided += 1;
        assert_eq!(belief.decided, watched.messages.len());
        self.messages.push(Message {
            monitor: name.to_owned(),
            incident,
            kind,
            place: belief.decided - 1,
            at: self.clock.now().mono,
            seen: None,
            due: takers.iter().map(|id| (id.clone(), Due::Waiting)).collect(),
            addressed: takers,
            heirs: BTreeMap::new(),
            heard: BTreeMap::new(),
            refused: BTreeSet::new(),
            void: false,
        });
        self.messages.len() - 1
    }

    /// What waits for a channel that is gone goes to those that were not to have it.
    fn readdress(&mut self) {
        for message in self.messages.iter_mut().filter(|message| !message.void) {
            let waits = |(id, due): (&String, &Due)| (*due == Due::Waiting).then(|| id.clone());
            let waiting: Vec<String> = message.due.iter().filter_map(waits).collect();
            for gone in waiting.into_iter().filter(|id| !self.setup.has_channel(id)) {
                message.due.remove(&gone);
                let last = || self.watched[message.monitor.as_str()].now.last_policy();
                let policy = self.setup.policy(&message.monitor).unwrap_or_else(last);
                for heir in self.setup.receivers() {
                    if heir.takes(&message.kind, &policy) && message.addressed.insert(heir.id.to_owned()) {
                        message.due.insert(heir.id.to_owned(), Due::Waiting);
                        message.heirs.insert(heir.id.to_owned(), gone.clone());
                    }
                }
            }
        }
    }
}

/// What is on disk.
impl Reference {
    /// A commit begins. Returns what it will have made durable.
    pub fn committing(&mut self, commit: &Commit) -> Beliefs {
        for entry in &commit.outbox {
            self.see(&entry.notification, &entry.channel);
        }
        let mut beliefs = Vec::new();
        // Of two states of one monitor the later one holds.
        let states: BTreeMap<_, _> = commit.states.iter().map(|(name, state)| (name, state)).collect();
        for (name, state) in states {
            let believed = self.believed(name).clone();
            if (state.is_up, state.down_count) != (believed.is_up, believed.failed) {
                let (is_up, failed) = (state.is_up, state.down_count);
                self.complain(format!(
                    "{name} is written as {is_up:?} after {failed} failed looks, not {believed:?}"
                ));
            }
            beliefs.push((name.clone(), believed));
        }
        beliefs
    }

    /// A commit is on disk, and with it these entries.
    pub fn written(&mut self, beliefs: Beliefs, kept: &[OutboxEntry]) {
        for (name, belief) in beliefs {
            self.watched.get_mut(name.as_str()).unwrap().on_disk = belief;
        }
        self.nothing_is_lost(kept);
    }

    /// State and messages come to the disk in one step: what would the next
    /// process not find?
    fn nothing_is_lost(&mut self, kept: &[OutboxEntry]) {
        let kept: BTreeSet<(&str, &str)> = kept
            .iter()
            .map(|entry| (entry.notification.id.as_str(), entry.channel.as_str()))
            .collect();
        let mut lost = Vec::new();
        for watched in self.watched.values() {
            for message in &watched.messages[..watched.on_disk.decided] {
                let message = &self.messages[*message];
                let waiting = message.due.iter().filter(|(_, due)| **due == Due::Waiting);
                for (channel, _) in waiting.filter(|_| message.kind != Reminder) {
                    let id = message.seen.as_ref().map_or("", |seen| seen.id.as_str());
                    let mut holder = Some(channel);
                    while let Some(channel) = holder.filter(|holder| !kept.contains(&(id, holder.as_str()))) {
                        holder = message.heirs.get(channel);
                    }
                    if holder.is_none() {
                        lost.push(format!(
                            "{message} for {channel} is not on disk, and what it tells is"
                        ));
                    }
                }
            }
        }
        lost.into_iter().for_each(|lost| self.complain(lost));
    }

    /// A process starts, with what is on disk.
    pub fn begin(&mut self, setup: Setup, kept: &[OutboxEntry]) {
        self.nothing_is_lost(kept);
        self.ears.clear();
        self.is_ending = false;
        self.begun = self.now();
        for watched in self.watched.values_mut() {
            watched.now = watched.on_disk.clone();
            for gone in watched.messages.split_off(watched.now.decided) {
                self.messages[gone].void = true;
            }
        }
        // Only what stands there is still to be told.
        for message in self.messages.iter_mut().filter(|message| !message.void) {
            message.due.retain(|_, due| *due != Due::Waiting);
        }
        for entry in kept {
            let known = self
                .by_id
                .get(&entry.notification.id)
                .map(|known| &mut self.messages[*known]);
            match known.filter(|message| !message.void) {
                Some(message) => {
                    message.due.insert(entry.channel.clone(), Due::Waiting);
                    message.addressed = entry.addressed.iter().cloned().collect();
                }
                None => self.complain(format!("{} is on disk without its state", entry.key())),
            }
        }
        self.takes_hold(setup);
        for name in MONITORS {
            match self.setup.policy(name) {
                Some(_) => self.believed(name).removed = false,
                None => {
                    let policy = self.believed(name).last_policy();
                    self.removed(name, &policy);
                }
            }
        }
        self.readdress();
    }

    /// The process has ended. What was decided or told a while ago is on disk,
    /// if that worked.
    pub fn ended(&mut self, kept: &[OutboxEntry]) {
        let now = self.now();
        if self.sound_since.is_none_or(|since| now.since(since) < PROMPT) || self.is_ending {
            return;
        }
        let mut late = Vec::new();
        for watched in self.watched.values() {
            for message in &watched.messages[watched.on_disk.decided..] {
                let message = &self.messages[*message];
                if now.since(message.at) >= PROMPT {
                    late.push(format!("{message} was decided long ago and is not on disk"));
                }
            }
        }
        for entry in kept {
            let message = self
                .by_id
                .get(&entry.notification.id)
                .map(|known| &self.messages[*known]);
            if let Some(Due::Done(at)) = message.and_then(|message| message.due.get(&entry.channel))
                && now.since(*at) >= PROMPT
            {
                late.push(format!("{} was told long ago and waits on disk", entry.key()));
            }
        }
        late.into_iter().for_each(|late| self.complain(late));
    }
}

/// What is told.
impl Reference {
    /// Which message of the model this is. A reminder is one by being seen.
    fn see(&mut self, shown: &Notification, channel: &str) -> Option<usize> {
        if !shown
            .id
            .starts_with(&format!("{}-{}", shown.incident, shown.number))
        {
            self.complain(format!("{shown:?} has a strange id"));
        }
        if let Some(&known) = self.by_id.get(&shown.id) {
            let message = &self.messages[known];
            if !message.void {
                if !message.seen.as_ref().is_some_and(|seen| is_same(seen, shown)) {
                    self.complain(format!(
                        "{} has changed: {shown:?}, was {:?}",
                        shown.id, self.messages[known].seen
                    ));
                }
                return Some(known);
            }
            // Whoever heard of the one end misses nothing by not hearing of the other.
            let are_ends = [&message.kind, &shown.kind]
                .iter()
                .all(|kind| matches!(kind, Recovery | NoLongerWatched));
            if message.kind != shown.kind && !are_ends && message.heard.contains_key(channel) {
                let kind = message.kind.clone();
                self.complain(format!(
                    "{} was {kind:?} and is {:?}: a receiver would drop it",
                    shown.id, shown.kind
                ));
            }
        }
        let found = match shown.kind {
            Reminder => self.reminder(shown),
            _ => self.unseen(shown),
        };
        let Some(found) = found else {
            self.complain(format!("nothing explains {:?}: {}", shown.kind, shown.text));
            return None;
        };
        let incident = &mut self.incidents[self.messages[found].incident].id;
        if incident.get_or_insert_with(|| shown.incident.clone()) != &shown.incident {
            self.complain(format!("two ids for one incident: {}", shown.text));
        }
        self.messages[found].seen = Some(shown.clone());
        self.by_id.insert(shown.id.clone(), found);
        Some(found)
    }

    fn unseen(&self, shown: &Notification) -> Option<usize> {
        let messages = &self.watched.get(shown.monitor.as_str())?.messages;
        let unseen = |message: &Message| message.seen.is_none() && message.kind == shown.kind;
        messages
            .iter()
            .copied()
            .find(|message| unseen(&self.messages[*message]))
    }

    fn reminder(&mut self, shown: &Notification) -> Option<usize> {
        let (name, at) = (shown.monitor.clone(), self.mono(shown.at));
        let mut setups = self.setups.iter().rev();
        let (_, then) = setups.find(|(since, _)| *since <= at)?.clone();
        let policy = then.policy(&name)?;
        let mut belief = self.believed(&name).clone();
        let incident = belief.outage.filter(|_| belief.told && policy.alarms)?;
        let (before, count) = self.before(&name, incident)?;
        // Not sooner than the curve says; how many there were nobody may have seen.
        let n = f64::from(policy.after_every_n.get());
        let left = (1.0 - f64::from(shown.number - 1) / n).max(0.0);
        let wait = policy.notify_every.mul_f64(1.0 - left * left);
        if u64::from(shown.number) <= count || at.since(before) + Duration::from_micros(1) < wait {
            self.complain(format!("a reminder too soon: {shown:?}"));
        }
        // It may have waited for the disk while the site file was edited.
        let present = std::mem::replace(&mut self.setup, then);
        let found = self.decide(&name, &mut belief, Reminder, incident, &policy);
        self.setup = present;
        self.readdress();
        self.messages[found].at = at;
        *self.believed(&name) = belief;
        Some(found)
    }

    /// When the last message of an incident was decided, and its number.
    fn before(&self, name: &str, incident: usize) -> Option<(Mono, u64)> {
        let mut messages = self.watched[name]
            .messages
            .iter()
            .map(|message| &self.messages[*message]);
        let last = messages.rfind(|message| message.incident == incident)?;
        Some((
            last.at,
            last.seen.as_ref().map_or(1, |seen| u64::from(seen.number)),
        ))
    }

    /// A message is handed to a channel.
    pub fn tried(
        &mut self,
        channel: &'static str,
        shown: &Notification,
        key: &str,
        permission: Permission,
    ) -> Option<usize> {
        if key != format!("{}-{channel}", shown.id) {
            self.complain(format!("{key} is not the key of {}", shown.id));
        }
        let found = self.see(shown, channel)?;
        match permission {
            Permission::OnDisk => {}
            Permission::FromMemory if self.ears.heard() => {}
            Permission::FromMemory => {
                self.complain(format!("{key} is told from memory, and nobody said why"))
            }
            Permission::Forbidden => self.complain(format!("{key} is told before it is on disk")),
        }
        if !self.setup.has_channel(channel) {
            self.complain(format!("{channel} is not in the site file"));
        }
        let message = &self.messages[found];
        if message.due.get(channel) != Some(&Due::Waiting) {
            let due = message.due.get(channel);
            self.complain(format!("{message} is not for {channel} ({due:?})"));
        }
        if self.messages[found].kind == Reminder {
            self.is_in_time(channel, found);
        }
        Some(found)
    }

    /// No reminder before its outage, after its end, or where there is a newer one.
    fn is_in_time(&mut self, channel: &str, reminder: usize) {
        let message = &self.messages[reminder];
        let watched = &self.watched[message.monitor.as_str()];
        let mut wrong = Vec::new();
        if watched.now.outage != Some(message.incident) {
            wrong.push(format!("{message} comes after the end of its outage"));
        }
        let others = watched.messages.iter().map(|other| &self.messages[*other]);
        for other in others.filter(|other| other.incident == message.incident) {
            let waits = other.due.get(channel) == Some(&Due::Waiting);
            if other.kind == Outage && waits && !self.is_ending {
                wrong.push(format!("{message} comes before its outage"));
            }
            if other.kind == Reminder && other.place > message.place && other.due.contains_key(channel) {
                wrong.push(format!("{message} is told, and there is a newer one"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    /// One message is under way on a channel at a time.
    pub fn starts(&mut self, channel: &'static str) {
        if !self.under_way.insert(channel) {
            self.complain(format!("two messages are under way to {channel}"));
        }
    }

    pub fn ends(&mut self, channel: &'static str) {
        self.under_way.remove(channel);
    }

    /// The receiver has it.
    pub fn heard(&mut self, channel: &str, found: usize) {
        self.hearings += 1;
        let (hearing, last_chance) = (self.hearings, self.is_ending);
        let message = &mut self.messages[found];
        let heard = message.heard.entry(channel.to_owned());
        let heard = heard.or_insert(Heard {
            first: hearing,
            last: hearing,
            last_chance,
        });
        heard.last = hearing;
        heard.last_chance &= last_chance;
        let is_first = heard.first == hearing;
        let message = &self.messages[found];
        // Only a refusal breaks the order, or a site file that named no such channel.
        if !is_first
            || message.void
            || message.refused.contains(channel)
            || message.heirs.contains_key(channel)
        {
            return;
        }
        let later = &self.watched[message.monitor.as_str()].messages[message.place + 1..];
        let mut wrong = Vec::new();
        for later in later.iter().map(|later| &self.messages[*later]) {
            let same = of_outage(&later.kind) == of_outage(&message.kind);
            if same && later.heard.get(channel).is_some_and(|heard| !heard.last_chance) {
                wrong.push(format!("{channel} hears {message} after {later}"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    pub fn refused(&mut self, channel: &str, found: usize) {
        self.messages[found].refused.insert(channel.to_owned());
    }

    /// The engine knows that the receiver has it.
    pub fn answered(&mut self, channel: &str, found: usize) {
        let now = self.now();
        if let Some(due) = self.messages[found].due.get_mut(channel) {
            *due = Due::Done(now);
        }
    }
}

/// What holds at the end, when all has worked for long.
impl Reference {
    /// A receiver has taken everything `since` then. Whatever the disk does, it
    /// has been told.
    pub fn takes(&mut self, channel: &str, since: Mono) {
        let (now, since) = (self.now(), since.max(self.begun));
        let is_late = |message: &&Message| {
            let waits = message.due.get(channel) == Some(&Due::Waiting) && message.kind != Reminder;
            waits && !message.void && now.since(since.max(message.at)) >= PATIENT
        };
        let late = self.messages.iter().filter(is_late);
        let late: Vec<_> = late
            .map(|message| format!("{channel} waits for {message}"))
            .collect();
        late.into_iter().for_each(|late| self.complain(late));
    }

    /// No message was decided just now.
    pub fn is_quiet(&self) -> bool {
        let now = self.now();
        let newest = self.messages.iter().map(|message| message.at).max();
        newest.is_none_or(|newest| now.since(newest) >= Duration::from_secs(1))
    }

    /// `is_up` is what each target is; `None` where nobody can look.
    pub fn finish(&mut self, is_up: &[Option<bool>], kept: &[String]) {
        let mut wrong = Vec::new();
        for (name, is_up) in MONITORS.into_iter().zip(is_up) {
            let watched = &self.watched[name];
            let believed = watched.now.is_up;
            if self.setup.policy(name).is_some() && is_up.is_some() && believed != *is_up {
                wrong.push(format!("{name} is believed {believed:?}, and is {is_up:?}"));
            }
            for message in watched.messages.iter().map(|message| &self.messages[*message]) {
                for (channel, due) in message.due.iter().filter(|_| message.kind != Reminder) {
                    let heard = message.heard.contains_key(channel);
                    if *due == Due::Waiting || !heard {
                        wrong.push(format!("{channel} was not told {message}"));
                    }
                }
            }
            for receiver in self.setup.receivers() {
                wrong.extend(self.last_word(watched, receiver.id));
                wrong.extend(self.is_reminded(name, receiver.id));
            }
        }
        wrong.extend(kept.iter().map(|key| format!("{key} is left on disk")));
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    /// The last that a receiver heard of a monitor's state is the last there
    /// was to tell it.
    fn last_word(&self, watched: &Watched, channel: &str) -> Option<String> {
        // Where nobody is told of the end, a reminder may still have become pointless.
        let is_pointless = |message: &&Message| {
            let is_over = watched.now.outage != Some(message.incident);
            message.kind == Reminder && is_over && !message.heard.contains_key(channel)
        };
        let messages = || {
            let messages = watched.messages.iter().map(|message| &self.messages[*message]);
            messages.filter(|message| of_outage(&message.kind) && !is_pointless(message))
        };
        let is_for_it =
            |message: &&Message| message.due.contains_key(channel) || message.heard.contains_key(channel);
        let newest = messages().rfind(is_for_it)?;
        let in_order = messages().filter(|message| {
            std::ptr::eq(*message, newest)
                || !(message.refused.contains(channel) || message.heirs.contains_key(channel))
        });
        let heard = in_order.filter_map(|message| Some((message.heard.get(channel)?.last, message)));
        let last = heard.max_by_key(|(last, _)| *last).map(|(_, message)| message);
        match last {
            Some(last) if std::ptr::eq(last, newest) => None,
            Some(last) => Some(format!("the last word to {channel} is {last}, not {newest}")),
            None => Some(format!("{channel} heard nothing, not {newest}")),
        }
    }

    /// Of an outage that goes on one is reminded.
    fn is_reminded(&self, name: &str, channel: &str) -> Option<String> {
        let policy = self.setup.policy(name)?;
        let watched = &self.watched[name];
        let incident = watched.now.outage.filter(|_| watched.now.told && policy.alarms)?;
        let takes = self
            .setup
            .receivers()
            .any(|it| it.id == channel && it.takes(&Reminder, &policy));
        let (last, _) = self.before(name, incident)?;
        let late = self.now().since(last) > policy.notify_every + PROMPT;
        (takes && late).then(|| format!("{channel} was not reminded of {name} since {last:?}"))
    }
}

/// One message. One that leaves late says so at its end.
fn is_same(one: &Notification, other: &Notification) -> bool {
    let untold = |message: &Notification| Notification {
        text: String::new(),
        ..message.clone()
    };
    let (shorter, longer) = match one.text.len() < other.text.len() {
        true => (one, other),
        false => (other, one),
    };
    let remark = longer.text.strip_prefix(shorter.text.as_str());
    untold(one) == untold(other) && remark.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
}

/// Of whether it is down, and not of whether it can be looked at: the two are
/// told side by side.
fn of_outage(kind: &NotificationKind) -> bool {
    matches!(kind, Outage | Reminder | Recovery | NoLongerWatched)
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.seen.as_ref().map_or("not seen", |seen| seen.id.as_str());
        let at = self.at.since(Mono::ORIGIN).as_secs_f64();
        write!(
            f,
            "{:?} of {} ({id}, decided at {at:.3})",
            self.kind, self.monitor
        )
    }
}
