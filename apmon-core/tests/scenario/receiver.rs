//! The receivers of notifications and heartbeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    DeliveryError,
    testing::{Answer, HeartbeatRecorder, Recorder, TestClock, secs},
};

use crate::script::{Deliveries, moment};

/// The receivers by name, created on first use.
pub struct Receivers {
    clock: Arc<TestClock>,
    /// Each with the moment at which it was created.
    channels: Mutex<BTreeMap<String, (Duration, Arc<Recorder>)>>,
    pub heartbeats: Arc<HeartbeatRecorder>,
}

impl Receivers {
    pub fn new(clock: Arc<TestClock>) -> Self {
        Self {
            clock,
            channels: Mutex::default(),
            heartbeats: HeartbeatRecorder::new(),
        }
    }

    pub fn channel(&self, name: &str) -> Arc<Recorder> {
        let mut channels = self.channels.lock().unwrap();
        let channel = channels.entry(name.to_owned());
        let (_, channel) = channel.or_insert_with(|| (self.clock.elapsed(), Recorder::new()));
        Arc::clone(channel)
    }

    pub fn names(&self) -> BTreeSet<String> {
        self.channels.lock().unwrap().keys().cloned().collect()
    }

    /// What each receiver received; of a heartbeat, the last part of its address.
    pub fn deliveries(&self) -> Deliveries {
        let mut deliveries = Deliveries::new();
        for (name, (created, channel)) in &*self.channels.lock().unwrap() {
            let lines = channel.received().into_iter().map(|it| {
                let notification = it.notification;
                let at = moment(*created + it.at);
                format!("{at} {}: {}", notification.kind.label(), notification.text)
            });
            deliveries.insert(name.clone(), lines.collect());
        }
        let heartbeats = self.heartbeats.requests().into_iter().map(|request| {
            let name = request.url.rsplit('/').next().unwrap_or_default();
            format!("{} {name}", moment(request.at))
        });
        deliveries.insert("heartbeat".to_owned(), heartbeats.collect());
        deliveries
    }
}

/// An answer of a receiver: `accepts`, `refuses`, `busy`, `busy 600` (with a
/// retry-after of 600 seconds) or `hangs`.
pub fn answer(words: &str) -> Answer {
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    match word {
        "accepts" => Answer::Accepts,
        "refuses" => Answer::Fails(DeliveryError::permanent("400")),
        "busy" => Answer::Fails(DeliveryError::Retryable {
            reason: "503".into(),
            retry_after: rest.parse().ok().map(secs),
        }),
        "hangs" => Answer::Hangs,
        other => panic!("unknown answer of a receiver: {other}"),
    }
}
