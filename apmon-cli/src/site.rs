//! From a site file to what an engine runs.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Heartbeat, MonitorKind, Plan, Services, StateStore,
    config::{self, ConfigError, MonitorEntry, ProcessEnvironment, Seconds, SiteFile},
    text::{nearest, printable},
};
use apmon_notify::HttpClient;
use apmon_store::{Format, HISTORY_DAYS, JsonStore, LockError, Platform, SqliteStore};
use serde_json::json;

use crate::{channel, kinds, options::CommonArgs};

/// How long one delivery may take where the site does not say.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// What all sites of a process share.
#[derive(Clone)]
pub(crate) struct Process {
    /// Sockets and the like of the probes.
    pub(crate) services: Arc<Services>,
    /// The client of webhooks and heartbeats.
    pub(crate) http: HttpClient,
    /// It has several sites, and its log tells which one a line is about.
    pub(crate) several: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            services: Arc::new(kinds::services()),
            http: HttpClient::default(),
            several: false,
        }
    }
}

impl Process {
    pub(crate) fn with(sites: usize) -> Self {
        Self {
            several: sites > 1,
            ..Self::default()
        }
    }

    /// What the log says of a site happens in here.
    pub(crate) fn span(&self, config: &Path) -> tracing::Span {
        if !self.several {
            return tracing::Span::none();
        }
        let shown = config.display().to_string();
        // At the level of errors, or warnings would not have it.
        tracing::error_span!("site", file = %printable(&shown))
    }
}

/// Reads a site file; its warnings are logged.
pub(crate) fn load(path: &Path) -> Result<SiteFile, ConfigError> {
    let file = config::load(path, kinds::all(), &ProcessEnvironment)?;
    let shown = path.display().to_string();
    let shown = printable(&shown);
    for warning in &file.warnings {
        tracing::warn!("{shown}:{}:{}: {warning}", warning.at.line, warning.at.column);
    }
    Ok(file)
}

/// Whether the name is one that a site file has.
pub(crate) fn is_site_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.contains("://")
        && [".yaml", ".yml", ".json"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// The monitor of that name.
pub(crate) fn monitor_called<'a>(file: &'a SiteFile, wanted: &str) -> anyhow::Result<&'a MonitorEntry> {
    let found = file.monitors.iter().find(|monitor| monitor.name == wanted);
    found.ok_or_else(|| {
        let names = file.monitors.iter().map(|monitor| monitor.name.as_str());
        let hint = nearest(wanted, names)
            .map(|name| format!("; did you mean \"{name}\"?"))
            .unwrap_or_default();
        anyhow::anyhow!(
            "no monitor is called \"{}\"{}",
            printable(wanted),
            printable(&hint)
        )
    })
}

/// A site of one monitor, made from the command line and read as any site file
/// is: the same rules, the same messages.
pub(crate) fn of_one(
    monitor: serde_json::Map<String, serde_json::Value>,
    kinds: &[&dyn MonitorKind],
) -> anyhow::Result<SiteFile> {
    let text = json!({"site": {"name": "command line"}, "monitors": [monitor]}).to_string();
    config::parse(Path::new("command line"), &text, kinds, &ProcessEnvironment).map_err(|error| match error {
        // Places in a text that nobody wrote help nobody.
        ConfigError::Invalid { errors, .. } => {
            let texts: Vec<_> = errors.iter().map(|error| error.text.as_str()).collect();
            anyhow::anyhow!("{}", texts.join("; "))
        }
        other => other.into(),
    })
}

/// What the site does that its author may not expect.
pub(crate) fn warnings(file: &SiteFile, threads: Option<u32>) -> Vec<String> {
    let mut warnings = Vec::new();
    let cap = cap(file, threads);
    if let Some(cap) = cap.filter(|cap| cap.get() < file.monitors.len()) {
        let longest = file
            .monitors
            .iter()
            .map(|monitor| monitor.max_try.value.get())
            .max()
            .unwrap_or(0);
        let rounds = (file.monitors.len() - 1) / cap.get();
        warnings.push(format!(
            "{cap} checks at once for {} monitors: dead targets may delay others by up to {} secs; without max_threads there is no cap",
            file.monitors.len(),
            rounds as u64 * longest
        ));
    }
    warnings
}

/// The most checks at once.
pub(crate) fn cap(file: &SiteFile, threads: Option<u32>) -> Option<NonZeroUsize> {
    let cap = threads.or(file.site.max_threads.map(|cap| cap.get().get()));
    cap.and_then(|cap| NonZeroUsize::new(cap as usize))
}

/// Builds the monitors and channels of a site.
pub(crate) fn plan(file: &SiteFile, args: &CommonArgs, process: &Process) -> anyhow::Result<Plan> {
    let mut plan = Plan::new(&file.name);
    plan.delivery_timeout = delivery_timeout(file);
    plan.max_concurrent = cap(file, args.threads);
    plan.no_notify = args.no_notify;
    if let Some(expire) = file.site.notify_expire_secs {
        plan.expire_after = expire.duration();
    }
    plan.heartbeat = file.site.heartbeat_url.clone().map(|url| Heartbeat {
        url,
        every: file.site.heartbeat_every_n_secs.map(Seconds::duration),
    });
    plan.monitors = file
        .monitors
        .iter()
        .map(|monitor| monitor.build(&process.services))
        .collect();
    plan.channels = channel::all(file, process, plan.delivery_timeout)?;
    Ok(plan)
}

/// How long one delivery may take.
pub(crate) fn delivery_timeout(file: &SiteFile) -> Duration {
    let timeout = file.site.max_try_secs;
    timeout.map_or(DELIVERY_TIMEOUT, |timeout| timeout.duration())
}

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watcher {
    /// `apmon run`
    Daemon,
    /// One pass, for cron.
    Pass,
}

/// Where a site's state is kept. Once there is a database every command uses
/// it: two files would each know half.
pub(crate) fn state_path(config: &Path, args: &CommonArgs, watcher: Watcher) -> PathBuf {
    state_file(config, args.statefile.as_deref(), watcher)
}

/// The same, where `named` is the one that the command line names.
pub(crate) fn state_file(config: &Path, named: Option<&Path>, watcher: Watcher) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    let default = |format| apmon_store::default_path(config, format, Platform::HERE, &ProcessEnvironment);
    let database = default(Format::Sqlite);
    if watcher == Watcher::Daemon || database.exists() {
        database
    } else {
        default(Format::Json)
    }
}

/// Refuses a site whose state would be kept where one of the sites `before` it
/// keeps its own: two site files of one stem.
pub(crate) fn has_own_state(
    config: &Path,
    before: &[PathBuf],
    args: &CommonArgs,
    watcher: Watcher,
) -> anyhow::Result<()> {
    let path = state_path(config, args, watcher);
    match before
        .iter()
        .find(|other| state_path(other, args, watcher) == path)
    {
        None => Ok(()),
        Some(other) => anyhow::bail!(
            "it does not run beside {}: {} is the state file of another of these site files",
            printable(&other.display().to_string()),
            printable(&path.display().to_string())
        ),
    }
}

/// A site's store.
#[derive(Clone)]
pub(crate) enum Store {
    Json(Arc<JsonStore>),
    Sqlite(Arc<SqliteStore>),
}

impl Store {
    /// As the engine needs it.
    pub(crate) fn shared(&self) -> Arc<dyn StateStore> {
        match self {
            Self::Json(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::clone(store) as _,
        }
    }

    /// Does with the history what the site file says.
    pub(crate) fn configure(&self, history_days: u32) {
        if let Self::Sqlite(store) = self {
            store.keep_history(history_days);
        }
    }
}

/// How long the history of a site is kept.
pub(crate) fn history_days(file: &SiteFile) -> u32 {
    file.site
        .history_days
        .map_or(HISTORY_DAYS, |days| days.get().get())
}

/// Opens a site's store; as long as it can write, everybody else is kept off.
/// Without a lock the site runs all the same: where there can be no lock file
/// there can be no state either (the engine says so, and goes on from memory),
/// and where it cannot be had for another reason this is said here.
pub(crate) fn open_store(state_file: &Path) -> anyhow::Result<Store> {
    let format = Format::of(state_file);
    let locked = match format {
        Format::Json => JsonStore::lock(state_file),
        Format::Sqlite => SqliteStore::lock(state_file),
    };
    let lock = match locked {
        Ok(lock) => Some(lock),
        Err(LockError::Io { step, path, source }) if path.symlink_metadata().is_err() => {
            tracing::debug!("{step} {}: {source}", printable(&path.display().to_string()));
            None
        }
        // What is no file there is in the way, perhaps on purpose.
        Err(LockError::Io { step, path, source })
            if path.symlink_metadata().is_ok_and(|there| there.is_file()) =>
        {
            may_be_read(state_file)?;
            tracing::warn!(
                "{step} {}: {source}: going on without a lock; nothing keeps a second apmon off this site",
                printable(&path.display().to_string())
            );
            None
        }
        Err(error @ LockError::Held { .. }) => {
            return Err(anyhow::Error::from(error).context("another apmon runs this site"));
        }
        Err(error) => return Err(error.into()),
    };
    let zone = jiff::tz::TimeZone::system();
    Ok(match format {
        Format::Json => Store::Json(Arc::new(JsonStore::open(state_file, zone, lock)?)),
        Format::Sqlite => Store::Sqlite(Arc::new(SqliteStore::open(state_file, zone, lock)?)),
    })
}

/// Who may not even read the state does not run, with a lock or without.
fn may_be_read(state_file: &Path) -> anyhow::Result<()> {
    match std::fs::File::open(state_file) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => anyhow::bail!(
            "cannot run: neither {} nor its lock may be read by this user: {error}",
            printable(&state_file.display().to_string())
        ),
        _ => Ok(()),
    }
}
