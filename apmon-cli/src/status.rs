//! `apmon status`: the current status, from the daemon or from its state file.

mod text;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc,
    time::Duration,
};

use apmon_core::{
    Clock as _, Condition, MonitorStatus, SiteStatus, SystemClock, config::SiteFile, local_zone,
    text::printable,
};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    api::{self, ApiError},
    console,
    location::{self, SiteLocation},
    registry,
};

/// Arguments of `apmon status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Site files, or names of sites that a daemon runs. [default: all sites that a daemon runs, or
    /// whose state is in a default directory; only those in $STATE_DIRECTORY, if that is set]
    #[arg(value_name = "CONFIG")]
    pub(crate) configs: Vec<PathBuf>,
    /// State file; only with a single CONFIG or none. [default: that of the site's daemon; without
    /// one, the latest that is found]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) statefile: Option<PathBuf>,
    /// Print JSON: {"sites": [...]}. Times are UTC.
    #[arg(long)]
    json: bool,
}

/// The status of one site, and where it came from.
struct SiteReport {
    location: SiteLocation,
    status: SiteStatus,
    /// Why it came from the state file and not from the daemon.
    daemon_error: Option<ApiError>,
}

/// Shows all sites. Exits with 0 if all could be shown, else with 1.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let zone = local_zone();
    let mut code = ExitCode::SUCCESS;
    let mut reports = Vec::new();
    for location in location::all(&args.configs, args.statefile.as_deref())? {
        match read_in_time(location, &zone) {
            Ok(report) => reports.push(report),
            Err(error) => {
                tracing::error!("{error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    if args.json {
        let sites: Vec<Value> = reports.into_iter().map(as_json).collect::<Result<_, _>>()?;
        let text = console::ascii_controls(&format!("{:#}", json!({"sites": sites})));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        return Ok(code);
    }
    let texts: Vec<_> = reports.iter().map(|report| text::render(report, &zone)).collect();
    if !texts.is_empty() {
        console::line(&texts.join("\n\n"));
    }
    Ok(code)
}

/// How long a site is waited for: its socket, its state file and its site file.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads on a thread of its own: whatever there is instead of a site's files, and whatever disk
/// they are on, the other sites are shown.
fn read_in_time(location: SiteLocation, zone: &TimeZone) -> anyhow::Result<SiteReport> {
    let (sender, receiver) = mpsc::channel();
    let shown = location.state_file.display().to_string();
    let zone = zone.clone();
    std::thread::Builder::new().name("status".into()).spawn(move || {
        let _ = sender.send(read(location, &zone));
    })?;
    receiver.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
        let secs = TIMEOUT.as_secs();
        Err(anyhow::anyhow!(
            "{}: cannot be read within {secs} secs",
            printable(&shown)
        ))
    })
}

fn read(location: SiteLocation, zone: &TimeZone) -> anyhow::Result<SiteReport> {
    let daemon_error = match ask_daemon(&location.socket()) {
        Ok(status) => {
            return Ok(SiteReport {
                location,
                status,
                daemon_error: None,
            });
        }
        Err(error) => location.daemon_error(error),
    };
    let snapshot = apmon_store::read_snapshot(&location.state_file, zone).map_err(|error| {
        let read_error = location.read_error(&error);
        match daemon_error {
            _ if daemon_error.is_absence() => {
                anyhow::anyhow!("{read_error}; {daemon_error} ({})", location.search)
            }
            _ => anyhow::anyhow!("{read_error}; {daemon_error}"),
        }
    })?;
    for warning in &snapshot.warnings {
        tracing::warn!("{warning}");
    }
    let now = SystemClock::new().now().wall;
    let mut status = SiteStatus::from_snapshot(&location.stem, now, &snapshot);
    if let Some(file) = location.site_file() {
        complete(&mut status, &file);
    }
    Ok(SiteReport {
        location,
        status,
        daemon_error: Some(daemon_error),
    })
}

fn ask_daemon(socket: &Path) -> Result<SiteStatus, ApiError> {
    let answer = api::get(socket, api::STATUS)?;
    // A daemon of another version may use another format.
    serde_json::from_slice(&answer).map_err(|error| ApiError::Failed(error.to_string()))
}

/// Adds what the site file knows and the state file does not.
fn complete(status: &mut SiteStatus, file: &SiteFile) {
    status.site.clone_from(&file.name);
    let mut known: std::collections::BTreeMap<String, MonitorStatus> = status
        .monitors
        .drain(..)
        .map(|monitor| (monitor.name.clone(), monitor))
        .collect();
    for entry in &file.monitors {
        let monitor = known.entry(entry.name.clone()).or_insert_with(|| MonitorStatus {
            name: entry.name.clone(),
            state: Condition::Pending,
            ..MonitorStatus::default()
        });
        let parts = std::mem::take(&mut monitor.parts);
        monitor.kind = Some(entry.kind.to_owned());
        monitor.address = Some(entry.address.clone());
        monitor.max_retries = Some(entry.max_retries.value.get().get());
        monitor.alarms = Some(entry.alarms.value);
        let of_monitor = |part: MonitorStatus| MonitorStatus {
            kind: monitor.kind.clone(),
            address: monitor.address.clone(),
            max_retries: monitor.max_retries,
            alarms: monitor.alarms,
            ..part
        };
        monitor.parts = parts.into_iter().map(of_monitor).collect();
    }
    status.monitors = known.into_values().collect();
}

/// The report as JSON: the status, preceded by its source.
fn as_json(report: SiteReport) -> serde_json::Result<Value> {
    let source = match report.daemon_error {
        None => "daemon",
        Some(_) => "store",
    };
    let state_file = report.location.state_file.display().to_string();
    let site_file = report.location.config.as_deref().map(registry::SitePath::of);
    let mut object = json!({
        "source": source,
        "state_file": state_file,
        "site_file": site_file.map(|file| file.given.display().to_string()),
        "daemon_error": report.daemon_error.map(|error| error.to_string()),
        "searched": report.location.search.searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    });
    if let (Value::Object(object), Value::Object(status)) =
        (&mut object, serde_json::to_value(&report.status)?)
    {
        object.extend(status);
    }
    Ok(object)
}
