//! The receiver of heartbeats.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    receiver::Answer,
    script::{Script, locked},
};
use crate::{
    notification::{DeliveryError, Heartbeat, HeartbeatSender},
    secret::Secret,
    time::Stopwatch,
};

/// A request that a [`HeartbeatRecorder`] received.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HeartbeatRequest {
    /// When it arrived: time since the recorder was created.
    pub at: Duration,
    /// The requested address.
    pub url: String,
}

/// Sends heartbeats nowhere and records them, accepted or not; it accepts all at first.
#[derive(Debug)]
pub struct HeartbeatRecorder {
    start: Stopwatch,
    answers: Script<Answer>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    requests: Vec<HeartbeatRequest>,
    concurrent: usize,
    most_concurrent: usize,
}

impl HeartbeatRecorder {
    /// Creates a receiver that accepts everything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Stopwatch::start(),
            answers: Script::default(),
            record: Mutex::default(),
        })
    }

    /// Sets how the receiver answers from now on.
    pub fn set(&self, answer: Answer) {
        self.answers.set(answer);
    }

    /// Sets how the receiver answers the next requests, before it answers as [`set`](Self::set) says.
    pub fn set_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.set_next(answers);
    }

    /// Sets how long the receiver takes to answer.
    pub fn set_delay(&self, delay: Duration) {
        self.answers.set_delay(delay);
    }

    /// All requests, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<HeartbeatRequest> {
        locked(&self.record).requests.clone()
    }

    /// When requests to `url` arrived.
    #[must_use]
    pub fn times(&self, url: &str) -> Vec<Duration> {
        let record = locked(&self.record);
        let same = record.requests.iter().filter(|request| request.url == url);
        same.map(|request| request.at).collect()
    }

    /// The most requests that were under way at the same time.
    #[must_use]
    pub fn most_concurrent(&self) -> usize {
        locked(&self.record).most_concurrent
    }
}

#[async_trait]
impl HeartbeatSender for HeartbeatRecorder {
    async fn send(&self, heartbeat: &Heartbeat, timeout: Duration) -> Result<(), DeliveryError> {
        let _under_way = UnderWay::new(self, &heartbeat.url);
        let answer = self.answers.take();
        let answered = async {
            self.answers.wait().await;
            answer.give().await.1
        };
        match tokio::time::timeout(timeout, answered).await {
            Ok(result) => result,
            Err(_) => Err(DeliveryError::retryable("no answer")),
        }
    }
}

/// A request, until it ends or is given up.
struct UnderWay<'a>(&'a HeartbeatRecorder);

impl<'a> UnderWay<'a> {
    fn new(recorder: &'a HeartbeatRecorder, url: &Secret) -> Self {
        let mut record = locked(&recorder.record);
        record.requests.push(HeartbeatRequest {
            at: recorder.start.elapsed(),
            url: url.reveal().to_owned(),
        });
        record.concurrent += 1;
        record.most_concurrent = record.most_concurrent.max(record.concurrent);
        drop(record);
        Self(recorder)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        locked(&self.0.record).concurrent -= 1;
    }
}
