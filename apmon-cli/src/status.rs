//! `apmon status`: how things are, told by the daemon or read from its state file.

mod text;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{Clock as _, Condition, MonitorStatus, SiteStatus, SystemClock, config::SiteFile};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    api::{self, Unanswered},
    console,
    place::{self, Place},
};

/// What to show.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Site files. [default: all sites whose state stands in $STATE_DIRECTORY or /var/tmp/APMonitor]
    #[arg(value_name = "CONFIG")]
    pub(crate) configs: Vec<PathBuf>,
    /// The state file, where the daemon was given one; only with a single CONFIG or none.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) statefile: Option<PathBuf>,
    /// Print JSON: {"sites": [...]}. Times are UTC.
    #[arg(long)]
    json: bool,
}

/// One site as it was found.
struct Seen {
    place: Place,
    status: SiteStatus,
    /// Why the daemon did not tell it itself, where it did not.
    unanswered: Option<Unanswered>,
}

/// Shows all sites. Exits 0 when all could be shown, else 1.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let zone = TimeZone::system();
    let mut code = ExitCode::SUCCESS;
    let mut seen = Vec::new();
    for place in place::all(&args.configs, args.statefile.as_deref())? {
        match check(place, &zone) {
            Ok(site) => seen.push(site),
            Err(error) => {
                tracing::error!("{error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    if args.json {
        let sites: Vec<Value> = seen.into_iter().map(as_json).collect::<Result<_, _>>()?;
        let out = std::io::stdout().lock();
        let mut out = std::io::BufWriter::new(out);
        serde_json::to_writer_pretty(&mut out, &json!({"sites": sites}))?;
        writeln!(out)?;
        out.flush()?;
        return Ok(code);
    }
    let texts: Vec<_> = seen.iter().map(|site| text::render(site, &zone)).collect();
    if !texts.is_empty() {
        console::line(&texts.join("\n\n"));
    }
    Ok(code)
}

fn check(place: Place, zone: &TimeZone) -> anyhow::Result<Seen> {
    let unanswered = match ask(&place.socket()) {
        Ok(status) => {
            return Ok(Seen {
                place,
                status,
                unanswered: None,
            });
        }
        Err(unanswered) => unanswered,
    };
    let snapshot = apmon_store::read_snapshot(&place.state_file, zone)
        .map_err(|error| anyhow::anyhow!("{}; {unanswered}", place.unread(&error)))?;
    for warning in &snapshot.warnings {
        tracing::warn!("{warning}");
    }
    let now = SystemClock::new().now().wall;
    let mut status = SiteStatus::from_snapshot(&place.stem, now, &snapshot);
    if let Some(file) = place.site_file() {
        complete(&mut status, &file);
    }
    Ok(Seen {
        place,
        status,
        unanswered: Some(unanswered),
    })
}

fn ask(socket: &Path) -> Result<SiteStatus, Unanswered> {
    let answer = api::get(socket, api::STATUS)?;
    // A daemon of another version may say it otherwise.
    serde_json::from_slice(&answer).map_err(|error| Unanswered::Failed(error.to_string()))
}

/// Adds what only the site file knows.
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
        monitor.kind = Some(entry.kind.to_owned());
        monitor.address = Some(entry.address.clone());
        monitor.max_retries = Some(entry.max_retries.value.get().get());
        monitor.alarms = Some(entry.alarms.value);
    }
    status.monitors = known.into_values().collect();
}

/// What the daemon says, and where it was found.
fn as_json(seen: Seen) -> serde_json::Result<Value> {
    let source = match seen.unanswered {
        None => "daemon",
        Some(_) => "store",
    };
    let mut object = json!({"source": source, "state_file": seen.place.state_file.display().to_string()});
    if let (Value::Object(object), Value::Object(status)) = (&mut object, serde_json::to_value(&seen.status)?)
    {
        object.extend(status);
    }
    Ok(object)
}
