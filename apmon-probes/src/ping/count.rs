//! The packets of one look, counted.

use std::{net::IpAddr, time::Duration};

use apmon_core::{Failure, FailureClass};

use super::{
    options::Plan,
    packet::Notice,
    table::{Answer, Arrival},
};
use crate::recorder::CheckRecorder;

/// What has become of each packet.
#[derive(Debug)]
pub(super) struct PacketCounts {
    round_trips: Vec<Option<Duration>>,
    /// Answered, or known to be lost.
    settled: usize,
    /// What was said first of a packet that got nowhere.
    notice: Option<(Notice, IpAddr)>,
}

impl PacketCounts {
    pub(super) fn new() -> Self {
        Self {
            round_trips: Vec::new(),
            settled: 0,
            notice: None,
        }
    }

    /// Another packet is out.
    pub(super) fn sent(&mut self) {
        self.round_trips.push(None);
    }

    /// Something came back.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        match arrival.answer {
            Answer::Reply(time) => {
                if let Some(slot) = self.round_trips.get_mut(usize::from(arrival.place)) {
                    *slot = Some(time);
                }
                self.settled += 1;
            }
            Answer::Notice { notice, .. } if notice.is_remark() => {}
            Answer::Notice { notice, from } => {
                self.notice.get_or_insert((notice, from));
                self.settled += 1;
            }
        }
    }

    /// How many are out.
    pub(super) fn count(&self) -> usize {
        self.round_trips.len()
    }

    /// Whether nothing more can come.
    pub(super) fn is_settled(&self) -> bool {
        self.settled >= self.count()
    }

    /// Whether anything is known of any.
    pub(super) fn is_heard(&self) -> bool {
        self.settled > 0
    }

    /// Whether any was answered.
    pub(super) fn is_answered(&self) -> bool {
        self.round_trips.iter().any(Option::is_some)
    }

    /// What was said first of a packet that got nowhere, and by whom.
    pub(super) fn notice(&self) -> Option<(Notice, IpAddr)> {
        self.notice
    }

    fn lost(&self) -> usize {
        self.count() - self.answered().count()
    }

    fn answered(&self) -> impl Iterator<Item = Duration> {
        self.round_trips.iter().copied().flatten()
    }

    fn loss_pct(&self) -> f64 {
        match self.count() {
            0 => 100.0,
            count => self.lost() as f64 / count as f64 * 100.0,
        }
    }

    /// The average round trip.
    pub(super) fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.answered().count()).ok()?;
        self.answered().sum::<Duration>().checked_div(count)
    }

    /// The mean difference of round trips that follow each other.
    fn jitter(&self) -> Option<Duration> {
        let pairs = self.answered().zip(self.answered().skip(1));
        let (sum, count) = pairs.fold((Duration::ZERO, 0), |(sum, count), (a, b)| {
            (sum + a.abs_diff(b), count + 1)
        });
        sum.checked_div(count)
    }

    /// Notes the figures.
    pub(super) fn measure(&self, plan: &Plan, recorder: &mut CheckRecorder) {
        recorder.measured("loss_pct", self.loss_pct());
        let jitter = self.jitter().filter(|_| plan.count > 1);
        for (name, value) in [
            ("rtt_min_ms", self.answered().min()),
            ("rtt_avg_ms", self.average()),
            ("rtt_max_ms", self.answered().max()),
            ("jitter_ms", jitter),
        ] {
            if let Some(value) = value {
                recorder.measured(name, millis(value));
            }
        }
    }

    /// Whether a look with replies is good enough.
    pub(super) fn judge(&self, plan: &Plan) -> Result<(), Failure> {
        if let Some(most) = plan.max_loss_pct
            && self.lost() * 100 > usize::from(most) * self.count()
        {
            let (lost, count) = (self.lost(), self.count());
            let share = tenths(self.loss_pct());
            return Err(Failure::new(
                FailureClass::Content,
                format!("{lost} of {count} packets lost ({share} %), more than {most} %"),
            ));
        }
        if let (Some(most), Some(average)) = (plan.max_rtt, self.average())
            && average > most
        {
            return Err(Failure::new(
                FailureClass::Content,
                format!(
                    "average round trip {} ms over {} ms",
                    tenths(millis(average)),
                    most.as_millis()
                ),
            ));
        }
        Ok(())
    }

    /// The figures in one line, for `--explain`.
    pub(super) fn summary(&self) -> String {
        let figures = [self.answered().min(), self.average(), self.answered().max()];
        let times: Vec<_> = figures
            .iter()
            .flatten()
            .map(|time| format!("{:.3}", millis(*time)))
            .collect();
        let round_trips = match times.as_slice() {
            [] => String::new(),
            times => format!("; round trip {} ms (min/avg/max)", times.join("/")),
        };
        let (count, lost) = (self.count(), self.lost());
        format!(
            "{lost} of {count} packets lost ({} %){round_trips}",
            tenths(self.loss_pct())
        )
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// With one decimal, or none. Rounded up, so that what is over a limit does
/// not read as if it met it.
fn tenths(value: f64) -> String {
    // 60.000000000000004 is sixty.
    let up = (value * 10.0 - 1e-6).ceil() / 10.0;
    // Zero may have come out as minus zero.
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

    /// Round trips in microseconds; zero is a lost packet.
    fn counts(micros: &[u64]) -> PacketCounts {
        let mut counts = PacketCounts::new();
        for (place, micros) in (0..).zip(micros) {
            counts.sent();
            if *micros > 0 {
                let answer = Answer::Reply(Duration::from_micros(*micros));
                counts.arrived(Arrival { place, answer });
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
    fn loss_beyond_the_limit_is_down_and_the_limit_itself_is_not() {
        let some = counts(&[1000, 0, 0, 0, 1000]);
        for (most, words) in [
            (None, "up"),
            (Some(0), "3 of 5 packets lost (60 %), more than 0 %"),
            (Some(20), "3 of 5 packets lost (60 %), more than 20 %"),
            (Some(59), "3 of 5 packets lost (60 %), more than 59 %"),
            (Some(60), "up"),
            (Some(100), "up"),
        ] {
            assert_eq!(reason(&some, plan(most, None)), words, "{most:?}");
        }
        assert_eq!(
            reason(&counts(&[1, 1, 0]), plan(Some(33), None)),
            "1 of 3 packets lost (33.4 %), more than 33 %"
        );
        assert_eq!(reason(&counts(&[1, 1, 1]), plan(Some(0), None)), "up");
    }

    #[test]
    fn an_average_beyond_the_limit_is_down() {
        let slow = counts(&[60_000, 180_000, 0]);
        for (most, words) in [
            (100, "average round trip 120 ms over 100 ms"),
            (119, "average round trip 120 ms over 119 ms"),
            (120, "up"),
        ] {
            assert_eq!(reason(&slow, plan(None, Some(most))), words);
        }
        let hardly = counts(&[100_001]);
        assert_eq!(
            reason(&hardly, plan(None, Some(100))),
            "average round trip 100.1 ms over 100 ms"
        );
    }

    #[test]
    fn figures_are_short() {
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
    fn the_figures_leave_out_what_is_lost() {
        let borrowed = |name: &Cow<'static, str>| match name {
            Cow::Borrowed(name) => *name,
            Cow::Owned(_) => "not a name of ours",
        };
        let figures = |counts: &PacketCounts| {
            let mut recorder = CheckRecorder::start();
            counts.measure(&plan(None, None), &mut recorder);
            let outcome = recorder.finish(Ok(()), &crate::network::Network::default());
            let figures = outcome.metrics.iter();
            figures
                .map(|metric| (borrowed(&metric.name), metric.value()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            figures(&counts(&[1000, 0, 4000, 2500, 0])),
            [
                ("loss_pct", 40.0),
                ("rtt_min_ms", 1.0),
                ("rtt_avg_ms", 2.5),
                ("rtt_max_ms", 4.0),
                // from 1 to 4 is 3, from 4 to 2.5 is 1.5
                ("jitter_ms", 2.25),
            ]
        );
        assert_eq!(figures(&counts(&[0, 0])), [("loss_pct", 100.0)]);
        let one = figures(&counts(&[1000, 0]));
        assert!(one.iter().all(|figure| figure.0 != "jitter_ms"), "{one:?}");
    }

    #[test]
    fn a_look_is_settled_when_nothing_more_can_come() {
        let mut counts = PacketCounts::new();
        counts.sent();
        counts.sent();
        let notice = |kind| Answer::Notice {
            notice: Notice {
                family: Family::V4,
                kind,
                code: 1,
            },
            from: [192, 0, 2, 1].into(),
        };
        let mut arrive = |place, answer| {
            counts.arrived(Arrival { place, answer });
            counts.is_settled()
        };
        assert!(!arrive(0, notice(5)), "a redirect is a remark");
        assert!(!arrive(0, notice(3)));
        assert!(arrive(1, Answer::Reply(Duration::from_millis(1))));
        assert!(counts.is_answered() && counts.notice().is_some());
    }
}
