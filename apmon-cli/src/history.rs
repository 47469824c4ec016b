//! `apmon history`: what happened, and how much of the time things were up.

mod export;
mod ports;
mod report;
mod text;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{
    Clock as _, StoreError, SystemClock,
    text::{nearest, printable},
};
use apmon_store::{Format, HISTORY_DAYS, History};
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use self::report::Frame;
use crate::place::{self, Place};

/// What to show.
#[derive(Args)]
pub(crate) struct HistoryArgs {
    /// A site file (.yaml, .yml, .json). [default: all sites whose state stands in $STATE_DIRECTORY or
    /// /var/tmp/APMonitor]
    #[arg(value_name = "CONFIG")]
    first: Option<String>,
    /// Only this monitor; also without a CONFIG before it.
    #[arg(value_name = "MONITOR")]
    second: Option<String>,
    /// Look back so many days, today included.
    #[arg(long, value_name = "N", default_value_t = HISTORY_DAYS, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// The database, where the daemon was given one.
    #[arg(short, long, value_name = "FILE")]
    statefile: Option<PathBuf>,
    /// Show what changed at the ports of switches instead.
    #[arg(long)]
    ports: bool,
    /// Print CSV (RFC 4180): a row for each incident, day, month and year, or for each change at a port.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON: {"sites": [...]}.
    #[arg(long)]
    json: bool,
}

impl HistoryArgs {
    /// Whether what was named makes sense.
    pub(crate) fn usage_error(&self) -> Option<&'static str> {
        let both = self.first.as_ref().zip(self.second.as_ref());
        let (first, _) = both?;
        (!is_site_file(first)).then_some("of CONFIG and MONITOR the first ends in .yaml, .yml or .json")
    }

    /// The site file and the monitor.
    fn named(&self) -> (Option<&str>, Option<&str>) {
        match (self.first.as_deref(), self.second.as_deref()) {
            (Some(only), None) if !is_site_file(only) => (None, Some(only)),
            named => named,
        }
    }
}

fn is_site_file(name: &str) -> bool {
    let suffix = Path::new(name).extension().unwrap_or_default();
    ["yaml", "yml", "json"]
        .iter()
        .any(|known| suffix.eq_ignore_ascii_case(known))
}

/// A history that was opened.
struct Open {
    place: Place,
    site: String,
    history: History,
    /// The monitors to show, by name.
    monitors: Vec<String>,
    /// One was asked for by name.
    single: bool,
}

/// Shows all sites. Exits 0 when all could be shown, else 1.
pub(crate) fn run(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let (config, monitor) = args.named();
    let configs: Vec<PathBuf> = config.into_iter().map(PathBuf::from).collect();
    let frame = Frame::new(args.days, SystemClock::new().now().wall, TimeZone::system());
    let mut code = ExitCode::SUCCESS;
    let (mut sites, mut others) = (Vec::new(), Vec::new());
    for place in place::all(&configs, args.statefile.as_deref())? {
        match open(place, monitor) {
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
        anyhow::bail!("no monitor \"{monitor}\" was watched{hint}");
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
        // Whoever read it (head, less) has enough.
        Err(error) if is_closed_pipe(&error) => Ok(code),
        written => written.map(|()| code),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Opens a site's history, and says which monitors it knows besides.
fn open(place: Place, monitor: Option<&str>) -> anyhow::Result<(Open, Vec<String>)> {
    if Format::of(&place.state_file) == Format::Json {
        let shown = place.state_file.display().to_string();
        let shown = printable(&shown);
        if !place.state_file.exists() {
            anyhow::bail!("{shown}: there is no such state file");
        }
        anyhow::bail!(
            "{shown} keeps no history: that is in a database, as apmon run makes it, and a pass with -s FILE.db"
        );
    }
    let read = |error: StoreError| place.unread(&error);
    let history = History::open(&place.state_file).map_err(read)?;
    let mut monitors = history.monitors().map_err(read)?;
    let mut others = Vec::new();
    if let Some(wanted) = monitor {
        (monitors, others) = monitors.into_iter().partition(|name| name == wanted);
    }
    let site = place
        .site_file()
        .map_or_else(|| place.stem.clone(), |file| file.name);
    let open = Open {
        place,
        site,
        history,
        monitors,
        single: monitor.is_some(),
    };
    Ok((open, others))
}

/// As the daemon's clock shows it here, with its offset.
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
