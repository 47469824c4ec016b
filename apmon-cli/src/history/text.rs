//! The history for people.

use std::{io::Write, time::Duration};

use apmon_core::{Incident, StoreError, history::Availability, text::printable};

use super::{
    Open,
    report::{Frame, Grain, Period, Report, Told},
};
use crate::{
    table::{fit, render_filled},
    when::{brief, moment},
};

/// Of all monitors so many incidents are listed, the newest.
const NEWEST: u32 = 20;
/// The same of one monitor.
const OF_ONE: usize = 100;

/// Site by site.
pub(super) fn write(out: &mut dyn Write, sites: &[Open], frame: &Frame) -> anyhow::Result<()> {
    for (n, site) in sites.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        let text = match (site.single, &site.monitors[..]) {
            (true, [monitor]) => of_one(site, monitor, frame),
            _ => of_all(site, frame),
        };
        let text = text.map_err(|error| anyhow::anyhow!("{}", error.one_line()))?;
        writeln!(out, "{text}")?;
    }
    Ok(())
}

const NOTE: &str = "The share is of the time known to be up or down, up to the last look. Apart are silenced time (down\nwhile \
                    nobody was to be told), unknown time, and time in which nobody looked.";

fn of_all(site: &Open, frame: &Frame) -> Result<String, StoreError> {
    let mut rows = Vec::new();
    for monitor in &site.monitors {
        let report = Report::read(&site.history, monitor, frame)?;
        let share = |grain| report.present(grain, frame).map_or(String::new(), share);
        let mut row = vec![
            printable(monitor).into_owned(),
            share(Grain::Day),
            share(Grain::Month),
            share(Grain::Year),
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
        "SILENCED",
        "UNKNOWN",
        "UNWATCHED",
    ];
    let days = frame.days.len();
    let mut text = format!(
        "{}: availability; times are of the last {days} days",
        printable(&site.site)
    );
    text.push_str(&format!("\n\n{}\n\n{NOTE}", render_filled(&head, &rows)));
    let newest = site.history.newest_incidents(&frame.span(), NEWEST)?;
    let all = site.history.count_incidents(&frame.span())?;
    let told = newest.into_iter().map(|incident| told(site, incident));
    let told: Vec<Told> = told.collect::<Result<_, _>>()?;
    let older = (all as usize).saturating_sub(told.len());
    text.push_str(&incidents(told.iter(), older, frame, true));
    Ok(text)
}

fn told(site: &Open, incident: Incident) -> Result<Told, StoreError> {
    let state = site.history.state(&incident.monitor)?.unwrap_or_default();
    let mut told = Told::new(incident, &state);
    let delivered = site.history.delivered(&told.incident.monitor)?;
    told.delivered = delivered.get(&told.incident.id).copied().unwrap_or(0);
    Ok(told)
}

fn of_one(site: &Open, monitor: &str, frame: &Frame) -> Result<String, StoreError> {
    let report = Report::read(&site.history, monitor, frame)?;
    let mut text = format!(
        "{} in {}: availability by year, month and day",
        printable(monitor),
        printable(&site.site)
    );
    let of = |grain| {
        report
            .periods
            .iter()
            .filter(move |period: &&Period| period.grain == grain)
    };
    let is_quiet = |period: &&Period| period.sums.up == period.sums.total();
    let quiet = of(Grain::Day).filter(is_quiet).count();
    let days = of(Grain::Day).filter(|period| !is_quiet(period));
    let periods = of(Grain::Year).chain(of(Grain::Month)).chain(days);
    let rows: Vec<_> = periods
        .map(|period| {
            let mut row = vec![period.name.clone(), share(&period.sums), brief(period.sums.up)];
            row.extend(times(&period.sums));
            row
        })
        .collect();
    if rows.is_empty() {
        text.push_str("\n\nnot watched in this time, as far as is known");
    } else {
        let head = [
            "PERIOD",
            "SHARE",
            "UP",
            "DOWN",
            "SILENCED",
            "UNKNOWN",
            "UNWATCHED",
        ];
        text.push_str(&format!("\n\n{}", render_filled(&head, &rows)));
        if quiet > 0 {
            let were = if quiet == 1 {
                "day is not shown: it was"
            } else {
                "days are not shown: they were"
            };
            text.push_str(&format!("\n{quiet} {were} up all the time"));
        }
        text.push_str(&format!("\n\n{NOTE}"));
    }
    let newest = report.incidents.iter().rev().take(OF_ONE);
    let older = report.incidents.len().saturating_sub(OF_ONE);
    text.push_str(&incidents(newest, older, frame, false));
    Ok(text)
}

/// `99.93 %`: cut, not rounded, so that no failure becomes nothing.
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
        time => brief(time),
    })
}

/// A table of them, newest first.
fn incidents<'a>(
    told: impl Iterator<Item = &'a Told>,
    older: usize,
    frame: &Frame,
    with_names: bool,
) -> String {
    let at = |at| moment(at, frame.now, &frame.zone);
    let mut rows: Vec<Vec<String>> = told
        .map(|told| {
            let incident = &told.incident;
            let name = if with_names { &incident.monitor } else { "" };
            vec![
                at(incident.started),
                match (incident.ended, told.is_open) {
                    (Some(ended), _) => at(ended),
                    (None, true) => "goes on".to_owned(),
                    (None, false) => "not known".to_owned(),
                },
                told.lasted(frame.now).map_or(String::new(), brief),
                printable(told.kind()).into_owned(),
                match (incident.messages, told.delivered) {
                    (0, _) => "nobody".to_owned(),
                    (n, 0) => format!("{n}, none taken"),
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
        "STARTED", "ENDED", "LASTED", "INCIDENT", "TOLD", "MONITOR", "REASON",
    ];
    fit(&head, &mut rows, 5, 6);
    let mut text = format!("\n\n{}", render_filled(&head, &rows));
    if older > 0 {
        text.push_str(&format!(
            "\n... and {older} older ones (--csv and --json have all)"
        ));
    }
    text
}

#[cfg(test)]
mod tests;
