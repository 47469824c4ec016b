//! What a history holds of one monitor, summed up.

use std::{ops::Range, time::Duration};

use apmon_core::{
    Incident, IncidentKind, MonitorState, StoreError,
    history::{Availability, Day, Timeline, days},
};
use apmon_store::{History, Span};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::when::between;

/// The time that is looked at.
pub(super) struct Frame {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) days: Vec<Day>,
}

/// One monitor.
pub(super) struct Report {
    pub(super) monitor: String,
    /// Oldest first.
    pub(super) incidents: Vec<Told>,
    /// Days, then months, then years, each oldest first; without those before
    /// it was watched.
    pub(super) periods: Vec<Period>,
    /// All days together.
    pub(super) all: Availability,
}

/// An incident, and who heard of it.
pub(super) struct Told {
    pub(super) incident: Incident,
    /// It goes on.
    pub(super) is_open: bool,
    /// Messages that a receiver took, on all channels.
    pub(super) delivered: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grain {
    Day,
    Month,
    Year,
}

/// A day, a month or a year.
pub(super) struct Period {
    pub(super) grain: Grain,
    /// `2026-11-21`, `2026-11`, `2026`
    pub(super) name: String,
    pub(super) span: Range<Timestamp>,
    pub(super) sums: Availability,
}

impl Frame {
    /// So many days up to `now`, today included.
    pub(super) fn new(count: u32, now: Timestamp, zone: TimeZone) -> Self {
        let back = Duration::from_secs(u64::from(count) * 86_400);
        let from = now.checked_sub(back).unwrap_or(Timestamp::MIN);
        let mut days = days(&(from..now), &zone);
        let surplus = days.len().saturating_sub(count as usize);
        days.drain(..surplus);
        Self { now, zone, days }
    }

    pub(super) fn from(&self) -> Timestamp {
        self.days.first().map_or(self.now, |day| day.span.start)
    }

    pub(super) fn span(&self) -> Span {
        self.from()..=self.now
    }
}

impl Report {
    /// Reads one monitor's.
    pub(super) fn read(history: &History, monitor: &str, frame: &Frame) -> Result<Self, StoreError> {
        let state = history.state(monitor)?.unwrap_or_default();
        let incidents = history.incidents(Some(monitor), &frame.span())?;
        let days = match history.watched(monitor)? {
            None => Vec::new(),
            Some(watched) => {
                let stretches = history.stretches(monitor, frame.from())?;
                let times = Timeline::of(watched, &state, &incidents, &stretches, frame.now);
                let sums = times.availability(&frame.days).into_iter();
                let days = frame.days.iter().zip(sums);
                let days = days.skip_while(|(_, sums)| sums.unwatched == sums.total());
                days.filter(|(_, sums)| !sums.total().is_zero()).collect()
            }
        };
        let delivered = match incidents.is_empty() {
            true => Default::default(),
            false => history.delivered(monitor)?,
        };
        let told = incidents.into_iter().map(|incident| Told {
            delivered: delivered.get(&incident.id).copied().unwrap_or(0),
            ..Told::new(incident, &state)
        });
        Ok(Self {
            monitor: monitor.to_owned(),
            incidents: told.collect(),
            all: days.iter().map(|(_, sums)| *sums).sum(),
            periods: periods(&days),
        })
    }

    /// The last of a grain, if it is the one that `now` is in.
    pub(super) fn present(&self, grain: Grain, frame: &Frame) -> Option<&Availability> {
        let mut same = self.periods.iter().filter(|period| period.grain == grain);
        same.next_back()
            .filter(|period| period.span.end > frame.now)
            .map(|period| &period.sums)
    }
}

impl Told {
    pub(super) fn new(incident: Incident, state: &MonitorState) -> Self {
        Self {
            is_open: incident.is_open(state),
            delivered: 0,
            incident,
        }
    }

    /// How long it lasted, or lasts by now; `None` of what has no length, or of
    /// which the end is not known.
    pub(super) fn lasted(&self, now: Timestamp) -> Option<Duration> {
        if matches!(self.incident.kind, IncidentKind::Notice(_)) {
            return None;
        }
        let end = self.incident.ended.or(self.is_open.then_some(now))?;
        Some(between(self.incident.started, end))
    }

    /// `outage`, `unknown`, or a notice's label.
    pub(super) fn kind(&self) -> &str {
        match &self.incident.kind {
            IncidentKind::Unknown => "unknown",
            IncidentKind::Notice(label) => label,
            _ => "outage",
        }
    }
}

fn periods(days: &[(&Day, Availability)]) -> Vec<Period> {
    let by_day = days.iter().map(|(day, sums)| Period {
        grain: Grain::Day,
        name: day.date.to_string(),
        span: day.span.clone(),
        sums: *sums,
    });
    let month = |date: Date| format!("{:04}-{:02}", date.year(), date.month());
    let year = |date: Date| format!("{:04}", date.year());
    by_day
        .chain(grouped(days, Grain::Month, month))
        .chain(grouped(days, Grain::Year, year))
        .collect()
}

fn grouped(days: &[(&Day, Availability)], grain: Grain, name: impl Fn(Date) -> String) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    for (day, sums) in days {
        let name = name(day.date);
        match periods.last_mut().filter(|last| last.name == name) {
            Some(last) => {
                last.span.end = day.span.end;
                last.sums = last.sums + *sums;
            }
            None => periods.push(Period {
                grain,
                name,
                span: day.span.clone(),
                sums: *sums,
            }),
        }
    }
    periods
}

impl Grain {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}
