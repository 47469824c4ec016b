//! `apmon history`: incidents and availability.

mod export;
mod ports;
mod report;
mod text;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc,
    time::Duration,
};

use apmon_core::{
    Clock as _, StoreError, SystemClock, local_zone,
    text::{nearest, printable},
};
use apmon_store::{Format, HISTORY_DAYS, History};
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use self::report::TimeFrame;
use crate::{
    console,
    location::{self, SiteLocation},
};

/// Arguments of `apmon history`.
#[derive(Args)]
pub(crate) struct HistoryArgs {
    /// A site file (.yaml, .yml, .json), or the name of a site that a daemon runs. [default: all sites
    /// that a daemon runs, or whose state is in a default directory; only those in $STATE_DIRECTORY, if
    /// that is set]
    #[arg(value_name = "CONFIG")]
    first: Option<String>,
    /// Only this monitor; may be given without CONFIG.
    #[arg(value_name = "MONITOR")]
    second: Option<String>,
    /// Number of days to show, including today.
    #[arg(long, value_name = "N", default_value_t = HISTORY_DAYS, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Database. [default: that of the site's daemon; without one, the latest that is found]
    #[arg(short, long, value_name = "FILE")]
    statefile: Option<PathBuf>,
    /// Show changes at switch ports instead.
    #[arg(long)]
    ports: bool,
    /// Print CSV (RFC 4180): one row per incident, day, month and year, or per change at a port.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON: {"sites": [...]}.
    #[arg(long)]
    json: bool,
}

impl HistoryArgs {
    /// What is wrong with the combination of arguments.
    pub(crate) fn usage_error(&self) -> Option<&'static str> {
        let both = self.first.as_ref().zip(self.second.as_ref());
        let (first, _) = both?;
        let is_unknown = !is_site_file(first) && matches!(location::registered(first), Ok(None));
        is_unknown.then_some(
            "with CONFIG and MONITOR given, CONFIG must end in .yaml, .yml or .json, or be the name of a site that a daemon runs",
        )
    }

    /// The site file, or the name of a site, and the monitor, as far as they are given.
    fn given(&self) -> anyhow::Result<(Option<&str>, Option<&str>)> {
        Ok(match (self.first.as_deref(), self.second.as_deref()) {
            (Some(only), None) if !is_site_file(only) && location::registered(only)?.is_none() => {
                (None, Some(only))
            }
            given => given,
        })
    }
}

fn is_site_file(name: &str) -> bool {
    let suffix = Path::new(name).extension().unwrap_or_default();
    ["yaml", "yml", "json"]
        .iter()
        .any(|known| suffix.eq_ignore_ascii_case(known))
}

/// The open history of one site.
struct SiteHistory {
    location: SiteLocation,
    site: String,
    history: History,
    /// The monitors to show, by name.
    monitors: Vec<String>,
    /// Whether a single monitor was asked for by name.
    single: bool,
}

/// Shows all sites. Exits with 0 if all could be shown, else with 1.
pub(crate) fn run(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let (config, monitor) = args.given()?;
    let configs: Vec<PathBuf> = config.into_iter().map(PathBuf::from).collect();
    let frame = TimeFrame {
        width: console::width(),
        ..TimeFrame::new(args.days, SystemClock::new().now().wall, local_zone())
    };
    let mut code = ExitCode::SUCCESS;
    let (mut sites, mut others) = (Vec::new(), Vec::new());
    for location in location::all(&configs, args.statefile.as_deref())? {
        match open_in_time(location, monitor) {
            Ok((site, known)) if site.monitors.is_empty() && monitor.is_some() => {
                drop(site);
                others.extend(known);
            }
            Ok((site, _)) => sites.push(site),
            Err(error) => {
                tracing::error!("{error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    if let (true, Some(monitor), false) = (sites.is_empty(), monitor, code == ExitCode::FAILURE) {
        let hint = nearest(monitor, others.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        anyhow::bail!(
            "no history for monitor \"{}\"{}",
            printable(monitor),
            printable(&hint)
        );
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let write = match (args.ports, args.json, args.csv) {
        (false, true, _) => export::json,
        (false, false, true) => export::csv,
        (false, false, false) => text::write,
        (true, true, _) => ports::json,
        (true, false, true) => ports::csv,
        (true, false, false) => ports::text,
    };
    let written = write(&mut out, &sites, &frame);
    match written.and_then(|()| Ok(out.flush()?)) {
        // The reader (head, less) has read enough.
        Err(error) if is_closed_pipe(&error) => Ok(code),
        written => written.map(|()| code),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// How long the database of a site may be opened and read, in all: it may be anybody's.
const READING_TIME: Duration = Duration::from_secs(30);

/// Opens on a thread of its own: nothing interrupts a disk that does not answer, or SQLite while it
/// undoes what a killed process has left.
fn open_in_time(location: SiteLocation, monitor: Option<&str>) -> anyhow::Result<(SiteHistory, Vec<String>)> {
    let shown = location.state_file.display().to_string();
    let (sender, receiver) = mpsc::channel();
    let monitor = monitor.map(str::to_owned);
    std::thread::Builder::new()
        .name("history".into())
        .spawn(move || {
            let _ = sender.send(open(location, monitor.as_deref()));
        })?;
    receiver.recv_timeout(READING_TIME).unwrap_or_else(|_| {
        let secs = READING_TIME.as_secs();
        Err(anyhow::anyhow!(
            "{}: cannot be read within {secs} secs",
            printable(&shown)
        ))
    })
}

/// Opens the history of a site. Also returns the monitors that were not asked for.
fn open(location: SiteLocation, monitor: Option<&str>) -> anyhow::Result<(SiteHistory, Vec<String>)> {
    if Format::of(&location.state_file) == Format::Json {
        let shown = location.state_file.display().to_string();
        let shown = printable(&shown);
        if !location.state_file.exists() {
            anyhow::bail!("{shown}: no such state file ({})", location.search);
        }
        anyhow::bail!(
            "{shown} has no history: a JSON state file keeps none; use the database of apmon run, or of a pass with -s FILE.db"
        );
    }
    let read_error = |error: StoreError| location.read_error(&error);
    let history = History::open_within(&location.state_file, READING_TIME).map_err(read_error)?;
    let mut monitors = history.monitors().map_err(read_error)?;
    let mut others = Vec::new();
    if let Some(wanted) = monitor {
        (monitors, others) = monitors.into_iter().partition(|name| name == wanted);
    }
    let site = location
        .site_file()
        .map_or_else(|| location.stem.clone(), |file| file.name);
    let open = SiteHistory {
        location,
        site,
        history,
        monitors,
        single: monitor.is_some(),
    };
    Ok((open, others))
}

/// A timestamp in the local zone, with its offset.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    let offset = zone.to_offset(at);
    let whole = jiff::TimestampRound::new()
        .smallest(jiff::Unit::Second)
        .mode(jiff::RoundMode::Trunc);
    at.round(whole)
        .unwrap_or(at)
        .display_with_offset(offset)
        .to_string()
}
