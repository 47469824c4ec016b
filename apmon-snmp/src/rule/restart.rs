//! Detecting a restart of a device between two checks: its uptime goes back. The clock of
//! this machine does not matter.

use std::time::Duration;

/// The uptimes that a device reports, in hundredths of a second. They wrap at 2^32, after
/// some 497 days.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Uptimes {
    /// The uptime of the device (hrSystemUptime).
    pub host: Option<u32>,
    /// The uptime of its SNMP agent (sysUpTime).
    pub agent: Option<u32>,
}

/// The part of a device that was restarted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Restart {
    /// Nothing was restarted.
    #[default]
    No,
    /// Only the agent was restarted; the device kept running.
    Agent,
    /// The agent was restarted, and possibly the device, which does not report its own uptime.
    /// Most switches do not.
    AgentAtLeast,
    /// The device was restarted.
    Device,
}

impl Restart {
    /// Whether counters may have been reset.
    pub(crate) fn resets_counters(self) -> bool {
        matches!(self, Self::AgentAtLeast | Self::Device)
    }
}

impl Uptimes {
    /// The uptime of the device, or else of its agent.
    pub(crate) fn up_for(self) -> Option<Duration> {
        let ticks = self.host.or(self.agent)?;
        Some(Duration::from_millis(u64::from(ticks) * 10))
    }

    /// The part that was restarted since `before`, which was read `elapsed` ago. An uptime that
    /// is unknown at either time is not compared.
    pub(crate) fn restart_since(self, before: Self, elapsed: Duration) -> Restart {
        let went_back = |now: Option<u32>, before: Option<u32>| {
            Some(now? < before? && !starts_anew(before?, now?, elapsed))
        };
        match (
            went_back(self.host, before.host),
            went_back(self.agent, before.agent),
        ) {
            (Some(true), _) => Restart::Device,
            (Some(false), Some(true)) => Restart::Agent,
            (None, Some(true)) => Restart::AgentAtLeast,
            _ => Restart::No,
        }
    }
}

/// Whether the uptime wrapped at 2^32. The device's clock may differ from ours by five
/// minutes plus a tenth of the elapsed time.
fn starts_anew(before: u32, now: u32, elapsed: Duration) -> bool {
    let elapsed = elapsed.as_millis() / 10;
    let slack = elapsed / 10 + 5 * 60 * 100;
    let passed = (1 << 32) - u128::from(before) + u128::from(now);
    passed.abs_diff(elapsed) <= slack
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 360_000;

    fn times(host: impl Into<Option<u32>>, agent: impl Into<Option<u32>>) -> Uptimes {
        Uptimes {
            host: host.into(),
            agent: agent.into(),
        }
    }

    #[test]
    fn an_uptime_that_goes_back_shows_what_was_restarted() {
        let minute = Duration::from_secs(60);
        let table = [
            (times(HOUR, HOUR), times(2 * HOUR, 2 * HOUR), Restart::No),
            (times(HOUR, HOUR), times(HOUR, HOUR), Restart::No),
            (times(HOUR, HOUR), times(100, 90), Restart::Device),
            (times(HOUR, HOUR), times(2 * HOUR, 90), Restart::Agent),
            (times(HOUR, 50), times(100, 90), Restart::Device),
            (times(None, HOUR), times(None, 90), Restart::AgentAtLeast),
            (times(None, HOUR), times(HOUR, 90), Restart::AgentAtLeast),
            (times(HOUR, HOUR), times(None, 90), Restart::AgentAtLeast),
            (times(HOUR, None), times(HOUR, 90), Restart::No),
            (times(None, None), times(90, 90), Restart::No),
        ];
        for (before, now, expected) in table {
            assert_eq!(now.restart_since(before, minute), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn an_uptime_that_wraps_after_497_days_is_not_a_restart() {
        let before = times(None, u32::MAX - 1_000);
        let minute = Duration::from_secs(60);
        assert_eq!(times(None, 4_999).restart_since(before, minute), Restart::No);
        // This machine's clock may be slightly wrong, or have been set.
        assert_eq!(times(None, 14_999).restart_since(before, minute), Restart::No);
        let day = Duration::from_secs(86_400);
        assert_eq!(
            times(None, 4_999).restart_since(before, day),
            Restart::AgentAtLeast
        );
        assert_eq!(
            times(None, 60 * HOUR).restart_since(before, minute),
            Restart::AgentAtLeast
        );
    }

    #[test]
    fn the_uptime_is_the_host_s_or_else_the_agent_s() {
        assert_eq!(times(18_000, 5).up_for(), Some(Duration::from_secs(180)));
        assert_eq!(times(None, 18_050).up_for(), Some(Duration::from_millis(180_500)));
        assert_eq!(Uptimes::default().up_for(), None);
    }
}
