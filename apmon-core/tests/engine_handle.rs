//! Requests through a handle, and what an engine reports to others.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apmon_core::{
    Channel, Check, CheckRecord, Condition, EngineError, FailureClass, MetricSink, Monitor, Observation,
    Outcome, Plan, Received, Signal, Update, Updates, Watch,
    testing::{Daemon, MemoryStore, Recorder, Stage, every, secs},
};
use async_trait::async_trait;

/// Counts its checks; down or up as its signals say.
struct Pushed {
    watch: Watch,
    checks: Arc<AtomicUsize>,
}

#[async_trait]
impl Monitor for Pushed {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        self.checks.fetch_add(1, Ordering::Relaxed);
        check.step("open", || "the door is locked".to_owned());
        Outcome::fail(FailureClass::Content, "locked").into()
    }

    fn receive(&self, signal: &Signal, _: &Check) -> Option<Observation> {
        match signal.fields.get("state")?.as_str() {
            "up" => Some(Outcome::up(Duration::from_millis(3)).into()),
            "panic" => panic!("a bug"),
            reason => Some(Outcome::fail(FailureClass::Status, reason).into()),
        }
    }
}

fn watch(name: &str, checksum: &str) -> Watch {
    Watch {
        policy: every(3600),
        checksum: checksum.into(),
        ..Watch::new(name, "pushed", "push")
    }
}

fn monitor(name: &str, checksum: &str) -> (Arc<dyn Monitor>, Arc<AtomicUsize>) {
    let checks = Arc::new(AtomicUsize::new(0));
    let monitor = Pushed {
        watch: watch(name, checksum),
        checks: Arc::clone(&checks),
    };
    (Arc::new(monitor), checks)
}

/// Runs a monitor with a channel `inbox`, past the check of the first round.
async fn run(monitor: Arc<dyn Monitor>) -> (Stage, Arc<Recorder>) {
    let inbox = Recorder::new();
    let mut stage = Stage::new("HomeLab")
        .monitor(monitor)
        .channel("inbox", inbox.clone());
    stage.run_for(secs(60)).await;
    (stage, inbox)
}

/// Label and monitor of each notification since the last call.
fn take(inbox: &Recorder) -> Vec<String> {
    let received = inbox.take().into_iter().map(|it| it.notification);
    received
        .map(|notification| format!("{} {}", notification.kind.label(), notification.monitor))
        .collect()
}

async fn received(updates: &mut Updates) -> Vec<Arc<Update>> {
    let mut all = Vec::new();
    while let Ok(Some(Received::Update(update))) = tokio::time::timeout(secs(1), updates.next()).await {
        all.push(update);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_status_before_the_run_is_answered_at_once() {
    let engine = Stage::new("HomeLab").monitor(monitor("door", "1").0).engine();
    let handle = engine.handle();
    let status = handle.status().await.unwrap();
    assert_eq!((status.site.as_str(), status.started), ("HomeLab", None));
    assert_eq!(status.monitors[0].name, "door");
    assert_eq!(status.monitors[0].state, Condition::Pending);
    assert_eq!(handle.plan().await.unwrap().monitors.len(), 1);
    let daemon = Daemon::start(engine);
    tokio::time::sleep(secs(60)).await;
    let status = handle.status().await.unwrap();
    assert!(status.started.is_some());
    assert_eq!(status.monitors[0].state, Condition::Down);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_can_be_requested() {
    let (door, checks) = monitor("door", "1");
    let (mut stage, _) = run(door).await;
    assert_eq!(checks.load(Ordering::Relaxed), 1);
    stage.handle().check_now("door").await.unwrap();
    stage.run_for(secs(1)).await;
    assert_eq!(checks.load(Ordering::Relaxed), 2);
    let error = stage.handle().check_now("gate").await.unwrap_err();
    assert!(matches!(error, EngineError::UnknownMonitor(name) if name == "gate"));
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_processed_as_a_check_is() {
    let (mut stage, inbox) = run(monitor("door", "1").0).await;
    assert_eq!(take(&inbox), ["NEW OUTAGE door"]);
    let signal = |state: &str| Signal::new("192.0.2.1").with("state", state);
    stage.handle().report("door", signal("up")).await.unwrap();
    stage.run_for(secs(1)).await;
    assert_eq!(take(&inbox), ["RECOVERY door"]);
    stage.handle().report("door", signal("open")).await.unwrap();
    stage.run_for(secs(1)).await;
    assert_eq!(take(&inbox), ["NEW OUTAGE door"]);
    let status = stage.handle().status().await.unwrap();
    assert_eq!(status.monitors[0].reason.as_deref(), Some("open"));
    for (name, signal) in [
        ("door", Signal::new("x")),
        ("door", signal("panic")),
        ("gate", signal("up")),
    ] {
        assert!(stage.handle().report(name, signal).await.is_err(), "{name}");
    }
    stage.handle().ping().await.unwrap();
}

/// A door whose check takes ten seconds, and that remembers how often something was seen.
struct SlowDoor(Watch);

#[async_trait]
impl Monitor for SlowDoor {
    fn watch(&self) -> &Watch {
        &self.0
    }

    async fn check(&self, check: &Check) -> Observation {
        tokio::time::sleep(secs(10)).await;
        seen(check)
    }

    fn receive(&self, _: &Signal, check: &Check) -> Option<Observation> {
        Some(seen(check))
    }
}

fn seen(check: &Check) -> Observation {
    let mut observation = Observation::from(Outcome::up(Duration::ZERO));
    let mut memory = check.memory.clone();
    let before: u32 = memory.kept.get("seen").map_or(0, |text| text.parse().unwrap());
    memory.kept.insert("seen".into(), (before + 1).to_string().into());
    observation.memory = Some(memory);
    observation
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_a_check_waits_for_its_end() {
    let store = MemoryStore::new();
    let mut stage = Stage::new("HomeLab")
        .store(store.clone())
        .monitor(Arc::new(SlowDoor(watch("door", "1"))));
    stage.run_for(secs(60)).await;
    stage.handle().check_now("door").await.unwrap();
    stage.run_for(secs(5)).await;
    for _ in 0..3 {
        stage.handle().report("door", Signal::new("x")).await.unwrap();
    }
    assert!(stage.handle().status().await.unwrap().monitors[0].checking);
    stage.run_for(secs(10)).await;
    let status = stage.handle().status().await.unwrap();
    assert!(!status.monitors[0].checking);
    assert_eq!(status.checks.unwrap().ended, 2, "signals are not counted");
    stage.stop().await;
    let memory = &store.state("door").memory;
    assert_eq!(&*memory.kept["seen"], "5", "two checks and three signals");
}

#[tokio::test(start_paused = true)]
async fn monitors_and_channels_come_and_go_until_a_reload() {
    let (mut stage, inbox) = run(monitor("door", "1").0).await;
    let second = Recorder::new();
    let channel = Channel::new("second", second.clone());
    stage.handle().add_channel(channel).await.unwrap();
    stage.handle().add_monitor(monitor("gate", "1").0).await.unwrap();
    stage.run_for(secs(5)).await;
    assert_eq!(take(&second), ["NEW OUTAGE gate"]);
    assert_eq!(take(&inbox), ["NEW OUTAGE door", "NEW OUTAGE gate"]);
    let plan = stage.handle().plan().await.unwrap();
    let names: BTreeSet<_> = plan.monitors.iter().map(|it| it.watch().name.clone()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["door", "gate"]);
    assert_eq!(plan.channels.len(), 2);
    stage.handle().remove_monitor("door").await.unwrap();
    stage.handle().remove_channel("second").await.unwrap();
    stage.run_for(secs(5)).await;
    assert_eq!(take(&inbox), ["NO LONGER WATCHED door"]);
    let plan = stage.handle().plan().await.unwrap();
    assert_eq!((plan.monitors.len(), plan.channels.len()), (1, 1));
    assert!(stage.handle().remove_monitor("door").await.is_err());
    assert!(stage.handle().remove_channel("second").await.is_err());
    // A reload is the whole truth.
    let file = Plan::new("HomeLab")
        .watch(monitor("door", "1").0)
        .notify("inbox", inbox.clone());
    stage.handle().reload(file).await.unwrap();
    stage.run_for(secs(5)).await;
    assert_eq!(take(&inbox), ["NO LONGER WATCHED gate", "NEW OUTAGE door"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_takes_over_the_new_monitor_and_keeps_phase_and_state() {
    let (old, old_checks) = monitor("door", "same");
    let (mut stage, inbox) = run(old).await;
    let next = stage.handle().status().await.unwrap().monitors[0].next_check;
    let (new, new_checks) = monitor("door", "same");
    let plan = Plan::new("HomeLab").watch(new).notify("inbox", inbox.clone());
    stage.handle().reload(plan).await.unwrap();
    let status = stage.handle().status().await.unwrap();
    assert_eq!(status.monitors[0].next_check, next, "nothing is checked at once");
    assert_eq!(status.monitors[0].state, Condition::Down);
    stage.run_for(secs(3600)).await;
    assert_eq!(
        (
            old_checks.load(Ordering::Relaxed),
            new_checks.load(Ordering::Relaxed)
        ),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn updates_report_what_happens_in_order() {
    let (mut stage, _) = run(monitor("door", "1").0).await;
    let mut updates = stage.handle().subscribe();
    let up = Signal::new("x").with("state", "up");
    stage.handle().report("door", up).await.unwrap();
    let seen: Vec<String> = received(&mut updates)
        .await
        .iter()
        .map(|update| match &**update {
            Update::Checked { condition, .. } => format!("checked: {}", condition.as_str()),
            Update::ConditionChanged { before, after, .. } => {
                format!("{} -> {}", before.as_str(), after.as_str())
            }
            Update::Decided {
                notification,
                recipients,
            } => format!("{} for {recipients:?}", notification.kind.label()),
            Update::Delivery { channel, fate, .. } => {
                format!("{channel}: {}", fate.map_or("failed", |fate| fate.as_str()))
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        seen,
        [
            "checked: up",
            "down -> up",
            r#"RECOVERY for ["inbox"]"#,
            "inbox: delivered"
        ]
    );
    let handle = stage.handle().clone();
    stage.stop().await;
    assert!(handle.status().await.is_err());
}

#[derive(Default)]
struct Series(Mutex<Vec<String>>);

#[async_trait]
impl MetricSink for Series {
    fn record(&self, check: &CheckRecord<'_>) {
        self.0.lock().unwrap().push(check.watch.name.clone());
    }

    async fn finish(&self, _: tokio::time::Instant) {
        self.0.lock().unwrap().push("finished".to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn a_metric_sink_gets_every_check_and_the_end() {
    let series = Arc::new(Series::default());
    let engine = Stage::new("HomeLab").monitor(monitor("door", "1").0).engine();
    let engine = engine.metrics(Arc::clone(&series) as Arc<dyn MetricSink>);
    engine.pass().await.unwrap();
    assert_eq!(*series.0.lock().unwrap(), ["door", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_results_and_the_steps_of_the_last_failed_check_are_kept() {
    let (mut stage, _) = run(monitor("door", "1").0).await;
    for _ in 0..3 {
        let up = Signal::new("x").with("state", "up");
        stage.handle().report("door", up).await.unwrap();
    }
    let recent = &stage.handle().recent().await.unwrap()[0];
    assert_eq!(recent.monitor, "door");
    let conditions: Vec<_> = recent.results.iter().map(|result| result.condition).collect();
    assert_eq!(
        conditions,
        [Condition::Down, Condition::Up, Condition::Up, Condition::Up]
    );
    assert_eq!(recent.results[3].latency, Some(Duration::from_millis(3)));
    let steps = recent.failed_steps.as_deref().unwrap();
    assert_eq!(steps[0].text, "the door is locked");
}
