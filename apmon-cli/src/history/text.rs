//! The history as text.

use std::{io::Write, time::Duration};

use apmon_core::{Incident, StoreError, history::Availability, text::printable};

use super::{
    SiteHistory,
    report::{IncidentReport, Period, PeriodKind, Report, TimeFrame},
};
use crate::{
    human_time::{duration, timestamp},
    plural::count,
    table::{render_filled, render_wrapped},
};

/// How many of the newest incidents of a site are listed.
const NEWEST_OF_SITE: u32 = 20;
/// How many of the newest incidents of a single monitor are listed.
const NEWEST_OF_MONITOR: usize = 100;
/// The most failed deliveries of one monitor that are shown, the newest ones.
const NEWEST_FAILURES: usize = 20;

/// Writes the history of each site.
pub(super) fn write(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    for (n, site) in sites.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        let text = match (site.single, &site.monitors[..]) {
            (true, [monitor]) => single_monitor(site, monitor, frame),
            _ => all_monitors(site, frame),
        };
        let text = text.map_err(|error| anyhow::anyhow!("{}", error.one_line()))?;
        writeln!(out, "{text}")?;
    }
    Ok(())
}

const NOTE: &str = "Availability is up / (up + down) until the last check. Time down while alarms were off, unknown time\n\
                    and unwatched time (without checks) are not counted.";

fn all_monitors(site: &SiteHistory, frame: &TimeFrame) -> Result<String, StoreError> {
    let mut rows = Vec::new();
    for monitor in &site.monitors {
        let report = Report::read(&site.history, monitor, frame)?;
        let share = |kind| report.current(kind, frame).map_or(String::new(), share);
        let mut row = vec![
            printable(monitor).into_owned(),
            share(PeriodKind::Day),
            share(PeriodKind::Month),
            share(PeriodKind::Year),
        ];
        row.extend(times(&report.all));
        rows.push(row);
    }
    let head = [
        "MONITOR",
        "TODAY",
        "MONTH",
        "YEAR",
        "DOWN",
        "ALARMS OFF",
        "UNKNOWN",
        "UNWATCHED",
    ];
    let mut text = format!(
        "{}: availability; times cover the last {}",
        printable(&site.site),
        count(frame.days.len(), "day")
    );
    text.push_str(&format!("\n\n{}\n\n{NOTE}", render_filled(&head, &rows)));
    let newest = site.history.newest_incidents(&frame.span(), NEWEST_OF_SITE)?;
    let all = site.history.count_incidents(&frame.span())?;
    let reports = newest.into_iter().map(|incident| incident_report(site, incident));
    let reports: Vec<IncidentReport> = reports.collect::<Result<_, _>>()?;
    let older = (all as usize).saturating_sub(reports.len());
    text.push_str(&incidents(reports.iter(), older, frame, true));
    Ok(text)
}

fn incident_report(site: &SiteHistory, incident: Incident) -> Result<IncidentReport, StoreError> {
    let state = site.history.state(&incident.monitor)?.unwrap_or_default();
    let mut report = IncidentReport::new(incident, &state);
    let delivered = site.history.delivered(&report.incident.monitor)?;
    report.delivered = delivered.get(&report.incident.id).copied().unwrap_or(0);
    Ok(report)
}

fn single_monitor(site: &SiteHistory, monitor: &str, frame: &TimeFrame) -> Result<String, StoreError> {
    let report = Report::read(&site.history, monitor, frame)?;
    let mut text = format!(
        "{} in {}: availability by year, month and day",
        printable(monitor),
        printable(&site.site)
    );
    let periods = |kind| {
        report
            .periods
            .iter()
            .filter(move |period: &&Period| period.kind == kind)
    };
    let is_all_up = |period: &&Period| period.sums.up == period.sums.total();
    let hidden = periods(PeriodKind::Day).filter(is_all_up).count();
    let days = periods(PeriodKind::Day).filter(|period| !is_all_up(period));
    let periods = periods(PeriodKind::Year)
        .chain(periods(PeriodKind::Month))
        .chain(days);
    let rows: Vec<_> = periods
        .map(|period| {
            let mut row = vec![period.name.clone(), share(&period.sums), duration(period.sums.up)];
            row.extend(times(&period.sums));
            row
        })
        .collect();
    if rows.is_empty() {
        text.push_str("\n\nnot watched in this period, as far as is known");
    } else {
        let head = [
            "PERIOD",
            "AVAILABILITY",
            "UP",
            "DOWN",
            "ALARMS OFF",
            "UNKNOWN",
            "UNWATCHED",
        ];
        text.push_str(&format!("\n\n{}", render_filled(&head, &rows)));
        if hidden > 0 {
            text.push_str(&format!(
                "\nnot shown: {} of continuous uptime",
                count(hidden, "day")
            ));
        }
        text.push_str(&format!("\n\n{NOTE}"));
    }
    let newest = report.incidents.iter().rev().take(NEWEST_OF_MONITOR);
    let older = report.incidents.len().saturating_sub(NEWEST_OF_MONITOR);
    text.push_str(&incidents(newest, older, frame, false));
    text.push_str(&failures(&report, frame));
    Ok(text)
}

/// The newest deliveries that failed, and why.
fn failures(report: &Report, frame: &TimeFrame) -> String {
    let all = report.incidents.iter().flat_map(|report| &report.failures);
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|failure| std::cmp::Reverse(failure.at));
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(NEWEST_FAILURES)
        .map(|failure| {
            vec![
                timestamp(failure.at, frame.now, &frame.zone),
                printable(&failure.channel).into_owned(),
                printable(&failure.label).into_owned(),
                failure.fate.as_str().to_owned(),
                printable(failure.error.as_deref().unwrap_or_default()).into_owned(),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => {
            let head = ["AT", "CHANNEL", "NOTIFICATION", "RESULT", "LAST ERROR"];
            format!("\n\n{}", render_filled(&head, &rows))
        }
    }
}

/// The share of up time, `99.93 %`: truncated and not rounded, so that no failure is
/// hidden.
fn share(sums: &Availability) -> String {
    match sums.up_percent() {
        None => "-".to_owned(),
        Some(_) if sums.down.is_zero() => "100 %".to_owned(),
        Some(share) => format!("{:.2} %", (share * 100.0).floor() / 100.0),
    }
}

fn times(sums: &Availability) -> [String; 4] {
    [sums.down, sums.alarms_off, sums.unknown, sums.unwatched].map(|time| match time {
        Duration::ZERO => String::new(),
        time => duration(time),
    })
}

/// The table of incidents, newest first.
fn incidents<'a>(
    reports: impl Iterator<Item = &'a IncidentReport>,
    older: usize,
    frame: &TimeFrame,
    with_names: bool,
) -> String {
    let at = |at| timestamp(at, frame.now, &frame.zone);
    let rows: Vec<Vec<String>> = reports
        .map(|report| {
            let incident = &report.incident;
            let name = if with_names { &incident.monitor } else { "" };
            vec![
                at(incident.started),
                match (incident.ended, report.is_open) {
                    (Some(ended), _) => at(ended),
                    (None, true) => "ongoing".to_owned(),
                    (None, false) => "not known".to_owned(),
                },
                report.duration(frame.now).map_or(String::new(), duration),
                printable(report.kind()).into_owned(),
                match (incident.notifications, report.delivered) {
                    (0, _) => "none".to_owned(),
                    (n, 0) => format!("{n} undelivered"),
                    (n, _) => n.to_string(),
                },
                printable(name).into_owned(),
                printable(incident.reason.as_deref().unwrap_or_default()).into_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "\n\nno incidents".to_owned();
    }
    let head = [
        "STARTED",
        "ENDED",
        "LASTED",
        "INCIDENT",
        "NOTIFICATIONS",
        "MONITOR",
        "REASON",
    ];
    let mut text = format!("\n\n{}", render_wrapped(&head, &rows, 5, frame.width));
    if older > 0 {
        text.push_str(&format!(
            "\n... and {older} older ones (--csv and --json list all)"
        ));
    }
    text
}

#[cfg(test)]
mod tests;
