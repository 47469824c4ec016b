//! Delivery statistics of each channel since the start.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::status::{ChannelStatus, DeliveryCounts};
use crate::notification::DeliveryError;

/// The statistics of all channels with at least one attempt.
#[derive(Debug, Default)]
pub(super) struct DeliveryStats(BTreeMap<String, ChannelStats>);

#[derive(Debug, Default)]
struct ChannelStats {
    counts: DeliveryCounts,
    failing_since: Option<Timestamp>,
    failures: u32,
    last_error: Option<String>,
    last_delivered: Option<Timestamp>,
}

impl DeliveryStats {
    /// Counts a finished attempt.
    /// Returns since when the channel had been failing, if this attempt ended that.
    pub(super) fn record_attempt(
        &mut self,
        channel: &str,
        result: &Result<(), DeliveryError>,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let stats = self.entry(channel);
        let failing_since = stats.failing_since.filter(|_| result.is_ok());
        match result {
            Ok(()) => {
                stats.counts.delivered += 1;
                stats.last_delivered = Some(at);
                stats.failing_since = None;
                stats.failures = 0;
                stats.last_error = None;
            }
            Err(error) => {
                match error {
                    DeliveryError::Retryable { .. } => stats.counts.failed += 1,
                    DeliveryError::Permanent { .. } => stats.counts.refused += 1,
                }
                stats.failing_since.get_or_insert(at);
                stats.failures = stats.failures.saturating_add(1);
                stats.last_error = Some(error.to_string());
            }
        }
        failing_since
    }

    /// Counts a notification that was given up.
    pub(super) fn record_expiry(&mut self, channel: &str) {
        self.entry(channel).counts.expired += 1;
    }

    fn entry(&mut self, channel: &str) -> &mut ChannelStats {
        self.0.entry(channel.to_owned()).or_default()
    }

    /// Copies the statistics of a channel into its status.
    pub(super) fn fill(&self, channel: &mut ChannelStatus) {
        let Some(stats) = self.0.get(&channel.id) else {
            return;
        };
        channel.counts = stats.counts;
        channel.failing_since = stats.failing_since;
        channel.failures = stats.failures;
        channel.last_delivered = stats.last_delivered;
        if stats.last_error.is_some() {
            channel.last_error.clone_from(&stats.last_error);
        }
    }
}
