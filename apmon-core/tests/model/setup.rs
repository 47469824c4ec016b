//! The site that the model runs, and what may be edited in it.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use apmon_core::{Channel, ChannelClass, NotificationKind, Notifier, Plan, Policy, Switches, Watch};

use crate::{
    step::Edit,
    support::{Target, secs},
};

pub const MONITORS: [&str; 3] = ["web", "db", "cam"];

/// Longer than the first reminders wait: one may be under way when the next is due.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Who may be told, and by which switches.
pub struct Receiver {
    pub id: &'static str,
    outages: bool,
    reminders: bool,
    recoveries: bool,
    is_mail: bool,
    /// Stands in the file from the beginning.
    at_first: bool,
}

pub const CHANNELS: [Receiver; 6] = [
    receiver("hook", [true, true, true], false, true),
    receiver("pager", [true, false, true], false, true),
    receiver("mail:ops", [true, true, true], true, true),
    receiver("mail:boss", [true, false, false], true, true),
    receiver("spare", [true, true, true], false, false),
    receiver("mail:log", [false, true, true], true, false),
];

const fn receiver(id: &'static str, switches: [bool; 3], is_mail: bool, at_first: bool) -> Receiver {
    Receiver {
        id,
        outages: switches[0],
        reminders: switches[1],
        recoveries: switches[2],
        is_mail,
        at_first,
    }
}

impl Receiver {
    /// What the site file says of it, read once more and not asked of the engine.
    pub fn takes(&self, kind: &NotificationKind, policy: &Policy) -> bool {
        let wants = match kind {
            NotificationKind::Reminder => self.reminders,
            NotificationKind::Recovery | NotificationKind::Known => self.recoveries,
            _ => self.outages,
        };
        wants && !(self.is_mail && policy.classes_off.contains(&ChannelClass::EMAIL))
    }
}

/// The site file as it stands.
#[derive(Clone, Debug)]
pub struct Setup {
    pub channels: [bool; CHANNELS.len()],
    pub monitors: [bool; MONITORS.len()],
    alarms: [bool; MONITORS.len()],
    version: [u32; MONITORS.len()],
}

impl Setup {
    pub fn new() -> Self {
        Self {
            channels: std::array::from_fn(|i| CHANNELS[i].at_first),
            monitors: [true; MONITORS.len()],
            alarms: [true; MONITORS.len()],
            version: [0; MONITORS.len()],
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
            Edit::Monitored(i) => self.version[i] += 1,
        }
    }

    pub fn has_channel(&self, id: &str) -> bool {
        self.receivers().any(|receiver| receiver.id == id)
    }

    pub fn receivers(&self) -> impl Iterator<Item = &'static Receiver> + use<> {
        let channels = self.channels;
        CHANNELS
            .iter()
            .zip(channels)
            .filter_map(|(receiver, is_there)| is_there.then_some(receiver))
    }

    /// What a monitor's section says; `None` where it has none.
    pub fn policy(&self, name: &str) -> Option<Policy> {
        let i = MONITORS.iter().position(|monitor| *monitor == name)?;
        self.monitors[i].then(|| Policy {
            alarms: self.alarms[i],
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
        for (receiver, notifier) in CHANNELS.iter().zip(notifiers) {
            if self.has_channel(receiver.id) {
                plan.channels.push(Channel {
                    switches: Switches {
                        outages: receiver.outages,
                        reminders: receiver.reminders,
                        recoveries: receiver.recoveries,
                    },
                    class: receiver.is_mail.then_some(ChannelClass::EMAIL),
                    ..Channel::new(receiver.id, Arc::clone(notifier))
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
        // Hard at once; its first reminders come fast.
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
            classes_off: vec![ChannelClass::EMAIL],
            ..common
        },
    }
}
