//! `apmon check`: check now and print the verdict, without state or notifications.

mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{
    Check, Clock as _, Monitor, Observation, Outcome, Step, SystemClock, Trace, Verdict,
    config::SiteFile,
    engine::run_check,
    text::{printable, shown_name, without_logins},
};
use clap::Args;
use tokio::task::JoinSet;

use crate::{console, kinds, location, options::seconds, site};

/// Up with a warning.
const EXIT_WARNING: u8 = 1;
/// Down.
const EXIT_CRITICAL: u8 = 2;
/// Unknown, or a usage error.
const EXIT_UNKNOWN: u8 = 3;

/// Arguments of `apmon check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// A URL (http://, https://, tcp://host:port, tls://host:port, udp://host:port, dns://server), a host to ping, a site file, or the name of a site that a daemon runs.
    #[arg(value_name = "URL|HOST|CONFIG")]
    target: String,
    /// Only this monitor of the site file.
    #[arg(value_name = "MONITOR")]
    monitor: Option<String>,
    /// Print every step with its time.
    #[arg(long)]
    explain: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Deadline of the check. [default: 20, or the monitor's max_try_secs with a site file]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The type, if the address does not determine it.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// An option as in a site file, e.g. --set expect=SSH-2.0. Can be repeated.
    #[arg(long, value_name = "OPTION=VALUE")]
    set: Vec<String>,
    /// Log more. Can be repeated.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// A check that has finished.
struct CompletedCheck {
    monitor: Arc<dyn Monitor>,
    observation: Observation,
    took: Duration,
    steps: Vec<Step>,
}

/// Checks, prints, and exits as a Nagios plugin does, also when it cannot check.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    check(args).or_else(|error| {
        console::log_error(Path::new(&shown(&args.target)), &error);
        report::print_error(&format!("{error:#}"), args.json);
        Ok(ExitCode::from(EXIT_UNKNOWN))
    })
}

/// Prints a usage error in the same form as other reasons why [`run`] cannot check.
pub(crate) fn usage_error(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let text = without_logins(&text);
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    let reason = words.join(" ");
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    report::print_error(reason.strip_prefix("error: ").unwrap_or(&reason), as_json);
    ExitCode::from(EXIT_UNKNOWN)
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let monitors = monitors(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let checks = runtime.block_on(check_all(monitors, args));
    runtime.shutdown_background();
    report::print(&checks, args.json, args.explain);
    Ok(ExitCode::from(worst(&checks)))
}

/// The worst exit code.
fn worst(checks: &[CompletedCheck]) -> u8 {
    let codes = checks.iter().map(CompletedCheck::exit_with_parts);
    codes.max_by_key(|code| severity(*code)).unwrap_or(EXIT_UNKNOWN)
}

/// The order of exit codes: down outweighs unknown, which outweighs a warning.
fn severity(code: u8) -> u8 {
    match code {
        EXIT_CRITICAL => 3,
        EXIT_UNKNOWN => 2,
        code => code,
    }
}

impl CompletedCheck {
    fn exit(&self) -> u8 {
        exit_of(&self.observation.outcome)
    }

    /// The worst exit code of the monitor and its parts.
    fn exit_with_parts(&self) -> u8 {
        let parts = self.observation.parts.iter();
        let parts = parts.map(|part| exit_of(&part.outcome));
        let codes = parts.chain([self.exit()]);
        codes.max_by_key(|code| severity(*code)).unwrap_or(EXIT_UNKNOWN)
    }
}

fn exit_of(outcome: &Outcome) -> u8 {
    match outcome.verdict() {
        Verdict::Up if outcome.is_degraded() => EXIT_WARNING,
        Verdict::Up => 0,
        Verdict::Down => EXIT_CRITICAL,
        Verdict::Unknown => EXIT_UNKNOWN,
    }
}

/// The target as an error shows it: everything before the last @ may be a
/// password.
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
    let Some(path) = site_file(args)? else {
        anyhow::ensure!(
            args.monitor.is_none(),
            "a monitor's name requires a site file, or the name of a site that a daemon runs"
        );
        let file = ad_hoc(args)?;
        return Ok(file
            .monitors
            .iter()
            .map(|monitor| monitor.build(&services))
            .collect());
    };
    anyhow::ensure!(
        args.set.is_empty() && args.kind.is_none(),
        "--set and --type require an address, not a site file"
    );
    let file = site::load(&path)?;
    let Some(wanted) = &args.monitor else {
        return Ok(file
            .monitors
            .iter()
            .map(|monitor| monitor.build(&services))
            .collect());
    };
    Ok(vec![site::monitor_called(&file, wanted)?.build(&services)])
}

/// The site file that the target names, if it names one: a host may have the name of a site,
/// but options of a monitor are for a host.
fn site_file(args: &CheckArgs) -> anyhow::Result<Option<PathBuf>> {
    if site::is_site_file(&args.target) {
        return location::site_file(Path::new(&args.target)).map(Some);
    }
    let path = match args.set.is_empty() && args.kind.is_none() {
        true => location::registered(&args.target)?,
        false => None,
    };
    anyhow::ensure!(
        path.is_some() || !is_other_file(&args.target),
        "\"{}\" is neither an address nor a site file, whose name would end in .yaml, .yml or .json",
        printable(&shown(&args.target))
    );
    Ok(path)
}

/// Whether the target is the name of a file that is not a site file: it would be resolved as a host.
fn is_other_file(target: &str) -> bool {
    const SUFFIXES: &[&str] = &["conf", "cfg", "ini", "toml", "txt", "bak", "yaml~", "yml~", "db"];
    let path = Path::new(target);
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy());
    let is_named_so = suffix.is_some_and(|suffix| SUFFIXES.contains(&&*suffix));
    !target.contains("://") && (is_named_so || (target.contains('/') && !target.contains('@')))
}

/// The monitor that the command line describes.
fn ad_hoc(args: &CheckArgs) -> anyhow::Result<SiteFile> {
    let kind = match &args.kind {
        Some(kind) => kind.clone(),
        None => {
            let scheme = args.target.split_once("://").map_or("", |(scheme, _)| scheme);
            let kind = kinds::by_address(&args.target).with_context(|| {
                format!("no type handles {}://; choose one with --type", printable(scheme))
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
            .with_context(|| format!("--set {}: must be OPTION=VALUE", shown_name(option, 60)))?;
        monitor.insert(name.to_owned(), value.into());
    }
    site::of_one(monitor, kinds::tables().kinds)
}

/// Checks all monitors concurrently; the results are in their order.
async fn check_all(monitors: Vec<Arc<dyn Monitor>>, args: &CheckArgs) -> Vec<CompletedCheck> {
    let mut checks = JoinSet::new();
    for (i, monitor) in monitors.into_iter().enumerate() {
        let timeout = args.timeout.unwrap_or(monitor.watch().policy.max_try);
        let explain = args.explain;
        checks.spawn(async move {
            let clock = SystemClock::new();
            let now = clock.now();
            let trace = Trace::start();
            let mask = monitor.watch().mask.clone();
            let mut check = Check::new(now.mono, now, timeout).with_mask(mask);
            if explain {
                check = check.with_trace(Arc::clone(&trace));
            }
            let observation = run_check(monitor.as_ref(), &check).await;
            let took = clock.now().mono.since(now.mono);
            (
                i,
                CompletedCheck {
                    monitor,
                    observation,
                    took,
                    steps: trace.steps(),
                },
            )
        });
    }
    let mut completed = checks.join_all().await;
    completed.sort_by_key(|(i, _)| *i);
    completed.into_iter().map(|(_, check)| check).collect()
}
