//! What waits, counted for people.

use super::Outbox;
use crate::{
    engine::status::{ChannelStatus, MAX_SHOWN, OutboxStatus},
    time::{Mono, Now},
};

impl Outbox {
    /// One status for each of `known`, then those of other channels for which
    /// something waits.
    pub(in crate::engine) fn status<'a>(
        &mut self,
        known: impl Iterator<Item = &'a str>,
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
            // What may go at once has no moment of its own.
            let next_try = queue.wake_at().map(|at: Mono| at.max(now.mono));
            channel.next_try = next_try.map(|at| now.wall_of(at));
        }
        // What waits in a lane came in the order in which it was decided.
        let queues = self.queues.values();
        let candidates = queues.flat_map(|queue| queue.items().take(MAX_SHOWN));
        let outbox = OutboxStatus::of(&channels, candidates.map(|item| &item.entry));
        (channels, outbox)
    }
}
