//! What is recorded of one check.

use std::{borrow::Cow, time::Duration};

use apmon_core::{CheckRecord, Condition, Outcome, Phase, Reading, Verdict};

use crate::{
    operation::Value,
    template::{FileKind, interface_of, is_fixed},
};

/// The figures of one check.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(super) monitor: String,
    /// The seconds between two checks.
    pub(super) step: u64,
    /// When the check ended, in seconds since the epoch.
    pub(super) at: i64,
    /// The response time, and whether the monitor is up; not for the kinds of SNMP.
    pub(super) availability: Option<[Value; 2]>,
    /// The figures that APMonitor has of an SNMP agent.
    pub(super) snmp: Vec<Figure>,
    /// All others.
    pub(super) metrics: Vec<Figure>,
}

/// A figure and its name.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Figure {
    pub(super) name: Cow<'static, str>,
    pub(super) reading: Reading,
}

impl Sample {
    pub(super) fn of(check: &CheckRecord<'_>) -> Self {
        let ended = check.started.wall.as_millisecond();
        let took = i64::try_from(check.took.as_millis()).unwrap_or(i64::MAX);
        let at = ended.saturating_add(took).div_euclid(1_000);
        Self::new(
            check.watch.name.clone(),
            (&check.watch.kind, check.watch.policy.check_every),
            at,
            &check.observation.outcome,
            Condition::of(check.state),
        )
    }

    pub(super) fn new(
        monitor: String,
        (kind, every): (&str, Duration),
        at: i64,
        outcome: &Outcome,
        condition: Condition,
    ) -> Self {
        let is_snmp = FileKind::main_of(kind) == FileKind::Snmp;
        let belongs = |name: &str| is_snmp && (is_fixed(name) || interface_of(name).is_some());
        let figures = outcome.metrics.iter().map(|metric| Figure {
            name: metric.name.clone(),
            reading: metric.reading,
        });
        let (snmp, mut metrics): (Vec<Figure>, Vec<Figure>) =
            figures.partition(|figure| belongs(&figure.name));
        metrics.extend(outcome.phases.iter().map(|(phase, took)| Figure {
            name: phase_metric(*phase).into(),
            reading: Reading::Gauge(milliseconds(*took)),
        }));
        Self {
            monitor,
            step: every.as_secs().max(1),
            at,
            availability: (!is_snmp).then(|| availability(outcome, condition)),
            snmp,
            metrics,
        }
    }

    /// Whether a counter does not continue.
    pub(super) fn has_resets(&self) -> bool {
        let mut figures = self.snmp.iter().chain(&self.metrics);
        figures.any(|figure| matches!(figure.reading, Reading::Counter { continues: false, .. }))
    }

    /// How many figures it has: what it costs to keep it.
    pub(super) fn len(&self) -> usize {
        2 + self.snmp.len() + self.metrics.len()
    }
}

/// The response time and whether it is up. The hard state decides: a failed check before an outage
/// has no response time, but is up.
fn availability(outcome: &Outcome, condition: Condition) -> [Value; 2] {
    match outcome.verdict() {
        Verdict::Unknown => [Value::Unknown, Value::Unknown],
        verdict => {
            let latency = outcome.latency.filter(|_| verdict == Verdict::Up);
            let latency = latency.map_or(Value::Unknown, |it| Value::Figure(milliseconds(it)));
            let is_up = match condition {
                Condition::Down => 0,
                _ => 100,
            };
            [latency, Value::Count(is_up)]
        }
    }
}

/// To the microsecond. APMonitor writes whole milliseconds, of which a LAN has none.
fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}

fn phase_metric(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "resolve_ms",
        Phase::Connect => "connect_ms",
        Phase::Tls => "tls_ms",
        Phase::FirstByte => "first_byte_ms",
        Phase::Transfer => "transfer_ms",
        _ => "other_ms",
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::{FailureClass, Metric};

    use super::*;

    fn sample(kind: &str, outcome: &Outcome, condition: Condition) -> Sample {
        Sample::new(
            "m".to_owned(),
            (kind, Duration::from_secs(60)),
            7,
            outcome,
            condition,
        )
    }

    #[test]
    fn the_hard_state_decides_whether_it_is_up() {
        let up = Outcome::up(Duration::from_micros(12_345));
        let down = Outcome::fail(FailureClass::Refused, "refused");
        let unknown = Outcome::fail(FailureClass::NoRoute, "no route");
        let (u, up_100, down_0) = (Value::Unknown, Value::Count(100), Value::Count(0));
        for (outcome, condition, values) in [
            (&up, Condition::Up, [Value::Figure(12.345), up_100]),
            (&down, Condition::Soft, [u, up_100]),
            (&down, Condition::Down, [u, down_0]),
            (&unknown, Condition::Unknown, [u, u]),
            (&unknown, Condition::Up, [u, u]),
            (&unknown, Condition::Down, [u, u]),
        ] {
            let sample = sample("tcp", outcome, condition);
            assert_eq!(sample.availability, Some(values), "{outcome:?} {condition:?}");
        }
    }

    #[test]
    fn what_the_schema_does_not_have_is_a_metric() {
        let mut outcome = Outcome::up(Duration::from_millis(1));
        outcome.metrics = vec![
            Metric::counter("if3_in", 7, true),
            Metric::counter("total_bits_in", 56, true),
            Metric::gauge("cpu_load", 3.0),
            Metric::gauge("temperature", 40.0),
        ];
        outcome.phases = vec![(Phase::Transfer, Duration::from_millis(20))];
        let names =
            |figures: &[Figure]| -> Vec<String> { figures.iter().map(|it| it.name.to_string()).collect() };

        let switch = sample("ports", &outcome, Condition::Up);
        assert_eq!(names(&switch.snmp), ["if3_in", "total_bits_in", "cpu_load"]);
        assert_eq!(names(&switch.metrics), ["temperature", "transfer_ms"]);
        assert_eq!(switch.availability, None);

        let program = sample("tcp", &outcome, Condition::Up);
        assert_eq!(program.snmp, []);
        assert_eq!(program.metrics.len(), 5);
        assert!(program.availability.is_some());
    }
}
