//! One site of the daemon: keeps its engine running, and retries when it cannot run.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use apmon_core::{
    Engine, EngineError, Handle, Notifier, PassReport, Plan,
    config::{ConfigError, SiteFile},
    rule::wording,
    text::printable,
};
use tokio::{
    sync::{broadcast, watch},
    time::MissedTickBehavior,
};
use tracing::Instrument as _;

use super::{
    change::Changes,
    file_watch::{FileWatch, file_version},
    registered_site::RegisteredSite,
};
use crate::{
    api, console, exclusive, kinds,
    options::CommonArgs,
    plural::count,
    registry::{Claim, SitePath},
    rrd::{self, History},
    site::{self, Process, RunMode},
    store::Store,
    thread,
};

/// How often a site is tried again that could not start for another reason than
/// its file: a pass holds its lock, or its state cannot be read.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// How often a site makes sure that it is still registered.
const REGISTERED_EVERY: Duration = Duration::from_secs(60);

/// Everything an engine needs to start.
pub(super) struct Ready {
    site: LoadedSite,
    store: Store,
    file: SitePath,
    /// Where the store keeps the state.
    state_file: PathBuf,
    claim: Claim,
}

/// The content of a site file.
struct LoadedSite {
    plan: Plan,
    connection_tests: Vec<ConnectionTest>,
    history_days: Option<u32>,
    /// How its history is kept in RRD files, if it is.
    rrd: Option<rrd::Settings>,
}

/// The supervisor of one site.
pub(super) struct Supervisor {
    pub(super) config: PathBuf,
    /// The site files of the process, this one among them.
    pub(super) all: Arc<[PathBuf]>,
    pub(super) common: CommonArgs,
    pub(super) process: Process,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) hangup: broadcast::Receiver<()>,
    pub(super) file: FileWatch,
    /// Serves the site's socket; `None` if its thread could not be started.
    pub(super) host: Option<api::Host>,
    /// The sites of the process, as the sockets of all of them list them.
    pub(super) sites: api::ProcessSites,
}

/// A site that was stopped.
pub(super) struct Stopped {
    pub(super) config: PathBuf,
    /// Whether everything that it knew is on disk.
    pub(super) is_saved: bool,
}

/// A request to a site.
#[derive(PartialEq, Eq)]
enum Request {
    Stop,
    /// Read the site file again.
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
        let read = move || Ok((file_version(&config), work(&config, &common, &process)));
        let stale = self.file.settled();
        // Ten thousand monitors take a tenth of a second, in which no check may wait.
        let (version, result) = thread::run("reload", read).await?;
        self.file.was_read(version, stale);
        result
    }

    /// Runs the site until a request to stop; an engine that cannot start, or that
    /// fails, is started again.
    pub(super) async fn run(
        mut self,
        first: anyhow::Result<Ready>,
        published: watch::Sender<Option<Handle>>,
    ) -> Stopped {
        let mut stopping = self.stopping.clone();
        let mut attempt = first;
        // The last error logged, so that it is not repeated every five seconds. The
        // error of the first attempt has been logged already.
        let mut logged = attempt.as_ref().err().map(|error| format!("{error:#}"));
        loop {
            let failed = match attempt {
                Ok(ready) => match self.run_engine(ready, &published).await {
                    Ended::OnRequest { is_saved } => return self.stopped(is_saved),
                    Ended::Failed { error, had_run } => {
                        // After a successful run any error is worth logging again.
                        logged = logged.filter(|_| !had_run);
                        error
                    }
                },
                Err(error) => error,
            };
            let _ = published.send(None);
            self.sites.stopped(&self.config, &failed);
            let text = format!("{failed:#}");
            if logged.as_ref() != Some(&text) {
                console::log_error(&self.config, &failed);
            }
            logged = Some(text);
            // Another process owns the state now: claiming it back would go on for ever.
            let is_taken_over = matches!(failed.downcast_ref(), Some(EngineError::TakenOver(_)));
            let waits_for_request = failed.is::<ConfigError>() || is_taken_over;
            let pause = async {
                match waits_for_request {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(RETRY_EVERY).await,
                }
            };
            tokio::select! {
                request = self.request() => {
                    if request == Request::Stop {
                        return self.stopped(true); // it has nothing to save
                    }
                    logged = None; // a reload on request always reports its outcome
                }
                () = pause => {}
            }
            attempt = tokio::select! {
                attempt = self.ready() => attempt,
                _ = stopping.wait_for(|stop| *stop) => return self.stopped(true),
            };
        }
    }

    fn stopped(self, is_saved: bool) -> Stopped {
        Stopped {
            config: self.config,
            is_saved,
        }
    }

    async fn request(&mut self) -> Request {
        tokio::select! {
            _ = self.stopping.wait_for(|stop| *stop) => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
            () = self.file.changed() => Request::Reload,
        }
    }

    /// Runs one engine until it ends.
    async fn run_engine(
        &mut self,
        Ready {
            site,
            store,
            file,
            state_file,
            claim,
        }: Ready,
        published: &watch::Sender<Option<Handle>>,
    ) -> Ended {
        store.configure(site.history_days);
        let history = History::new(RunMode::Daemon);
        let settings = site.rrd.clone();
        history
            .configure(settings)
            .instrument(self.process.span(&self.config))
            .await;
        let plan = self.test_connections(site);
        let mut registered = RegisteredSite::new(&plan.site, file, state_file, claim);
        self.process.span(&self.config).in_scope(|| {
            registered.log_start();
            tracing::info!(
                "{}: watching {}",
                printable(&plan.site),
                count(plan.monitors.len(), "monitor")
            );
        });
        let name = plan.site.clone();
        let engine = Engine::new(plan, store.shared())
            .on_event(|event| console::report(event, false))
            .metrics(Arc::new(history.clone()));
        let handle = engine.handle();
        // Listen first: a client that learns that the site runs can query it.
        let listening = self.listen(handle.clone(), history.clone(), &registered);
        let _listening = listening.instrument(self.process.span(&self.config)).await;
        self.process.span(&self.config).in_scope(|| registered.register());
        self.sites.running(&self.config, &name, handle.clone());
        let _ = published.send(Some(handle.clone()));
        let _pages = self.keep_pages(&history, &handle);
        let mut engine = tokio::spawn(engine.run().instrument(self.process.span(&self.config)));
        let mut stopping = self.stopping.clone();
        let mut had_run = false;
        let mut registry_check = tokio::time::interval(REGISTERED_EVERY);
        registry_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        registry_check.reset(); // it has just been registered
        loop {
            tokio::select! {
                _ = registry_check.tick() => {
                    self.process.span(&self.config).in_scope(|| registered.keep());
                }
                result = &mut engine => return failed(result, had_run),
                // The engine answers once its state is loaded.
                Ok(()) = handle.ping(), if !had_run => had_run = true,
                request = self.request() => match request {
                    // A file system that hangs must not keep the site from stopping.
                    Request::Reload => tokio::select! {
                        () = self.reload(&handle, &store, &history, &mut registered) => {}
                        result = &mut engine => return failed(result, had_run),
                        _ = stopping.wait_for(|stop| *stop) => {}
                    },
                    Request::Stop => {
                        handle.shutdown().await;
                        let result = engine.await;
                        store.close().await;
                        let logged = self.process.span(&self.config).in_scope(|| log_end(result));
                        if let Err(error) = &logged {
                            console::log_error(&self.config, error);
                        }
                        return Ended::OnRequest {
                            is_saved: logged.is_ok_and(|report| report.saved),
                        };
                    }
                }
            }
        }
    }

    /// Opens the site's socket. Without a socket the site runs all the same.
    async fn listen(
        &self,
        engine: Handle,
        history: History,
        site: &RegisteredSite,
    ) -> Option<api::Listening> {
        let host = self.host.as_ref()?;
        let socket = site.socket();
        let site = api::ServedSite {
            engine,
            history,
            file: site.file().clone(),
            sites: self.sites.clone(),
        };
        let listening = host.listen(socket, site).await;
        let warn = |error: &std::io::Error| {
            let socket = socket.display().to_string();
            let socket = printable(&socket);
            tracing::warn!(
                "{socket}: {error}: apmon status cannot ask this daemon and reads the state file instead"
            );
        };
        listening.inspect_err(warn).ok()
    }

    /// Writes the pages of the site while it runs, if the command line asks for them.
    fn keep_pages(&self, history: &History, engine: &Handle) -> Option<AbortOnDrop> {
        self.common.generate_mrtg_config.as_ref()?;
        let pages = history.clone().keep_pages(engine.clone());
        let task = tokio::spawn(pages.instrument(self.process.span(&self.config)));
        Some(AbortOnDrop(task))
    }

    /// Reaches the receivers of the site's channels at the start and at each reload, as far
    /// as that is possible without a notification, when the operator is there to read the
    /// warning. Returns the plan.
    fn test_connections(
        &self,
        LoadedSite {
            plan,
            connection_tests,
            ..
        }: LoadedSite,
    ) -> Plan {
        for ConnectionTest { channel, notifier } in connection_tests {
            let test = async move {
                if let Err(error) = notifier.test_connection().await {
                    tracing::warn!("{channel} cannot deliver now: {error}");
                }
            };
            tokio::spawn(test.instrument(self.process.span(&self.config)));
        }
        plan
    }

    /// Applies the changed site file; a file with errors, also one that contradicts the
    /// other site files of the process, is rejected, and the site keeps its previous
    /// configuration.
    async fn reload(
        &mut self,
        handle: &Handle,
        store: &Store,
        history: &History,
        registered: &mut RegisteredSite,
    ) {
        let all = Arc::clone(&self.all);
        let load = move |config: &Path, common: &CommonArgs, process: &Process| {
            let file = site::load_beside(config, &all, kinds::tables())?;
            Ok((loaded(config, &file, common, process), SitePath::of(config)))
        };
        match self.read(load).await {
            Ok((site, file)) => {
                store.configure(site.history_days);
                let settings = site.rrd.clone();
                history
                    .configure(settings)
                    .instrument(self.process.span(&self.config))
                    .await;
                let plan = self.test_connections(site);
                let name = plan.site.clone();
                let before = handle.plan().await;
                let changes = before.map(|before| Changes::between(&before.monitors, &plan.monitors));
                match handle.reload(plan).await {
                    Ok(()) => self.process.span(&self.config).in_scope(|| {
                        if let Ok(changes) = changes {
                            tracing::info!("{}: reloaded: {changes}", printable(&name));
                        }
                        self.sites.running(&self.config, &name, handle.clone());
                        registered.reloaded(&name, file);
                    }),
                    Err(error) => {
                        tracing::error!("{}: {error}", printable(&self.config.display().to_string()));
                    }
                }
            }
            Err(error) => {
                console::log_error(&self.config, &error);
                let shown = self.config.display().to_string();
                tracing::error!(
                    "{}: rejected; the site keeps its previous configuration",
                    printable(&shown)
                );
            }
        }
    }
}

fn ready(config: &Path, common: &CommonArgs, process: &Process) -> anyhow::Result<Ready> {
    let content = site::load(config)?;
    let (store, claim, warnings) = exclusive::open(config, common, RunMode::Daemon, "")?;
    // Not before it succeeds: a daemon that waits for a lock tries every few seconds.
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // Logs the site's warnings, which every attempt would repeat.
    let site = loaded(config, &content, common, process);
    let state_file = site::state_path(config, common, RunMode::Daemon);
    Ok(Ready {
        site,
        store,
        file: SitePath::of(config),
        state_file: std::path::absolute(&state_file).unwrap_or(state_file),
        claim,
    })
}

fn loaded(config: &Path, file: &SiteFile, common: &CommonArgs, process: &Process) -> LoadedSite {
    let state_file = site::state_path(config, common, RunMode::Daemon);
    let (rrd, warning) = rrd::Settings::of(file, common, &state_file);
    for warning in site::warnings(file, common.threads).into_iter().chain(warning) {
        tracing::warn!("{}: {warning}", printable(&file.name));
    }
    let plan = site::plan(file, common, process);
    LoadedSite {
        connection_tests: connection_tests(file, &plan),
        plan,
        history_days: site::history_days(file),
        rrd,
    }
}

/// A task that ends with the engine that it serves.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A channel whose receiver is reached at start.
struct ConnectionTest {
    channel: String,
    notifier: Arc<dyn Notifier>,
}

/// One for each receiver: of the channels that share a server only the first.
fn connection_tests(file: &SiteFile, plan: &Plan) -> Vec<ConnectionTest> {
    if plan.no_notify {
        return Vec::new();
    }
    let mut servers = HashSet::new();
    let entries = file.channels.iter();
    let first = entries.filter(|entry| entry.blueprint.via.as_ref().is_none_or(|via| servers.insert(via)));
    let channels = first.filter_map(|entry| plan.channels.iter().find(|channel| channel.id == entry.id));
    channels
        .map(|channel| ConnectionTest {
            channel: printable(&channel.id).into_owned(),
            notifier: Arc::clone(&channel.notifier),
        })
        .collect()
}

/// The result of an engine's task.
type TaskResult = Result<Result<PassReport, EngineError>, tokio::task::JoinError>;

/// How an engine ended.
enum Ended {
    OnRequest {
        is_saved: bool,
    },
    Failed {
        error: anyhow::Error,
        /// Whether it had loaded its state and run.
        had_run: bool,
    },
}

fn failed(result: TaskResult, had_run: bool) -> Ended {
    let error = match log_end(result) {
        Ok(_) => anyhow::anyhow!("the engine ended by itself (this is a bug)"),
        Err(error) => error,
    };
    Ended::Failed { error, had_run }
}

/// Logs and returns the report of an engine that has ended, or returns its failure.
fn log_end(result: TaskResult) -> anyhow::Result<PassReport> {
    let report = result
        .context("the engine panicked (this is a bug)")?
        .context("cannot run")?;
    tracing::info!(
        "{} in {}, {} missed; started late by {}",
        count(report.checks, "check"),
        wording::duration(report.took),
        count(report.missed, "scheduled check"),
        report.lateness
    );
    console::log_undelivered("", &report, "the next start");
    if !report.saved {
        tracing::error!(
            "the state is not saved: the next start repeats the checks and notifications since the last save"
        );
    }
    Ok(report)
}
