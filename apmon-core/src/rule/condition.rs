//! The condition of a monitor, as people see it.

use serde::{Deserialize, Serialize};

use crate::state::MonitorState;

/// The condition of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// Down (hard state).
    Down,
    /// The monitor cannot be checked.
    Unknown,
    /// Checks fail, but not enough of them for an outage.
    Soft,
    /// The monitor has not been checked yet.
    #[default]
    Pending,
    /// Up.
    Up,
}

impl Condition {
    /// The name used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Soft => "soft",
            Self::Pending => "pending",
            Self::Up => "up",
        }
    }

    /// The condition of a monitor with this state. An outage stays one when the monitor cannot
    /// be checked.
    #[must_use]
    pub fn of(state: &MonitorState) -> Self {
        let health = state.health();
        if health.is_down() {
            Self::Down
        } else if state.own.unknown_since.is_some() {
            Self::Unknown
        } else if health.is_soft() {
            Self::Soft
        } else if state.is_up == Some(true) {
            Self::Up
        } else {
            Self::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::state::OwnState;

    #[test]
    fn a_hard_down_state_comes_before_unknown_and_unknown_before_soft() {
        let since = Some(Timestamp::UNIX_EPOCH);
        let table = [
            (None, None, 0, Condition::Pending),
            (None, None, 1, Condition::Soft),
            (None, since, 1, Condition::Unknown),
            (Some(true), None, 0, Condition::Up),
            (Some(true), None, 2, Condition::Soft),
            (Some(true), since, 2, Condition::Unknown),
            (Some(false), None, 3, Condition::Down),
            (Some(false), since, 3, Condition::Down),
        ];
        for (is_up, unknown_since, down_count, expected) in table {
            let state = MonitorState {
                is_up,
                down_count,
                own: OwnState {
                    unknown_since,
                    ..OwnState::default()
                },
                ..MonitorState::default()
            };
            assert_eq!(
                Condition::of(&state),
                expected,
                "{is_up:?} {unknown_since:?} {down_count}"
            );
        }
    }
}
