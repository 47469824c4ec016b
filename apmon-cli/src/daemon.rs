//! `apmon run`: each site under a supervisor of its own.

mod reload;
mod systemd;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{Engine, Handle, PassReport, Plan, rule::words, text::printable};
use apmon_notify::HttpHeartbeats;
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

use self::reload::FileWatch;
use crate::{
    args::{CommonArgs, RunArgs},
    console, pass,
    site::{self, Locked, Process},
};

/// After the request to end, everything is over by then.
const LAST_MOMENT: Duration = Duration::from_millis(1800);
/// So often a site file is asked whether it has changed.
const POLL: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(supervise(args))?;
    runtime.shutdown_background();
    Ok(code)
}

async fn supervise(args: RunArgs) -> anyhow::Result<ExitCode> {
    let process = Process::default();
    let (stop, stopping) = watch::channel(false);
    let (hangup, _) = broadcast::channel(4);
    let mut signals = Signals::new()?;
    let mut sites: JoinSet<(PathBuf, anyhow::Result<()>)> = JoinSet::new();
    let (mut handles, mut started) = (Vec::new(), Vec::new());
    let (mut failed, mut waiting) = (0, 0);
    for config in &args.configs {
        let supervisor = Supervisor {
            config: config.clone(),
            common: args.common.clone(),
            process: process.clone(),
            stopping: stopping.clone(),
            hangup: hangup.subscribe(),
        };
        let (sender, receiver) = watch::channel(None);
        match supervisor.first_plan() {
            Ok(plan) => {
                started.push(receiver.clone());
                handles.push(receiver);
                sites.spawn(supervisor.run(Some(plan), sender));
            }
            Err(error) => {
                failed += 1;
                pass::say(config, &error);
                if args.configs.len() > 1 {
                    waiting += 1;
                    handles.push(receiver);
                    sites.spawn(supervisor.run(None, sender));
                }
            }
        }
    }
    if failed == args.configs.len() {
        return Ok(ExitCode::FAILURE);
    }
    if waiting > 0 {
        tracing::error!(
            "{waiting} of {} sites do not run; each starts when its file is mended",
            args.configs.len()
        );
    }
    let _watchdog = systemd::ready(&handles, &started).await;
    let mut broken = false;
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Hangup => {
                    systemd::reloading();
                    let _ = hangup.send(());
                    systemd::reloaded();
                }
                Signal::End => break,
            },
            ended = sites.join_next() => match ended {
                None => return Ok(ExitCode::FAILURE),
                Some(ended) => broken |= tell_end(ended),
            }
        }
    }
    tracing::info!("ending");
    systemd::stopping();
    let _ = stop.send(true);
    let last_words = async {
        while let Some(ended) = sites.join_next().await {
            broken |= tell_end(ended);
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(LAST_MOMENT, last_words) => {}
        // Asked twice, it ends at once; what is committed is on disk anyway.
        Signal::End = signals.next() => {}
    }
    Ok(if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Says how a site ended. True if badly.
fn tell_end(ended: Result<(PathBuf, anyhow::Result<()>), tokio::task::JoinError>) -> bool {
    match ended {
        Ok((_, Ok(()))) => false,
        Ok((config, Err(error))) => {
            pass::say(&config, &error);
            true
        }
        Err(error) => {
            tracing::error!("a site's engine failed, a bug: {error}");
            true
        }
    }
}

/// One site: its engine, its file.
struct Supervisor {
    config: PathBuf,
    common: CommonArgs,
    process: Process,
    stopping: watch::Receiver<bool>,
    hangup: broadcast::Receiver<()>,
}

impl Supervisor {
    fn first_plan(&self) -> anyhow::Result<(Plan, Locked)> {
        let plan = load_plan(&self.config, &self.common, &self.process)?;
        let locked = site::open_store(&site::state_path(&self.config, &self.common))?;
        Ok((plan, locked))
    }

    async fn run(
        mut self,
        first: Option<(Plan, Locked)>,
        handle: watch::Sender<Option<Handle>>,
    ) -> (PathBuf, anyhow::Result<()>) {
        let mut file = FileWatch::new(&self.config);
        let first = match first {
            Some(first) => Some(first),
            None => self.until_mended(&mut file).await,
        };
        let result = match first {
            None => Ok(()),
            Some((plan, locked)) => self.watch(plan, locked, &mut file, handle).await,
        };
        (self.config, result)
    }

    /// Waits until the site file can be used; `None` at the end of the run.
    async fn until_mended(&mut self, file: &mut FileWatch) -> Option<(Plan, Locked)> {
        while self.until_asked(file).await {
            match self.first_plan() {
                Ok(first) => return Some(first),
                Err(error) => pass::say(&self.config, &error),
            }
        }
        None
    }

    /// Waits for SIGHUP or a changed file; false at the end of the run.
    async fn until_asked(&mut self, file: &mut FileWatch) -> bool {
        loop {
            tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => return false,
                _ = self.hangup.recv() => {
                    file.seen();
                    return true;
                }
                () = tokio::time::sleep(POLL) => {
                    if file.has_changed() {
                        return true;
                    }
                }
            }
        }
    }

    async fn watch(
        &mut self,
        plan: Plan,
        (_lock, store): Locked,
        file: &mut FileWatch,
        published: watch::Sender<Option<Handle>>,
    ) -> anyhow::Result<()> {
        tracing::info!(
            "{}: watching {} monitors",
            printable(&plan.site),
            plan.monitors.len()
        );
        let engine = Engine::new(plan, store)
            .heartbeats(Arc::new(HttpHeartbeats::new(self.process.http.clone())))
            .on_event(|event| console::report(event, false));
        let handle = engine.handle();
        let _ = published.send(Some(handle.clone()));
        let mut engine = tokio::spawn(engine.run());
        loop {
            tokio::select! {
                ended = &mut engine => return end(ended),
                asked = self.until_asked(file) => {
                    if !asked {
                        handle.shutdown().await;
                        return end(engine.await);
                    }
                }
            }
            self.reload(&handle).await;
        }
    }

    /// A file with mistakes is refused, the old one goes on.
    async fn reload(&self, handle: &Handle) {
        let (config, common, process) = (self.config.clone(), self.common.clone(), self.process.clone());
        let plan = reload::on_a_thread(move || load_plan(&config, &common, &process)).await;
        match plan {
            Ok(plan) => {
                if let Err(error) = handle.reload(plan).await {
                    tracing::error!("{}: {error}", self.config.display());
                }
            }
            Err(error) => {
                pass::say(&self.config, &error);
                tracing::error!(
                    "{}: refused; the site goes on as it was",
                    printable(&self.config.display().to_string())
                );
            }
        }
    }
}

fn end(
    ended: Result<Result<PassReport, apmon_core::EngineError>, tokio::task::JoinError>,
) -> anyhow::Result<()> {
    let report = ended.context("the engine failed, a bug")?.context("cannot run")?;
    tracing::info!(
        "{} looks in {}, {} regular ones missed; they started late by {}",
        report.looks,
        words::duration(report.took),
        report.missed,
        report.lateness
    );
    if report.undelivered > 0 {
        tracing::warn!(
            "{} messages are not delivered yet; the next start sends them",
            report.undelivered
        );
    }
    Ok(())
}

fn load_plan(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Plan> {
    let file = site::load(config)?;
    for remark in site::remarks(&file, common.threads) {
        tracing::warn!("{}: {remark}", printable(&file.name));
    }
    site::plan(&file, common, process)
}

enum Signal {
    Hangup,
    End,
}

/// SIGHUP, SIGTERM and SIGINT; elsewhere than on Unix Ctrl-C.
#[cfg(unix)]
struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Hangup,
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::End
    }
}
