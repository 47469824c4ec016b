//! Counts and round-trip times of the packets of one check.

use std::{net::IpAddr, time::Duration};

use apmon_core::{Failure, FailureClass};

use super::{
    options::Plan,
    packet::IcmpError,
    table::{Arrival, IcmpAnswer},
};
use crate::recorder::CheckRecorder;

/// The fate of each packet sent.
#[derive(Debug)]
pub(super) struct PacketCounts {
    round_trips: Vec<Option<Duration>>,
    /// Packets answered or known to be lost.
    settled: usize,
    /// The first error reported about a packet, and who reported it.
    first_error: Option<(IcmpError, IpAddr)>,
    /// Whether a reply had other bytes than were sent.
    is_any_altered: bool,
}

impl PacketCounts {
    pub(super) fn new() -> Self {
        Self {
            round_trips: Vec::new(),
            settled: 0,
            first_error: None,
            is_any_altered: false,
        }
    }

    /// Counts another packet as sent.
    pub(super) fn record_sent(&mut self) {
        self.round_trips.push(None);
    }

    /// Counts a reply or an error.
    pub(super) fn record(&mut self, arrival: Arrival) {
        match arrival.answer {
            IcmpAnswer::Reply(time) => {
                if let Some(round_trip) = self.round_trips.get_mut(usize::from(arrival.index)) {
                    *round_trip = Some(time);
                }
                self.settled += 1;
            }
            IcmpAnswer::Altered { .. } => self.is_any_altered = true,
            IcmpAnswer::Error { error, .. } if error.is_informational() => {}
            IcmpAnswer::Error { error, from } => {
                self.first_error.get_or_insert((error, from));
                self.settled += 1;
            }
        }
    }

    /// The number of packets sent.
    pub(super) fn sent(&self) -> usize {
        self.round_trips.len()
    }

    /// Whether every packet sent is answered or known to be lost.
    pub(super) fn are_all_settled(&self) -> bool {
        self.settled >= self.sent()
    }

    /// Whether at least one packet is answered or known to be lost.
    pub(super) fn is_any_settled(&self) -> bool {
        self.settled > 0
    }

    /// Whether at least one packet was answered.
    pub(super) fn is_any_answered(&self) -> bool {
        self.round_trips.iter().any(Option::is_some)
    }

    /// The first error reported about a packet, and who reported it.
    pub(super) fn first_error(&self) -> Option<(IcmpError, IpAddr)> {
        self.first_error
    }

    /// Whether a reply had other bytes than were sent.
    pub(super) fn is_any_altered(&self) -> bool {
        self.is_any_altered
    }

    fn lost(&self) -> usize {
        self.sent() - self.round_trip_times().count()
    }

    /// The round-trip times of the packets that were answered.
    fn round_trip_times(&self) -> impl Iterator<Item = Duration> {
        self.round_trips.iter().copied().flatten()
    }

    fn loss_pct(&self) -> f64 {
        match self.sent() {
            0 => 100.0,
            sent => self.lost() as f64 / sent as f64 * 100.0,
        }
    }

    /// The average round-trip time.
    pub(super) fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.round_trip_times().count()).ok()?;
        self.round_trip_times().sum::<Duration>().checked_div(count)
    }

    /// The mean difference between consecutive round-trip times.
    fn jitter(&self) -> Option<Duration> {
        let pairs = self.round_trip_times().zip(self.round_trip_times().skip(1));
        let (sum, count) = pairs.fold((Duration::ZERO, 0), |(sum, count), (a, b)| {
            (sum + a.abs_diff(b), count + 1)
        });
        sum.checked_div(count)
    }

    /// Records loss, round-trip times and jitter as metrics.
    pub(super) fn record_metrics(&self, plan: &Plan, recorder: &mut CheckRecorder) {
        recorder.measured("loss_pct", self.loss_pct());
        let jitter = self.jitter().filter(|_| plan.count > 1);
        for (name, value) in [
            ("rtt_min_ms", self.round_trip_times().min()),
            ("rtt_avg_ms", self.average()),
            ("rtt_max_ms", self.round_trip_times().max()),
            ("jitter_ms", jitter),
        ] {
            if let Some(value) = value {
                recorder.measured(name, millis(value));
            }
        }
    }

    /// Judges a check with at least one reply by the limits of `plan`.
    pub(super) fn judge(&self, plan: &Plan) -> Result<(), Failure> {
        if let Some(most) = plan.max_loss_pct
            && self.lost() * 100 > usize::from(most) * self.sent()
        {
            let (lost, sent) = (self.lost(), self.sent());
            let share = tenths(self.loss_pct());
            return Err(Failure::new(
                FailureClass::Content,
                format!("{lost} of {sent} packets lost ({share} %), more than {most} %"),
            ));
        }
        if let (Some(most), Some(average)) = (plan.max_rtt, self.average())
            && average > most
        {
            return Err(Failure::new(
                FailureClass::Content,
                format!(
                    "average round trip {} ms, more than {} ms",
                    tenths(millis(average)),
                    most.as_millis()
                ),
            ));
        }
        Ok(())
    }

    /// Loss and round-trip times in one line, for `--explain`.
    pub(super) fn summary(&self) -> String {
        let figures = [
            self.round_trip_times().min(),
            self.average(),
            self.round_trip_times().max(),
        ];
        let times: Vec<_> = figures
            .iter()
            .flatten()
            .map(|time| format!("{:.3}", millis(*time)))
            .collect();
        let round_trips = match times.as_slice() {
            [] => String::new(),
            times => format!("; round trip {} ms (min/avg/max)", times.join("/")),
        };
        let (lost, sent) = (self.lost(), self.sent());
        format!(
            "{lost} of {sent} packets lost ({} %){round_trips}",
            tenths(self.loss_pct())
        )
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A number with one decimal place or none. It is rounded up, so that a value
/// above a limit does not read as if it met the limit.
fn tenths(value: f64) -> String {
    // 60.000000000000004 counts as 60.
    let up = (value * 10.0 - 1e-6).ceil() / 10.0;
    // Adding zero turns minus zero into zero.
    format!("{}", up + 0.0)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::ping::packet::Family;

    fn plan(max_loss_pct: Option<u8>, max_rtt_ms: Option<u64>) -> Plan {
        Plan {
            count: 5,
            max_loss_pct,
            max_rtt: max_rtt_ms.map(Duration::from_millis),
        }
    }

    /// Counts of packets with these round-trip times in microseconds; zero is a lost packet.
    fn counts(micros: &[u64]) -> PacketCounts {
        let mut counts = PacketCounts::new();
        for (index, micros) in (0..).zip(micros) {
            counts.record_sent();
            if *micros > 0 {
                let answer = IcmpAnswer::Reply(Duration::from_micros(*micros));
                counts.record(Arrival { index, answer });
            }
        }
        counts
    }

    fn reason(counts: &PacketCounts, plan: Plan) -> String {
        counts
            .judge(&plan)
            .map_or_else(|failure| failure.reason, |()| "up".to_owned())
    }

    #[test]
    fn loss_above_the_limit_is_down_and_loss_at_the_limit_is_up() {
        let lossy = counts(&[1000, 0, 0, 0, 1000]);
        for (most, expected) in [
            (None, "up"),
            (Some(0), "3 of 5 packets lost (60 %), more than 0 %"),
            (Some(20), "3 of 5 packets lost (60 %), more than 20 %"),
            (Some(59), "3 of 5 packets lost (60 %), more than 59 %"),
            (Some(60), "up"),
            (Some(100), "up"),
        ] {
            assert_eq!(reason(&lossy, plan(most, None)), expected, "{most:?}");
        }
        assert_eq!(
            reason(&counts(&[1, 1, 0]), plan(Some(33), None)),
            "1 of 3 packets lost (33.4 %), more than 33 %"
        );
        assert_eq!(reason(&counts(&[1, 1, 1]), plan(Some(0), None)), "up");
    }

    #[test]
    fn an_average_above_the_limit_is_down() {
        let slow = counts(&[60_000, 180_000, 0]);
        for (most, expected) in [
            (100, "average round trip 120 ms, more than 100 ms"),
            (119, "average round trip 120 ms, more than 119 ms"),
            (120, "up"),
        ] {
            assert_eq!(reason(&slow, plan(None, Some(most))), expected);
        }
        let barely_above = counts(&[100_001]);
        assert_eq!(
            reason(&barely_above, plan(None, Some(100))),
            "average round trip 100.1 ms, more than 100 ms"
        );
    }

    #[test]
    fn numbers_have_at_most_one_decimal_place() {
        for (value, text) in [
            (0.0, "0"),
            (60.000_000_000_000_01, "60"),
            (33.333, "33.4"),
            (0.01, "0.1"),
        ] {
            assert_eq!(tenths(value), text);
        }
    }

    #[test]
    fn round_trip_metrics_leave_out_lost_packets() {
        let borrowed = |name: &Cow<'static, str>| match name {
            Cow::Borrowed(name) => *name,
            Cow::Owned(_) => "not one of our names",
        };
        let metrics = |counts: &PacketCounts| {
            let mut recorder = CheckRecorder::start();
            counts.record_metrics(&plan(None, None), &mut recorder);
            let outcome = recorder.finish(
                Ok(()),
                &crate::recorder::check(Duration::from_secs(1)),
                &crate::network::Network::default(),
            );
            let metrics = outcome.metrics.iter();
            metrics
                .map(|metric| (borrowed(&metric.name), metric.value()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            metrics(&counts(&[1000, 0, 4000, 2500, 0])),
            [
                ("loss_pct", 40.0),
                ("rtt_min_ms", 1.0),
                ("rtt_avg_ms", 2.5),
                ("rtt_max_ms", 4.0),
                // from 1 to 4 is 3, from 4 to 2.5 is 1.5
                ("jitter_ms", 2.25),
            ]
        );
        assert_eq!(metrics(&counts(&[0, 0])), [("loss_pct", 100.0)]);
        let one_reply = metrics(&counts(&[1000, 0]));
        assert!(
            one_reply.iter().all(|metric| metric.0 != "jitter_ms"),
            "{one_reply:?}"
        );
    }

    #[test]
    fn packets_are_settled_when_each_is_answered_or_lost() {
        let mut counts = PacketCounts::new();
        counts.record_sent();
        counts.record_sent();
        let error = |kind| IcmpAnswer::Error {
            error: IcmpError {
                family: Family::V4,
                kind,
                code: 1,
            },
            from: [192, 0, 2, 1].into(),
        };
        let mut arrive = |index, answer| {
            counts.record(Arrival { index, answer });
            counts.are_all_settled()
        };
        assert!(!arrive(0, error(5)), "a redirect is informational");
        assert!(!arrive(0, error(3)));
        assert!(arrive(1, IcmpAnswer::Reply(Duration::from_millis(1))));
        assert!(counts.is_any_answered() && counts.first_error().is_some());
    }
}
