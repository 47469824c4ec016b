//! From a site file to what an engine runs.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use apmon_core::{
    Channel, Plan, Tools,
    config::{self, ConfigError, ProcessEnvironment, Seconds, SiteFile},
    text::printable,
};
use apmon_notify::{Command, HttpClient, Syslog, Webhook, channel_ids, command_ids, syslog_ids};
use apmon_store::{JsonStore, LockError, Platform};

use crate::{args::CommonArgs, kinds};

/// What all sites of a process share.
#[derive(Clone, Default)]
pub(crate) struct Process {
    /// Sockets and the like of the probes.
    pub(crate) tools: Arc<Tools>,
    /// The client of webhooks and heartbeats.
    pub(crate) http: HttpClient,
    /// It has several sites, and its log tells which one a line is about.
    pub(crate) several: bool,
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

/// What the site does that its author may not expect.
pub(crate) fn remarks(file: &SiteFile, threads: Option<u32>) -> Vec<String> {
    let mut remarks = Vec::new();
    let cap = cap(file, threads);
    if let Some(cap) = cap.filter(|cap| cap.get() < file.monitors.len()) {
        let longest = file
            .monitors
            .iter()
            .map(|monitor| monitor.max_try.value.get())
            .max()
            .unwrap_or(0);
        let rounds = (file.monitors.len() - 1) / cap.get();
        remarks.push(format!(
            "{cap} checks at once for {} monitors: dead targets may delay others by up to {} secs; without max_threads there is no cap",
            file.monitors.len(),
            rounds as u64 * longest
        ));
    }
    if !file.outage_emails.is_empty() {
        remarks.push(format!(
            "outage_emails: this version sends no e-mail yet, {} recipients are not told",
            file.outage_emails.len()
        ));
    }
    remarks
}

/// The most checks at once.
pub(crate) fn cap(file: &SiteFile, threads: Option<u32>) -> Option<NonZeroUsize> {
    let cap = threads.or(file.site.max_threads.map(|cap| cap.get().get()));
    cap.and_then(|cap| NonZeroUsize::new(cap as usize))
}

/// Builds the monitors and channels of a site.
pub(crate) fn plan(file: &SiteFile, args: &CommonArgs, process: &Process) -> anyhow::Result<Plan> {
    let mut plan = Plan::new(&file.name);
    if let Some(timeout) = file.site.max_try_secs {
        plan.delivery_timeout = timeout.duration();
    }
    plan.max_concurrent = cap(file, args.threads);
    plan.quiet = args.no_notify;
    plan.monitors = file
        .monitors
        .iter()
        .map(|monitor| monitor.build(&process.tools))
        .collect();
    let ids = channel_ids(&file.outage_webhooks);
    for (id, options) in ids.into_iter().zip(&file.outage_webhooks) {
        let webhook = Webhook::new(options, process.http.clone(), plan.delivery_timeout)
            .with_context(|| format!("outage_webhooks: {id}"))?;
        plan.channels
            .push(Channel::new(id, Arc::new(webhook)).within(options.timeout_secs.map(Seconds::duration)));
    }
    for (id, options) in command_ids(&file.outage_commands)
        .into_iter()
        .zip(&file.outage_commands)
    {
        let command = Command::new(options, plan.delivery_timeout).context("outage_commands: no program")?;
        plan.channels
            .push(Channel::new(id, Arc::new(command)).within(options.timeout_secs.map(Seconds::duration)));
    }
    for (id, options) in syslog_ids(&file.outage_syslogs)
        .into_iter()
        .zip(&file.outage_syslogs)
    {
        let syslog = Syslog::new(options, plan.delivery_timeout).context("outage_syslogs: no address")?;
        plan.channels
            .push(Channel::new(id, Arc::new(syslog)).within(options.timeout_secs.map(Seconds::duration)));
    }
    Ok(plan)
}

/// Where a site's state is kept.
pub(crate) fn state_path(config: &Path, args: &CommonArgs) -> PathBuf {
    match &args.statefile {
        Some(path) => path.clone(),
        None => apmon_store::default_path(config, Platform::HERE, &ProcessEnvironment),
    }
}

/// Refuses a site whose state would be kept where one of the sites `before` it
/// keeps its own: two site files of one stem.
pub(crate) fn has_own_state(config: &Path, before: &[PathBuf], args: &CommonArgs) -> anyhow::Result<()> {
    let path = state_path(config, args);
    match before.iter().find(|other| state_path(other, args) == path) {
        None => Ok(()),
        Some(other) => anyhow::bail!(
            "it does not run beside {}: {} is the state file of another of these site files",
            printable(&other.display().to_string()),
            printable(&path.display().to_string())
        ),
    }
}

/// Opens a site's store; as long as it can write, everybody else is kept off.
/// Without a lock the site runs all the same: where there can be no lock file
/// there can be no state either (the engine says so, and goes on from memory),
/// and where it cannot be had for another reason this is said here.
pub(crate) fn open_store(state_file: &Path) -> anyhow::Result<Arc<JsonStore>> {
    let lock = match JsonStore::lock(state_file) {
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
    let store = JsonStore::open(state_file, jiff::tz::TimeZone::system(), lock)?;
    Ok(Arc::new(store))
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
