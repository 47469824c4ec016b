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
use apmon_notify::{HttpHeartbeats, MailServer};
use tokio::sync::{broadcast, watch};
use tracing::Instrument as _;

use super::file::{FileWatch, on_a_thread, stamp};
use crate::{
    api, channel, console,
    options::CommonArgs,
    site::{self, Process, Store, Watcher},
};

/// A site that could not start for another reason than its file is tried again
/// so often: a pass of cron holds its lock, its state cannot be read.
const AGAIN: Duration = Duration::from_secs(5);

/// What an engine needs to start.
pub(super) struct Ready {
    site: Loaded,
    store: Store,
}

/// What a site file says.
struct Loaded {
    plan: Plan,
    mail: Option<MailServer>,
    history_days: u32,
}

/// One site.
pub(super) struct Supervisor {
    pub(super) config: PathBuf,
    pub(super) common: CommonArgs,
    pub(super) process: Process,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) hangup: broadcast::Receiver<()>,
    pub(super) file: FileWatch,
    /// Where it can be asked; `None` where that could not be had.
    pub(super) host: Option<api::Host>,
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
    pub(super) async fn ready(&mut self) -> anyhow::Result<Ready> {
        self.read(ready).await
    }

    /// Does `work` with the site file on a thread of its own.
    async fn read<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Path, &CommonArgs, &Process) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (config, common, process) = (self.config.clone(), self.common.clone(), self.process.clone());
        let read = move || Ok((stamp(&config), work(&config, &common, &process)));
        let stale = self.file.at_rest();
        let (stamp, result) = on_a_thread(read).await?;
        self.file.was_read(stamp, stale);
        result
    }

    /// Runs until told to end; an engine that cannot start, or that fails, is
    /// started again.
    pub(super) async fn run(
        mut self,
        first: anyhow::Result<Ready>,
        published: watch::Sender<Option<Handle>>,
    ) -> PathBuf {
        let mut stopping = self.stopping.clone();
        let mut attempt = first;
        // What supervise said, and what is not said again every five seconds.
        let mut said = attempt.as_ref().err().map(|error| format!("{error:#}"));
        loop {
            let failed = match attempt {
                Ok(ready) => match self.watch(ready, &published).await {
                    Ended::AsTold => return self.config,
                    Ended::Badly { error, had_run } => {
                        // What is wrong now is news, whatever was wrong before.
                        said = said.filter(|_| !had_run);
                        error
                    }
                },
                Err(error) => error,
            };
            let _ = published.send(None);
            let text = format!("{failed:#}");
            if said.as_ref() != Some(&text) {
                console::log_error(&self.config, &failed);
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
                told = self.told() => {
                    if told == Told::End {
                        return self.config;
                    }
                    said = None; // who asks gets an answer
                }
                () = pause => {}
            }
            attempt = tokio::select! {
                attempt = self.ready() => attempt,
                _ = stopping.wait_for(|stop| *stop) => return self.config,
            };
        }
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.stopping.wait_for(|stop| *stop) => Told::End,
            _ = self.hangup.recv() => Told::Reload,
            () = self.file.changed() => Told::Reload,
        }
    }

    /// Runs the engine.
    async fn watch(
        &mut self,
        Ready { site, store }: Ready,
        published: &watch::Sender<Option<Handle>>,
    ) -> Ended {
        store.configure(site.history_days);
        let plan = self.greet(site);
        self.process.span(&self.config).in_scope(|| {
            tracing::info!(
                "{}: watching {} monitors",
                printable(&plan.site),
                plan.monitors.len()
            );
        });
        let engine = Engine::new(plan, store.shared())
            .heartbeats(Arc::new(HttpHeartbeats::new(self.process.http.clone())))
            .on_event(|event| console::report(event, false));
        let handle = engine.handle();
        // Whoever is told that it runs can ask it.
        let listening = self.listen(handle.clone());
        let _listening = listening.instrument(self.process.span(&self.config)).await;
        let _ = published.send(Some(handle.clone()));
        let mut engine = tokio::spawn(engine.run().instrument(self.process.span(&self.config)));
        let mut stopping = self.stopping.clone();
        let mut had_run = false;
        loop {
            tokio::select! {
                ended = &mut engine => return badly(ended, had_run),
                // It answers when it has loaded its state.
                Ok(()) = handle.ping(), if !had_run => had_run = true,
                told = self.told() => match told {
                    // A file system that hangs must not keep it from its end.
                    Told::Reload => tokio::select! {
                        () = self.reload(&handle, &store) => {}
                        ended = &mut engine => return badly(ended, had_run),
                        _ = stopping.wait_for(|stop| *stop) => {}
                    },
                    Told::End => {
                        handle.shutdown().await;
                        let ended = engine.await;
                        if let Err(error) = self.process.span(&self.config).in_scope(|| end(ended)) {
                            console::log_error(&self.config, &error);
                        }
                        return Ended::AsTold;
                    }
                }
            }
        }
    }

    /// Opens the socket on which it is asked. That there is none stops nobody.
    async fn listen(&self, engine: Handle) -> Option<api::Listening> {
        let host = self.host.as_ref()?;
        let state_file = site::state_path(&self.config, &self.common, Watcher::Daemon);
        let socket = api::socket_of(&state_file);
        let listening = host.listen(&socket, engine).await;
        let say = |error: &std::io::Error| {
            let socket = socket.display().to_string();
            let socket = printable(&socket);
            tracing::warn!("{socket}: {error}: apmon status cannot ask this daemon, it reads the state file");
        };
        listening.inspect_err(say).ok()
    }

    /// Tries the site's mail server: whoever set it up is still there, and at
    /// the first outage perhaps nobody is.
    fn greet(&self, Loaded { plan, mail, .. }: Loaded) -> Plan {
        if let Some(mail) = mail {
            let try_out = async move {
                if let Err(error) = mail.try_out().await {
                    tracing::warn!("email_server does not take mail now: {error}");
                }
            };
            tokio::spawn(try_out.instrument(self.process.span(&self.config)));
        }
        plan
    }

    /// A file with mistakes is refused, the old one goes on.
    async fn reload(&mut self, handle: &Handle, store: &Store) {
        match self.read(load_site).await {
            Ok(site) => {
                store.configure(site.history_days);
                let plan = self.greet(site);
                if let Err(error) = handle.reload(plan).await {
                    tracing::error!("{}: {error}", printable(&self.config.display().to_string()));
                }
            }
            Err(error) => {
                console::log_error(&self.config, &error);
                let shown = self.config.display().to_string();
                tracing::error!("{}: refused; the site goes on as it was", printable(&shown));
            }
        }
    }
}

fn ready(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Ready> {
    let site = load_site(config, common, process)?;
    let store = site::open_store(&site::state_path(config, common, Watcher::Daemon))?;
    Ok(Ready { site, store })
}

fn load_site(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Loaded> {
    let file = site::load(config)?;
    for warning in site::warnings(&file, common.threads) {
        tracing::warn!("{}: {warning}", printable(&file.name));
    }
    Ok(Loaded {
        plan: site::plan(&file, common, process)?,
        mail: channel::mail_server(&file)?.filter(|_| !common.no_notify),
        history_days: site::history_days(&file),
    })
}

/// What came of an engine's task.
type Task = Result<Result<PassReport, EngineError>, tokio::task::JoinError>;

/// How an engine ended.
enum Ended {
    AsTold,
    Badly {
        error: anyhow::Error,
        /// It had its state, and looked.
        had_run: bool,
    },
}

fn badly(ended: Task, had_run: bool) -> Ended {
    let error = match end(ended) {
        Ok(()) => anyhow::anyhow!("the engine ended by itself, a bug"),
        Err(error) => error,
    };
    Ended::Badly { error, had_run }
}

fn end(ended: Task) -> anyhow::Result<()> {
    let report = ended.context("the engine failed, a bug")?.context("cannot run")?;
    tracing::info!(
        "{} looks in {}, {} regular ones missed; they started late by {}",
        report.checks,
        words::duration(report.took),
        report.missed,
        report.lateness
    );
    console::log_undelivered("", &report, "the next start");
    Ok(())
}
