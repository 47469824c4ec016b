//! The far end of a channel: answers as it is told to, and hears what arrives.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{DeliveryError, Mono, Notification, Notifier};
use async_trait::async_trait;

use crate::{disk::Store, reference::Reference, step::Answer};

pub struct FarEnd {
    pub id: &'static str,
    pub answer: Mutex<Answer>,
    /// It has answered so since then.
    pub since: Mutex<Mono>,
    pub store: Arc<Store>,
    pub reference: Arc<Mutex<Reference>>,
}

#[async_trait]
impl Notifier for FarEnd {
    async fn deliver(&self, message: &Notification, key: &str) -> Result<(), DeliveryError> {
        let circles = self.reference.lock().unwrap().turns_in_circles();
        if circles {
            std::future::pending::<()>().await;
        }
        let tried = {
            let mut reference = self.reference.lock().unwrap();
            let decided = reference.mono(message.at);
            let permission = self.store.may_be_sent(key, decided);
            reference.tried(self.id, message, key, permission)
        };
        let Some(tried) = tried else {
            return Err(DeliveryError::retryable("a message of nothing"));
        };
        let _under_way = UnderWay::new(self);
        let heard = || self.reference.lock().unwrap().heard(self.id, tried);
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Takes => heard(),
            Answer::Slowly(secs) => {
                tokio::time::sleep(Duration::from_secs(secs)).await;
                heard();
            }
            Answer::Refuses => {
                self.reference.lock().unwrap().refused(self.id, tried);
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
            Answer::TakesAndFails => {
                heard();
                return Err(DeliveryError::retryable("connection lost"));
            }
            Answer::TakesAndHangs => {
                heard();
                std::future::pending().await
            }
        }
        self.reference.lock().unwrap().answered(self.id, tried);
        Ok(())
    }
}

impl FarEnd {
    pub fn set(&self, answer: Answer, now: Mono) {
        let before = std::mem::replace(&mut *self.answer.lock().unwrap(), answer);
        if before != answer {
            *self.since.lock().unwrap() = now;
        }
    }

    /// Since when it has taken everything.
    pub fn takes_since(&self) -> Option<Mono> {
        let takes = *self.answer.lock().unwrap() == Answer::Takes;
        takes.then(|| *self.since.lock().unwrap())
    }
}

/// One try, until it ends or is given up.
struct UnderWay<'a>(&'a FarEnd);

impl<'a> UnderWay<'a> {
    fn new(end: &'a FarEnd) -> Self {
        end.reference.lock().unwrap().starts(end.id);
        Self(end)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.reference.lock().unwrap().ends(self.0.id);
    }
}
