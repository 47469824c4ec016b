//! Updates: what happens in a running engine, for dashboards, metrics and embedders. A slow
//! listener loses updates and learns how many; it delays nothing.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::{
    history::DeliveryFate, notification::Notification, outcome::Verdict, rule::condition::Condition,
};

/// How many updates wait for a listener that is slow.
const CAPACITY: usize = 4096;

/// Something that happened in a running engine. A part of a monitor is reported like a monitor,
/// under the name `monitor/part`.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Update {
    /// A check ended.
    Checked {
        /// The monitor.
        monitor: String,
        /// When the check started.
        at: Timestamp,
        /// The verdict of the check.
        verdict: Verdict,
        /// The condition of the monitor after it.
        condition: Condition,
        /// How long the target took to answer, if it answered.
        latency: Option<Duration>,
        /// How late the check started.
        lateness: Duration,
        /// The reason why it was not up.
        reason: Option<String>,
    },
    /// The condition of a monitor changed.
    ConditionChanged {
        /// The monitor.
        monitor: String,
        /// When it changed.
        at: Timestamp,
        /// The condition before.
        before: Condition,
        /// The condition now.
        after: Condition,
    },
    /// A notification was decided.
    Decided {
        /// The notification.
        notification: Box<Notification>,
        /// The ids of the channels that get it.
        recipients: Vec<String>,
    },
    /// An attempt to deliver a notification ended, or a notification left the outbox.
    Delivery {
        /// When the attempt ended, or the notification left the outbox.
        at: Timestamp,
        /// The id of the channel.
        channel: String,
        /// The id of the notification.
        notification: String,
        /// The monitor that it is about.
        monitor: String,
        /// What became of it; `None` if the attempt failed and will be repeated.
        fate: Option<DeliveryFate>,
        /// The error of the last attempt, without secrets.
        error: Option<String>,
    },
    /// The plan was replaced or changed.
    Reloaded {
        /// When the plan was changed.
        at: Timestamp,
        /// How many monitors there are now.
        monitors: usize,
        /// How many of them are new or different.
        changed: usize,
    },
    /// The store began to fail: monitoring and alerting continue from memory.
    StoreFailing {
        /// When the first failure was noticed.
        at: Timestamp,
        /// The reason.
        reason: String,
    },
    /// The store works again.
    StoreWorks {
        /// When it worked again.
        at: Timestamp,
    },
}

/// Updates of an engine from the moment of the subscription on.
#[derive(Debug)]
pub struct Updates(broadcast::Receiver<Arc<Update>>);

/// What a listener receives.
#[derive(Clone, PartialEq, Debug)]
pub enum Received {
    /// An update.
    Update(Arc<Update>),
    /// The listener was too slow: this many updates are lost, and the next one follows.
    Missed(u64),
}

impl Updates {
    /// Waits for the next update; `None` once the engine has ended and all its handles are
    /// dropped.
    pub async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(update) => Some(Received::Update(update)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Publishes the updates of an engine.
#[derive(Clone, Debug)]
pub(super) struct Publisher(broadcast::Sender<Arc<Update>>);

impl Default for Publisher {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Publisher {
    /// Publishes an update, which is made only if somebody listens.
    pub(super) fn publish(&self, update: impl FnOnce() -> Update) {
        if self.0.receiver_count() > 0 {
            // The last listener may have left since.
            let _ = self.0.send(Arc::new(update()));
        }
    }

    pub(super) fn subscribe(&self) -> Updates {
        Updates(self.0.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works(second: i64) -> Update {
        Update::StoreWorks {
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn nothing_is_made_without_a_listener() {
        let publisher = Publisher::default();
        publisher.publish(|| panic!("made for nobody"));
        let updates = publisher.subscribe();
        drop(updates);
        publisher.publish(|| panic!("made for nobody"));
    }

    #[tokio::test]
    async fn a_slow_listener_loses_updates_and_learns_how_many() {
        let publisher = Publisher::default();
        let mut updates = publisher.subscribe();
        let sent = CAPACITY as i64 + 10;
        for second in 0..sent {
            publisher.publish(|| works(second));
        }
        assert_eq!(updates.next().await, Some(Received::Missed(10)));
        for second in 10..sent {
            assert_eq!(
                updates.next().await,
                Some(Received::Update(Arc::new(works(second))))
            );
        }
        drop(publisher);
        assert_eq!(updates.next().await, None);
    }
}
