//! Availability per day, summed up from the records of a history.

use std::{
    iter::Sum,
    ops::{Add, Range},
    time::Duration,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Incident, IncidentKind, Stretch, StretchKind};
use crate::state::MonitorState;

/// One monitor's time by situation. Ranges may overlap, come in any order, and end before they
/// begin (the clock was set back meanwhile): those have no length.
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    /// The first check after which the state was known; the time before is unwatched.
    pub since: Timestamp,
    /// The end of the time that counts.
    pub until: Timestamp,
    /// The monitor was down (hard state).
    pub down: Vec<Range<Timestamp>>,
    /// The monitor could not be checked.
    pub unknown: Vec<Range<Timestamp>>,
    /// Alarms were off, in case it was down.
    pub alarms_off: Vec<Range<Timestamp>>,
    /// The monitor was not checked.
    pub unwatched: Vec<Range<Timestamp>>,
}

/// The time in which a monitor was checked, according to a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// The first check after which the state was known.
    pub since: Timestamp,
    /// The last check of a monitor whose state has been deleted.
    pub last: Option<Timestamp>,
    /// [`CheckResult::max_gap`](super::CheckResult) of the last check.
    pub max_gap: Option<Duration>,
}

/// A day in a time zone: 23, 24 or 25 hours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Day {
    /// Its date.
    pub date: Date,
    /// From its midnight to the next.
    pub span: Range<Timestamp>,
}

/// A length of time, divided by situation: each moment counts once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Availability {
    /// Time in which it was up.
    pub up: Duration,
    /// Time in which it was down with alarms on.
    pub down: Duration,
    /// Time in which it was down with alarms off.
    pub alarms_off: Duration,
    /// Time in which it could not be checked, also during an outage.
    pub unknown: Duration,
    /// Time in which it was not checked, whatever the last known state was.
    pub unwatched: Duration,
}

impl Availability {
    /// The share of up time in the time known to be up, or down with alarms on, in percent.
    /// `None` without such time.
    #[must_use]
    pub fn up_percent(&self) -> Option<f64> {
        let known = self.up + self.down;
        (!known.is_zero()).then(|| self.up.as_secs_f64() / known.as_secs_f64() * 100.0)
    }

    /// The sum of all parts.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.up + self.down + self.alarms_off + self.unknown + self.unwatched
    }
}

impl Add for Availability {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
            alarms_off: self.alarms_off + other.alarms_off,
            unknown: self.unknown + other.unknown,
            unwatched: self.unwatched + other.unwatched,
        }
    }
}

impl Sum for Availability {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// The days in `zone` from the first to the last that `span` touches.
#[must_use]
pub fn days(span: &Range<Timestamp>, zone: &TimeZone) -> Vec<Day> {
    let last = zone.to_datetime(span.end).date();
    let mut date = zone.to_datetime(span.start).date();
    let mut days = Vec::new();
    // Where the clocks skip midnight, a day begins after it.
    let start_of = |date: Date| {
        let start = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible();
        start.unwrap_or(Timestamp::MAX)
    };
    let mut start = start_of(date);
    while let (true, Ok(next)) = (date <= last, date.tomorrow()) {
        let end = start_of(next);
        days.push(Day {
            date,
            span: start..end,
        });
        (date, start) = (next, end);
    }
    days
}

impl Timeline {
    /// Builds the timeline of one monitor from its history and its state, as of `now`.
    #[must_use]
    pub fn of(
        watched: Coverage,
        state: &MonitorState,
        incidents: &[Incident],
        stretches: &[Stretch],
        now: Timestamp,
    ) -> Self {
        let last = state.last_checked.or(watched.last).unwrap_or(watched.since);
        let ranges = |kind| {
            let same = stretches.iter().filter(move |stretch| stretch.kind == kind);
            same.map(|stretch| stretch.started..stretch.ended)
        };
        let until_now = |since: Option<Timestamp>| since.map(|since| since..Timestamp::MAX);
        let of_kind = |kind: IncidentKind| {
            let same = incidents.iter().filter(move |incident| incident.kind == kind);
            same.map(|incident| {
                let end = match incident.is_open(state) {
                    true => Timestamp::MAX,
                    false => incident.ended.unwrap_or(incident.started),
                };
                incident.started..end
            })
        };
        // An outage that began before there was a history.
        let outage = state.own.incident.as_ref().filter(|_| state.health().is_down());
        let unrecorded = outage.filter(|id| incidents.iter().all(|incident| incident.id != **id));
        let mut times = Self {
            since: watched.since,
            until: last.min(now),
            down: of_kind(IncidentKind::Outage)
                .chain(unrecorded.and_then(|_| until_now(state.last_alarm_started)))
                .collect(),
            unknown: ranges(StretchKind::Unknown)
                .chain(of_kind(IncidentKind::Unknown))
                .chain(until_now(state.own.unknown_since))
                .collect(),
            alarms_off: ranges(StretchKind::AlarmsOff)
                .chain(until_now(state.own.alarms_off_since))
                .collect(),
            unwatched: ranges(StretchKind::Unwatched).collect(),
        };
        let is_watched = state.last_checked.is_some() && state.own.removed_at.is_none();
        let unseen_for = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        if is_watched && watched.max_gap.is_some_and(|most| unseen_for > most) {
            times.unwatched.push(last..now);
            times.until = now;
        }
        times
    }

    /// The availability of each of `days`, which must be consecutive.
    #[must_use]
    pub fn availability(&self, days: &[Day]) -> Vec<Availability> {
        let mut unwatched = list(&self.unwatched);
        unwatched.push(micros(&(Timestamp::MIN..self.since)));
        let unwatched = merged(unwatched);
        let alarms_off = common(&merged(list(&self.alarms_off)), &merged(list(&self.down)));
        // Each layer covers the one before it, so the difference between two is what only the
        // later one has.
        let unknown = merged([unwatched.clone(), list(&self.unknown)].concat());
        let alarms_off = merged([unknown.clone(), alarms_off].concat());
        let down = merged([alarms_off.clone(), list(&self.down)].concat());
        let until = self.until.as_microsecond();
        let windows = days.iter().map(|day| micros(&day.span));
        let windows: Vec<_> = windows.map(|(start, end)| (start, end.min(until))).collect();
        let layers = [unwatched, unknown, alarms_off, down].map(|layer| covered(&layer, &windows));
        let sums = windows.iter().enumerate().map(|(i, (start, end))| {
            let [unwatched, unknown, alarms_off, down] = layers.each_ref().map(|layer| layer[i]);
            Availability {
                unwatched: duration(unwatched),
                unknown: duration(unknown - unwatched),
                alarms_off: duration(alarms_off - unknown),
                down: duration(down - alarms_off),
                up: duration(end - start - down),
            }
        });
        sums.collect()
    }
}

/// Start and end, in microseconds.
type Span = (i64, i64);

fn micros(range: &Range<Timestamp>) -> Span {
    (range.start.as_microsecond(), range.end.as_microsecond())
}

fn list(ranges: &[Range<Timestamp>]) -> Vec<Span> {
    ranges.iter().map(micros).collect()
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Sorts the spans and merges those that overlap or touch.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|(start, end)| start < end);
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// The intersection of two lists of merged spans.
fn common(a: &[Span], b: &[Span]) -> Vec<Span> {
    let (mut i, mut j) = (0, 0);
    let mut common = Vec::new();
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        common.push((one.0.max(other.0), one.1.min(other.1)));
        if one.1 < other.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
    merged(common)
}

/// How much of each window the spans cover; both lists are in order.
fn covered(spans: &[Span], windows: &[Span]) -> Vec<i64> {
    let mut first = 0;
    let covered = windows.iter().map(|(start, end)| {
        while spans.get(first).is_some_and(|span| span.1 <= *start) {
            first += 1;
        }
        let within = spans[first..].iter().take_while(|span| span.0 < *end);
        within
            .map(|span| (span.1.min(*end) - span.0.max(*start)).max(0))
            .sum()
    });
    covered.collect()
}

#[cfg(test)]
mod tests;
