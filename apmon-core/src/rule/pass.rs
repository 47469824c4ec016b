//! Why a monitor is checked at the beginning of a pass or after a reload, or why it is not.

use std::{fmt, num::NonZeroU32, time::Duration};

use super::{announcement::in_time, schedule};
use crate::{monitor::Watch, state::MonitorState, time::Now};

/// Why a pass begins with a check of a monitor, or without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PassCheck {
    /// It has never been checked.
    First,
    /// Its options have changed since its last check.
    Changed,
    /// Its last checks failed, but not enough of them for an outage.
    Retry {
        /// Consecutive failed checks.
        failed: u32,
        /// How many of them are an outage.
        of: NonZeroU32,
    },
    /// Its heartbeat is due, which needs a check.
    Heartbeat,
    /// Its interval has passed.
    Interval,
    /// It is not due.
    NotDue {
        /// How long it is not.
        left: Duration,
        /// How long its heartbeat is not, if it has a period of its own.
        heartbeat: Option<Duration>,
    },
}

impl PassCheck {
    /// Decides for a pass that begins at `now`.
    #[must_use]
    pub(crate) fn of(watch: &Watch, state: &MonitorState, now: Now) -> Self {
        let policy = &watch.policy;
        let every = policy.check_every;
        let heartbeat = policy.heartbeat.as_ref().and_then(|heartbeat| heartbeat.every);
        let heartbeat_due = |every| schedule::due_in_pass(state.last_successful_heartbeat, now.wall, every);
        let Some(last) = state.last_checked else {
            return Self::First;
        };
        if state.last_config_checksum.as_deref() != Some(&*watch.checksum) {
            Self::Changed
        } else if state.health().is_soft() {
            Self::Retry {
                failed: state.down_count,
                of: policy.max_retries,
            }
        } else if schedule::due_in_pass(Some(last), now.wall, every) {
            Self::Interval
        } else if heartbeat.is_some_and(heartbeat_due) {
            Self::Heartbeat
        } else {
            let left = |last, every| now.mono_of(last).plus(every).since(now.mono);
            let heartbeat = state.last_successful_heartbeat.zip(heartbeat);
            Self::NotDue {
                left: left(last, every),
                heartbeat: heartbeat.map(|(last, every)| left(last, every)),
            }
        }
    }

    /// Whether the monitor is checked.
    #[must_use]
    pub(crate) fn is_due(self) -> bool {
        !matches!(self, Self::NotDue { .. })
    }
}

/// A clause about the monitor: `not due for 42 secs; its heartbeat is not due for 12 secs`.
impl fmt::Display for PassCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("checked for the first time"),
            Self::Changed => f.write_str("checked at once because its options have changed"),
            Self::Retry { failed, of } => {
                write!(f, "checked at once because of failed check {failed} of {of}")
            }
            Self::Heartbeat => f.write_str("checked because its heartbeat is due"),
            Self::Interval => f.write_str("due"),
            Self::NotDue { left, heartbeat } => {
                write!(f, "not due for {}", in_time(*left))?;
                match heartbeat {
                    Some(left) => write!(f, "; its heartbeat is not due for {}", in_time(*left)),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{monitor::Policy, notification::Heartbeat, secret::Secret, time::Mono};

    fn now() -> Now {
        Now {
            mono: Mono::from_nanos(1_000_000_000_000),
            wall: "2026-02-11T14:00:00Z".parse().unwrap(),
        }
    }

    /// A monitor that was checked 18 seconds ago, of an interval of 60.
    fn checked() -> (Watch, MonitorState) {
        let mut watch = Watch::new("web", "http", "http://192.0.2.1/");
        watch.checksum = "1".into();
        let state = MonitorState {
            is_up: Some(true),
            last_checked: Some(now().wall - SignedDuration::from_secs(18)),
            last_config_checksum: Some("1".into()),
            ..MonitorState::default()
        };
        (watch, state)
    }

    fn said(watch: &Watch, state: &MonitorState) -> (String, bool) {
        let check = PassCheck::of(watch, state, now());
        (check.to_string(), check.is_due())
    }

    #[test]
    fn each_reason_is_said() {
        let (watch, state) = checked();
        assert_eq!(said(&watch, &state), ("not due for 42 secs".into(), false));
        let new = MonitorState::default();
        assert_eq!(said(&watch, &new), ("checked for the first time".into(), true));
        let changed = MonitorState {
            last_config_checksum: Some("2".into()),
            ..state.clone()
        };
        assert_eq!(
            said(&watch, &changed),
            ("checked at once because its options have changed".into(), true)
        );
        let soft = MonitorState {
            down_count: 1,
            ..state.clone()
        };
        assert_eq!(
            said(&watch, &soft),
            ("checked at once because of failed check 1 of 3".into(), true)
        );
        let old = MonitorState {
            last_checked: Some(now().wall - SignedDuration::from_secs(60)),
            ..state
        };
        assert_eq!(said(&watch, &old), ("due".into(), true));
    }

    #[test]
    fn a_heartbeat_that_is_due_needs_a_check() {
        let (watch, mut state) = checked();
        let heartbeat = Heartbeat {
            url: Secret::new("http://192.0.2.2/hb"),
            every: Some(Duration::from_secs(15)),
            options: None,
        };
        let watch = Watch {
            policy: Policy {
                heartbeat: Some(heartbeat),
                ..watch.policy.clone()
            },
            ..watch
        };
        assert_eq!(
            said(&watch, &state),
            ("checked because its heartbeat is due".into(), true)
        );
        state.last_successful_heartbeat = state.last_checked;
        assert_eq!(said(&watch, &state).0, "checked because its heartbeat is due");
        state.last_successful_heartbeat = Some(now().wall - SignedDuration::from_secs(3));
        assert_eq!(
            said(&watch, &state),
            (
                "not due for 42 secs; its heartbeat is not due for 12 secs".into(),
                false
            )
        );
    }
}
