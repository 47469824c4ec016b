//! The part of the outbox that is on disk, and the content of the next commit.

use std::{collections::HashSet, mem};

use super::{ChannelQueue, Outbox, queue::Item};
use crate::{
    notification::{Notification, OutboxEntry},
    time::Mono,
};

/// The part of a commit that the outbox contributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) struct Unsaved {
    /// New and changed entries.
    pub(in crate::engine) entries: Vec<OutboxEntry>,
    /// Keys of entries that are finished.
    pub(in crate::engine) settled: Vec<String>,
}

/// A copy of an entry for a commit.
pub(super) struct UnsavedEntry {
    entry: OutboxEntry,
    /// Whether a commit held it before.
    stored: bool,
    /// When it was decided, and its number among those of that moment.
    order: (Mono, u64),
}

impl Unsaved {
    /// Entries, none of which is finished.
    pub(in crate::engine) fn entries(entries: Vec<OutboxEntry>) -> Self {
        Self {
            entries,
            settled: Vec::new(),
        }
    }
}

impl Outbox {
    /// All entries, in the order of the decisions.
    pub(in crate::engine) fn entries(&self) -> Vec<OutboxEntry> {
        let items = self.queues.values().flat_map(ChannelQueue::items);
        let mut items: Vec<&Item> = items.collect();
        items.sort_by_key(|item| item.decided);
        items.into_iter().map(|item| item.entry.clone()).collect()
    }

    /// Replaces an entry by a changed one, unless it is being sent or finished.
    pub(in crate::engine) fn change(&mut self, entry: OutboxEntry) {
        let Some(queue) = self.queues.get_mut(&entry.channel) else {
            return;
        };
        let is_it = |item: &Item| item.entry.notification.id == entry.notification.id;
        let mut positions = queue.positions(&entry.notification.incident).into_iter();
        let position = positions.find(|position| queue.item(*position).is_some_and(is_it));
        if let Some(position) = position.filter(|position| queue.in_flight() != Some(*position))
            && let Some(item) = queue.item_mut(position)
        {
            item.entry = entry;
            queue.mark_unsaved(position);
        }
    }

    /// Whether there is something for the next commit.
    pub(in crate::engine) fn has_unsaved(&self) -> bool {
        !self.settled.is_empty() || self.queues.values().any(ChannelQueue::has_unsaved)
    }

    /// Takes what the next commit must hold. The entries of all channels are in the order of
    /// their decisions, which a store keeps.
    pub(in crate::engine) fn take_unsaved(&mut self) -> Unsaved {
        let queues = self.queues.values_mut();
        let mut unsaved: Vec<UnsavedEntry> = queues.flat_map(ChannelQueue::take_unsaved).collect();
        unsaved.sort_by_key(|it| it.order);
        for it in unsaved.iter().filter(|it| !it.stored) {
            self.writing.insert(it.entry.key());
        }
        Unsaved {
            entries: unsaved.into_iter().map(|it| it.entry).collect(),
            settled: mem::take(&mut self.settled),
        }
    }

    /// Ends a commit, or a part of one, that held `unsaved`: whether its entries are on disk or
    /// cannot be written, they may be sent now. After a failure the next commit holds them
    /// again.
    pub(in crate::engine) fn commit_ended(&mut self, unsaved: Unsaved, succeeded: bool) {
        self.from_memory = false;
        for entry in &unsaved.entries {
            if let Some(queue) = self.queues.get_mut(&entry.channel) {
                queue.commit_ended(entry, succeeded);
            }
        }
        let ended: HashSet<String> = unsaved.entries.iter().map(OutboxEntry::key).collect();
        let (written, writing) = mem::take(&mut self.writing)
            .into_iter()
            .partition(|key| ended.contains(key));
        self.writing = writing;
        if !succeeded {
            // An entry that reached no commit need not be settled.
            let written: HashSet<String> = written;
            self.settled.retain(|key| !written.contains(key));
            self.settled.splice(..0, unsaved.settled);
        }
    }

    /// Takes back what no commit held: the next one is to hold it, and entries that were not sent
    /// yet still wait.
    pub(in crate::engine) fn take_back(&mut self, unsaved: Unsaved) {
        for entry in &unsaved.entries {
            self.writing.remove(&entry.key());
            if let Some(queue) = self.queues.get_mut(&entry.channel)
                && let Some(position) = queue.position_of(&entry.notification)
            {
                queue.mark_unsaved(position);
            }
        }
        self.settled.splice(..0, unsaved.settled);
    }

    /// Lets everything be sent from memory, also what is still to come, because the store does
    /// not answer.
    pub(in crate::engine) fn send_from_memory(&mut self) {
        self.from_memory = true;
        self.queues.values_mut().for_each(ChannelQueue::release_all_held);
    }

    /// Sends nothing new from memory any more.
    pub(in crate::engine) fn wait_for_store(&mut self) {
        self.from_memory = false;
    }

    /// Finishes an entry that has been removed.
    pub(super) fn settle(&mut self, item: Item) -> OutboxEntry {
        let key = item.entry.key();
        // One that no commit holds need not be settled.
        if item.stored || self.writing.contains(&key) {
            self.settled.push(key);
        }
        item.entry
    }
}

impl ChannelQueue {
    /// Marks the entry at `position` as changed: the next commit holds it.
    pub(super) fn mark_unsaved(&mut self, position: u64) {
        if let Some(item) = self.items.get_mut(&position) {
            item.unsaved = true;
            self.unsaved.insert(position);
        }
    }

    /// Whether the next commit holds an entry of this channel.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Copies the entries that changed for a commit.
    pub(super) fn take_unsaved(&mut self) -> impl Iterator<Item = UnsavedEntry> {
        let positions = mem::take(&mut self.unsaved).into_iter();
        positions.filter_map(|position| {
            let item = self.items.get_mut(&position)?;
            item.unsaved = false;
            Some(UnsavedEntry {
                entry: item.entry.clone(),
                stored: item.stored,
                order: (item.decided, item.inserted),
            })
        })
    }

    /// Ends the commit that held this entry, which may be sent now: it is on disk, or it could
    /// not be written.
    pub(super) fn commit_ended(&mut self, entry: &OutboxEntry, succeeded: bool) {
        let Some(position) = self.position_of(&entry.notification) else {
            return; // it is finished
        };
        self.release_held(position);
        match self.items.get_mut(&position) {
            Some(item) if succeeded => item.stored = true,
            _ => self.mark_unsaved(position),
        }
    }

    fn position_of(&self, notification: &Notification) -> Option<u64> {
        let is_it = |position: &u64| {
            let item = self.items.get(position);
            item.is_some_and(|item| item.entry.notification.id == notification.id)
        };
        self.positions(&notification.incident).into_iter().find(is_it)
    }

    fn release_held(&mut self, position: u64) {
        if self.held.remove(&position)
            && let Some(item) = self.item_mut(position)
        {
            item.sendable = true;
        }
    }

    /// Lets all entries be sent.
    pub(super) fn release_all_held(&mut self) {
        for position in self.held.clone() {
            self.release_held(position);
        }
    }
}
