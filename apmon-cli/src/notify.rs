//! `apmon notify` and `--test-webhooks`: real messages, sent the real way, shown;
//! and those that wait, tried again.

mod retry;
mod story;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{Channel, DeliveryError, Notification, NotificationKind, Switch, text::printable};
use clap::{ArgAction, Args, Subcommand};

use crate::{
    channel::{self, Entry, Sort},
    console,
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
    /// Sends a message of each kind to the channels of a site file.
    ///
    /// An outage, a reminder, a recovery; unknown, known; no longer watched.
    /// They are made as the real ones are and go the real way, one try each;
    /// what is sent and answered is shown, with *** for every secret. Exit
    /// status: 0 all were taken, or nobody is told; 1 one was not, or CHANNEL is
    /// not there; 2 wrong usage.
    Test(TestArgs),
    /// Tries the messages again that wait for the channels of a site: those that
    /// were refused, and those that wait out a pause.
    ///
    /// Asks the daemon to do so now. Where none runs, the next pass or start does
    /// it. Exit status: 0 done, 1 not, 2 wrong usage.
    Retry(retry::RetryArgs),
}

#[derive(Args)]
struct TestArgs {
    /// A site file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Only this channel: its id, e.g. webhook:hooks.example.com, or its `name`.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,
    /// Say more: -v decisions, -vv every look, -vvv everything.
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

/// Who is to be tried out.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    All,
    /// The one of this id or name; who asks for it says that it is there.
    One(&'a str),
    /// Those of this sort, if there are any.
    Of(Sort),
}

impl Wanted<'_> {
    fn has(self, entry: &Entry<'_>) -> bool {
        match self {
            Self::All => true,
            Self::One(wanted) => entry.is(wanted),
            Self::Of(sort) => entry.sort == sort,
        }
    }

    /// Of what there is none.
    fn what(self) -> String {
        match self {
            Self::All => "no channel".to_owned(),
            Self::One(wanted) => format!("no channel {}", printable(wanted)),
            Self::Of(Sort::Webhook) => "no webhook".to_owned(),
            Self::Of(Sort::Mail) => "no e-mail recipient".to_owned(),
            Self::Of(Sort::Program) => "no program".to_owned(),
            Self::Of(Sort::Syslog) => "no syslog".to_owned(),
        }
    }
}

/// Does what the arguments say.
pub(crate) fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    let args = match &args.act {
        Act::Test(args) => args,
        Act::Retry(args) => return retry::run(args),
    };
    let wanted = args.channel.as_deref().map_or(Wanted::All, Wanted::One);
    test(std::slice::from_ref(&args.config), wanted)
}

/// To all webhooks of all files. Exits 0 when they took all messages.
pub(crate) fn test_webhooks(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test(configs, Wanted::Of(Sort::Webhook))
}

/// To all recipients of mail of all files. Exits 0 when all mails were taken.
pub(crate) fn test_emails(configs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    test(configs, Wanted::Of(Sort::Mail))
}

fn test(configs: &[PathBuf], wanted: Wanted<'_>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let process = Process::default();
    let mut failed = false;
    for config in configs {
        match runtime.block_on(test_site(config, &process, wanted)) {
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

async fn test_site(config: &Path, process: &Process, wanted: Wanted<'_>) -> anyhow::Result<bool> {
    let file = site::load(config)?;
    let args = CommonArgs {
        verbose: 0,
        threads: None,
        statefile: None,
        no_notify: false,
    };
    let plan = site::plan(&file, &args, process)?;
    let site = printable(&plan.site).into_owned();
    let entries = channel::entries(&file);
    let chosen = |channel: &&Channel| {
        let entry = entries.iter().find(|entry| entry.id == channel.id);
        entry.is_some_and(|entry| wanted.has(entry))
    };
    let channels: Vec<_> = plan.channels.iter().filter(chosen).collect();
    if channels.is_empty() {
        let (what, known) = (wanted.what(), known(&entries));
        console::line(&format!("{site}: {what} to test; {known}"));
        // What was asked for by name was not tested.
        return Ok(!matches!(wanted, Wanted::One(_)));
    }
    if channels.iter().any(|channel| channel.is_mail)
        && let Some(server) = channel::mail_server(&file)?
    {
        console::line(&format!(
            "{site}: mail goes by {}",
            channel::described(&file, &server)
        ));
    }
    let mut all_taken = true;
    for channel in &channels {
        for message in story::messages(&plan.site) {
            match test_channel(&site, channel, &message).await {
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

/// `there are webhook:hooks.example.com, mail:ops@example.com`
fn known(entries: &[Entry<'_>]) -> String {
    let shown = entries.iter().map(|entry| printable(&entry.id));
    let shown: Vec<_> = shown.collect();
    match shown.is_empty() {
        true => "the site has no channels".to_owned(),
        false => format!("there are {}", shown.join(", ")),
    }
}

async fn test_channel(site: &str, channel: &Channel, message: &Notification) -> Result<(), DeliveryError> {
    let key = format!("{}-{}", message.id, channel.id);
    let mut shown = Vec::new();
    let result = channel.notifier.deliver_shown(message, &key, &mut shown).await;
    for line in &shown {
        console::line(&format!("  {}", printable(line)));
    }
    let (is_on, switch) = match message.kind.switch() {
        Switch::Outages => (channel.outages, "email_outages"),
        Switch::Reminders => (channel.reminders, "email_reminders"),
        Switch::Recoveries => (channel.recoveries, "email_recoveries"),
    };
    let kind = kind(&message.kind);
    let in_earnest = match is_on {
        true => String::new(),
        false => format!(" (in earnest not sent: {switch} is no)"),
    };
    let id = printable(&channel.id);
    match &result {
        Ok(()) => console::line(&format!("{site}: {id}: {kind}: taken{in_earnest}")),
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
        NotificationKind::NoLongerWatched => "no longer watched",
        other => other.label(),
    }
}
