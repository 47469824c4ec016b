//! The history as CSV and JSON, written monitor by monitor: a large one is never
//! held in memory as a whole.

use std::{borrow::Cow, io::Write, time::Duration};

use apmon_core::{StoreError, history::Availability, text::printable};
use serde_json::{Value, json};

use crate::console::ascii_controls;

use super::{
    SiteHistory, local,
    report::{IncidentReport, Period, PeriodKind, Report, TimeFrame},
};

const COLUMNS: &str = "record,site,monitor,start,end,ongoing,kind,reason,messages,delivered,duration_secs,\
                       up_percent,up_secs,down_secs,alarms_off_secs,unknown_secs,unwatched_secs";

/// Writes one table for incidents and periods; a cell without a value stays empty.
pub(super) fn csv(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    write!(out, "{COLUMNS}\r\n")?;
    for site in sites {
        for monitor in &site.monitors {
            let report = read(site, monitor, frame)?;
            for incident in &report.incidents {
                row(out, &site.site, monitor, &incident_cells(incident, frame))?;
            }
            for period in &report.periods {
                row(out, &site.site, monitor, &period_cells(period, frame))?;
            }
        }
    }
    Ok(())
}

fn read(site: &SiteHistory, monitor: &str, frame: &TimeFrame) -> anyhow::Result<Report> {
    let failed = |error: StoreError| anyhow::anyhow!("{}", error.one_line());
    Report::read(&site.history, monitor, frame).map_err(failed)
}

/// The kind of a record, and its cells after the monitor's.
struct Cells {
    record: &'static str,
    cells: [String; 14],
}

fn incident_cells(report: &IncidentReport, frame: &TimeFrame) -> Cells {
    let incident = &report.incident;
    let at = |at| local(at, &frame.zone);
    let mut cells: [String; 14] = Default::default();
    cells[0] = at(incident.started);
    cells[1] = incident.ended.map(at).unwrap_or_default();
    cells[2] = report.is_open.to_string();
    cells[3] = report.kind().to_owned();
    cells[4] = incident.reason.clone().unwrap_or_default();
    cells[5] = incident.notifications.to_string();
    cells[6] = report.delivered.to_string();
    cells[7] = report.duration(frame.now).map(secs).unwrap_or_default();
    Cells {
        record: "incident",
        cells,
    }
}

fn period_cells(period: &Period, frame: &TimeFrame) -> Cells {
    let at = |at| local(at, &frame.zone);
    let sums = &period.sums;
    let mut cells: [String; 14] = Default::default();
    cells[0] = at(period.span.start);
    cells[1] = at(period.span.end);
    cells[7] = secs(sums.total());
    cells[8] = percent(sums)
        .map(|share| format!("{share:.4}"))
        .unwrap_or_default();
    let times = [sums.up, sums.down, sums.alarms_off, sums.unknown, sums.unwatched];
    for (cell, time) in cells[9..].iter_mut().zip(times) {
        *cell = secs(time);
    }
    Cells {
        record: period.kind.as_str(),
        cells,
    }
}

fn row(out: &mut dyn Write, site: &str, monitor: &str, row: &Cells) -> std::io::Result<()> {
    write!(out, "{},{},{}", row.record, quoted(site), quoted(monitor))?;
    for cell in &row.cells {
        write!(out, ",{}", quoted(cell))?;
    }
    write!(out, "\r\n")
}

/// Quotes a cell as RFC 4180 requires, and escapes what could control a terminal. A spreadsheet
/// would calculate a text that begins like a formula, so an apostrophe in front makes it text;
/// numbers stay numbers.
pub(super) fn quoted(cell: &str) -> String {
    /// With the wide forms, which some spreadsheets take for the others.
    const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let is_number = |text: &str| {
        text.parse::<f64>().is_ok() && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c))
    };
    let cell = match cell.starts_with(FORMULA) && !is_number(cell) {
        true => Cow::Owned(format!("'{}", printable(cell))),
        false => printable(cell),
    };
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into_owned()
    }
}

/// Seconds with at most three decimals.
fn secs(time: Duration) -> String {
    let text = format!("{:.3}", time.as_secs_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The share of up time, truncated and not rounded: with a failure it is never 100.
fn percent(sums: &Availability) -> Option<f64> {
    let share = sums.up_percent()?;
    Some(if sums.down.is_zero() {
        share
    } else {
        (share * 1e4).floor() / 1e4
    })
}

/// Writes `{"sites": [{"site", "state_file", "from", "to", "monitors": [...]}]}`.
pub(super) fn json(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    json_of(out, sites, frame, |site, monitor| {
        Ok(as_json(&read(site, monitor, frame)?, frame))
    })
}

/// Writes the same frame with what `each` returns for each monitor.
pub(super) fn json_of(
    out: &mut dyn Write,
    sites: &[SiteHistory],
    frame: &TimeFrame,
    each: impl Fn(&SiteHistory, &str) -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    write!(out, "{{\"sites\": [")?;
    for (n, site) in sites.iter().enumerate() {
        let head = json!({
            "site": site.site,
            "state_file": site.location.state_file.display().to_string(),
            "from": local(frame.from(), &frame.zone),
            "to": local(frame.now, &frame.zone),
        });
        let head = ascii_controls(&head.to_string());
        let head = head.strip_suffix('}').unwrap_or(&head);
        write!(out, "{}\n{head},\"monitors\": [", if n == 0 { "" } else { "," })?;
        for (n, monitor) in site.monitors.iter().enumerate() {
            writeln!(out, "{}", if n == 0 { "" } else { "," })?;
            out.write_all(ascii_controls(&each(site, monitor)?.to_string()).as_bytes())?;
        }
        write!(out, "\n]}}")?;
    }
    writeln!(out, "\n]}}")?;
    Ok(())
}

fn as_json(report: &Report, frame: &TimeFrame) -> Value {
    let at = |at| local(at, &frame.zone);
    let incidents: Vec<_> = report
        .incidents
        .iter()
        .map(|report| {
            let failures = report.failures.iter().map(|failure| {
                json!({
                    "channel": failure.channel,
                    "notification": failure.label,
                    "at": at(failure.at),
                    "result": failure.fate.as_str(),
                    "tries": failure.tries,
                    "error": failure.error,
                })
            });
            let failures: Vec<_> = failures.collect();
            let mut incident = json!({
                "id": report.incident.id,
                "kind": report.kind(),
                "start": at(report.incident.started),
                "end": report.incident.ended.map(at),
                "ongoing": report.is_open,
                "duration_secs": report.duration(frame.now).map(|time| time.as_secs_f64()),
                "reason": report.incident.reason,
                "messages": report.incident.notifications,
                "delivered": report.delivered,
            });
            if !failures.is_empty() {
                incident["failures"] = failures.into();
            }
            incident
        })
        .collect();
    let periods = |kind: PeriodKind| -> Vec<Value> {
        let same = report.periods.iter().filter(|period| period.kind == kind);
        same.map(|period| {
            let sums = &period.sums;
            json!({
                kind.as_str(): period.name,
                "start": at(period.span.start),
                "end": at(period.span.end),
                "up_percent": percent(sums),
                "up_secs": sums.up.as_secs_f64(),
                "down_secs": sums.down.as_secs_f64(),
                "alarms_off_secs": sums.alarms_off.as_secs_f64(),
                "unknown_secs": sums.unknown.as_secs_f64(),
                "unwatched_secs": sums.unwatched.as_secs_f64(),
            })
        })
        .collect()
    };
    json!({
        "monitor": report.monitor,
        "incidents": incidents,
        "days": periods(PeriodKind::Day),
        "months": periods(PeriodKind::Month),
        "years": periods(PeriodKind::Year),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_only_if_necessary() {
        let table = [
            ("plain", "plain"),
            ("a, b", "\"a, b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "two\\nlines"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("=HYPERLINK(\"http://h\")", "\"'=HYPERLINK(\"\"http://h\"\")\""),
            ("+49 170", "'+49 170"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1+1", "'-1+1"),
            ("＝1+1", "'＝1+1"),
            ("\t=1", "'\\t=1"),
            ("-12.5", "-12.5"),
            ("+3", "+3"),
            ("-", "'-"),
            ("a=b", "a=b"),
            ("", ""),
        ];
        for (cell, expected) in table {
            assert_eq!(quoted(cell), expected);
        }
    }

    #[test]
    fn a_share_with_a_failure_is_never_100_percent() {
        let sums = |up, down| Availability {
            up: Duration::from_secs(up),
            down: Duration::from_millis(down),
            ..Availability::default()
        };
        assert_eq!(percent(&sums(86_400, 0)), Some(100.0));
        assert_eq!(percent(&sums(86_400, 1)), Some(99.9999));
        assert_eq!(percent(&sums(0, 0)), None);
        assert_eq!(
            (secs(Duration::from_millis(1500)), secs(Duration::from_secs(20))),
            ("1.5".into(), "20".into())
        );
    }
}
