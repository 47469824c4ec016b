//! The status of a site as text: at most 100 columns wide, problems first.

use apmon_core::{ChannelStatus, Condition, MonitorStatus, SiteStatus, text::printable};
use jiff::{Timestamp, tz::TimeZone};

use super::SiteReport;
use crate::{
    api::ApiError,
    human_time::{ago, between, duration, timestamp, until},
    plural::count,
    table::{WIDTH, cut, fit, render_filled},
};

/// How many undelivered notifications are listed.
const SHOWN: usize = 5;

/// Renders the whole status.
pub(super) fn render(report: &SiteReport, zone: &TimeZone) -> String {
    let status = &report.status;
    let mut parts = vec![head(report, zone)];
    if !status.monitors.is_empty() {
        parts.push(monitors(status, zone));
    }
    if !status.channels.is_empty() {
        parts.push(channels(status, zone));
    }
    if !status.outbox.oldest.is_empty() {
        parts.push(notifications(status, zone));
    }
    parts.join("\n\n")
}

/// The summary, `Home: 12 monitors: 10 up, 1 down, 1 unknown; outbox: 2 waiting, 1
/// refused`, and the source of the status.
fn head(report: &SiteReport, zone: &TimeZone) -> String {
    let status = &report.status;
    let mut lines = vec![format!(
        "{}: {}; {}",
        printable(&status.site),
        summary(&status.monitors),
        outbox(status)
    )];
    let checked = status
        .monitors
        .iter()
        .filter_map(|monitor| monitor.last_checked)
        .max();
    let checked = checked.map(|at| {
        format!(
            "; as of {}, {}",
            timestamp(at, status.at, zone),
            ago(at, status.at)
        )
    });
    let checked = checked.unwrap_or_else(|| "; nothing has been checked yet".to_owned());
    lines.push(match (&report.daemon_error, status.started) {
        (None, started) => {
            let started = started.unwrap_or(status.at);
            let mut line = format!(
                "daemon since {} ({})",
                timestamp(started, status.at, zone),
                duration(between(started, status.at))
            );
            if let Some(checks) = &status.checks {
                line.push_str(&format!(
                    "; {}, {} missed; 99% started at most {:.1} ms late",
                    count(checks.ended, "check"),
                    checks.missed,
                    checks.late_p99_ms
                ));
            }
            line
        }
        (Some(ApiError::NotRun { pid, reason }), _) => format!(
            "the daemon (process {pid}) does not run this site{checked}\nreason: {}",
            printable(reason)
        ),
        (Some(error), _) => cut(&printable(&format!("{error}{checked}")), WIDTH),
    });
    if let Some(error) = &report.daemon_error {
        let state_file = report.location.state_file.display().to_string();
        lines.push(format!("state file: {}", printable(&state_file)));
        if matches!(error, ApiError::NoDaemon | ApiError::NotFound) {
            let search = report.location.search.to_string();
            lines.extend(search.split("; ").map(str::to_owned));
        }
    }
    if status.no_notify {
        lines.push("no notifications are sent: --no-notify".to_owned());
    }
    if status.unsaved {
        lines.push("STATE CANNOT BE SAVED (see the log); monitoring continues from memory".to_owned());
    }
    lines.join("\n")
}

/// The numbers of monitors and, where there are some, of parts: `12 monitors: 12 up; 48 parts: 47
/// up, 1 down`.
fn summary(monitors: &[MonitorStatus]) -> String {
    let parts: Vec<_> = monitors.iter().flat_map(|monitor| &monitor.parts).collect();
    let summary = in_states(&monitors.iter().collect::<Vec<_>>(), "monitor");
    match parts.is_empty() {
        true => summary,
        false => format!("{summary}; {}", in_states(&parts, "part")),
    }
}

fn in_states(monitors: &[&MonitorStatus], noun: &str) -> String {
    let in_state = |state| monitors.iter().filter(|monitor| monitor.state == state).count();
    let mut parts = vec![format!("{} up", in_state(Condition::Up))];
    let others = [
        (Condition::Down, "down"),
        (Condition::Unknown, "unknown"),
        (Condition::Soft, "soft"),
        (Condition::Pending, "pending"),
    ];
    for (state, word) in others {
        if let n @ 1.. = in_state(state) {
            parts.push(format!("{n} {word}"));
        }
    }
    format!("{}: {}", count(monitors.len(), noun), parts.join(", "))
}

fn outbox(status: &SiteStatus) -> String {
    match (status.outbox.waiting, status.outbox.refused) {
        (0, 0) => "outbox: empty".to_owned(),
        (waiting, 0) => format!("outbox: {waiting} waiting"),
        (waiting, refused) => format!("outbox: {waiting} waiting, {refused} refused"),
    }
}

/// The table of monitors and their parts: problems first, then by name.
fn monitors(status: &SiteStatus, zone: &TimeZone) -> String {
    let now = status.at;
    let monitors = status.monitors.iter();
    let mut monitors: Vec<_> = monitors
        .flat_map(|monitor| std::iter::once(monitor).chain(&monitor.parts))
        .collect();
    monitors.sort_by(|a, b| a.state.cmp(&b.state).then_with(|| a.name.cmp(&b.name)));
    let at = |at: Option<Timestamp>| at.map_or(String::new(), |at| timestamp(at, now, zone));
    let mut rows: Vec<Vec<String>> = monitors
        .iter()
        .map(|monitor| {
            vec![
                state(monitor),
                printable(&monitor.name).into_owned(),
                at(monitor.since),
                monitor.last_checked.map_or(String::new(), |at| ago(at, now)),
                match monitor.checking {
                    true => "now".to_owned(),
                    false => monitor.next_check.map_or(String::new(), |at| until(at, now)),
                },
                monitor.next_reminder.map_or(String::new(), |at| until(at, now)),
                reason(monitor, now, zone),
            ]
        })
        .collect();
    let head = [
        "STATE", "MONITOR", "SINCE", "CHECKED", "NEXT", "REMINDER", "REASON",
    ];
    fit(&head, &mut rows, 1, 6);
    render_filled(&head, &rows)
}

fn state(monitor: &MonitorStatus) -> String {
    match (monitor.state, monitor.max_retries) {
        (Condition::Soft, Some(of)) => format!("soft {}/{of}", monitor.down_count),
        (state, _) => state.as_str().to_owned(),
    }
}

fn reason(monitor: &MonitorStatus, now: Timestamp, zone: &TimeZone) -> String {
    if monitor.state == Condition::Up {
        return String::new();
    }
    let mut reason = monitor
        .reason
        .as_deref()
        .map_or(String::new(), |text| printable(text).into_owned());
    if let (Condition::Down, Some(since)) = (monitor.state, monitor.unknown_since) {
        reason = format!("unknown since {}: {reason}", timestamp(since, now, zone));
    }
    if monitor.state == Condition::Down && monitor.alarms == Some(false) {
        reason = format!("alarms off: {reason}");
    }
    reason
}

fn channels(status: &SiteStatus, zone: &TimeZone) -> String {
    let now = status.at;
    let mut rows: Vec<Vec<String>> = status
        .channels
        .iter()
        .map(|channel| {
            let at = |at: Option<Timestamp>| at.map_or(String::new(), |at| timestamp(at, now, zone));
            let number = |n: usize| if n == 0 { String::new() } else { n.to_string() };
            vec![
                health(channel, now),
                printable(&channel.id).into_owned(),
                number(channel.waiting),
                number(channel.refused),
                at(channel.last_delivered),
                channel.next_try.map_or(String::new(), |at| until(at, now)),
                channel
                    .last_error
                    .as_deref()
                    .map_or(String::new(), |text| printable(text).into_owned()),
            ]
        })
        .collect();
    let head = [
        "HEALTH",
        "CHANNEL",
        "WAITING",
        "REFUSED",
        "DELIVERED",
        "NEXT",
        "LAST ERROR",
    ];
    fit(&head, &mut rows, 1, 6);
    render_filled(&head, &rows)
}

fn health(channel: &ChannelStatus, now: Timestamp) -> String {
    match channel.failing_since {
        Some(since) => format!("failing {}", duration(between(since, now))),
        None if channel.last_delivered.is_some() => "good".to_owned(),
        None if channel.last_error.is_some() => "failing".to_owned(),
        None => "untried".to_owned(),
    }
}

fn notifications(status: &SiteStatus, zone: &TimeZone) -> String {
    let outbox = &status.outbox;
    let mut rows: Vec<Vec<String>> = outbox
        .oldest
        .iter()
        .take(SHOWN)
        .map(|notification| {
            vec![
                if notification.refused {
                    "refused"
                } else {
                    "waiting"
                }
                .to_owned(),
                printable(&notification.channel).into_owned(),
                timestamp(notification.at, status.at, zone),
                notification.attempts.to_string(),
                printable(&notification.text).into_owned(),
            ]
        })
        .collect();
    let head = ["NOTIFICATION", "CHANNEL", "CREATED", "TRIES", "TEXT"];
    fit(&head, &mut rows, 1, 4);
    let mut text = render_filled(&head, &rows);
    let all = outbox.waiting + outbox.refused;
    if let Some(more @ 1..) = all.checked_sub(rows.len()) {
        text.push_str(&format!("\n... and {more} newer ones"));
    }
    text
}

#[cfg(test)]
mod tests;
