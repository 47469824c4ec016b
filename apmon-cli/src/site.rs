//! From a site file to what an engine runs.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use apmon_core::{
    MonitorKind, Plan, Services,
    config::{ConfigError, MonitorEntry, ProcessEnvironment, SiteFile, Tables, check_process},
    text::{nearest, printable},
};
use apmon_store::{Format, Platform};
use serde_json::json;

use crate::{kinds, options::CommonArgs, store};

/// How long a reload waits for the files of the other sites.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(5);

/// What all sites of a process share.
#[derive(Clone)]
pub(crate) struct Process {
    /// What monitors and channels share: sockets, a resolver, an HTTP client.
    pub(crate) services: Arc<Services>,
    /// The process has several sites, and its log names the site of each line.
    pub(crate) several: bool,
}

impl Default for Process {
    fn default() -> Self {
        let services = Arc::new(kinds::services());
        Self {
            services,
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

    /// The span of the site's log lines: it names the site if there are several.
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
    let file = read(path)?;
    log_warnings(&file);
    Ok(file)
}

/// Reads a site file, without logging its warnings.
pub(crate) fn read(path: &Path) -> Result<SiteFile, ConfigError> {
    kinds::tables().load(path, &ProcessEnvironment)
}

/// Reads a site file that is to run beside the `others` of its process, which may
/// name it too; its warnings are logged. A contradiction that it brings among them is
/// an error as any other.
pub(crate) fn load_beside(
    path: &Path,
    others: &[PathBuf],
    tables: Tables<'static>,
) -> Result<SiteFile, ConfigError> {
    let file = tables.load(path, &ProcessEnvironment)?;
    log_warnings(&file);
    let others: Vec<PathBuf> = others.iter().filter(|other| *other != path).cloned().collect();
    // On a thread of its own: another site's file may be on a disk that does not answer.
    let (sender, receiver) = mpsc::channel();
    let spawned = thread::Builder::new().name("other-sites".into()).spawn(move || {
        let _ = sender.send(readable(others.iter(), &tables));
    });
    let others = match spawned.map(|_| receiver.recv_timeout(OTHERS_TIMEOUT)) {
        Ok(Ok(others)) => others,
        _ => {
            tracing::warn!("the other site files cannot be read now; the file is not compared with them");
            return Ok(file);
        }
    };
    let before = check_process(&others.iter().collect::<Vec<_>>(), &tables);
    // The file is the last one, as an option of the process is compared with the first.
    let all: Vec<&SiteFile> = others.iter().chain([&file]).collect();
    let mut errors = check_process(&all, &tables);
    errors.retain(|error| !before.contains(error));
    match errors.is_empty() {
        true => Ok(file),
        false => Err(ConfigError::Invalid { errors }),
    }
}

fn log_warnings(file: &SiteFile) {
    for warning in &file.warnings {
        tracing::warn!("{}: {warning}", warning.at);
    }
}

/// Those of the site files that are valid by themselves; the errors of the others are
/// reported when they are loaded.
fn readable<'a>(configs: impl Iterator<Item = &'a PathBuf>, tables: &Tables<'_>) -> Vec<SiteFile> {
    configs
        .filter_map(|config| tables.load(config, &ProcessEnvironment).ok())
        .collect()
}

/// The errors of these site files together. Those of each file are reported when
/// it is loaded.
pub(crate) fn check_together(configs: &[PathBuf]) -> Vec<String> {
    if configs.len() < 2 {
        return Vec::new();
    }
    let tables = kinds::tables();
    let files = readable(configs.iter(), &tables);
    let errors = check_process(&files.iter().collect::<Vec<_>>(), &tables);
    errors
        .iter()
        .map(|error| format!("{}: {error}", error.at))
        .collect()
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
    let tables = Tables {
        kinds,
        ..kinds::tables()
    };
    let parsed = tables.parse(Path::new("command line"), &text, &ProcessEnvironment);
    parsed.map_err(|error| match error {
        // The text is generated, so its positions would mislead.
        ConfigError::Invalid { errors, .. } => {
            let texts: Vec<_> = errors.iter().map(|error| error.text.as_str()).collect();
            anyhow::anyhow!("{}", texts.join("; "))
        }
        other => other.into(),
    })
}

/// Everything about a site that people should know, as a pass logs it.
pub(crate) fn all_warnings(file: &SiteFile, threads: Option<u32>) -> Vec<String> {
    let of_file = file.warnings.iter();
    let of_file = of_file.map(|warning| format!("{}: {warning}", warning.at));
    let own = warnings(file, threads).into_iter();
    let own = own.map(|warning| about(file, &warning));
    of_file.chain(own).collect()
}

/// A warning about a site.
pub(crate) fn about(file: &SiteFile, warning: &str) -> String {
    format!("{}: {warning}", printable(&file.name))
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
            "{} monitors, at most {cap} checked at once: dead targets may delay others by up to {} secs; without max_threads there is no limit",
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

/// Everything the site file says, with what the command line overrides.
pub(crate) fn plan(file: &SiteFile, args: &CommonArgs, process: &Process) -> Plan {
    let mut plan = file.plan(&process.services);
    plan.max_concurrent = cap(file, args.threads);
    plan.no_notify = args.no_notify;
    plan
}

/// How the command runs a site.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// `apmon run`
    Daemon,
    /// One pass, for cron.
    Pass,
}

/// Where a site's state is kept. Once there is a database every command uses
/// it: two files would each know half.
pub(crate) fn state_path(config: &Path, args: &CommonArgs, mode: RunMode) -> PathBuf {
    state_file(config, args.statefile.as_deref(), mode)
}

/// The same, where `named` is the one that the command line names.
pub(crate) fn state_file(config: &Path, named: Option<&Path>, mode: RunMode) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    let default = |format| apmon_store::default_path(config, format, Platform::HERE, &ProcessEnvironment);
    let database = default(Format::Sqlite);
    match mode {
        _ if database.exists() => database,
        RunMode::Daemon => default(store::DAEMON_FORMAT),
        RunMode::Pass => default(Format::Json),
    }
}

/// Refuses a site whose state would be kept where one of the sites `before` it
/// keeps its own: two site files of one stem.
pub(crate) fn has_own_state(
    config: &Path,
    before: &[PathBuf],
    args: &CommonArgs,
    mode: RunMode,
) -> anyhow::Result<()> {
    let path = state_path(config, args, mode);
    match before.iter().find(|other| state_path(other, args, mode) == path) {
        None => Ok(()),
        Some(other) => anyhow::bail!(
            "cannot run beside {}: both use the state file {}; rename one of the two site files",
            printable(&other.display().to_string()),
            printable(&path.display().to_string())
        ),
    }
}

/// How long the site file keeps the history of its site, if it says so.
pub(crate) fn history_days(file: &SiteFile) -> Option<u32> {
    file.site.history_days.map(|days| days.get().get())
}

#[cfg(test)]
mod tests;
