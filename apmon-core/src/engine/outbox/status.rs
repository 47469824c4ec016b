//! The outbox's part of a status.

use super::Outbox;
use crate::{
    engine::status::{ChannelStatus, MAX_SHOWN, OutboxStatus},
    time::{Mono, Now},
};

impl Outbox {
    /// The status of each of `known`, followed by other channels for which something waits, and
    /// the notifications about `monitor`, or all.
    pub(in crate::engine) fn status<'a>(
        &mut self,
        known: impl Iterator<Item = &'a str>,
        monitor: Option<&str>,
        now: Now,
    ) -> (Vec<ChannelStatus>, OutboxStatus) {
        let mut channels: Vec<ChannelStatus> = known.map(ChannelStatus::named).collect();
        for (id, queue) in self.queues.iter_mut().filter(|(_, queue)| !queue.is_empty()) {
            let at = channels.iter().position(|channel| channel.id == *id);
            let at = at.unwrap_or_else(|| {
                channels.push(ChannelStatus::named(id));
                channels.len() - 1
            });
            let channel = &mut channels[at];
            for item in queue.items() {
                channel.add(&item.entry);
            }
            // An entry that may be sent at once is due now.
            let next_try = queue.wake_at().map(|at: Mono| at.max(now.mono));
            channel.next_try = next_try.map(|at| now.wall_of(at));
        }
        let queues = self.queues.values();
        let outbox = match monitor {
            Some(name) => {
                let items = queues.flat_map(|queue| queue.items());
                OutboxStatus::about(name, items.map(|item| &item.entry))
            }
            None => {
                // A queue is in the order of the decisions.
                let oldest = queues.flat_map(|queue| queue.items().take(MAX_SHOWN));
                OutboxStatus::of(&channels, oldest.map(|item| &item.entry))
            }
        };
        (channels, outbox)
    }
}
