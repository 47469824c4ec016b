//! What must be told, worked out from what was observed, and what is wrong with
//! what was told.
//!
//! It shares no code with the engine. Of the engine it is shown: each look that
//! ended, each commit, each try to deliver. Everything it believes it believes
//! twice: now, and as of the last commit that came to the disk; when a process
//! ends, only the second remains.

mod decided;
mod end;
mod kept;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use NotificationKind::{Known, NoLongerWatched, Outage, Recovery, Reminder, Unknown};
use apmon_core::{
    ChannelClass, Clock, Commit, Mono, Notification, NotificationKind, OutboxEntry, Policy, SystemClock,
    Verdict,
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
            classes_off: if email {
                Vec::new()
            } else {
                vec![ChannelClass::EMAIL]
            },
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

/// One message. One that leaves late says so at its end.
fn is_same(one: &Notification, other: &Notification) -> bool {
    let in_time = |message: &Notification| {
        let text = &message.text;
        let remark = text.rfind(" (").filter(|_| text.ends_with(" late)"));
        Notification {
            text: text[..remark.unwrap_or(text.len())].to_owned(),
            ended: None,
            ..message.clone()
        }
    };
    in_time(one) == in_time(other)
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
