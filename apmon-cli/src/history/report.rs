//! The history of one monitor, summed up by day, month and year.

use std::{collections::HashMap, ops::Range, time::Duration};

use apmon_core::{
    Delivery, Incident, IncidentKind, MonitorState, StoreError,
    history::{Availability, Day, Timeline, days},
};
use apmon_store::{History, Span};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::human_time::between;

/// The days to report on, and the form of the report.
pub(super) struct TimeFrame {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) days: Vec<Day>,
    /// The width of a line of text; `None` if lines may have any.
    pub(super) width: Option<usize>,
}

/// The report on one monitor.
pub(super) struct Report {
    pub(super) monitor: String,
    /// Oldest first.
    pub(super) incidents: Vec<IncidentReport>,
    /// Days, then months, then years, each oldest first; without the time before
    /// the monitor was watched.
    pub(super) periods: Vec<Period>,
    /// The sums of all days.
    pub(super) all: Availability,
}

/// An incident, and how many of its notifications were delivered.
pub(super) struct IncidentReport {
    pub(super) incident: Incident,
    /// Whether the incident is ongoing.
    pub(super) is_open: bool,
    /// Notifications delivered, on all channels.
    pub(super) delivered: u32,
    /// Deliveries that failed, or did so before they succeeded, oldest first.
    pub(super) failures: Vec<Delivery>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PeriodKind {
    Day,
    Month,
    Year,
}

/// A day, a month or a year.
pub(super) struct Period {
    pub(super) kind: PeriodKind,
    /// `2026-11-21`, `2026-11` or `2026`.
    pub(super) name: String,
    pub(super) span: Range<Timestamp>,
    pub(super) sums: Availability,
}

impl TimeFrame {
    /// The last `count` days up to `now`, including today.
    pub(super) fn new(count: u32, now: Timestamp, zone: TimeZone) -> Self {
        let back = Duration::from_secs(u64::from(count) * 86_400);
        let from = now.checked_sub(back).unwrap_or(Timestamp::MIN);
        let mut days = days(&(from..now), &zone);
        let surplus = days.len().saturating_sub(count as usize);
        days.drain(..surplus);
        Self {
            now,
            zone,
            days,
            width: None,
        }
    }

    pub(super) fn from(&self) -> Timestamp {
        self.days.first().map_or(self.now, |day| day.span.start)
    }

    pub(super) fn span(&self) -> Span {
        self.from()..=self.now
    }
}

impl Report {
    /// Reads the report on one monitor.
    pub(super) fn read(history: &History, monitor: &str, frame: &TimeFrame) -> Result<Self, StoreError> {
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
        let (delivered, mut failures) = match incidents.is_empty() {
            true => Default::default(),
            false => (history.delivered(monitor)?, failures(history, monitor, frame)?),
        };
        let incidents = incidents.into_iter().map(|incident| IncidentReport {
            delivered: delivered.get(&incident.id).copied().unwrap_or(0),
            failures: failures.remove(&incident.id).unwrap_or_default(),
            ..IncidentReport::new(incident, &state)
        });
        Ok(Self {
            monitor: monitor.to_owned(),
            incidents: incidents.collect(),
            all: days.iter().map(|(_, sums)| *sums).sum(),
            periods: periods(&days),
        })
    }

    /// The sums of the current day, month or year.
    pub(super) fn current(&self, kind: PeriodKind, frame: &TimeFrame) -> Option<&Availability> {
        let mut same = self.periods.iter().filter(|period| period.kind == kind);
        same.next_back()
            .filter(|period| period.span.end > frame.now)
            .map(|period| &period.sums)
    }
}

/// The deliveries of a monitor that failed at least once, by incident.
fn failures(
    history: &History,
    monitor: &str,
    frame: &TimeFrame,
) -> Result<HashMap<String, Vec<Delivery>>, StoreError> {
    let mut failures: HashMap<String, Vec<Delivery>> = HashMap::new();
    for delivery in history.deliveries(Some(monitor), &frame.span())? {
        if delivery.error.is_some() {
            failures
                .entry(delivery.incident.clone())
                .or_default()
                .push(delivery);
        }
    }
    Ok(failures)
}

impl IncidentReport {
    pub(super) fn new(incident: Incident, state: &MonitorState) -> Self {
        Self {
            is_open: incident.is_open(state),
            delivered: 0,
            failures: Vec::new(),
            incident,
        }
    }

    /// How long the incident lasted, or has lasted so far; `None` if it has no duration
    /// or its end is not known.
    pub(super) fn duration(&self, now: Timestamp) -> Option<Duration> {
        if matches!(self.incident.kind, IncidentKind::Notice(_)) {
            return None;
        }
        let end = self.incident.ended.or(self.is_open.then_some(now))?;
        Some(between(self.incident.started, end))
    }

    /// The kind: `outage`, `unknown`, or the label of a notice.
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
        kind: PeriodKind::Day,
        name: day.date.to_string(),
        span: day.span.clone(),
        sums: *sums,
    });
    let month = |date: Date| format!("{:04}-{:02}", date.year(), date.month());
    let year = |date: Date| format!("{:04}", date.year());
    by_day
        .chain(grouped(days, PeriodKind::Month, month))
        .chain(grouped(days, PeriodKind::Year, year))
        .collect()
}

fn grouped(days: &[(&Day, Availability)], kind: PeriodKind, name: impl Fn(Date) -> String) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    for (day, sums) in days {
        let name = name(day.date);
        match periods.last_mut().filter(|last| last.name == name) {
            Some(last) => {
                last.span.end = day.span.end;
                last.sums = last.sums + *sums;
            }
            None => periods.push(Period {
                kind,
                name,
                span: day.span.clone(),
                sums: *sums,
            }),
        }
    }
    periods
}

impl PeriodKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}
