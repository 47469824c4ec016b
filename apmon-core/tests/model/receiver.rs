//! The receiver of a channel: answers as a step says, and reports deliveries to
//! the reference.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{DeliveryError, Mono, Notification, Notifier};
use async_trait::async_trait;

use crate::{reference::Reference, step::Answer, store::FaultyStore};

pub struct Receiver {
    pub id: &'static str,
    pub answer: Mutex<Answer>,
    /// Since when it has given this answer.
    pub since: Mutex<Mono>,
    pub store: Arc<FaultyStore>,
    pub reference: Arc<Mutex<Reference>>,
}

#[async_trait]
impl Notifier for Receiver {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        let is_looping = self.reference.lock().unwrap().is_looping();
        if is_looping {
            std::future::pending::<()>().await;
        }
        let attempt = {
            let mut reference = self.reference.lock().unwrap();
            let decided = reference.mono(notification.at);
            let permission = self.store.may_be_sent(key, decided);
            reference.attempted(self.id, notification, key, permission)
        };
        let Some(notification) = attempt else {
            return Err(DeliveryError::retryable("an unexpected notification"));
        };
        let _guard = DeliveryGuard::new(self);
        let accept = || self.reference.lock().unwrap().received(self.id, notification);
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Accepts => accept(),
            Answer::AcceptsAfter(secs) => {
                tokio::time::sleep(Duration::from_secs(secs)).await;
                accept();
            }
            Answer::Refuses => {
                self.reference.lock().unwrap().refused(self.id, notification);
                return Err(DeliveryError::permanent("400"));
            }
            Answer::Busy => return Err(DeliveryError::retryable("503")),
            Answer::BusyFor(secs) => {
                return Err(DeliveryError::Retryable {
                    reason: "429".into(),
                    retry_after: Some(Duration::from_secs(secs)),
                });
            }
            Answer::Hangs => std::future::pending().await,
            Answer::AcceptsAndFails => {
                accept();
                return Err(DeliveryError::retryable("connection lost"));
            }
            Answer::AcceptsAndHangs => {
                accept();
                std::future::pending().await
            }
        }
        self.reference.lock().unwrap().confirmed(self.id, notification);
        Ok(())
    }
}

impl Receiver {
    pub fn set(&self, answer: Answer, now: Mono) {
        let before = std::mem::replace(&mut *self.answer.lock().unwrap(), answer);
        if before != answer {
            *self.since.lock().unwrap() = now;
        }
    }

    /// Since when it has accepted everything; `None` if it does not now.
    pub fn accepts_since(&self) -> Option<Mono> {
        let accepts = *self.answer.lock().unwrap() == Answer::Accepts;
        accepts.then(|| *self.since.lock().unwrap())
    }
}

/// One attempt, until it ends or is given up.
struct DeliveryGuard<'a>(&'a Receiver);

impl<'a> DeliveryGuard<'a> {
    fn new(receiver: &'a Receiver) -> Self {
        receiver.reference.lock().unwrap().delivery_starts(receiver.id);
        Self(receiver)
    }
}

impl Drop for DeliveryGuard<'_> {
    fn drop(&mut self) {
        self.0.reference.lock().unwrap().delivery_ends(self.0.id);
    }
}
