//! One pass over each site, for cron.

mod other;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{
    Clock as _, Engine, EngineError, PassReport, Plan, SiteStatus, SystemClock, local_zone,
    rule::wording,
    text::{nearest, printable},
};
use clap::Args;
use tracing::Instrument as _;

use self::other::{Finding, PassNote};
use crate::{
    console, exclusive, location, notify,
    options::CommonArgs,
    plural::count,
    registry::Claim,
    rrd::{self, History},
    runtime,
    site::{self, Process, RunMode},
    store::Store,
    summary, thread,
};

/// How long a pass waits at exit for its output to be written, stdout and stderr
/// each.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);

/// A lock that seems to be that of a pass which hangs is read again after this time: its
/// holder may just have taken it, and not have described itself yet.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Arguments of a pass.
#[derive(Args)]
pub(crate) struct PassArgs {
    /// Site files (.yaml, .yml, .json); each is a site of its own, with its own state.
    #[arg(value_name = "CONFIG", required = true)]
    pub(crate) configs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Check the site files, print their monitors with the effective values, and exit.
    #[arg(long, conflicts_with_all = ["test_webhooks", "test_emails"])]
    test_config: bool,
    /// Send a test notification to all webhooks, and exit.
    #[arg(long, conflicts_with_all = ["test_emails", "no_notify"])]
    test_webhooks: bool,
    /// Send a test notification to all e-mail recipients, and exit.
    #[arg(long, conflicts_with = "no_notify")]
    test_emails: bool,
}

impl PassArgs {
    /// The text of a usage error: nothing may run then. `words` are the commands and options.
    pub(crate) fn usage_error(&self, words: &[String]) -> Option<String> {
        self.configs.iter().find_map(|config| no_site(config, words))
    }

    /// How long to wait at exit for the output to be written; `None` for a test,
    /// which may block on its reader.
    pub(crate) fn output_timeout(&self) -> Option<Duration> {
        let is_test = self.test_config || self.test_webhooks || self.test_emails;
        (!is_test).then_some(OUTPUT_TIMEOUT)
    }
}

/// Commands of other tools, and what takes their place.
const FOREIGN: &[(&str, &str)] = &[
    ("validate", "--test-config"),
    ("verify", "--test-config"),
    ("lint", "--test-config"),
    ("test", "--test-config"),
    ("config", "--test-config"),
    ("list", "status"),
    ("ls", "status"),
    ("ps", "status"),
    ("show", "status"),
    ("start", "run"),
    ("serve", "run"),
    ("daemon", "run"),
    ("probe", "check"),
    ("ping", "check"),
    (
        "reload",
        "a daemon rereads its site files on SIGHUP (systemctl reload apmon)",
    ),
    (
        "restart",
        "a daemon rereads its site files on SIGHUP (systemctl reload apmon)",
    ),
    ("stop", "a daemon ends on SIGTERM (systemctl stop apmon)"),
];

/// The error for an argument that is neither a site file nor the name of a site: a mistyped
/// command must not make a pass over the sites beside it.
fn no_site(config: &Path, words: &[String]) -> Option<String> {
    let word = config.to_string_lossy();
    // An ambiguous name is an error of its own.
    let is_site = location::is_path(config) || !matches!(location::registered(&word), Ok(None));
    if is_site {
        return None;
    }
    if words.contains(&word.clone().into_owned()) {
        return Some(format!(
            "\"{word}\" is a command, which comes first, with its options after it: apmon {word} ..."
        ));
    }
    let bare = |word: &str| word.trim_start_matches('-').to_owned();
    let bare_words: Vec<String> = words.iter().map(|word| bare(word)).collect();
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == word);
    let near = nearest(&word, bare_words.iter().map(String::as_str));
    let meant = words.iter().find(|word| Some(bare(word).as_str()) == near);
    let meant = foreign
        .map(|(_, meant)| *meant)
        .or_else(|| meant.map(String::as_str));
    let hint = meant.map_or("see apmon --help".to_owned(), |word| {
        match word.contains(' ') {
            // A sentence of its own.
            true => word.to_owned(),
            false => format!("did you mean apmon {word}?"),
        }
    });
    let rule = match config.is_file() {
        true => " (its name would end in .yaml, .yml or .json)",
        false => "",
    };
    Some(format!(
        "\"{}\" is not a command of apmon, a site file{rule}, or the name of a site that a daemon runs; {hint}",
        printable(&word)
    ))
}

/// Makes a pass, or the test that the arguments ask for instead.
pub(crate) fn run(args: &PassArgs) -> anyhow::Result<ExitCode> {
    if args.test_config {
        return summary::run(&args.configs, &args.common);
    }
    if args.test_webhooks {
        return notify::test_webhooks(&args.configs);
    }
    if args.test_emails {
        return notify::test_emails(&args.configs);
    }
    passes(args)
}

/// Runs all sites concurrently; a site that cannot run does not keep the others
/// from running.
fn passes(args: &PassArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime::create()?;
    let (configs, unknown) = location::site_files(&args.configs);
    let process = Process::with(args.configs.len());
    if args.common.no_notify {
        tracing::info!("--no-notify: notifications are printed, not sent");
    }
    for error in site::check_together(&configs) {
        tracing::error!("{error}");
    }
    let failed = runtime.block_on(async {
        let mut sites = tokio::task::JoinSet::new();
        let mut failed = !unknown.is_empty();
        for (i, config) in configs.iter().cloned().enumerate() {
            if let Err(error) = site::has_own_state(&config, &configs[..i], &args.common, RunMode::Pass) {
                failed = true;
                console::log_error(&config, &error);
                continue;
            }
            let (common, process) = (args.common.clone(), process.clone());
            sites.spawn(async move {
                let result = pass(&config, &common, &process).await;
                (config, result)
            });
        }
        while let Some(site) = sites.join_next().await {
            match site {
                Ok((config, Ok(Some(report)))) => {
                    failed |= report.lost > 0 || !report.saved;
                    log_report(&config, &report);
                }
                Ok((_, Ok(None))) => {}
                Ok((config, Err(error))) => {
                    failed = true;
                    console::log_error(&config, &error);
                }
                Err(error) => {
                    failed = true;
                    tracing::error!("the engine of a site panicked (this is a bug): {error}");
                }
            }
        }
        failed
    });
    if let Some(kb) = peak_memory() {
        tracing::debug!("peak memory {kb} kB");
    }
    // Nothing is left to wait for: pending name lookups end with the process.
    runtime.shutdown_background();
    console::finish(OUTPUT_TIMEOUT);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Runs a site; `None` if another pass does.
async fn pass(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Option<PassReport>> {
    let file = site::read(config)?;
    let mut plan = site::plan(&file, common, process);
    plan.warnings = site::all_warnings(&file, common.threads);
    let state_file = site::state_path(config, common, RunMode::Pass);
    let (settings, warning) = rrd::Settings::of(&file, common, &state_file);
    plan.warnings
        .extend(warning.map(|warning| site::about(&file, &warning)));
    let days = site::history_days(&file);
    drop(file);
    let note = PassNote {
        since: SystemClock::new().now().wall,
        longest: plan.longest_pass() + settings.as_ref().map_or(Duration::ZERO, |_| rrd::PASS_END),
    };
    let Some((store, _claim, warnings)) = open(config, common, note).await? else {
        return Ok(None);
    };
    plan.warnings.extend(warnings);
    store.configure(days);
    let report = match settings {
        None => run_engine(Engine::new(plan, store.shared()), process.span(config)).await,
        Some(settings) => {
            let recorded = recorded(plan, settings, &store, &state_file);
            recorded.instrument(process.span(config)).await
        }
    };
    store.close().await;
    Ok(Some(report.context("cannot run")?))
}

async fn run_engine(engine: Engine, span: tracing::Span) -> Result<PassReport, EngineError> {
    let engine = engine.on_event(|event| console::report(event, true));
    engine.pass().instrument(span).await
}

/// Runs a site that keeps history.
async fn recorded(
    mut plan: Plan,
    settings: rrd::Settings,
    store: &Store,
    state_file: &Path,
) -> Result<PassReport, EngineError> {
    let (rare, former) = (settings.clone(), state_file.to_owned());
    let rare = thread::run("state", move || Ok(rrd::rare_pass(&rare, &former))).await;
    plan.warnings.extend(rare.ok().flatten());
    let history = History::new(RunMode::Pass);
    history.configure(Some(settings)).await;
    let planned = history.has_pages().then(|| plan.clone());
    let engine = Engine::new(plan, store.shared()).metrics(Arc::new(history.clone()));
    let report = run_engine(engine, tracing::Span::current()).await;
    history.flush(rrd::PASS_WRITES).await;
    if let Some(plan) = planned {
        write_pages(&history, &plan, state_file).await;
    }
    history.end().await;
    report
}

/// Writes the pages of a site after its pass, from the state that it has left.
async fn write_pages(history: &History, plan: &Plan, state_file: &Path) {
    let path = state_file.to_owned();
    let snapshot = thread::run("state", move || {
        apmon_store::read_snapshot(&path, &local_zone())
            .map_err(|error| anyhow::anyhow!("{}", error.one_line()))
    });
    match snapshot.await {
        Ok(snapshot) => {
            let now = SystemClock::new().now().wall;
            let status = SiteStatus::from_snapshot(&plan.site, now, &snapshot, Some(plan));
            history.write_pages(status).await;
        }
        Err(error) => tracing::error!("the pages are not written: the state cannot be read: {error:#}"),
    }
}

/// Opens the site's store; `None` if another pass is at work, which is logged.
async fn open(
    config: &Path,
    common: &CommonArgs,
    note: PassNote,
) -> anyhow::Result<Option<(Store, Claim, Vec<String>)>> {
    let attempt = async || {
        let (path, args, note) = (config.to_owned(), common.clone(), note.to_string());
        // Another daemon may be slow to say which site file it runs.
        let opened = thread::run("store", move || {
            exclusive::open(&path, &args, RunMode::Pass, &note)
        });
        let now = || SystemClock::new().now().wall;
        opened.await.map_err(|error| other::find(error, now()))
    };
    let mut opened = attempt().await;
    if matches!(opened, Err(Finding::Overdue(_))) {
        tokio::time::sleep(LOCK_PAUSE).await;
        opened = attempt().await;
    }
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Finding::AtWork(line)) => {
            tracing::warn!("{}: {line}", printable(&config.display().to_string()));
            Ok(None)
        }
        Err(Finding::Overdue(error) | Finding::Failed(error)) => Err(error),
    }
}

fn log_report(config: &Path, report: &PassReport) {
    let shown = config.display().to_string();
    let shown = printable(&shown);
    tracing::info!(
        "{shown}: {}, {}: {} up, {} down, {} unknown, in {}",
        count(report.watched, "monitor"),
        count(report.checks, "check"),
        report.up,
        report.down,
        report.unknown,
        console::millis(report.took)
    );
    if report.unsettled > 0 {
        tracing::warn!(
            "{shown}: {} not yet up or down for certain after {}; the next pass goes on",
            count(report.unsettled, "monitor"),
            wording::duration(report.took)
        );
    }
    console::log_undelivered(&format!("{shown}: "), report, "later passes");
    if !report.saved {
        tracing::error!(
            "{shown}: the state is not saved: the next pass repeats the checks and notifications of this one"
        );
    }
}

/// The peak memory of this process in kB, where the kernel reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
