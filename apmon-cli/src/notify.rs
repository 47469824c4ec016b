//! `apmon notify`, `--test-webhooks` and `--test-emails`: sends test notifications as
//! real ones are sent and shows them; retries undelivered notifications.

mod retry;
mod samples;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{
    Channel, DeliveryError, Notification, NotificationKind, config::ChannelEntry, text::printable,
};
use clap::{ArgAction, Args, Subcommand};

use crate::{
    console, kinds, location,
    options::CommonArgs,
    site::{self, Process},
};

/// About channels.
#[derive(Args)]
pub(crate) struct NotifyArgs {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Sends a notification of each kind to the channels of a site file.
    ///
    /// The kinds are outage, reminder, recovery, unknown, known and no longer
    /// monitored. They are composed and sent like real notifications, with one
    /// attempt each. The requests and responses are shown, with *** for every
    /// secret. Exit status: 0 all were accepted, or there are no channels; 1 one
    /// was not accepted, or CHANNEL does not exist; 2 usage error.
    Test(TestArgs),
    /// Retries the undelivered notifications of a site now: those that a channel
    /// refused, and those that are waiting for their next attempt.
    ///
    /// The running daemon does so at once. If none is running, the next pass or
    /// start does. Exit status: 0 done, 1 not done, 2 usage error.
    Retry(retry::RetryArgs),
}

#[derive(Args)]
struct TestArgs {
    /// A site file, or the name of a site that a daemon runs.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Only this channel: its id, e.g. webhook:hooks.example.com, or its `name`.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,
    /// Log more: -v state changes, -vv every check, -vvv everything.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl NotifyArgs {
    pub(crate) fn verbosity(&self) -> u8 {
        match &self.act {
            Act::Test(args) => args.verbose,
            Act::Retry(_) => 0,
        }
    }
}

/// The channels to be tested.
#[derive(Clone, Copy)]
enum Selection<'a> {
    All,
    /// The one of this id or name, which must exist.
    One(&'a str),
    /// Those of this list of the site file, if there are any.
    Section(&'a str),
}

impl Selection<'_> {
    fn has(self, entry: &ChannelEntry) -> bool {
        match self {
            Self::All => true,
            Self::One(wanted) => entry.id == wanted || entry.name() == Some(wanted),
            Self::Section(section) => entry.section == section,
        }
    }

    /// What is missing where it selects nothing.
    fn nothing(self) -> String {
        match self {
            Self::All => "no channel".to_owned(),
            Self::One(wanted) => format!("no channel {}", printable(wanted)),
            Self::Section(section) => {
                let kinds = kinds::tables().channels.iter();
                let mut kinds = kinds.filter(|kind| kind.section() == section);
                format!("no {}", kinds.next().map_or(section, |kind| kind.nouns().0))
            }
        }
    }
}

/// Does what the arguments say.
pub(crate) fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    let args = match &args.act {
        Act::Test(args) => args,
        Act::Retry(args) => return retry::run(args),
    };
    let selection = args.channel.as_deref().map_or(Selection::All, Selection::One);
    test(std::slice::from_ref(&args.config), selection)
}

/// Tests all webhooks of all files. Exits 0 when they accepted all notifications.
pub(crate) fn test_webhooks(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test(configs, Selection::Section("outage_webhooks"))
}

/// Tests all e-mail recipients of all files. Exits 0 when all mails were accepted.
pub(crate) fn test_emails(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test(configs, Selection::Section("outage_emails"))
}

fn test(configs: &[PathBuf], selection: Selection<'_>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let process = Process::default();
    let (configs, unknown) = location::site_files(configs);
    let mut failed = unknown > 0;
    for config in &configs {
        match runtime.block_on(test_site(config, &process, selection)) {
            Ok(all_taken) => failed |= !all_taken,
            Err(error) => {
                failed = true;
                console::log_error(config, &error);
            }
        }
    }
    runtime.shutdown_background();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn test_site(config: &Path, process: &Process, selection: Selection<'_>) -> anyhow::Result<bool> {
    let file = site::load(config)?;
    let args = CommonArgs {
        verbose: 0,
        threads: None,
        statefile: None,
        trust_state_dir: false,
        no_notify: false,
    };
    let plan = site::plan(&file, &args, process);
    let site = printable(&plan.site).into_owned();
    let entries: Vec<_> = file
        .channels
        .iter()
        .filter(|entry| selection.has(entry))
        .collect();
    let is_chosen = |channel: &&Channel| entries.iter().any(|entry| entry.id == channel.id);
    let channels: Vec<_> = plan.channels.iter().filter(is_chosen).collect();
    if channels.is_empty() {
        let known = known(&file.channels);
        console::line(&format!("{site}: {} to test; {known}", selection.nothing()));
        // What was asked for by name was not tested.
        return Ok(!matches!(selection, Selection::One(_)));
    }
    let mut routes: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.kind, entry.blueprint.via.as_deref()?)))
        .collect();
    routes.dedup();
    for (kind, via) in routes {
        console::line(&format!("{site}: {kind} is sent via {}", printable(via)));
    }
    let mut all_taken = true;
    for channel in &channels {
        for notification in samples::notifications(&plan.site) {
            match test_channel(&site, channel, &notification).await {
                Ok(()) => {}
                Err(DeliveryError::Permanent { .. }) => all_taken = false,
                // Where it is not reached the others would only fail as well,
                // and each may take its time.
                Err(_) => {
                    all_taken = false;
                    break;
                }
            }
        }
    }
    Ok(all_taken)
}

/// `known channels: webhook:hooks.example.com, mail:ops@example.com`
fn known(entries: &[ChannelEntry]) -> String {
    let shown = entries.iter().map(|entry| printable(&entry.id));
    let shown: Vec<_> = shown.collect();
    match shown.is_empty() {
        true => "the site has no channels".to_owned(),
        false => format!("known channels: {}", shown.join(", ")),
    }
}

async fn test_channel(
    site: &str,
    channel: &Channel,
    notification: &Notification,
) -> Result<(), DeliveryError> {
    let key = format!("{}-{}", notification.id, channel.id);
    let mut shown = Vec::new();
    let result = channel
        .notifier
        .deliver_with_transcript(notification, &key, &mut shown)
        .await;
    for line in &shown {
        console::line(&format!("  {}", printable(line)));
    }
    let kind = kind(&notification.kind);
    let switch = notification.kind.switch();
    let note = match channel.switches.are_on(switch) {
        true => String::new(),
        false => format!(" (would not be sent in production: {} are off)", switch.as_str()),
    };
    let id = printable(&channel.id);
    match &result {
        Ok(()) => console::line(&format!("{site}: {id}: {kind}: accepted{note}")),
        Err(error) => console::line(&format!("{site}: {id}: {kind}: FAILED: {error}")),
    }
    result
}

fn kind(kind: &NotificationKind) -> &str {
    match kind {
        NotificationKind::Outage => "outage",
        NotificationKind::Reminder => "reminder",
        NotificationKind::Recovery => "recovery",
        NotificationKind::Unknown => "unknown",
        NotificationKind::Known => "known",
        NotificationKind::NoLongerWatched => "no longer monitored",
        other => other.label(),
    }
}
