//! The receivers of notifications and heartbeats.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Clock, DeliveryError, HeartbeatSender, Notification, Notifier, Secret, SystemClock};
use async_trait::async_trait;

use crate::{
    script::{Deliveries, moment},
    support::secs,
};

/// What each receiver received.
#[derive(Clone)]
pub struct Log {
    clock: Arc<SystemClock>,
    pub deliveries: Arc<Mutex<Deliveries>>,
}

impl Log {
    pub fn new(clock: &Arc<SystemClock>) -> Self {
        Self {
            clock: Arc::clone(clock),
            deliveries: Arc::default(),
        }
    }

    pub fn now(&self) -> Duration {
        self.clock.now().mono.since(Default::default())
    }

    fn record(&self, receiver: &str, what: &str) {
        let line = format!("{} {what}", moment(self.now()));
        self.deliveries
            .lock()
            .unwrap()
            .entry(receiver.to_owned())
            .or_default()
            .push(line);
    }
}

/// A channel's receiver.
pub struct Receiver {
    name: String,
    log: Log,
    answer: Mutex<Answer>,
}

enum Answer {
    Accepts,
    Refuses,
    Busy(Option<Duration>),
    Hangs,
}

impl Receiver {
    pub fn new(name: &str, log: &Log) -> Self {
        Self {
            name: name.to_owned(),
            log: log.clone(),
            answer: Mutex::new(Answer::Accepts),
        }
    }

    /// Sets the answer: `accepts`, `refuses`, `busy`, `busy 600` (with a retry-after
    /// of 600 seconds) or `hangs`.
    pub fn set(&self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        *self.answer.lock().unwrap() = match word {
            "accepts" => Answer::Accepts,
            "refuses" => Answer::Refuses,
            "busy" => Answer::Busy(rest.parse().ok().map(secs)),
            "hangs" => Answer::Hangs,
            other => panic!("unknown answer of a receiver: {other}"),
        };
    }
}

#[async_trait]
impl Notifier for Receiver {
    async fn deliver(&self, message: &Notification, _: &str) -> Result<(), DeliveryError> {
        let hangs = matches!(*self.answer.lock().unwrap(), Answer::Hangs);
        if hangs {
            std::future::pending::<()>().await;
        }
        match *self.answer.lock().unwrap() {
            Answer::Refuses => Err(DeliveryError::permanent("400")),
            Answer::Busy(retry_after) => Err(DeliveryError::Retryable {
                reason: "503".into(),
                retry_after,
            }),
            _ => {
                self.log
                    .record(&self.name, &format!("{}: {}", message.kind.label(), message.text));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl HeartbeatSender for Log {
    /// Records the last part of the path.
    async fn send(&self, url: &Secret, _: Duration) -> Result<(), DeliveryError> {
        let name = url.reveal().rsplit('/').next().unwrap_or_default();
        self.record("heartbeat", name);
        Ok(())
    }
}
