//! One pass over each site, for cron.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use apmon_core::{Engine, PassReport, text::printable};
use tracing::Instrument as _;

use crate::{
    args::{CommonArgs, PassArgs},
    console,
    site::{self, Process, Watcher},
};

/// At its end a pass waits so long for whoever reads its output, stdout and
/// stderr each.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Runs all sites at once, each on its own; a site that cannot run does not
/// keep the others from it.
pub(crate) fn run(args: &PassArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let process = Process::with(args.configs.len());
    if args.common.no_notify {
        tracing::info!("--no-notify: messages are printed, nobody is told");
    }
    let failed = runtime.block_on(async {
        let mut sites = tokio::task::JoinSet::new();
        let mut failed = false;
        for (i, config) in args.configs.iter().cloned().enumerate() {
            if let Err(error) = site::has_own_state(&config, &args.configs[..i], &args.common, Watcher::Pass)
            {
                failed = true;
                say(&config, &error);
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
                Ok((config, Ok(report))) => {
                    failed |= report.lost > 0;
                    summarize(&config, &report);
                }
                Ok((config, Err(error))) => {
                    failed = true;
                    say(&config, &error);
                }
                Err(error) => {
                    failed = true;
                    tracing::error!("a site's engine failed, a bug: {error}");
                }
            }
        }
        failed
    });
    if let Some(kb) = peak_memory() {
        tracing::debug!("peak memory {kb} kB");
    }
    // Nothing is left to wait for: look-ups under way end with the process.
    runtime.shutdown_background();
    console::finish(PATIENCE);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// A site that cannot run, said. Mistakes of a site file name their file
/// themselves.
pub(crate) fn say(config: &Path, error: &anyhow::Error) {
    if error.is::<apmon_core::config::ConfigError>() {
        for line in error.to_string().lines() {
            tracing::error!("{line}");
        }
    } else {
        let shown = config.display().to_string();
        tracing::error!("{}: {error:#}", printable(&shown));
    }
}

async fn pass(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<PassReport> {
    let file = site::load(config)?;
    for warning in site::warnings(&file, common.threads) {
        tracing::warn!("{}: {warning}", printable(&file.name));
    }
    let plan = site::plan(&file, common, process);
    let days = site::history_days(&file);
    drop(file);
    let store = site::open_store(&site::state_path(config, common, Watcher::Pass))?;
    store.configure(days);
    Engine::new(plan, store.shared())
        .on_event(|event| console::report(event, true))
        .pass()
        .instrument(process.span(config))
        .await
        .context("cannot run")
}

fn summarize(config: &Path, report: &PassReport) {
    let shown = config.display().to_string();
    let shown = printable(&shown);
    tracing::info!(
        "{shown}: {} monitors, {} looks: {} up, {} down, {} unknown, in {}",
        report.watched,
        report.checks,
        report.up,
        report.down,
        report.unknown,
        console::millis(report.took)
    );
    tell_undelivered(
        &format!("{shown}: "),
        report,
        "they are kept, later passes try them again",
    );
}

/// What a run leaves untold.
pub(crate) fn tell_undelivered(whose: &str, report: &PassReport, later: &str) {
    if report.undelivered > 0 {
        let n = report.undelivered;
        tracing::warn!("{whose}{n} messages are not delivered yet; {later}");
    }
    if report.lost > 0 {
        let n = report.lost;
        tracing::error!("{whose}{n} messages are LOST: not delivered, and the state could not be saved");
    }
}

/// The most memory this process ever held, where the kernel tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
