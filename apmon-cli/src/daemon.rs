//! `apmon run`: each site under a supervisor of its own.

mod file;
mod signal;
mod supervisor;
mod systemd;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use apmon_core::Handle;
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

use self::{
    file::FileWatch,
    signal::{Signal, Signals},
    supervisor::{Ready, Supervisor},
};
use crate::{
    api,
    args::RunArgs,
    console, pass,
    site::{self, Process, Watcher},
};

/// After the request to end, everything is over by then.
const LAST_MOMENT: Duration = Duration::from_millis(1500);

/// At its end it waits so long for whoever reads its output, stdout and stderr each.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(supervise(args))?;
    runtime.shutdown_background();
    console::finish(PATIENCE);
    Ok(code)
}

/// The handle of a site's engine; `None` while it has none.
type Published = watch::Receiver<Option<Handle>>;

async fn supervise(args: RunArgs) -> anyhow::Result<ExitCode> {
    let process = Process::with(args.configs.len());
    let (stop, stopping) = watch::channel(false);
    let (hangup, _) = broadcast::channel(4);
    let mut signals = Signals::new()?;
    let host = api::Host::start()
        .inspect_err(|error| tracing::warn!("nobody can ask this daemon how things are: {error}"))
        .ok();
    let mut plans = Vec::new();
    let mut refused = 0;
    for (i, config) in args.configs.iter().cloned().enumerate() {
        if let Err(error) = site::has_own_state(&config, &args.configs[..i], &args.common, Watcher::Daemon) {
            pass::say(&config, &error);
            refused += 1;
            continue;
        }
        let mut supervisor = Supervisor {
            file: FileWatch::start(&config),
            config,
            common: args.common.clone(),
            process: process.clone(),
            stopping: stopping.clone(),
            hangup: hangup.subscribe(),
            host: host.clone(),
        };
        let ready = tokio::select! {
            ready = supervisor.ready() => ready,
            // A file system that hangs must not keep it from its end.
            Signal::End = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        if let Err(error) = &ready {
            pass::say(&supervisor.config, error);
        }
        plans.push((supervisor, ready));
    }
    let waiting = plans.iter().filter(|(_, ready)| ready.is_err()).count();
    if waiting == plans.len() {
        return Ok(ExitCode::FAILURE);
    }
    let sites = args.configs.len();
    match (refused, waiting) {
        (0, 0) => {}
        (0, _) => tracing::error!("{waiting} of {sites} sites do not run yet; they are tried again"),
        (_, 0) => tracing::error!("{refused} of {sites} sites do not run"),
        (_, _) => tracing::error!(
            "{} of {sites} sites do not run; {waiting} of them are tried again",
            refused + waiting
        ),
    }
    let mut sites: JoinSet<PathBuf> = JoinSet::new();
    let (mut all, mut started): (Vec<Published>, Vec<Published>) = (Vec::new(), Vec::new());
    for (supervisor, ready) in plans {
        let (sender, receiver) = watch::channel(None);
        if ready.is_ok() {
            started.push(receiver.clone());
        }
        all.push(receiver);
        sites.spawn(supervisor.run(ready, sender));
    }
    let code = until_told_to_end(&mut signals, &mut sites, &hangup, all, started).await;
    tracing::info!("ending");
    systemd::stopping();
    let _ = stop.send(true);
    let last_words = async { while sites.join_next().await.is_some() {} };
    tokio::select! {
        _ = tokio::time::timeout(LAST_MOMENT, last_words) => {}
        // Asked twice, it ends at once; what is committed is on disk anyway.
        Signal::End = signals.next() => {}
    }
    Ok(code)
}

async fn until_told_to_end(
    signals: &mut Signals,
    sites: &mut JoinSet<PathBuf>,
    hangup: &broadcast::Sender<()>,
    all: Vec<Published>,
    started: Vec<Published>,
) -> ExitCode {
    let ready = systemd::ready(started);
    tokio::pin!(ready);
    let mut watchdog = None;
    loop {
        tokio::select! {
            any = &mut ready, if watchdog.is_none() => {
                if !any {
                    return ExitCode::FAILURE; // why stands in the log
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
                Signal::End => return ExitCode::SUCCESS,
            },
            // A supervisor ends only when told to: this is a bug of ours.
            ended = sites.join_next() => {
                tracing::error!("a site's supervisor failed, a bug: {ended:?}");
                return ExitCode::FAILURE;
            }
        }
    }
}

/// A site that is ready to run, or why it is not.
type Attempt = anyhow::Result<Ready>;
