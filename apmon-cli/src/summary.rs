//! `--test-config`: is the file right, and what does it mean?

use std::{fmt::Display, path::PathBuf, process::ExitCode};

use apmon_core::{
    config::{ChannelOptions, MonitorEntry, SiteFile, Sourced},
    text::printable,
};

use crate::{
    channel::{self, Entry},
    console, site, table,
};

/// Checks each file and prints its monitors. Exits 0 when all are right, else 1.
pub(crate) fn run(configs: &[PathBuf], threads: Option<u32>) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for config in configs {
        match site::load(config) {
            Ok(file) => {
                console::line(&summary(&file, threads));
                let channels = channel::entries(&file);
                if !channels.is_empty() {
                    console::line(&told(&file, &channels));
                }
                for warning in site::warnings(&file, threads) {
                    tracing::warn!("{}: {warning}", printable(&file.name));
                }
                for warning in channel::warnings(&file, &channels) {
                    tracing::warn!("{}: {warning}", printable(&file.name));
                }
                hint(&file);
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                console::log_error(config, &error.into());
            }
        }
    }
    Ok(code)
}

/// What could be safer. It is the same for many monitors: some are enough.
fn hint(file: &SiteFile) {
    const SHOWN: usize = 20;
    let path = file.path.display().to_string();
    let path = printable(&path);
    for hints in file.hints.iter().take(SHOWN) {
        tracing::warn!("{path}:{}:{}: {hints}", hints.at.line, hints.at.column);
    }
    if let Some(more @ 1..) = file.hints.len().checked_sub(SHOWN) {
        tracing::warn!("{path}: and {more} more of that");
    }
}

const HEAD: &[&str] = &[
    "NAME",
    "TYPE",
    "ADDRESS",
    "CHECK",
    "RETRIES",
    "TRY",
    "RETRY",
    "NOTIFY",
    "AFTER",
    "UNKNOWN",
    "ALARMS",
    "EMAIL",
    "HEARTBEAT",
];

/// The summary of one file.
fn summary(file: &SiteFile, threads: Option<u32>) -> String {
    let path = file.path.display().to_string();
    let cap = site::cap(file, threads).map_or("unlimited".to_owned(), |cap| cap.to_string());
    let others: String = [
        ("commands", file.outage_commands.len()),
        ("syslogs", file.outage_syslogs.len()),
    ]
    .iter()
    .filter(|(_, count)| *count > 0)
    .map(|(what, count)| format!(", {count} {what}"))
    .collect();
    let rows: Vec<_> = file.monitors.iter().map(row).collect();
    format!(
        "{}: site {}, {} monitors, {} webhooks, {} e-mail recipients{others}, max_threads {cap}\n\n{}\n\n\
         Each value is the monitor's own unless marked: * the site's, - the default. Times are in seconds.\n\
         RETRIES: looks that must fail in a row; RETRY: seconds to the next of them; AFTER: reminders until NOTIFY holds.",
        printable(&path),
        printable(&file.name),
        file.monitors.len(),
        file.outage_webhooks.len(),
        file.outage_emails.len(),
        table::render(HEAD, &rows)
    )
}

const CHANNELS: &[&str] = &["CHANNEL", "NAME", "KIND", "TO", "TIMEOUT", "THEN", "AFTER"];

/// Who is told, in the order of [`channel::entries`].
fn told(file: &SiteFile, channels: &[Entry<'_>]) -> String {
    let site = file.site.max_try_secs;
    let timeout = |entry: &Entry<'_>| match (entry.timeout, site) {
        (Some(own), _) => own.get().to_string(),
        (None, Some(site)) => format!("{} *", site.get()),
        (None, None) => format!("{} -", site::delivery_timeout(file).as_secs()),
    };
    let rows: Vec<_> = channels
        .iter()
        .map(|entry| {
            let ChannelOptions { then, after_secs, .. } = entry.common;
            let after = match (then, after_secs) {
                (None, _) => String::new(),
                (Some(_), Some(own)) => own.get().to_string(),
                (Some(_), None) => format!("{} -", entry.common.after().get()),
            };
            let shown = |text: &str| printable(text).into_owned();
            vec![
                shown(&entry.id),
                shown(entry.name().unwrap_or_default()),
                entry.kind.to_owned(),
                shown(&entry.place),
                timeout(entry),
                shown(then.as_ref().map_or("", |then| then.as_str())),
                after,
            ]
        })
        .collect();
    let note = match channels.iter().any(|entry| entry.common.then.is_some()) {
        true => {
            "\n\nTHEN: who is told instead what is refused, and everything once it has failed for AFTER seconds."
        }
        false => "",
    };
    format!("\n{}{note}", table::render_filled(CHANNELS, &rows))
}

fn row(monitor: &MonitorEntry) -> Vec<String> {
    let heartbeat = match (&monitor.heartbeat_url, monitor.heartbeat_every) {
        (None, _) => "no".to_owned(),
        (Some(_), None) => "each good look".to_owned(),
        (Some(_), Some(every)) => format!("every {}", every.get()),
    };
    vec![
        printable(&monitor.name).into_owned(),
        monitor.kind.to_owned(),
        printable(&monitor.address).into_owned(),
        cell(&monitor.check_every, |secs| secs.get()),
        cell(&monitor.max_retries, |count| count.get()),
        cell(&monitor.max_try, |secs| secs.get()),
        cell(&monitor.retry_every, |secs| match secs {
            Some(secs) => secs.get().to_string(),
            None => "as TRY".to_owned(),
        }),
        cell(&monitor.notify_every, |secs| secs.get()),
        cell(&monitor.after_every_n, |count| count.get()),
        cell(&monitor.unknown_after, |secs| secs.get()),
        cell(&monitor.alarms, |on| yes_no(*on)),
        cell(&monitor.email, |on| yes_no(*on)),
        heartbeat,
    ]
}

fn cell<T, D: Display>(value: &Sourced<T>, show: impl Fn(&T) -> D) -> String {
    use apmon_core::config::Origin;
    let mark = match value.origin {
        Origin::Monitor => "",
        Origin::Site => " *",
        Origin::Default => " -",
    };
    format!("{}{mark}", show(&value.value))
}

fn yes_no(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}
