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
use clap::{ArgAction, Args, Subcommand, ValueEnum};

use crate::{
    console, kinds, location,
    options::CommonArgs,
    plural::count,
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
    /// Sends a test notification to the channels of a site file.
    ///
    /// It is the one of an outage, or of another KIND, or one of each kind with
    /// --all. It is composed and sent like a real notification, in one attempt. A
    /// service that keeps incidents open also gets the end, so that none stays open.
    /// The requests and responses are shown, with *** for every secret. Exit status:
    /// 0 all were accepted; 1 one was not accepted, there is no channel, or CHANNEL
    /// does not exist; 2 usage error.
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
    /// The kind of notification to send.
    #[arg(long, value_enum, default_value_t = Kind::Outage)]
    kind: Kind,
    /// Send a notification of each kind.
    #[arg(long, conflicts_with = "kind")]
    all: bool,
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

/// A kind of notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    Outage,
    Reminder,
    Recovery,
    Unknown,
    Known,
    NoLongerMonitored,
}

impl Kind {
    fn of(kind: &NotificationKind) -> Option<Self> {
        Some(match kind {
            NotificationKind::Outage => Self::Outage,
            NotificationKind::Reminder => Self::Reminder,
            NotificationKind::Recovery => Self::Recovery,
            NotificationKind::Unknown => Self::Unknown,
            NotificationKind::Known => Self::Known,
            NotificationKind::NoLongerWatched => Self::NoLongerMonitored,
            _ => return None,
        })
    }

    /// The kind that ends the incident which a notification of this kind opens.
    fn end(self) -> Option<Self> {
        match self {
            Self::Outage | Self::Reminder => Some(Self::Recovery),
            Self::Unknown => Some(Self::Known),
            Self::Recovery | Self::Known | Self::NoLongerMonitored => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Reminder => "reminder",
            Self::Recovery => "recovery",
            Self::Unknown => "unknown",
            Self::Known => "known",
            Self::NoLongerMonitored => "no longer monitored",
        }
    }
}

/// The test: which channels, and the kind of notification that they get; all kinds without one.
#[derive(Clone, Copy)]
struct Test<'a> {
    selection: Selection<'a>,
    kind: Option<Kind>,
}

/// The channels that were tested.
#[derive(Default)]
struct Tested {
    accepted: usize,
    /// Those that did not accept everything: `Home: webhook:hooks.example.com`.
    failed: Vec<String>,
}

impl Tested {
    /// `2 of 3 channels accepted the test; FAILED: Home: webhook:hooks.example.com`
    fn summary(&self) -> String {
        let all = self.accepted + self.failed.len();
        let accepted = match (self.accepted, all) {
            (1, 1) => "the channel accepted the test".to_owned(),
            (accepted, all) if accepted == all => format!("all {all} channels accepted the test"),
            (accepted, all) => format!("{accepted} of {} accepted the test", count(all, "channel")),
        };
        match self.failed.as_slice() {
            [] => accepted,
            failed => format!("{accepted}; FAILED: {}", failed.join(", ")),
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
    let kind = (!args.all).then_some(args.kind);
    test(std::slice::from_ref(&args.config), Test { selection, kind })
}

/// Tests all webhooks of all files. Exits 0 when there are some and all accepted the test.
pub(crate) fn test_webhooks(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test_section(configs, "outage_webhooks")
}

/// Tests all e-mail recipients of all files. Exits 0 when there are some and all accepted the
/// test.
pub(crate) fn test_emails(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test_section(configs, "outage_emails")
}

fn test_section(configs: &[PathBuf], section: &str) -> anyhow::Result<ExitCode> {
    let test_of = Test {
        selection: Selection::Section(section),
        kind: Some(Kind::Outage),
    };
    test(configs, test_of)
}

fn test(configs: &[PathBuf], test: Test<'_>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let process = Process::default();
    let (configs, unknown) = location::site_files(configs);
    let mut failed = !unknown.is_empty();
    let mut tested = Tested::default();
    for config in &configs {
        if let Err(error) = runtime.block_on(test_site(config, &process, test, &mut tested)) {
            failed = true;
            console::log_error(config, &error);
        }
    }
    runtime.shutdown_background();
    let is_any_tested = tested.accepted + tested.failed.len() > 0;
    if is_any_tested {
        console::line(&tested.summary());
    }
    // A test of nothing shows that nothing would be sent.
    failed |= !tested.failed.is_empty() || !is_any_tested;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn test_site(
    config: &Path,
    process: &Process,
    test: Test<'_>,
    tested: &mut Tested,
) -> anyhow::Result<()> {
    let selection = test.selection;
    let file = site::load(config)?;
    let plan = site::plan(&file, &CommonArgs::default(), process);
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
        return Ok(());
    }
    let mut routes: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.kind, entry.blueprint.via.as_deref()?)))
        .collect();
    routes.dedup();
    for (kind, via) in routes {
        console::line(&format!("{site}: {kind} is sent via {}", printable(via)));
    }
    for channel in &channels {
        match test_channel(&site, channel, test.kind, &plan.site).await {
            true => tested.accepted += 1,
            false => tested.failed.push(format!("{site}: {}", printable(&channel.id))),
        }
    }
    Ok(())
}

/// Sends a channel what the test consists of. Returns whether it accepted everything.
async fn test_channel(site: &str, channel: &Channel, kind: Option<Kind>, name: &str) -> bool {
    let mut all_accepted = true;
    let mut to_send: Vec<_> = samples::notifications(name).into();
    if let Some(kind) = kind {
        let end = kind.end().filter(|_| channel.keyed);
        let is_wanted = |of: Kind| of == kind || Some(of) == end;
        to_send.retain(|notification| Kind::of(&notification.kind).is_some_and(is_wanted));
    }
    for notification in to_send {
        match send(site, channel, &notification).await {
            Ok(()) => {}
            // The others are accepted or refused on their own; but an incident that did not begin
            // needs no end.
            Err(DeliveryError::Permanent { .. }) if kind.is_none() => all_accepted = false,
            // Where it is not reached the others would only fail as well,
            // and each may take its time.
            Err(_) => return false,
        }
    }
    all_accepted
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

async fn send(site: &str, channel: &Channel, notification: &Notification) -> Result<(), DeliveryError> {
    let key = format!("{}-{}", notification.id, channel.id);
    let mut shown = Vec::new();
    let result = channel
        .notifier
        .deliver_with_transcript(notification, &key, &mut shown)
        .await;
    for line in &shown {
        console::line(&format!("  {}", printable(line)));
    }
    let kind = match Kind::of(&notification.kind) {
        Some(kind) => kind.as_str(),
        None => notification.kind.label(),
    };
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
