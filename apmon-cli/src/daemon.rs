//! `apmon run`: each site under a supervisor of its own.

mod change;
mod file_watch;
mod registered_site;
mod signal;
mod supervisor;
mod systemd;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use apmon_core::{Handle, text::printable};
use clap::Args;
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

use self::{
    file_watch::FileWatch,
    signal::{Signal, Signals},
    supervisor::{Stopped, Supervisor},
};
use crate::{
    api, console, location, memory,
    options::CommonArgs,
    plural::count,
    runtime,
    site::{self, Process, RunMode},
    store,
};

/// How long a shutdown may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long the daemon waits at exit for its output to be written, stdout and
/// stderr each.
pub(crate) const OUTPUT_TIMEOUT: Duration = Duration::from_millis(250);

/// Arguments of the daemon.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Site files (.yaml, .yml, .json); each is a site of its own, with its own state.
    #[arg(value_name = "CONFIG", required = true)]
    pub(crate) configs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime::create()?;
    let code = runtime.block_on(supervise(args))?;
    runtime.shutdown_background();
    console::finish(OUTPUT_TIMEOUT);
    Ok(code)
}

/// The handle of a site's engine; `None` while no engine runs.
type Published = watch::Receiver<Option<Handle>>;

async fn supervise(args: RunArgs) -> anyhow::Result<ExitCode> {
    let (configs, unknown) = location::site_files(&args.configs);
    let process = Process::with(args.configs.len());
    let (stop, stopping) = watch::channel(false);
    let (hangup, _) = broadcast::channel(4);
    let mut signals = Signals::new()?;
    let sites = api::ProcessSites::default();
    let host = api::Host::start()
        .inspect_err(|error| tracing::warn!("apmon status cannot ask this daemon: {error}"))
        .ok();
    if let Some(notice) = store::NOTICE {
        tracing::warn!("{notice}");
    }
    for error in site::check_together(&configs) {
        tracing::error!("{error}");
    }
    for (given, error) in &unknown {
        sites.stopped(given, error);
    }
    let mut accepted = Vec::new();
    for (i, config) in configs.iter().enumerate() {
        match site::has_own_state(config, &configs[..i], &args.common, RunMode::Daemon) {
            Ok(()) => accepted.push(config.clone()),
            Err(error) => {
                console::log_error(config, &error);
                sites.stopped(config, &error);
            }
        }
    }
    let refused = unknown.len() + configs.len() - accepted.len();
    let accepted: Arc<[PathBuf]> = accepted.into();
    let mut plans = Vec::new();
    for config in accepted.iter().cloned() {
        let mut supervisor = Supervisor {
            file: FileWatch::start(&config, process.span(&config)),
            config,
            all: Arc::clone(&accepted),
            common: args.common.clone(),
            process: process.clone(),
            stopping: stopping.clone(),
            hangup: hangup.subscribe(),
            host: host.clone(),
            sites: sites.clone(),
        };
        let ready = tokio::select! {
            ready = supervisor.ready() => ready,
            // A file system that hangs must not keep the daemon from stopping.
            Signal::Stop = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        if let Err(error) = &ready {
            console::log_error(&supervisor.config, error);
            sites.stopped(&supervisor.config, error);
        }
        plans.push((supervisor, ready));
    }
    // What the reading of the files has left.
    memory::trim();
    let waiting = plans.iter().filter(|(_, ready)| ready.is_err()).count();
    if waiting == plans.len() {
        return Ok(ExitCode::FAILURE);
    }
    log_stopped_sites(args.configs.len(), refused, waiting);
    let mut supervisors: JoinSet<Stopped> = JoinSet::new();
    let (mut all, mut started): (Vec<Published>, Vec<Published>) = (Vec::new(), Vec::new());
    for (supervisor, ready) in plans {
        let (sender, receiver) = watch::channel(None);
        if ready.is_ok() {
            started.push(receiver.clone());
        }
        all.push(receiver);
        supervisors.spawn(supervisor.run(ready, sender));
    }
    let code = until_stopped(&mut signals, &mut supervisors, &hangup, all, started).await;
    tracing::info!("stopping");
    systemd::stopping();
    let _ = stop.send(true);
    let mut is_saved = true;
    let all_ended = async {
        while let Some(stopped) = supervisors.join_next().await {
            is_saved &= stopped.is_ok_and(|stopped| stopped.is_saved);
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, all_ended) => ended.is_ok(),
        // A second signal stops it at once; what is committed is on disk.
        Signal::Stop = signals.next() => false,
    };
    if !ended {
        tracing::error!(
            "stopped before the state of {} was saved: the next start repeats what is not saved",
            count(supervisors.len(), "site")
        );
    }
    Ok(match ended && is_saved {
        true => code,
        false => ExitCode::FAILURE,
    })
}

/// Logs how many of `sites` are not running: `refused` for good, `waiting` until
/// the next attempt.
fn log_stopped_sites(sites: usize, refused: usize, waiting: usize) {
    let are = |n: usize| if n == 1 { "is" } else { "are" };
    match (refused, waiting) {
        (0, 0) => {}
        (0, n) => tracing::error!("{n} of {sites} sites {} not running yet; retrying", are(n)),
        (n, 0) => tracing::error!("{n} of {sites} sites {} not running", are(n)),
        (n, waiting) => tracing::error!(
            "{} of {sites} sites are not running; retrying {waiting} of them",
            n + waiting
        ),
    }
}

/// Runs until a signal, or a failure that ends the daemon.
async fn until_stopped(
    signals: &mut Signals,
    sites: &mut JoinSet<Stopped>,
    hangup: &broadcast::Sender<()>,
    all: Vec<Published>,
    started: Vec<Published>,
) -> ExitCode {
    let ready = systemd::ready(started);
    tokio::pin!(ready);
    let mut watchdog = None;
    let mut cpu_time_logged = false;
    loop {
        tokio::select! {
            any = &mut ready, if watchdog.is_none() => {
                if !any {
                    return ExitCode::FAILURE; // the log says why
                }
                watchdog = Some(systemd::Watchdog::start(all.clone()));
            }
            signal = signals.next() => match signal {
                Signal::Hangup => {
                    let is_ready = watchdog.is_some();
                    if is_ready {
                        systemd::reloading();
                    }
                    let _ = hangup.send(());
                    if is_ready {
                        systemd::reloaded();
                    }
                }
                Signal::CpuTime => {
                    if !std::mem::replace(&mut cpu_time_logged, true) {
                        tracing::error!(
                            "the limit of CPU time (ulimit -t) is reached; monitoring continues until the system ends it at the hard limit"
                        );
                    }
                }
                Signal::Stop => return ExitCode::SUCCESS,
            },
            // A supervisor ends only on request: anything else is a bug.
            ended = sites.join_next() => {
                let how = match ended {
                    Some(Err(error)) => error.to_string(),
                    Some(Ok(Stopped { config, .. })) => printable(&config.display().to_string()).into_owned(),
                    None => "all sites".to_owned(),
                };
                tracing::error!("the supervisor of a site ended unexpectedly (this is a bug): {how}");
                return ExitCode::FAILURE;
            }
        }
    }
}
