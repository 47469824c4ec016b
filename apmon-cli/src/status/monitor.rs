//! One monitor in full: its condition, and who is notified of it.

use apmon_core::{
    MonitorStatus, SiteStatus,
    text::{nearest, printable},
};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    SiteReport,
    text::{channels, monitors_table, notifications, reason, source, state},
};
use crate::{
    human_time::{ago, between, duration, timestamp, until},
    table::wrap,
};

/// The width of the column of names.
const NAMES: usize = 12;
/// The least width of the texts beside it.
const LEAST: usize = 24;

/// Reduces a status to the monitor or the part of this name.
///
/// # Errors
/// If the site has no such monitor.
pub(super) fn only(status: &mut SiteStatus, name: &str) -> anyhow::Result<()> {
    let of_monitor = |monitor: MonitorStatus| {
        let mut parts = monitor.parts.iter().filter(|part| part.name == name);
        match parts.next().cloned() {
            Some(part) if monitor.name != name => part,
            _ => monitor,
        }
    };
    let names = status.monitors.iter();
    let names = names.flat_map(|monitor| std::iter::once(monitor).chain(&monitor.parts));
    let hint = nearest(name, names.map(|monitor| monitor.name.as_str()))
        .map(|near| format!("; did you mean \"{}\"?", printable(near)))
        .unwrap_or_default();
    let all = std::mem::take(&mut status.monitors).into_iter();
    status.monitors = all
        .map(of_monitor)
        .filter(|monitor| monitor.name == name)
        .collect();
    anyhow::ensure!(
        !status.monitors.is_empty(),
        "{}: no monitor is called \"{}\"{hint}",
        printable(&status.site),
        printable(name)
    );
    Ok(())
}

/// Renders the monitor, its parts, the channels, and the notifications about it that are not
/// delivered yet.
pub(super) fn render(report: &SiteReport, name: &str, zone: &TimeZone, width: Option<usize>) -> String {
    let status = &report.status;
    let Some(monitor) = status.monitors.iter().find(|monitor| monitor.name == name) else {
        return String::new();
    };
    let mut parts = vec![
        format!("{}\n{}", head(monitor, status, zone), source(report, zone)),
        facts(monitor, status.at, zone, width),
    ];
    if !monitor.parts.is_empty() {
        parts.push(monitors_table(
            monitor.parts.iter().collect(),
            status.at,
            zone,
            width,
        ));
    }
    if !status.channels.is_empty() {
        parts.push(channels(status, zone, width));
    }
    if !status.outbox.oldest.is_empty() {
        parts.push(notifications(status, zone, width));
    }
    parts.join("\n\n")
}

/// `nas in Home: down since 14:01:11 (3m 49s)`
fn head(monitor: &MonitorStatus, status: &SiteStatus, zone: &TimeZone) -> String {
    let since = monitor.since.map(|since| {
        let (at, lasted) = (timestamp(since, status.at, zone), between(since, status.at));
        format!(" since {at} ({})", duration(lasted))
    });
    format!(
        "{} in {}: {}{}",
        printable(&monitor.name),
        printable(&status.site),
        state(monitor),
        since.unwrap_or_default()
    )
}

fn facts(monitor: &MonitorStatus, now: Timestamp, zone: &TimeZone, width: Option<usize>) -> String {
    let moment = |at: Timestamp| format!("{} ({})", timestamp(at, now, zone), ago(at, now));
    let text = |text: &str| printable(text).into_owned();
    let checked = monitor.last_checked.map(moment);
    let next = match (monitor.checking, monitor.next_check) {
        (true, _) => Some("now".to_owned()),
        (false, at) => at.map(|at| until(at, now)),
    };
    let failed = (monitor.down_count > 0).then(|| match monitor.max_retries {
        Some(of) => format!("{} in a row; {of} are an outage", monitor.down_count),
        None => format!("{} in a row", monitor.down_count),
    });
    let heartbeat = match (monitor.last_heartbeat, monitor.next_heartbeat) {
        (None, None) => None,
        (last, next) => {
            let last = last.map(|at| format!("last accepted {}", moment(at)));
            let next = next.map(|at| format!("next {}", until(at, now)));
            Some([last, next].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    };
    let mut rows = vec![
        ("type", monitor.kind.as_deref().map(text)),
        ("address", monitor.address.as_deref().map(text)),
        ("reason", Some(reason(monitor, now, zone))),
        ("checked", checked),
        ("next check", next),
        ("failed", failed),
        (
            "answered in",
            monitor.last_response_time_ms.map(|ms| format!("{ms} ms")),
        ),
        ("notified", monitor.announcement.as_deref().map(text)),
        ("reminder", monitor.next_reminder.map(|at| until(at, now))),
    ];
    for (channel, why) in &monitor.left_out {
        rows.push(("left out", Some(format!("{} {}", text(channel), text(why)))));
    }
    rows.push(("heartbeat", heartbeat));
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(NAMES + 1).max(LEAST));
    let lines = rows.flat_map(|(name, value)| {
        let lines = wrap(&value, room).into_iter().enumerate();
        lines.map(move |(at, line)| {
            let name = if at == 0 { name } else { "" };
            format!("{name:NAMES$} {line}")
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}
