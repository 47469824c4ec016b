//! The site that the model runs, and the edits of its site file.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use apmon_core::{
    Channel, ChannelClass, NotificationKind, Notifier, Plan, Policy, Switches, Watch,
    testing::{Target, secs},
};

pub const MONITORS: [&str; 3] = ["web", "db", "cam"];

/// Longer than the interval of the first reminders: one may be under way when the
/// next is due.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// A channel of the site file, and its switches.
pub struct ChannelSpec {
    pub id: &'static str,
    outages: bool,
    reminders: bool,
    recoveries: bool,
    is_mail: bool,
    /// Whether its receiver keeps incidents open by their ids.
    pub is_keyed: bool,
    /// Whether the site file has it from the start.
    at_start: bool,
}

pub const CHANNELS: [ChannelSpec; 6] = [
    channel("hook", [true, true, true], false, true),
    ChannelSpec {
        is_keyed: true,
        ..channel("pager", [true, false, true], false, true)
    },
    channel("mail:ops", [true, true, true], true, true),
    channel("mail:boss", [true, false, false], true, true),
    ChannelSpec {
        is_keyed: true,
        ..channel("spare", [true, true, true], false, false)
    },
    channel("mail:log", [false, true, true], true, false),
];

const fn channel(id: &'static str, switches: [bool; 3], is_mail: bool, at_start: bool) -> ChannelSpec {
    ChannelSpec {
        id,
        outages: switches[0],
        reminders: switches[1],
        recoveries: switches[2],
        is_mail,
        is_keyed: false,
        at_start,
    }
}

/// When a channel that received the beginning of an incident receives its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EndDue {
    Now,
    Later,
    Never,
}

impl ChannelSpec {
    /// When it receives an end of this kind, worked out without the engine.
    pub fn end_due(&self, kind: &NotificationKind, policy: &Policy) -> EndDue {
        if !self.wants(kind, &Policy::default()) {
            return EndDue::Never;
        }
        match self.is_keyed || (policy.alarms && self.wants(kind, policy)) {
            true => EndDue::Now,
            false => EndDue::Later,
        }
    }

    /// Whether its switches let a notification through, worked out without the engine.
    pub fn wants(&self, kind: &NotificationKind, policy: &Policy) -> bool {
        let switch = match kind {
            NotificationKind::Reminder => self.reminders,
            NotificationKind::Recovery | NotificationKind::Known => self.recoveries,
            _ => self.outages,
        };
        switch && !(self.is_mail && policy.classes_off.contains(&ChannelClass::EMAIL))
    }
}

/// One edit of the site file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Adds or removes a channel.
    Channel(usize),
    /// Replaces one channel by another, as when an address is corrected.
    Rename(usize, usize),
    /// Adds or removes a monitor.
    Monitor(usize),
    /// Changes a monitor's `alarms`.
    Alarms(usize),
    /// Changes a monitor's `email`.
    Email(usize),
    /// Changes some other option of a monitor.
    Option(usize),
}

/// The present site file.
#[derive(Clone, Debug)]
pub struct Setup {
    pub channels: [bool; CHANNELS.len()],
    pub monitors: [bool; MONITORS.len()],
    alarms: [bool; MONITORS.len()],
    email: [bool; MONITORS.len()],
    version: [u32; MONITORS.len()],
}

impl Setup {
    pub fn new() -> Self {
        Self {
            channels: std::array::from_fn(|i| CHANNELS[i].at_start),
            monitors: [true; MONITORS.len()],
            alarms: [true; MONITORS.len()],
            email: MONITORS.map(|name| name != "cam"),
            version: [0; MONITORS.len()],
        }
    }

    pub fn without_monitors() -> Self {
        Self {
            monitors: [false; MONITORS.len()],
            ..Self::new()
        }
    }

    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Channel(i) => self.channels[i] = !self.channels[i],
            Edit::Rename(from, to) => self.channels.swap(from, to),
            Edit::Monitor(i) => self.monitors[i] = !self.monitors[i],
            Edit::Alarms(i) => {
                self.alarms[i] = !self.alarms[i];
                self.version[i] += 1;
            }
            Edit::Email(i) => {
                self.email[i] = !self.email[i];
                self.version[i] += 1;
            }
            Edit::Option(i) => self.version[i] += 1,
        }
    }

    pub fn has_channel(&self, id: &str) -> bool {
        self.channels().any(|channel| channel.id == id)
    }

    pub fn channels(&self) -> impl Iterator<Item = &'static ChannelSpec> + use<> {
        let channels = self.channels;
        CHANNELS
            .iter()
            .zip(channels)
            .filter_map(|(channel, is_there)| is_there.then_some(channel))
    }

    /// The policy of a monitor; `None` if it is not in the site file.
    pub fn policy(&self, name: &str) -> Option<Policy> {
        let i = MONITORS.iter().position(|monitor| *monitor == name)?;
        self.monitors[i].then(|| Policy {
            alarms: self.alarms[i],
            classes_off: match self.email[i] {
                true => Vec::new(),
                false => vec![ChannelClass::EMAIL],
            },
            ..policy(i)
        })
    }

    pub fn plan(&self, targets: &[Arc<Target>], notifiers: &[Arc<dyn Notifier>]) -> Plan {
        let mut plan = Plan::new("HomeLab");
        plan.delivery_timeout = DELIVERY_TIMEOUT;
        for (i, name) in MONITORS.into_iter().enumerate() {
            if let Some(policy) = self.policy(name) {
                plan = plan.watch(targets[i].monitor(Watch {
                    policy,
                    checksum: format!("version {}", self.version[i]).into(),
                    ..Watch::new(name, "test", "192.0.2.1")
                }));
            }
        }
        for (channel, notifier) in CHANNELS.iter().zip(notifiers) {
            if self.has_channel(channel.id) {
                plan.channels.push(Channel {
                    switches: Switches {
                        outages: channel.outages,
                        reminders: channel.reminders,
                        recoveries: channel.recoveries,
                    },
                    class: channel.is_mail.then_some(ChannelClass::EMAIL),
                    keyed: channel.is_keyed,
                    ..Channel::new(channel.id, Arc::clone(notifier))
                });
            }
        }
        plan
    }
}

fn policy(i: usize) -> Policy {
    let n = |n| NonZeroU32::new(n).unwrap();
    let common = Policy {
        max_try: secs(20),
        ..Policy::default()
    };
    match MONITORS[i] {
        // Hard at the first failure; its first reminders come quickly.
        "web" => Policy {
            check_every: secs(300),
            max_retries: n(1),
            notify_every: secs(900),
            after_every_n: n(40),
            unknown_after: secs(600),
            ..common
        },
        "db" => Policy {
            check_every: secs(120),
            max_retries: n(3),
            retry_every: Some(secs(10)),
            notify_every: secs(1200),
            after_every_n: n(3),
            unknown_after: secs(100),
            ..common
        },
        _ => Policy {
            check_every: secs(600),
            max_retries: n(2),
            retry_every: Some(secs(30)),
            notify_every: secs(3600),
            unknown_after: secs(1),
            ..common
        },
    }
}
