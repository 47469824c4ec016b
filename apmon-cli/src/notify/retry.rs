//! `apmon notify retry`: a token was rotated, a proxy mended; what waits is
//! tried again now.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use apmon_core::{Commit, OutboxEntry, Snapshot, text::printable};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::{self, ApiError},
    console,
    location::SiteLocation,
    options::CommonArgs,
    site::{self, Process},
};

#[derive(Args)]
pub(super) struct RetryArgs {
    /// A site file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Only this channel: its id, e.g. webhook:hooks.example.com, or its `name`.
    #[arg(value_name = "CHANNEL")]
    channel: Option<String>,
    /// The state file, where the daemon was given one.
    #[arg(short, long, value_name = "FILE")]
    statefile: Option<PathBuf>,
}

pub(super) fn run(args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let place = SiteLocation::of(&args.config, args.statefile.as_deref());
    let channel = args
        .channel
        .as_deref()
        .map(|channel| id_of(&args.config, channel));
    let body = json!({"channel": channel}).to_string();
    let said = match api::post(&place.socket(), api::RETRY, body) {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer)?;
            match answer["messages"].as_u64().unwrap_or(0) {
                0 => "no message waits".to_owned(),
                1 => "1 message is tried again now".to_owned(),
                n => format!("{n} messages are tried again now"),
            }
        }
        Err(ApiError::NoDaemon) => match without_daemon(args, channel.as_deref(), &place)? {
            0 => "no daemon runs, and no message waits".to_owned(),
            1 => "no daemon runs; the next pass or start tries 1 message".to_owned(),
            n => format!("no daemon runs; the next pass or start tries {n} messages"),
        },
        Err(error) => anyhow::bail!("{}: {error}", printable(&place.stem)),
    };
    console::line(&format!("{}: {said}", printable(&place.stem)));
    Ok(ExitCode::SUCCESS)
}

/// The id of the channel of this name. A site file that cannot be read knows no
/// names; what the daemon has may wait all the same.
fn id_of(config: &Path, channel: &str) -> String {
    let file = site::load(config).ok();
    let mut entries = file.iter().flat_map(|file| &file.channels);
    let entry = entries.find(|entry| entry.id == channel || entry.name() == Some(channel));
    entry.map_or_else(|| channel.to_owned(), |entry| entry.id.clone())
}

/// What was refused waits out its half hour over a restart: that is taken from
/// it, under the lock. Returns how many messages wait.
fn without_daemon(args: &RetryArgs, channel: Option<&str>, place: &SiteLocation) -> anyhow::Result<usize> {
    let file = site::load(&args.config)?;
    let common = CommonArgs {
        verbose: 0,
        threads: None,
        statefile: None,
        no_notify: false,
    };
    let plan = site::plan(&file, &common, &Process::default());
    let channels = plan.channels.into_iter().map(|channel| channel.id).collect();
    if !place.state_file.exists() {
        known(channel, channels, &Snapshot::default())?;
        return Ok(0);
    }
    let store = site::open_store(&place.state_file)?.shared();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let snapshot = store.load().await?;
        for warning in &snapshot.warnings {
            tracing::error!("{warning}");
        }
        known(channel, channels, &snapshot)?;
        let wanted = |entry: &OutboxEntry| channel.is_none_or(|channel| channel == entry.channel);
        let (epoch, outbox) = (snapshot.epoch, snapshot.outbox);
        let waiting: Vec<_> = outbox.into_iter().filter(wanted).collect();
        let count = waiting.len();
        let free = waiting
            .into_iter()
            .filter(|entry| entry.refused)
            .map(|entry| OutboxEntry {
                last_tried: None,
                ..entry
            });
        let commit = Commit {
            epoch,
            outbox: free.collect(),
            ..Commit::default()
        };
        store.commit(&commit).await?;
        Ok(count)
    })
}

/// Whether there is such a channel, in the site file or in the outbox.
fn known(wanted: Option<&str>, channels: BTreeSet<String>, snapshot: &Snapshot) -> anyhow::Result<()> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let waiting = snapshot.outbox.iter().map(|entry| entry.channel.clone());
    let known: BTreeSet<String> = channels.into_iter().chain(waiting).collect();
    if known.contains(wanted) {
        return Ok(());
    }
    let listed = match known.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    };
    anyhow::bail!("no such channel: {}; {}", printable(wanted), printable(&listed))
}
