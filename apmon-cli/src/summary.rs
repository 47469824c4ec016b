//! `--test-config`: is the file right, and what does it mean?

use std::{
    collections::BTreeSet,
    fmt::Display,
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{
    config::{ChannelEntry, MonitorEntry, SiteFile, Sourced},
    text::printable,
};

use crate::{
    console, kinds, location,
    options::CommonArgs,
    rrd,
    site::{self, RunMode},
    table,
};

/// Checks each file and prints its monitors. Exits 0 when all are right, else 1.
pub(crate) fn run(configs: &[PathBuf], args: &CommonArgs) -> anyhow::Result<ExitCode> {
    let threads = args.threads;
    let (configs, unknown) = location::site_files(configs);
    let mut code = match unknown.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    for config in &configs {
        match site::load(config) {
            Ok(file) => {
                console::line(&summary(&file, threads));
                if !file.channels.is_empty() {
                    console::line(&channels(&file));
                }
                for warning in site::warnings(&file, threads) {
                    tracing::warn!("{}: {warning}", printable(&file.name));
                }
                history(&file, config, args);
                missing_sources(&file);
                hints(&file);
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                console::log_error(config, &error.into());
            }
        }
    }
    for error in site::check_together(&configs) {
        code = ExitCode::FAILURE;
        tracing::error!("{error}");
    }
    Ok(code)
}

/// Shows what the site's RRD files take, if it keeps history.
fn history(file: &SiteFile, config: &Path, args: &CommonArgs) {
    let state_file = site::state_path(config, args, RunMode::Pass);
    let (settings, warning) = rrd::Settings::of(file, args, &state_file);
    if let Some(settings) = settings {
        let (text, much) = rrd::report(&settings);
        console::line(&text);
        for warning in [much, rrd::rare_values(&settings)].into_iter().flatten() {
            tracing::warn!("{}", site::about(file, &warning));
        }
    }
    if let Some(warning) = warning {
        tracing::warn!("{}", site::about(file, &warning));
    }
}

/// Warns of source addresses that this machine does not have now. It may be another machine that
/// runs the site.
fn missing_sources(file: &SiteFile) {
    let network = kinds::services().network();
    let all = file
        .monitors
        .iter()
        .flat_map(|monitor| monitor.reach.source.all());
    for address in all.collect::<BTreeSet<_>>() {
        if !network.has(address) {
            tracing::warn!(
                "{}: source_address {address} is not an address of this machine: monitors that use it are unknown here",
                printable(&file.name)
            );
        }
    }
}

/// What could be safer, or may surprise. Many monitors have the same: some are
/// enough.
fn hints(file: &SiteFile) {
    const SHOWN: usize = 20;
    for hint in file.hints.iter().take(SHOWN) {
        tracing::warn!("{}: {hint}", hint.at);
    }
    if let Some(more @ 1..) = file.hints.len().checked_sub(SHOWN) {
        let path = file.path.display().to_string();
        let noun = if more == 1 { "hint" } else { "hints" };
        tracing::warn!("{}: and {more} more {noun}", printable(&path));
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
    let rows: Vec<_> = file.monitors.iter().map(row).collect();
    format!(
        "{}: site {}, {}, {}, max_threads {cap}\n\n{}\n\n\
         Each value is the monitor's own unless marked: * the site's, - the default. Times are in seconds.\n\
         RETRIES: consecutive failed checks before an outage; RETRY: seconds from a failed check to the next one; \
         AFTER: the reminder from which NOTIFY applies.",
        printable(&path),
        printable(&file.name),
        counted(file.monitors.len(), ("monitor", "monitors")),
        channel_counts(file),
        table::render(HEAD, &rows)
    )
}

fn counted(n: usize, (one, many): (&str, &str)) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `2 webhooks, 1 e-mail recipient`
fn channel_counts(file: &SiteFile) -> String {
    let of_kind = |name: &str| {
        file.channels
            .iter()
            .filter(|channel| channel.kind == name)
            .count()
    };
    let kinds = kinds::tables().channels.iter();
    let counts = kinds.map(|kind| (of_kind(kind.name()), kind.nouns()));
    let counts: Vec<_> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, nouns)| counted(count, nouns))
        .collect();
    match counts.is_empty() {
        true => "no channels".to_owned(),
        false => counts.join(", "),
    }
}

const CHANNELS: &[&str] = &["CHANNEL", "NAME", "KIND", "TO", "TIMEOUT", "THEN", "AFTER"];

/// The channels, in the order of their kinds.
fn channels(file: &SiteFile) -> String {
    let site = file.site.max_try_secs;
    let timeout = |entry: &ChannelEntry| match (entry.blueprint.timeout, site) {
        (Some(own), _) => own.as_secs().to_string(),
        (None, Some(site)) => format!("{} *", site.get()),
        (None, None) => format!("{} -", file.delivery_timeout().as_secs()),
    };
    let rows: Vec<_> = file
        .channels
        .iter()
        .map(|entry| {
            let options = &entry.options;
            let after = match (&options.then, options.after_secs) {
                (None, _) => String::new(),
                (Some(_), Some(own)) => own.get().to_string(),
                (Some(_), None) => format!("{} -", options.after().get()),
            };
            let shown = |text: &str| printable(text).into_owned();
            vec![
                shown(&entry.id),
                shown(entry.name().unwrap_or_default()),
                entry.label().to_owned(),
                shown(&entry.blueprint.target),
                timeout(entry),
                shown(options.then.as_ref().map_or("", |then| then.as_str())),
                after,
            ]
        })
        .collect();
    let note = match file.channels.iter().any(|entry| entry.options.then.is_some()) {
        true => {
            "\n\nTHEN: the fallback. It receives what the channel refuses, and everything once the channel \
             has been failing for AFTER seconds."
        }
        false => "",
    };
    format!("\n{}{note}", table::render_filled(CHANNELS, &rows))
}

fn row(monitor: &MonitorEntry) -> Vec<String> {
    let heartbeat = match (&monitor.heartbeat_url, monitor.heartbeat_every) {
        (None, _) => "no".to_owned(),
        (Some(_), None) => "each successful check".to_owned(),
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
