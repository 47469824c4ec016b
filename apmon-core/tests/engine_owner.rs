//! An engine and a store that others may share: commits in doubt, another owner, limits.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::sync::Arc;

use apmon_core::{
    EngineError, StoreLimits,
    testing::{Answer, MemoryStore, Recorder, Stage, StageEvent, StoreAnswer, Target, every, secs, watch},
};
use jiff::SignedDuration;

/// Stored, but the answer is lost.
const LOST: StoreAnswer = StoreAnswer::Unknown { stored: true };
/// Not stored, and nobody knows.
const UNKNOWN: StoreAnswer = StoreAnswer::Unknown { stored: false };

/// A site whose only target is down from the first check on.
fn site(store: &Arc<MemoryStore>, monitors: usize) -> (Stage, Arc<Recorder>) {
    let (target, recorder) = (Target::down("refused"), Recorder::new());
    let mut stage = Stage::new("HomeLab")
        .store(store.clone())
        .channel("c", recorder.clone());
    for n in 0..monitors {
        stage = stage.monitor(target.monitor(watch(&format!("m{n}"), every(3600))));
    }
    (stage, recorder)
}

/// Epoch and number of each attempt to commit.
fn attempts(store: &MemoryStore) -> Vec<(u64, u64)> {
    let attempts = store.attempts();
    attempts.iter().map(|id| (id.epoch, id.number)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_doubt_is_repeated_under_its_id_and_nothing_is_sent_meanwhile() {
    for answers in [
        [UNKNOWN, UNKNOWN],
        [LOST, UNKNOWN],
        // That the second attempt is surely not stored says nothing about the first.
        [LOST, StoreAnswer::Unavailable],
        // A store that panics may have written before.
        [StoreAnswer::Panics, StoreAnswer::Unavailable],
    ] {
        let store = MemoryStore::new();
        store.set_next(answers);
        store.edit(|stored| stored.shard = 7);
        let (mut stage, recorder) = site(&store, 1);
        stage.run_for(secs(70)).await;
        let arrived = attempts(&store);
        assert_eq!(arrived[..3], [(1, 1), (1, 1), (1, 1)], "{arrived:?}");
        assert!(arrived[3..].iter().all(|id| id.1 > 1), "{arrived:?}");
        assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
        assert_eq!(store.attempts()[0].shard, 7);
        assert!(stage.stop().await.unwrap().saved);
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_commit_is_in_doubt_nothing_is_sent_and_no_other_is_built() {
    let store = MemoryStore::new();
    store.set(UNKNOWN);
    let (mut stage, recorder) = site(&store, 3);
    stage.run_for(secs(600)).await;
    let arrived = attempts(&store);
    assert!(arrived.len() > 50, "{}", arrived.len());
    assert!(arrived.iter().all(|id| *id == (1, 1)), "{arrived:?}");
    assert!(recorder.labels().is_empty());
    assert!(stage.handle().status().await.unwrap().unsaved);
    assert!(!stage.stop().await.unwrap().saved);
}

/// Behind a lock nobody else can take over: an alert is not held back by a fault of the disk.
#[tokio::test(start_paused = true)]
async fn an_exclusive_store_in_doubt_delays_notifications_by_seconds_only() {
    let store = MemoryStore::exclusive();
    store.set(UNKNOWN);
    let (mut stage, recorder) = site(&store, 3);
    stage.run_for(secs(600)).await;
    assert_eq!(recorder.labels()[..3], ["NEW OUTAGE"; 3]);
    let arrived = attempts(&store);
    assert!(arrived.iter().all(|id| *id == (1, 1)), "{arrived:?}");
    assert!(stage.handle().status().await.unwrap().unsaved);
    // What follows is sent from memory too, and the store catches up when it answers again.
    store.set(StoreAnswer::Stores);
    stage.run_for(secs(60)).await;
    assert!(store.outbox().is_empty());
    assert!(stage.stop().await.unwrap().saved);
    let labels = recorder.labels();
    let outages = labels.iter().filter(|label| *label == "NEW OUTAGE");
    assert_eq!(outages.count(), 3, "{labels:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_state_has_another_owner_ends_and_sends_nothing() {
    let store = MemoryStore::new();
    store.set_next([StoreAnswer::Superseded]);
    let (mut stage, recorder) = site(&store, 1);
    let handle = stage.handle().clone();
    let error = tokio::time::timeout(secs(100), stage.ended())
        .await
        .expect("it ends by itself")
        .unwrap_err();
    assert!(matches!(error, EngineError::TakenOver(_)), "{error}");
    assert!(recorder.labels().is_empty());
    assert!(handle.ping().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn another_owner_at_the_end_of_a_run_is_reported_too() {
    let store = MemoryStore::new();
    let (mut stage, _) = site(&store, 1);
    stage.run_for(secs(70)).await;
    stage.handle().check_now("m0").await.unwrap();
    stage.run_for(secs(1)).await;
    store.set_next([StoreAnswer::Superseded]);
    stage.handle().shutdown().await;
    let result = stage.ended().await;
    assert!(matches!(result, Err(EngineError::TakenOver(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn alerting_continues_from_memory_while_a_store_cannot_be_reached() {
    let store = MemoryStore::new();
    store.set(StoreAnswer::Unavailable);
    let (mut stage, recorder) = site(&store, 1);
    stage.run_for(secs(70)).await;
    assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
    assert!(store.commits().is_empty());
    assert!(!stage.stop().await.unwrap().saved);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_too_large_for_the_store_is_split_between_monitors() {
    let mut limits = StoreLimits::default();
    limits.items = Some(4);
    let store = MemoryStore::with_limits(limits);
    let (mut stage, recorder) = site(&store, 10);
    stage.pass().await.unwrap();
    assert_eq!(recorder.labels().len(), 10);
    let stored = store.commits();
    for commit in &stored {
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

/// With one item in a commit, no outage fits together with its notification.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_the_store_is_sent_from_memory_and_holds_up_nothing_else() {
    let mut limits = StoreLimits::default();
    limits.items = Some(1);
    let store = MemoryStore::with_limits(limits);
    let (stage, recorder) = site(&store, 1);
    recorder.set(Answer::Unavailable);
    let mut stage = stage.monitor(Target::new().monitor(watch("up", every(10))));
    stage.run_for(secs(90)).await;
    assert!(recorder.attempts() > 0, "after five seconds");
    let status = stage.handle().status().await.unwrap();
    assert!(status.unsaved);
    assert!(store.outbox().is_empty() && store.state("m0").is_up.is_none());
    assert_eq!(store.state("up").is_up, Some(true));
    let last = store.state("up").last_checked.unwrap();
    assert!(status.at.duration_since(last) < SignedDuration::from_secs(20));
    let attempts = store.attempts().len();
    assert!(attempts < 60, "{attempts} commits in 90 seconds");
    // Once it is delivered, the state alone fits.
    recorder.set(Answer::Accepts);
    stage.run_for(secs(60)).await;
    assert_eq!(recorder.labels(), ["NEW OUTAGE"]);
    assert_eq!(store.state("m0").is_up, Some(false));
    assert!(!stage.handle().status().await.unwrap().unsaved);
    assert!(stage.stop().await.unwrap().saved);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_is_too_large_for_the_store_waits_five_seconds_for_it() {
    let mut limits = StoreLimits::default();
    limits.items = Some(1);
    let store = MemoryStore::with_limits(limits);
    let (mut stage, recorder) = site(&store, 1);
    let report = stage.pass().await.unwrap();
    assert!(report.saved, "{report:?}");
    let [sent] = &recorder.received()[..] else {
        panic!()
    };
    assert_eq!(sent.at.as_secs(), 5);
    let is_notified = |event: &StageEvent| matches!(event, StageEvent::Notified(_));
    assert_eq!(
        stage.events().iter().filter(|event| is_notified(event)).count(),
        1
    );
}

/// The notification is sent at the end of the run, and the state is never stored.
#[tokio::test(start_paused = true)]
async fn a_state_that_is_too_large_is_lost_with_the_process_and_its_notifications_are_not() {
    let mut limits = StoreLimits::default();
    limits.bytes = Some(2_000);
    let store = MemoryStore::with_limits(limits);
    let (stage, recorder) = site(&store, 1);
    let name = "x".repeat(3_000);
    let policy = every(1);
    let mut stage = stage.monitor(Target::down("refused").monitor(watch(&name, policy)));
    stage.run_for(secs(4)).await;
    let report = stage.stop().await.unwrap();
    assert!(!report.saved);
    assert_eq!((report.undelivered, report.lost), (0, 0));
    let received = recorder.received();
    let monitors = received.iter().map(|sent| sent.notification.monitor.as_str());
    assert!(monitors.into_iter().any(|monitor| monitor == name));
    assert!(!store.snapshot().monitors.contains_key(&name));
}
