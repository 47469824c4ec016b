//! One site of a daemon: its engine runs, or it is tried again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{
    Engine, EngineError, Handle, PassReport, Plan, config::ConfigError, rule::words, text::printable,
};
use apmon_notify::HttpHeartbeats;
use apmon_store::JsonStore;
use tokio::sync::{broadcast, watch};

use super::{
    Attempt,
    file::{FileWatch, on_a_thread},
};
use crate::{
    args::CommonArgs,
    console, pass,
    site::{self, Process},
};

/// A site that could not start for another reason than its file is tried again
/// so often: a pass of cron holds its lock, its state cannot be read.
const AGAIN: Duration = Duration::from_secs(5);

/// What an engine needs to start.
pub(super) struct Ready {
    plan: Plan,
    store: Arc<JsonStore>,
}

/// One site.
pub(super) struct Supervisor {
    pub(super) config: PathBuf,
    pub(super) common: CommonArgs,
    pub(super) process: Process,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) hangup: broadcast::Receiver<()>,
}

/// What a site is told.
#[derive(PartialEq, Eq)]
enum Told {
    /// To end.
    End,
    /// To read its file again.
    Reload,
}

impl Supervisor {
    /// Reads the site file and opens the store.
    pub(super) fn ready(&self) -> Attempt {
        ready(&self.config, &self.common, &self.process)
    }

    /// Runs until told to end; an engine that cannot start, or that fails, is
    /// started again.
    pub(super) async fn run(mut self, first: Attempt, published: watch::Sender<Option<Handle>>) -> PathBuf {
        let mut file = FileWatch::start(&self.config);
        let mut attempt = first;
        // What supervise said, and what is not said again every five seconds.
        let mut said = attempt.as_ref().err().map(|error| format!("{error:#}"));
        loop {
            let failed = match attempt {
                Ok(ready) => match self.watch(ready, &mut file, &published).await {
                    Ok(()) => return self.config,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let _ = published.send(None);
            let text = format!("{failed:#}");
            if said.as_ref() != Some(&text) {
                pass::say(&self.config, &failed);
            }
            said = Some(text);
            let in_its_file = failed.is::<ConfigError>();
            let pause = async {
                match in_its_file {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(AGAIN).await,
                }
            };
            tokio::select! {
                told = self.told(&mut file) => if told == Told::End { return self.config },
                () = pause => {}
            }
            let (config, common, process) = self.parts();
            attempt = on_a_thread(move || ready(&config, &common, &process)).await;
        }
    }

    fn parts(&self) -> (PathBuf, CommonArgs, Process) {
        (self.config.clone(), self.common.clone(), self.process.clone())
    }

    async fn told(&mut self, file: &mut FileWatch) -> Told {
        tokio::select! {
            _ = self.stopping.wait_for(|stop| *stop) => Told::End,
            _ = self.hangup.recv() => {
                file.seen();
                Told::Reload
            }
            () = file.changed() => Told::Reload,
        }
    }

    /// Runs the engine. `Ok` when told to end.
    async fn watch(
        &mut self,
        Ready { plan, store }: Ready,
        file: &mut FileWatch,
        published: &watch::Sender<Option<Handle>>,
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
                ended = &mut engine => {
                    return Err(match end(ended) {
                        Ok(()) => anyhow::anyhow!("the engine ended by itself, a bug"),
                        Err(error) => error,
                    });
                }
                told = self.told(file) => match told {
                    Told::Reload => self.reload(&handle).await,
                    Told::End => {
                        handle.shutdown().await;
                        if let Err(error) = end(engine.await) {
                            pass::say(&self.config, &error);
                        }
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A file with mistakes is refused, the old one goes on.
    async fn reload(&self, handle: &Handle) {
        let (config, common, process) = self.parts();
        match on_a_thread(move || load_plan(&config, &common, &process)).await {
            Ok(plan) => {
                if let Err(error) = handle.reload(plan).await {
                    tracing::error!("{}: {error}", printable(&self.config.display().to_string()));
                }
            }
            Err(error) => {
                pass::say(&self.config, &error);
                let shown = self.config.display().to_string();
                tracing::error!("{}: refused; the site goes on as it was", printable(&shown));
            }
        }
    }
}

fn ready(config: &Path, common: &CommonArgs, process: &Process) -> Attempt {
    let plan = load_plan(config, common, process)?;
    let store = site::open_store(&site::state_path(config, common))?;
    Ok(Ready { plan, store })
}

fn load_plan(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Plan> {
    let file = site::load(config)?;
    for remark in site::remarks(&file, common.threads) {
        tracing::warn!("{}: {remark}", printable(&file.name));
    }
    site::plan(&file, common, process)
}

fn end(ended: Result<Result<PassReport, EngineError>, tokio::task::JoinError>) -> anyhow::Result<()> {
    let report = ended.context("the engine failed, a bug")?.context("cannot run")?;
    tracing::info!(
        "{} looks in {}, {} regular ones missed; they started late by {}",
        report.looks,
        words::duration(report.took),
        report.missed,
        report.lateness
    );
    pass::tell_undelivered("", &report, "the next start sends them");
    Ok(())
}
