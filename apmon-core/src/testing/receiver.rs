//! The receiver of a channel: answers as a test says, and records what it accepts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::script::{Script, locked};
use crate::{
    notification::{DeliveryError, Notification, Notifier},
    time::Stopwatch,
};

/// How a receiver answers a delivery or a heartbeat.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Answer {
    /// It accepts.
    #[default]
    Accepts,
    /// It cannot be reached; another attempt is worthwhile.
    Unavailable,
    /// It asks for another attempt, after this time.
    Busy(Duration),
    /// It refuses, and would refuse again.
    Refuses,
    /// It does not accept, with this error.
    Fails(DeliveryError),
    /// It accepts, but its answer is lost: the sender has to try again.
    AcceptsAndFails,
    /// It never answers.
    Hangs,
}

impl Answer {
    /// Gives the answer: whether the receiver accepted, and what the sender learns.
    pub(super) async fn give(self) -> (bool, Result<(), DeliveryError>) {
        match self {
            Self::Accepts => (true, Ok(())),
            Self::AcceptsAndFails => (true, Err(DeliveryError::retryable("connection lost"))),
            Self::Unavailable => (false, Err(DeliveryError::retryable("connection refused"))),
            Self::Busy(pause) => {
                let busy = DeliveryError::Retryable {
                    reason: "HTTP 429".to_owned(),
                    retry_after: Some(pause),
                };
                (false, Err(busy))
            }
            Self::Refuses => (false, Err(DeliveryError::permanent("HTTP 403"))),
            Self::Fails(error) => (false, Err(error)),
            Self::Hangs => std::future::pending().await,
        }
    }
}

/// A notification that a [`Recorder`] accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Delivered {
    /// When: time since the recorder was created.
    pub at: Duration,
    /// The notification.
    pub notification: Notification,
    /// Its key on this channel.
    pub key: String,
}

/// A channel that records what it accepts; it accepts everything at first.
#[derive(Debug)]
pub struct Recorder {
    start: Stopwatch,
    answers: Script<Answer>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    attempts: usize,
    received: Vec<Delivered>,
}

impl Recorder {
    /// Creates a channel that accepts everything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::answering(Answer::Accepts)
    }

    /// Creates a channel that gives this answer.
    #[must_use]
    pub fn answering(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            start: Stopwatch::start(),
            answers: Script::always(answer),
            record: Mutex::default(),
        })
    }

    /// Sets how the receiver answers from now on.
    pub fn set(&self, answer: Answer) {
        self.answers.set(answer);
    }

    /// Sets how the receiver answers the next attempts, before it answers as [`set`](Self::set) says.
    pub fn set_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.set_next(answers);
    }

    /// Sets how long the receiver takes to answer.
    pub fn set_delay(&self, delay: Duration) {
        self.answers.set_delay(delay);
    }

    /// The number of attempts so far, accepted or not.
    #[must_use]
    pub fn attempts(&self) -> usize {
        locked(&self.record).attempts
    }

    /// Everything that the receiver accepted, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Delivered> {
        locked(&self.record).received.clone()
    }

    /// Everything that the receiver accepted since the last call.
    pub fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut locked(&self.record).received)
    }

    /// The labels of the accepted notifications (`NEW OUTAGE`).
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.each(|it| it.kind.label().to_owned())
    }

    /// The texts of the accepted notifications.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.each(|it| it.text.clone())
    }

    /// Label and text of each accepted notification (`RECOVERY: web in HomeLab is UP ...`).
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.each(|it| format!("{}: {}", it.kind.label(), it.text))
    }

    fn each(&self, text: impl Fn(&Notification) -> String) -> Vec<String> {
        let record = locked(&self.record);
        record.received.iter().map(|it| text(&it.notification)).collect()
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        locked(&self.record).attempts += 1;
        let answer = self.answers.take();
        self.answers.wait().await;
        let (accepted, result) = answer.give().await;
        if accepted {
            locked(&self.record).received.push(Delivered {
                at: self.start.elapsed(),
                notification: notification.clone(),
                key: key.to_owned(),
            });
        }
        result
    }
}
