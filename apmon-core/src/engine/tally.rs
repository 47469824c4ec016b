//! What came of deliveries since the start, for each channel.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::status::{ChannelStatus, DeliveryCounts};
use crate::notification::DeliveryError;

/// The tallies of all channels that were tried.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<String, Tally>);

#[derive(Debug, Default)]
struct Tally {
    counts: DeliveryCounts,
    failing_since: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
    last_delivered: Option<Timestamp>,
}

impl Tallies {
    /// A try has ended.
    pub(super) fn tried(&mut self, channel: &str, result: &Result<(), DeliveryError>, at: Timestamp) {
        let tally = self.of(channel);
        match result {
            Ok(()) => {
                tally.counts.delivered += 1;
                tally.last_delivered = Some(at);
                tally.failing_since = None;
                tally.failures = 0;
                tally.last_error = None;
            }
            Err(error) => {
                match error {
                    DeliveryError::Retryable { .. } => tally.counts.failed += 1,
                    DeliveryError::Permanent { .. } => tally.counts.refused += 1,
                }
                tally.failing_since.get_or_insert(at);
                tally.failures = tally.failures.saturating_add(1);
                tally.last_error = Some(error.to_string());
            }
        }
    }

    /// A message for this channel was given up.
    pub(super) fn expired(&mut self, channel: &str) {
        self.of(channel).counts.expired += 1;
    }

    fn of(&mut self, channel: &str) -> &mut Tally {
        self.0.entry(channel.to_owned()).or_default()
    }

    /// Adds what is known of this channel.
    pub(super) fn fill(&self, channel: &mut ChannelStatus) {
        let Some(tally) = self.0.get(&channel.id) else {
            return;
        };
        channel.counts = tally.counts;
        channel.failing_since = tally.failing_since;
        channel.failures = tally.failures;
        channel.last_delivered = tally.last_delivered;
        if tally.last_error.is_some() {
            channel.last_error.clone_from(&tally.last_error);
        }
    }
}
