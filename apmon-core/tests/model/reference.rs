//! The notifications that must be sent, worked out from the observations, and
//! complaints about those that are sent.
//!
//! It shares no code with the engine and sees of it: each check that ended, each
//! commit, each delivery attempt. It holds each expected state twice: as of now, and as
//! of the last commit that reached the disk. When a process ends, only the second
//! is left.

mod decided;
mod end;
mod owed;
mod sent;
mod stored;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use NotificationKind::{Known, NoLongerWatched, Outage, Recovery, Reminder, Unknown};
use apmon_core::{
    ChannelClass, Clock, Commit, Mono, Notification, NotificationKind, OutboxEntry, Policy, Verdict,
    testing::TestClock,
};
use jiff::Timestamp;

use crate::{
    error_log::ErrorLog,
    setup::{MONITORS, Setup},
};

/// What is believed of one monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedState {
    is_up: Option<bool>,
    failed: u32,
    /// The running outage.
    outage: Option<usize>,
    /// Whether the running outage was announced.
    announced: bool,
    unknown_since: Option<Mono>,
    /// The announced incident that it cannot be checked.
    unknown: Option<usize>,
    removed: bool,
    /// `alarms` and `email` at the last check.
    switches: Option<(bool, bool)>,
    /// The channels to which the running outage was announced, and the incident that it cannot be
    /// checked.
    announced_to: BTreeMap<usize, BTreeSet<String>>,
    /// Ends that channels are owed, oldest first.
    owed: Vec<Owed>,
    /// The number of notifications decided.
    decided: usize,
}

/// The end of an incident, and the channels that are still to receive it.
#[derive(Clone, Debug, PartialEq)]
struct Owed {
    incident: usize,
    kind: NotificationKind,
    channels: BTreeSet<String>,
    /// The channels to which it was sent so far.
    sent_to: BTreeSet<String>,
}

pub type Expectations = Vec<(String, ExpectedState)>;

impl ExpectedState {
    /// The last known policy of a monitor that is no longer in the site file.
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

/// Whether a notification may be handed to a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    OnDisk,
    /// The disk failed or hung.
    FromMemory,
    Forbidden,
}

#[derive(Default)]
struct Monitor {
    now: ExpectedState,
    on_disk: ExpectedState,
    /// All its notifications, in the order in which they were decided, without those
    /// that were not on disk when the process that decided them ended.
    notifications: Vec<usize>,
    /// When its last announced outage ended.
    outage_ended: Mono,
}

/// An incident, whose notifications share an id.
struct Incident {
    id: Option<String>,
}

struct Expected {
    monitor: String,
    incident: usize,
    kind: NotificationKind,
    /// Position among the notifications of its monitor.
    position: usize,
    at: Mono,
    /// The engine's notification, once one was seen.
    seen: Option<Notification>,
    /// The channels that must receive it, and the progress of each.
    due: BTreeMap<String, Due>,
    /// All channels that ever had to receive it.
    addressed: BTreeSet<String>,
    /// Channels that receive it in place of a removed one.
    replaced: BTreeMap<String, String>,
    receipts: BTreeMap<String, Receipts>,
    refused: BTreeSet<String>,
    /// The channels whose last answer was a refusal.
    last_refused: BTreeSet<String>,
    /// The channels to which the process that decided it tried to deliver it.
    tried: BTreeSet<String>,
    /// Whether it is an end that channels were owed.
    is_owed: bool,
    /// Whether a process found it on disk that did not decide it.
    is_loaded: bool,
    /// The process that decided it ended before it was on disk.
    void: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Due {
    Waiting,
    /// The engine knows since then that it arrived.
    Done(Mono),
}

/// When a channel received a notification, counted over all receipts.
#[derive(Clone, Copy)]
struct Receipts {
    first: usize,
    last: usize,
    /// Only during the shutdown of a process.
    in_shutdown: bool,
}

pub struct Reference {
    clock: Arc<TestClock>,
    log: ErrorLog,
    setup: Setup,
    /// All site files so far, and since when each was in use.
    setups: Vec<(Mono, Setup)>,
    monitors: BTreeMap<&'static str, Monitor>,
    incidents: Vec<Incident>,
    notifications: Vec<Expected>,
    /// One that was owed to some channels has the id of the one that others received in time.
    by_id: HashMap<String, Vec<usize>>,
    receipts: usize,
    under_way: BTreeSet<&'static str>,
    /// Attempts and commits at one moment.
    actions: (Mono, u32),
    /// Since when the disk works.
    disk_works_since: Option<Mono>,
    is_shutting_down: bool,
    pub complaints: Vec<String>,
}

/// More attempts and commits at one moment are a loop.
const MAX_ACTIONS: u32 = 1000;
/// Within this time a disk that works has stored a decided notification.
const STORE_LIMIT: Duration = Duration::from_secs(15);
/// Within this time a receiver that accepts everything has received a notification:
/// the longest pause is half an hour.
const DELIVERY_LIMIT: Duration = Duration::from_secs(31 * 60);

impl Reference {
    pub fn new(clock: &Arc<TestClock>, log: ErrorLog) -> Self {
        Self {
            clock: Arc::clone(clock),
            log,
            setup: Setup::new(),
            setups: Vec::new(),
            monitors: MONITORS
                .into_iter()
                .map(|name| (name, Monitor::default()))
                .collect(),
            incidents: Vec::new(),
            notifications: Vec::new(),
            by_id: HashMap::new(),
            receipts: 0,
            under_way: BTreeSet::new(),
            actions: (Mono::ORIGIN, 0),
            disk_works_since: Some(Mono::ORIGIN),
            is_shutting_down: false,
            complaints: Vec::new(),
        }
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// The monotonic moment of a time in a notification.
    pub fn mono(&self, at: Timestamp) -> Mono {
        self.clock.now().mono_of(at)
    }

    fn complain(&mut self, what: impl std::fmt::Display) {
        let secs = self.now().since(Mono::ORIGIN).as_secs_f64();
        self.complaints.push(format!("{secs:.3}: {what}"));
    }

    fn complain_all(&mut self, all: Vec<String>) {
        all.into_iter().for_each(|what| self.complain(what));
    }

    /// Whether the engine does the same again and again. Under paused time
    /// nothing else would end it; once it did, it is slowed down for good.
    pub fn is_looping(&mut self) -> bool {
        let now = self.now();
        if self.actions.0 != now && self.actions.1 < MAX_ACTIONS {
            self.actions = (now, 0);
        }
        self.actions.1 += 1;
        if self.actions.1 == MAX_ACTIONS {
            self.complain("the engine is in a loop");
        }
        self.actions.1 >= MAX_ACTIONS
    }

    pub fn set_disk_works(&mut self, works: bool) {
        let now = self.now();
        self.disk_works_since = works.then(|| self.disk_works_since.unwrap_or(now));
    }

    pub fn shutdown_begins(&mut self) {
        self.is_shutting_down = true;
    }
}

/// Whether two notifications are the same, apart from a note that it is late.
fn is_same(one: &Notification, other: &Notification) -> bool {
    let in_time = |notification: &Notification| {
        let text = &notification.text;
        let note = text.rfind(" (").filter(|_| text.ends_with(" late)"));
        Notification {
            text: text[..note.unwrap_or(text.len())].to_owned(),
            ended: None,
            ..notification.clone()
        }
    };
    in_time(one) == in_time(other)
}

/// Whether a notification is about being down, and not about being unknown: the two
/// are independent.
fn is_about_outage(kind: &NotificationKind) -> bool {
    matches!(kind, Outage | Reminder | Recovery | NoLongerWatched)
}

impl std::fmt::Display for Expected {
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
