//! `apmon check`: look now, print a verdict, keep nothing, tell nobody.

mod report;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use apmon_core::{
    Check, Clock as _, Monitor, Observation, Step, SystemClock, Trace, Verdict, config::SiteFile,
    engine::guarded, text::printable,
};
use clap::Args;
use tokio::task::JoinSet;

use crate::{console, kinds, options::seconds, site};

/// Up with a warning.
const EXIT_WARNING: u8 = 1;
/// Down.
const EXIT_CRITICAL: u8 = 2;
/// Could not look, or wrong usage.
const EXIT_UNKNOWN: u8 = 3;

/// What to look at.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// A URL (http://, https://, tcp://host:port, tls://host:port, udp://host:port, dns://server), a host to ping, or a site file.
    #[arg(value_name = "URL|HOST|CONFIG")]
    target: String,
    /// With a site file: only this monitor.
    #[arg(value_name = "MONITOR")]
    monitor: Option<String>,
    /// Print every step with its time.
    #[arg(long)]
    explain: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Deadline of the look. [default: 20, with a site file the monitor's max_try_secs]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The type, where the address does not tell it.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// An option as in a site file, e.g. --set expect=SSH-2.0
    #[arg(long, value_name = "OPTION=VALUE")]
    set: Vec<String>,
    /// Log more; can be repeated.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// One look, done.
pub(crate) struct Checked {
    monitor: Arc<dyn Monitor>,
    observation: Observation,
    took: Duration,
    steps: Vec<Step>,
}

/// Looks, prints, and exits as a Nagios plugin does, also where it cannot look.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    check(args).or_else(|error| {
        console::log_error(Path::new(&shown(&args.target)), &error);
        report::print_unasked(&format!("{error:#}"), args.json);
        Ok(ExitCode::from(EXIT_UNKNOWN))
    })
}

/// Wrong usage, as [`run`] tells what keeps it from looking.
pub(crate) fn usage_error(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = said.split_whitespace().collect();
    let reason = words.join(" ");
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    report::print_unasked(reason.strip_prefix("error: ").unwrap_or(&reason), as_json);
    ExitCode::from(EXIT_UNKNOWN)
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let monitors = monitors(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let checked = runtime.block_on(check_at(monitors, args));
    runtime.shutdown_background();
    report::print(&checked, args.json, args.explain);
    Ok(ExitCode::from(worst(&checked)))
}

fn worst(checked: &[Checked]) -> u8 {
    let codes = checked.iter().map(Checked::exit);
    codes.max_by_key(|code| severity(*code)).unwrap_or(EXIT_UNKNOWN)
}

/// Down outweighs unknown, unknown a warning.
fn severity(code: u8) -> u8 {
    match code {
        EXIT_CRITICAL => 3,
        EXIT_UNKNOWN => 2,
        code => code,
    }
}

impl Checked {
    fn exit(&self) -> u8 {
        match (
            self.observation.outcome.verdict(),
            &self.observation.outcome.warning,
        ) {
            (Verdict::Up, None) => 0,
            (Verdict::Up, Some(_)) => EXIT_WARNING,
            (Verdict::Down, _) => EXIT_CRITICAL,
            (Verdict::Unknown, _) => EXIT_UNKNOWN,
        }
    }
}

/// The target in a message about what is wrong with it: whatever stands before
/// its last @ may be a password.
fn shown(target: &str) -> String {
    match target.rsplit_once('@') {
        Some((before, host)) if !site::is_site_file(target) => {
            let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
            format!("{scheme}***@{host}")
        }
        _ => target.to_owned(),
    }
}

fn monitors(args: &CheckArgs) -> anyhow::Result<Vec<Arc<dyn Monitor>>> {
    let services = kinds::services();
    if !site::is_site_file(&args.target) {
        anyhow::ensure!(args.monitor.is_none(), "a monitor's name goes with a site file");
        let file = ad_hoc(args)?;
        return Ok(file
            .monitors
            .iter()
            .map(|monitor| monitor.build(&services))
            .collect());
    }
    anyhow::ensure!(
        args.set.is_empty() && args.kind.is_none(),
        "--set and --type go with an address, not with a site file"
    );
    let file = site::load(Path::new(&args.target))?;
    let Some(wanted) = &args.monitor else {
        return Ok(file
            .monitors
            .iter()
            .map(|monitor| monitor.build(&services))
            .collect());
    };
    Ok(vec![site::monitor_called(&file, wanted)?.build(&services)])
}

/// The monitor that the command line describes.
fn ad_hoc(args: &CheckArgs) -> anyhow::Result<SiteFile> {
    let kind = match &args.kind {
        Some(kind) => kind.clone(),
        None => {
            let scheme = args.target.split_once("://").map_or("", |(scheme, _)| scheme);
            let kind = kinds::by_address(&args.target).with_context(|| {
                format!(
                    "no type is known by {}://; name one with --type",
                    printable(scheme)
                )
            })?;
            kind.name().to_owned()
        }
    };
    let mut monitor = serde_json::Map::new();
    monitor.insert("type".into(), kind.into());
    monitor.insert("name".into(), "check".into());
    monitor.insert("address".into(), args.target.clone().into());
    for option in &args.set {
        let (name, value) = option
            .split_once('=')
            .with_context(|| format!("--set {}: no =", printable(option)))?;
        monitor.insert(name.to_owned(), value.into());
    }
    site::of_one(monitor, kinds::all())
}

async fn check_at(monitors: Vec<Arc<dyn Monitor>>, args: &CheckArgs) -> Vec<Checked> {
    let mut checks = JoinSet::new();
    for (i, monitor) in monitors.into_iter().enumerate() {
        let timeout = args.timeout.unwrap_or(monitor.watch().policy.max_try);
        let explain = args.explain;
        checks.spawn(async move {
            let clock = SystemClock::new();
            let now = clock.now();
            let trace = Trace::start();
            let mut check = Check::new(now.mono, now, timeout);
            if explain {
                check = check.explained(Arc::clone(&trace));
            }
            let observation = guarded(monitor.as_ref(), &check).await;
            let took = clock.now().mono.since(now.mono);
            (
                i,
                Checked {
                    monitor,
                    observation,
                    took,
                    steps: trace.steps(),
                },
            )
        });
    }
    let mut checked = checks.join_all().await;
    checked.sort_by_key(|(i, _)| *i);
    checked.into_iter().map(|(_, checked)| checked).collect()
}
