//! The test kit itself.

#![allow(clippy::unwrap_used)] // what fails here is a test

use apmon_core::{
    EngineError,
    testing::{
        Answer, Daemon, MemoryStore, Recorder, Response, Stage, StageEvent, Target, every, secs, watch,
    },
};

/// A site that is down from the start, with a channel `phone`.
fn down() -> (Stage, std::sync::Arc<MemoryStore>, std::sync::Arc<Recorder>) {
    let (store, phone) = (MemoryStore::new(), Recorder::new());
    let stage = Stage::new("HomeLab")
        .store(store.clone())
        .monitor(Target::down("refused").monitor(watch("web", every(10))))
        .channel("phone", phone.clone());
    (stage, store, phone)
}

#[tokio::test(start_paused = true)]
async fn of_two_engines_on_one_store_the_later_one_owns_it() {
    let (mut stage, _, phone) = down();
    let first = Daemon::start(stage.engine());
    tokio::time::sleep(secs(1)).await;
    stage.run_for(secs(30)).await;
    assert!(matches!(first.ended().await, Err(EngineError::TakenOver(_))));
    assert_eq!(phone.labels(), ["NEW OUTAGE"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_answers_as_it_is_set_and_as_late() {
    let (mut stage, _, phone) = down();
    phone.set_delay(secs(2));
    phone.set_next([Answer::AcceptsAndFails, Answer::Unavailable]);
    stage.run_for(secs(30)).await;
    assert_eq!(phone.labels(), ["NEW OUTAGE", "NEW OUTAGE"], "an answer was lost");
    assert_eq!(phone.attempts(), 3);
    let received = phone.received();
    assert_eq!(received[0].key, received[1].key);
    assert!(received[0].at >= secs(2), "{received:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_reports_each_check_and_each_notification_in_order() {
    let web = Target::new();
    web.set_next([
        Response::Up,
        Response::down("refused"),
        Response::unknown("no route"),
    ]);
    let mut stage = Stage::new("HomeLab").monitor(web.monitor(watch("web", every(60))));
    stage.run_for(secs(170)).await;
    let events: Vec<_> = stage
        .events()
        .iter()
        .map(|event| match event {
            StageEvent::Checked {
                verdict, condition, ..
            } => format!("{verdict}: {}", condition.as_str()),
            StageEvent::Notified(notification) => notification.kind.label().to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        events[..4],
        ["Up: up", "Down: down", "NEW OUTAGE", "Unknown: down"]
    );
    assert_eq!(events[4..], ["Up: up", "RECOVERY"], "and then as it was set");
}

#[tokio::test(start_paused = true)]
async fn a_restart_and_a_reload_keep_what_is_known() {
    let (mut stage, store, phone) = down();
    stage.run_for(secs(30)).await;
    stage.restart().await;
    stage.run_for(secs(30)).await;
    let mut plan = stage.plan().clone();
    plan.monitors.clear();
    stage.reload(plan).await;
    stage.run_for(secs(5)).await;
    assert_eq!(phone.labels(), ["NEW OUTAGE", "NO LONGER WATCHED"]);
    stage.kill().await;
    assert!(store.state("web").own.removed_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_removed_monitor_is_deleted_after_thirty_days_without_a_restart() {
    let store = MemoryStore::new();
    let target = Target::new();
    let mut stage = Stage::new("HomeLab")
        .store(store.clone())
        .monitor(target.monitor(watch("web", every(3600))))
        .monitor(target.monitor(watch("db", every(3600))));
    stage.run_for(secs(7200)).await;
    stage.handle().remove_monitor("web").await.unwrap();
    let day = 24 * 3600;
    stage.run_for(secs(30 * day - 3600)).await;
    let stored = store.snapshot().monitors;
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["db", "web"]);
    stage.run_for(secs(3 * 3600)).await;
    let stored = store.snapshot().monitors;
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["db"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_added_again_is_not_forgotten() {
    let store = MemoryStore::new();
    let web = || Target::new().monitor(watch("web", every(3600)));
    let mut stage = Stage::new("HomeLab").store(store.clone()).monitor(web());
    stage.run_for(secs(7200)).await;
    let day = 24 * 3600;
    stage.handle().remove_monitor("web").await.unwrap();
    stage.run_for(secs(20 * day)).await;
    stage.handle().add_monitor(web()).await.unwrap();
    stage.run_for(secs(5 * day)).await;
    stage.handle().remove_monitor("web").await.unwrap();
    stage.run_for(secs(20 * day)).await;
    assert!(
        store.snapshot().monitors.contains_key("web"),
        "removed 20 days ago"
    );
}

#[tokio::test]
#[should_panic(expected = "time")]
async fn a_stage_refuses_to_run_in_real_time() {
    down().0.run_for(secs(3600)).await;
}
