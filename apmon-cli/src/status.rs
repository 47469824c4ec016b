//! `apmon status`: the current status, from the daemon or from its state file.

mod monitor;
mod text;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc,
    time::Duration,
};

use apmon_core::{
    Clock as _, OutboxStatus, SiteStatus, SystemClock, config::ProcessEnvironment, local_zone,
    text::printable,
};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    api::{self, ApiError},
    console, kinds,
    location::{self, SiteLocation},
    options::{ONE_STATE_FILE, seconds, wrong_state_file},
    registry, site,
};

/// Arguments of `apmon status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Site files, or names of sites that a daemon runs; after a single one, the name of one of its
    /// monitors, which is then shown in full. [default: all sites that a daemon runs, or whose state
    /// is in a default directory; only those in $STATE_DIRECTORY, if that is set]
    #[arg(value_name = "CONFIG|MONITOR")]
    pub(crate) configs: Vec<PathBuf>,
    /// State file; only with a single CONFIG or none. [default: that of the site's daemon; without
    /// one, the latest that is found]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) statefile: Option<PathBuf>,
    /// Print JSON: {"sites": [...]}. Times are UTC.
    #[arg(long)]
    json: bool,
    /// Show the status again and again, every SECS seconds, until Ctrl-C.
    #[arg(
        long,
        value_name = "SECS",
        value_parser = seconds,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        conflicts_with = "json"
    )]
    watch: Option<Duration>,
}

/// The status of one site, and where it came from.
struct SiteReport {
    location: SiteLocation,
    status: SiteStatus,
    /// Why the status came from the state file and not from the daemon.
    daemon_error: Option<ApiError>,
}

impl StatusArgs {
    /// The text of a usage error.
    pub(crate) fn usage_error(&self) -> Option<String> {
        let is_single = match &self.configs[..] {
            [] | [_] => true,
            [_, second] => !is_file(second),
            _ => false,
        };
        let several = self.statefile.is_some() && !is_single;
        let several = several.then(|| ONE_STATE_FILE.to_owned());
        several.or_else(|| wrong_state_file(self.statefile.as_deref()))
    }
}

/// Whether an argument is a site file, and not the name of a monitor. A file may have a monitor's
/// name.
fn is_file(argument: &Path) -> bool {
    site::is_site_file(&argument.to_string_lossy())
}

/// Shows all sites. Exits with 0 if all could be shown, else with 1.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let Some(pause) = args.watch else {
        return show(args);
    };
    let clears = console::width().is_some();
    loop {
        if clears {
            // The whole screen, from its top.
            write!(std::io::stdout(), "\x1b[2J\x1b[H")?;
        }
        show(args)?;
        if console::line_error().is_some() {
            return Ok(ExitCode::FAILURE);
        }
        if !clears {
            console::line("");
        }
        std::thread::sleep(pause);
    }
}

/// The sites that are asked for, and the monitor.
fn given(args: &StatusArgs) -> anyhow::Result<(&[PathBuf], Option<String>)> {
    let [site, second] = &args.configs[..] else {
        return Ok((&args.configs, None));
    };
    let name = second.to_string_lossy();
    // Another site has this name, unless it is a monitor of the first.
    let has_it = |site: &Path| {
        let file = location::site_file(site).ok()?;
        let file = kinds::tables().load(&file, &ProcessEnvironment).ok()?;
        Some(file.monitors.iter().any(|monitor| monitor.name == name))
    };
    if is_file(second) || (has_it(site) != Some(true) && location::registered(&name)?.is_some()) {
        return Ok((&args.configs, None));
    }
    Ok((std::slice::from_ref(site), Some(name.into_owned())))
}

fn show(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let zone = local_zone();
    let mut code = ExitCode::SUCCESS;
    let mut reports = Vec::new();
    let (configs, monitor) = given(args)?;
    for location in location::all(configs, args.statefile.as_deref())? {
        match read_in_time(location, monitor.clone(), &zone) {
            Ok(report) => reports.push(report),
            Err(error) => {
                tracing::error!("{error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    if let Some(name) = &monitor {
        for report in &mut reports {
            monitor::only(&mut report.status, name)?;
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
    let width = console::width();
    let texts = reports.iter().map(|report| match &monitor {
        Some(name) => monitor::render(report, name, &zone, width),
        None => text::render(report, &zone, width),
    });
    let texts: Vec<_> = texts.collect();
    if !texts.is_empty() {
        console::line(&texts.join("\n\n"));
    }
    Ok(code)
}

/// How long a site is waited for: its socket, its state file and its site file.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads on a thread of its own: whatever there is instead of a site's files, and whatever disk
/// they are on, the other sites are shown.
fn read_in_time(
    location: SiteLocation,
    monitor: Option<String>,
    zone: &TimeZone,
) -> anyhow::Result<SiteReport> {
    let (sender, receiver) = mpsc::channel();
    let shown = location.state_file.display().to_string();
    let zone = zone.clone();
    std::thread::Builder::new().name("status".into()).spawn(move || {
        let _ = sender.send(read(location, monitor.as_deref(), &zone));
    })?;
    receiver.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
        let secs = TIMEOUT.as_secs();
        Err(anyhow::anyhow!(
            "{}: cannot be read within {secs} secs",
            printable(&shown)
        ))
    })
}

/// Reads the status, with the notifications about `monitor`, or with all.
fn read(location: SiteLocation, monitor: Option<&str>, zone: &TimeZone) -> anyhow::Result<SiteReport> {
    let daemon_error = match ask_daemon(&location.socket(), monitor) {
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
    let plan = location.site_file().map(|file| file.plan(&kinds::services()));
    let mut status = SiteStatus::from_snapshot(&location.stem, now, &snapshot, plan.as_ref());
    if let Some(monitor) = monitor {
        status.outbox = OutboxStatus::about(monitor, snapshot.outbox.iter());
    }
    Ok(SiteReport {
        location,
        status,
        daemon_error: Some(daemon_error),
    })
}

fn ask_daemon(socket: &Path, monitor: Option<&str>) -> Result<SiteStatus, ApiError> {
    let path = monitor.map_or_else(|| api::STATUS.to_owned(), api::status_for);
    let answer = api::get(socket, &path)?;
    // A daemon of another version may use another format.
    serde_json::from_slice(&answer).map_err(|error| ApiError::Failed(error.to_string()))
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
