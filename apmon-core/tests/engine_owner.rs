//! An engine and a store that others may share: commits in doubt, another owner, limits.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use apmon_core::{
    Commit, CommitId, Engine, EngineError, Plan, ProbeMonitor, Snapshot, StateStore, StoreError, StoreLimits,
};
use async_trait::async_trait;
use support::{Condition, Recorder, Target, clock, every, secs, sleep, watch};

/// What a store answers to a commit.
#[derive(Clone, Copy)]
enum Answer {
    /// It is stored, but the answer is lost.
    Lost,
    /// It is not stored, and nobody knows.
    Unknown,
    /// Another owner has taken over.
    Superseded,
    Unavailable,
}

/// A store that answers as a test says, and then as a good one.
#[derive(Default)]
struct SharedStore {
    answers: Mutex<VecDeque<Answer>>,
    /// Every commit that arrived.
    arrived: Mutex<Vec<CommitId>>,
    /// Those that were stored.
    stored: Mutex<Vec<Commit>>,
    limits: StoreLimits,
}

impl SharedStore {
    fn answering(answers: &[Answer]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            ..Self::default()
        })
    }

    fn arrived(&self) -> Vec<(u64, u64)> {
        let arrived = self.arrived.lock().unwrap();
        arrived.iter().map(|id| (id.epoch, id.number)).collect()
    }
}

#[async_trait]
impl StateStore for SharedStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            shard: 7,
            epoch: 3,
            ..Snapshot::default()
        })
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.arrived.lock().unwrap().push(commit.id());
        let store = |commit: &Commit| {
            let mut stored = self.stored.lock().unwrap();
            if stored.iter().all(|other| other.id() != commit.id()) {
                stored.push(commit.clone());
            }
        };
        let reason = || "the answer was lost".to_owned();
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            None => store(commit),
            Some(Answer::Lost) => {
                store(commit);
                return Err(StoreError::Unknown { reason: reason() });
            }
            Some(Answer::Unknown) => return Err(StoreError::Unknown { reason: reason() }),
            Some(Answer::Unavailable) => {
                let reason = "no connection".to_owned();
                return Err(StoreError::Unavailable { reason });
            }
            Some(Answer::Superseded) => {
                return Err(StoreError::Superseded {
                    epoch: commit.epoch,
                    newest: None,
                });
            }
        }
        Ok(())
    }

    fn limits(&self) -> StoreLimits {
        self.limits
    }
}

/// A site whose only target is down from the first check on.
fn engine(store: &Arc<SharedStore>, monitors: usize, recorder: &Arc<Recorder>) -> Engine {
    let target = Arc::new(Target::default());
    target.set(Condition::Down("refused".into()));
    let mut plan = Plan::new("HomeLab").notify("c", Arc::clone(recorder) as _);
    for n in 0..monitors {
        let watch = watch(&format!("m{n}"), every(3600));
        plan = plan.watch(Arc::new(ProbeMonitor::new(watch, Arc::clone(&target))));
    }
    Engine::new(plan, Arc::clone(store) as _).clock(clock())
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_doubt_is_repeated_under_its_id_and_nothing_is_sent_meanwhile() {
    for answers in [
        [Answer::Unknown, Answer::Unknown],
        [Answer::Lost, Answer::Unknown],
        // That the second attempt is surely not stored says nothing about the first.
        [Answer::Lost, Answer::Unavailable],
    ] {
        let store = SharedStore::answering(&answers);
        let recorder = Recorder::new(&clock());
        let engine = engine(&store, 1, &recorder);
        let handle = engine.handle();
        let running = tokio::spawn(engine.run());
        sleep(70).await;
        let arrived = store.arrived();
        assert_eq!(arrived[..3], [(3, 1), (3, 1), (3, 1)], "{arrived:?}");
        assert!(arrived[3..].iter().all(|id| id.1 > 1), "{arrived:?}");
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        assert_eq!(store.arrived.lock().unwrap()[0].shard, 7);
        handle.shutdown().await;
        assert!(running.await.unwrap().unwrap().saved);
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_commit_is_in_doubt_nothing_is_sent_and_no_other_is_built() {
    let store = SharedStore::answering(&[Answer::Unknown; 1000]);
    let recorder = Recorder::new(&clock());
    let engine = engine(&store, 3, &recorder);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    sleep(600).await;
    let arrived = store.arrived();
    assert!(arrived.len() > 50, "{}", arrived.len());
    assert!(arrived.iter().all(|id| *id == (3, 1)), "{arrived:?}");
    assert!(recorder.labels().is_empty());
    assert!(handle.status().await.unwrap().unsaved);
    handle.shutdown().await;
    let report = running.await.unwrap().unwrap();
    assert!(!report.saved);
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_state_has_another_owner_ends_and_sends_nothing() {
    let store = SharedStore::answering(&[Answer::Superseded]);
    let recorder = Recorder::new(&clock());
    let engine = engine(&store, 1, &recorder);
    let handle = engine.handle();
    let error = tokio::time::timeout(secs(100), engine.run())
        .await
        .expect("it ends by itself")
        .unwrap_err();
    assert!(matches!(error, EngineError::TakenOver(_)), "{error}");
    assert!(recorder.labels().is_empty());
    assert!(handle.ping().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn another_owner_at_the_end_of_a_run_is_reported_too() {
    let store = Arc::new(SharedStore::default());
    let recorder = Recorder::new(&clock());
    let engine = engine(&store, 1, &recorder);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    sleep(70).await;
    handle.check_now("m0").await.unwrap();
    sleep(1).await;
    store.answers.lock().unwrap().push_back(Answer::Superseded);
    handle.shutdown().await;
    let result = running.await.unwrap();
    assert!(matches!(result, Err(EngineError::TakenOver(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn alerting_continues_from_memory_while_a_store_cannot_be_reached() {
    let store = SharedStore::answering(&[Answer::Unavailable; 1000]);
    let recorder = Recorder::new(&clock());
    let engine = engine(&store, 1, &recorder);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    sleep(70).await;
    assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
    handle.shutdown().await;
    assert!(!running.await.unwrap().unwrap().saved);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_too_large_for_the_store_is_split_between_monitors() {
    let mut store = SharedStore::default();
    store.limits.items = Some(4);
    let store = Arc::new(store);
    let recorder = Recorder::new(&clock());
    engine(&store, 10, &recorder).pass().await.unwrap();
    assert_eq!(recorder.labels().len(), 10);
    let stored = store.stored.lock().unwrap();
    for commit in stored.iter() {
        let items = commit.states.len() + commit.outbox.len() + commit.settled.len();
        assert!(items <= 4, "{items} items");
        for entry in &commit.outbox {
            let monitor = &entry.notification.monitor;
            let is_new = entry.attempts == 0;
            let has_state = commit.states.iter().any(|(name, _)| name == monitor);
            assert!(has_state || !is_new, "{monitor} without its state");
        }
    }
    let numbers: Vec<_> = stored.iter().map(|commit| commit.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}
