//! Actions: what people ask of a site.
//!
//! An action is decided by a pure function: from a snapshot of the site's state and the time to
//! the changes that carry it out. So it does the same in a running engine
//! ([`Handle::act`](crate::Handle::act)) and on the state of a site that does not run
//! ([`Action::apply`]), and either way it is recorded who asked for it.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    engine::EngineError,
    notification::OutboxEntry,
    state::MonitorState,
    store::{Commit, Snapshot, StateRecord, StateStore},
};

/// The key of the record that lists the last actions.
pub const ACTIONS: &str = "actions";
/// The version of that record.
const VERSION: u32 = 1;
/// The most actions that are recorded.
const MAX_ACTIONS: usize = 200;
/// The most characters of an actor's name that are recorded.
const MAX_NAME: usize = 100;

/// Something that somebody asks of a site.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Retry the notifications that wait for a channel, or for any channel, now: those that
    /// were refused, and those that wait for a pause to end.
    Retry {
        /// The channel's id; `None` means all channels.
        channel: Option<String>,
    },
}

/// Somebody who asks for an action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// The name of the person, or of the program: `root`.
    pub name: String,
    /// The way the action was asked for: `command line`.
    pub means: String,
}

/// An action that was carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActionRecord {
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked for it.
    #[serde(flatten)]
    pub actor: Actor,
    /// What was asked for: [`Action::name`].
    pub action: String,
    /// What the action was about, such as a channel; `None` for all.
    pub subject: Option<String>,
    /// How many things it concerned, such as notifications.
    pub affected: usize,
}

/// What an action changes, all at once or not at all.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Decision {
    /// States of monitors that change, by name.
    pub states: Vec<(String, Arc<MonitorState>)>,
    /// Outbox entries that change.
    pub outbox: Vec<OutboxEntry>,
    /// Records that change, by key; `None` deletes one. The list of actions is among them.
    pub records: Vec<(String, Option<StateRecord>)>,
    /// How many things the action concerns, such as notifications.
    pub affected: usize,
    /// Whether notifications are sent because of it. An engine whose notifications are off
    /// ([`Plan::no_notify`](crate::Plan::no_notify)) refuses it then, and only then.
    pub sends: bool,
}

impl Action {
    /// The name of the action, for logs and records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
        }
    }

    fn subject(&self) -> Option<&str> {
        match self {
            Self::Retry { channel } => channel.as_deref(),
        }
    }

    /// Decides what the action changes. `channels` are the ids of the site's channels.
    ///
    /// # Errors
    /// If it is impossible.
    pub fn decide(
        &self,
        snapshot: &Snapshot,
        channels: &[String],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Decision, EngineError> {
        let mut decision = match self {
            Self::Retry { channel } => retry(snapshot, channels, channel.as_deref())?,
        };
        let entry = ActionRecord {
            at: now,
            actor: Actor {
                name: actor.name.chars().take(MAX_NAME).collect(),
                means: actor.means.chars().take(MAX_NAME).collect(),
            },
            action: self.name().to_owned(),
            subject: self.subject().map(str::to_owned),
            affected: decision.affected,
        };
        let record = recorded(snapshot, entry);
        decision.records.push((ACTIONS.to_owned(), record));
        Ok(decision)
    }

    /// Carries out the action on the state in `store`, which no engine uses. Returns how many
    /// things it concerned.
    ///
    /// # Errors
    /// If it is impossible, or the state cannot be read or written.
    pub async fn apply(
        &self,
        store: &dyn StateStore,
        channels: &[String],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<usize, EngineError> {
        let snapshot = store.load().await?;
        for warning in &snapshot.warnings {
            tracing::error!("{warning}");
        }
        let decision = self.decide(&snapshot, channels, actor, now)?;
        let commit = Commit {
            shard: snapshot.shard,
            epoch: snapshot.epoch,
            number: 1,
            states: decision.states,
            outbox: decision.outbox,
            records: decision.records,
            ..Commit::default()
        };
        store.commit(&commit).await.map_err(EngineError::NotStored)?;
        Ok(decision.affected)
    }
}

fn retry(snapshot: &Snapshot, channels: &[String], wanted: Option<&str>) -> Result<Decision, EngineError> {
    if let Some(channel) = wanted {
        // Notifications may still wait for a channel that has left the site file.
        let waiting = snapshot.outbox.iter().map(|entry| &entry.channel);
        let known: BTreeSet<&String> = channels.iter().chain(waiting).collect();
        if !known.iter().any(|known| *known == channel) {
            return Err(EngineError::UnknownChannel {
                channel: channel.to_owned(),
                known: known.into_iter().cloned().collect(),
            });
        }
    }
    let waiting = snapshot.outbox.iter();
    let waiting = waiting.filter(|entry| wanted.is_none_or(|channel| channel == entry.channel));
    // A pause outlives a restart; every other notification is tried at once then.
    let pauses = |entry: &&OutboxEntry| entry.refused || entry.retry_at.is_some();
    let affected = waiting.clone().count();
    let freed = waiting.filter(pauses).map(|entry| OutboxEntry {
        last_tried: None,
        retry_at: None,
        ..entry.clone()
    });
    Ok(Decision {
        outbox: freed.collect(),
        affected,
        sends: affected > 0,
        ..Decision::default()
    })
}

/// The last actions, the oldest first; empty if the record cannot be read.
#[must_use]
pub fn recorded_actions(snapshot: &Snapshot) -> Vec<ActionRecord> {
    let record = snapshot.records.get(ACTIONS);
    let record = record.filter(|record| record.version == VERSION);
    record
        .and_then(|record| serde_json::from_str(&record.json).ok())
        .unwrap_or_default()
}

/// The record of the last actions with one more.
fn recorded(snapshot: &Snapshot, entry: ActionRecord) -> Option<StateRecord> {
    let mut actions = recorded_actions(snapshot);
    actions.push(entry);
    let first = actions.len().saturating_sub(MAX_ACTIONS);
    // A list of texts and numbers; without it the action is still carried out.
    let json = serde_json::to_string(&actions[first..]).ok()?;
    Some(StateRecord {
        version: VERSION,
        json: Arc::from(json),
    })
}

#[cfg(test)]
mod tests;
