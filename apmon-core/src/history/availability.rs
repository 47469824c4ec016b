//! How much of each day something was up: sums over what a history holds.

use std::{
    iter::Sum,
    ops::{Add, Range},
    time::Duration,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Incident, IncidentKind, Stretch, StretchKind};
use crate::state::MonitorState;

/// What is known of one monitor's time. Ranges may overlap, come in any order,
/// and end before they begin (the clock was set back between): those last no time.
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    /// The first look after which it was known what to believe: nobody watched before.
    pub since: Timestamp,
    /// Nothing is counted after this.
    pub until: Timestamp,
    /// It was down, hard.
    pub down: Vec<Range<Timestamp>>,
    /// It could not be looked at.
    pub unknown: Vec<Range<Timestamp>>,
    /// Nobody was to be told, had it been down.
    pub alarms_off: Vec<Range<Timestamp>>,
    /// Nobody looked.
    pub unwatched: Vec<Range<Timestamp>>,
}

/// How a monitor was looked at, as a history knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// The first look after which it was known what to believe.
    pub since: Timestamp,
    /// The last look, of a monitor that is forgotten.
    pub last: Option<Timestamp>,
    /// [`CheckResult::max_gap`](super::CheckResult) of the last look.
    pub max_gap: Option<Duration>,
}

/// One day of a time zone: 23, 24 or 25 hours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Day {
    /// Its date.
    pub date: Date,
    /// From its midnight to the next.
    pub span: Range<Timestamp>,
}

/// A time, taken apart: each moment counts once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Availability {
    /// It was up.
    pub up: Duration,
    /// It was down, and somebody was to be told.
    pub down: Duration,
    /// It was down, and nobody was to be told.
    pub alarms_off: Duration,
    /// It could not be looked at; during an outage as well.
    pub unknown: Duration,
    /// Nobody looked, whatever was believed meanwhile.
    pub unwatched: Duration,
}

impl Availability {
    /// Of the time in which it was known to be up, or down and not silenced:
    /// the part in which it was up, in percent. `None` without such a time.
    #[must_use]
    pub fn up_percent(&self) -> Option<f64> {
        let known = self.up + self.down;
        (!known.is_zero()).then(|| self.up.as_secs_f64() / known.as_secs_f64() * 100.0)
    }

    /// All of it.
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

/// The days of `zone` from the one that `span` begins in to the one it ends in.
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
    /// From what a history and a state hold of one monitor, asked at `now`.
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
        let to_this_day = |since: Option<Timestamp>| since.map(|since| since..Timestamp::MAX);
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
        // Down since before there was a history.
        let outage = state.own.incident.as_ref().filter(|_| state.health().is_down());
        let unrecorded = outage.filter(|id| incidents.iter().all(|incident| incident.id != **id));
        let mut times = Self {
            since: watched.since,
            until: last.min(now),
            down: of_kind(IncidentKind::Outage)
                .chain(unrecorded.and_then(|_| to_this_day(state.last_alarm_started)))
                .collect(),
            unknown: ranges(StretchKind::Unknown)
                .chain(of_kind(IncidentKind::Unknown))
                .chain(to_this_day(state.own.unknown_since))
                .collect(),
            alarms_off: ranges(StretchKind::AlarmsOff)
                .chain(to_this_day(state.own.alarms_off_since))
                .collect(),
            unwatched: ranges(StretchKind::Unwatched).collect(),
        };
        let is_watched = state.last_checked.is_some() && state.own.removed_at.is_none();
        let silent_for = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        if is_watched && watched.max_gap.is_some_and(|most| silent_for > most) {
            times.unwatched.push(last..now);
            times.until = now;
        }
        times
    }

    /// The sums of each day, in order; the days follow one another.
    #[must_use]
    pub fn availability(&self, days: &[Day]) -> Vec<Availability> {
        let mut unwatched = list(&self.unwatched);
        unwatched.push(micros(&(Timestamp::MIN..self.since)));
        let unwatched = merged(unwatched);
        let alarms_off = common(&merged(list(&self.alarms_off)), &merged(list(&self.down)));
        // Each covers what is in the one before it: the difference is what is
        // only in it.
        let unknown = merged([unwatched.clone(), list(&self.unknown)].concat());
        let alarms_off = merged([unknown.clone(), alarms_off].concat());
        let down = merged([alarms_off.clone(), list(&self.down)].concat());
        let until = self.until.as_microsecond();
        let spans = days.iter().map(|day| micros(&day.span));
        let spans: Vec<_> = spans.map(|(start, end)| (start, end.min(until))).collect();
        let layers = [unwatched, unknown, alarms_off, down].map(|layer| measured(&layer, &spans));
        let sums = spans.iter().enumerate().map(|(i, (start, end))| {
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

/// From and to, in microseconds.
type Piece = (i64, i64);

fn micros(range: &Range<Timestamp>) -> Piece {
    (range.start.as_microsecond(), range.end.as_microsecond())
}

fn list(ranges: &[Range<Timestamp>]) -> Vec<Piece> {
    ranges.iter().map(micros).collect()
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// In order, and each moment once.
fn merged(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.retain(|(start, end)| start < end);
    pieces.sort_unstable();
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for (start, end) in pieces {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// What is in both, which are merged.
fn common(a: &[Piece], b: &[Piece]) -> Vec<Piece> {
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

/// So much of each span is covered by the pieces; both are in order.
fn measured(pieces: &[Piece], spans: &[Piece]) -> Vec<i64> {
    let mut first = 0;
    let measure = spans.iter().map(|(start, end)| {
        while pieces.get(first).is_some_and(|piece| piece.1 <= *start) {
            first += 1;
        }
        let within = pieces[first..].iter().take_while(|piece| piece.0 < *end);
        within
            .map(|piece| (piece.1.min(*end) - piece.0.max(*start)).max(0))
            .sum()
    });
    measure.collect()
}

#[cfg(test)]
mod tests;
