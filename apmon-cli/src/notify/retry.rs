//! `apmon notify retry`: retries undelivered notifications now, for example after a
//! token was replaced or a proxy repaired.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{Action, Clock as _, EngineError, Snapshot, SystemClock, text::printable};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    actor,
    api::{self, ApiError},
    console,
    location::{self, SiteLocation},
    options::CommonArgs,
    site::{self, Process},
    store,
};

#[derive(Args)]
pub(super) struct RetryArgs {
    /// A site file, or the name of a site that a daemon runs.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Only this channel: its id, e.g. webhook:hooks.example.com, or its `name`.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,
    /// State file. [default: that of the site's daemon; without one, the latest that is found]
    #[arg(short, long, value_name = "FILE")]
    statefile: Option<PathBuf>,
    /// Use a state file that other users may write, or whose directory they may write.
    #[arg(long)]
    trust_state_dir: bool,
}

pub(super) fn run(args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let config = location::site_file(&args.config)?;
    let location = SiteLocation::of(&config, args.statefile.as_deref());
    let channel = args.channel.as_deref().map(|channel| id_of(&config, channel));
    let body = json!({"channel": channel}).to_string();
    let answer = api::post(&location.socket(), api::RETRY, body);
    let text = match answer.map_err(|error| location.daemon_error(error)) {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer)?;
            match answer["messages"].as_u64().unwrap_or(0) {
                0 => "no notification is waiting".to_owned(),
                1 => "1 notification is being retried now".to_owned(),
                n => format!("{n} notifications are being retried now"),
            }
        }
        Err(error) if error.is_absence() => {
            let waiting = without_daemon(args, &config, channel.as_deref(), &location, &error)?;
            let then = match waiting {
                0 => "no notification is waiting".to_owned(),
                1 => "the next pass or start retries 1 notification".to_owned(),
                n => format!("the next pass or start retries {n} notifications"),
            };
            let state_file = location.state_file.display().to_string();
            format!(
                "{error} ({}); in {}, {then}",
                location.search,
                printable(&state_file)
            )
        }
        Err(error) => anyhow::bail!("{}: {error}", printable(&location.stem)),
    };
    console::line(&format!("{}: {text}", printable(&location.stem)));
    Ok(ExitCode::SUCCESS)
}

/// The id of the channel of this name. If the site file cannot be read, `channel`
/// is taken as an id: the daemon may still have notifications for it.
fn id_of(config: &Path, channel: &str) -> String {
    let file = site::load(config).ok();
    let mut entries = file.iter().flat_map(|file| &file.channels);
    let entry = entries.find(|entry| entry.id == channel || entry.name() == Some(channel));
    entry.map_or_else(|| channel.to_owned(), |entry| entry.id.clone())
}

/// Makes all notifications due at once in the state file, under its lock; otherwise a
/// refused notification would wait for half an hour even across a restart. Returns the
/// number of waiting notifications.
fn without_daemon(
    args: &RetryArgs,
    config: &Path,
    channel: Option<&str>,
    location: &SiteLocation,
    absence: &ApiError,
) -> anyhow::Result<usize> {
    let file = site::load(config)?;
    let common = CommonArgs {
        trust_state_dir: args.trust_state_dir,
        ..CommonArgs::default()
    };
    let plan = site::plan(&file, &common, &Process::default());
    let channels: Vec<_> = plan.channels.into_iter().map(|channel| channel.id).collect();
    let action = Action::Retry {
        channel: channel.map(str::to_owned),
    };
    let (actor, now) = (actor::myself(), SystemClock::new().now().wall);
    if !location.state_file.exists() {
        // An unknown channel is reported first: that is certain.
        action
            .decide(&Snapshot::default(), &channels, &actor, now)
            .map_err(printable_error)?;
        anyhow::bail!(
            "{}: {absence}, and there is no state ({})",
            printable(&location.stem),
            location.search
        );
    }
    if location.is_guess {
        let state_file = location.state_file.display().to_string();
        let state_file = printable(&state_file);
        anyhow::bail!(
            "{}: {absence} ({}); if the state in {state_file} is of this site file, use -s {state_file}",
            printable(&location.stem),
            location.search
        );
    }
    let store = store::open(&location.state_file, args.trust_state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let retried = runtime.block_on(async {
        let retried = action.apply(&*store.shared(), &channels, &actor, now).await;
        store.close().await;
        retried
    });
    retried.map_err(printable_error)
}

/// Names of channels come from a file that others may write.
fn printable_error(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::UnknownChannel { .. } => anyhow::anyhow!("{}", printable(&error.to_string())),
        error => error.into(),
    }
}
