//! Whether people are notified of the present condition of a monitor, and if not, why: the answer
//! to "Why was I not notified?".

use std::{fmt, num::NonZeroU32, time::Duration};

use super::{
    alert,
    condition::Condition,
    effects::Effects,
    route::{Addressed, Routes},
    wording,
};
use crate::{
    monitor::Policy,
    notification::NotificationKind,
    state::MonitorState,
    text::printable,
    time::{Mono, Now},
};

/// Whether the present condition of a monitor has been announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Announcement {
    /// It is up.
    NothingToReport,
    /// It has not been checked.
    NotChecked,
    /// Too few checks have failed.
    Soft {
        /// Consecutive failed checks.
        failed: u32,
        /// How many of them are an outage.
        of: NonZeroU32,
    },
    /// It is unknown, and that is announced only after some time.
    UnknownFor {
        /// How much longer it must be unknown.
        left: Duration,
    },
    /// Nobody is notified.
    Not(Cause),
    /// It will be announced after the next check.
    Next,
    /// It has been announced.
    Announced {
        /// The ids of the channels; empty if that is not known.
        to: Vec<String>,
        /// How long ago the last notification was decided.
        ago: Option<Duration>,
        /// What follows.
        reminder: Reminder,
    },
}

/// Why nobody is notified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// `alarms: no`
    AlarmsOff,
    /// The run sends nothing.
    SendsNothing,
    /// There is no channel.
    NoChannel,
    /// No channel takes it.
    NoRecipient,
}

/// When an announced outage is announced again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reminder {
    /// After this time.
    In(Duration),
    /// It is not: alarms were turned off meanwhile.
    AlarmsOff,
    /// There are none of unknown periods.
    None,
}

impl Announcement {
    /// What is announced of a monitor with this state, and to whom.
    #[must_use]
    pub(crate) fn of(routes: &Routes, policy: &Policy, state: &MonitorState, now: Now) -> Self {
        let own = &state.own;
        let (incident, is_announced) = match Condition::of(state) {
            Condition::Up => return Self::NothingToReport,
            Condition::Pending => return Self::NotChecked,
            Condition::Soft => {
                return Self::Soft {
                    failed: state.down_count,
                    of: policy.max_retries,
                };
            }
            Condition::Down => (&own.incident, state.notified_count > 0),
            Condition::Unknown => (&own.unknown_incident, own.unknown_incident.is_some()),
        };
        let is_down = state.health().is_down();
        if !is_announced {
            return match Cause::of(routes, policy) {
                Some(cause) => Self::Not(cause),
                None if is_down => Self::Next,
                None => {
                    let left = unknown_announced_at(policy, state, now).map(|at| at.since(now.mono));
                    Self::UnknownFor {
                        left: left.unwrap_or_default(),
                    }
                }
            };
        }
        let to = incident.as_ref().and_then(|id| own.announced_to.get(id));
        // It was announced before a run that sends nothing, or to channels that left the site file.
        if to.is_none()
            && incident.is_some()
            && let Some(cause @ (Cause::SendsNothing | Cause::NoChannel | Cause::NoRecipient)) =
                Cause::of(routes, policy)
        {
            return Self::Not(cause);
        }
        Self::Announced {
            to: to.cloned().unwrap_or_default(),
            ago: match is_down {
                true => state.last_notified.map(|at| {
                    now.mono
                        .since(state.mono.notified.unwrap_or_else(|| now.mono_of(at)))
                }),
                false => None,
            },
            reminder: match alert::reminder_due(policy, state, now) {
                Some(due) => Reminder::In(due.since(now.mono)),
                None if is_down && !policy.alarms => Reminder::AlarmsOff,
                None => Reminder::None,
            },
        }
    }

    /// Whether there is nothing to say about notifications.
    #[must_use]
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::NothingToReport
    }
}

/// Why nobody is notified of the end of an outage; `None` if somebody is.
#[must_use]
pub(crate) fn unsent_recovery(routes: &Routes, policy: &Policy, effects: &Effects) -> Option<String> {
    let recovery = |addressed: &&Addressed| addressed.notification.kind == NotificationKind::Recovery;
    let sent = effects.notifications.iter().find(recovery);
    if sent.is_some_and(|addressed| !addressed.recipients.is_empty()) {
        return None;
    }
    Some(match Cause::of(routes, policy) {
        Some(cause) => format!("nobody is notified of its recovery: {cause}"),
        None => "nobody is notified of its recovery: its outage was not announced".to_owned(),
    })
}

/// When an unknown period is announced.
fn unknown_announced_at(policy: &Policy, state: &MonitorState, now: Now) -> Option<Mono> {
    let since = state.own.unknown_since?;
    let began = state.mono.unknown_since.unwrap_or_else(|| now.mono_of(since));
    Some(began.plus(policy.unknown_after))
}

impl Cause {
    /// Why a monitor with this policy is announced to nobody, if so.
    #[must_use]
    pub(crate) fn of(routes: &Routes, policy: &Policy) -> Option<Self> {
        let mut recipients = routes.recipients(&NotificationKind::Outage, policy);
        if !policy.alarms {
            Some(Self::AlarmsOff)
        } else if routes.is_off() {
            Some(Self::SendsNothing)
        } else if routes.ids().next().is_none() {
            Some(Self::NoChannel)
        } else if recipients.next().is_none() {
            Some(Self::NoRecipient)
        } else {
            None
        }
    }
}

/// Follows `nobody is notified: `.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlarmsOff => "its alarms are off (alarms: no)",
            Self::SendsNothing => "this run sends nothing (--no-notify)",
            Self::NoChannel => "the site has no channels",
            Self::NoRecipient => "no channel takes its outages",
        })
    }
}

/// A clause about the monitor: `announced 3 mins 2 secs ago to webhook:hooks; reminder due in 42
/// secs`.
impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToReport => f.write_str("it is up: nothing to announce"),
            Self::NotChecked => f.write_str("it has not been checked yet"),
            Self::Soft { failed, of } => write!(
                f,
                "nobody is notified yet: failed check {failed} of {of} (max_retries)"
            ),
            Self::UnknownFor { left } => write!(
                f,
                "nobody is notified yet: it must be unknown for {} more (unknown_after_secs)",
                in_time(*left)
            ),
            Self::Not(cause) => write!(f, "nobody is notified: {cause}"),
            Self::Next => f.write_str("it is announced after the next check"),
            Self::Announced { to, ago, reminder } => {
                f.write_str("announced")?;
                if let Some(ago) = ago.filter(|ago| ago.as_secs() > 0) {
                    write!(f, " {} ago", wording::duration(ago))?;
                }
                if !to.is_empty() {
                    let to: Vec<_> = to.iter().map(|id| printable(id)).collect();
                    write!(f, " to {}", to.join(", "))?;
                }
                match reminder {
                    Reminder::In(left) if left.is_zero() => f.write_str("; reminder due"),
                    Reminder::In(left) => write!(f, "; reminder due in {}", in_time(*left)),
                    Reminder::AlarmsOff => f.write_str("; no reminders: its alarms are off (alarms: no)"),
                    Reminder::None => Ok(()),
                }
            }
        }
    }
}

/// A time that is still to come, rounded up to a second.
#[must_use]
pub(crate) fn in_time(left: Duration) -> String {
    let millis = left.as_millis();
    let secs = u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX);
    wording::duration(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests;
