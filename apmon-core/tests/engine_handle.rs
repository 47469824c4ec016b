//! Requests through a handle, and what an engine reports to others.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apmon_core::{
    Channel, Check, CheckRecord, Condition, DeliveryError, Engine, EngineError, FailureClass, Handle,
    MetricSink, Monitor, Notification, Notifier, Observation, Outcome, Plan, Received, Signal, Update,
    Updates, Watch,
};
use async_trait::async_trait;
use support::{MemoryStore, clock, secs};
use tokio::task::JoinHandle;

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
    let mut watch = Watch::new(name, "pushed", "push");
    watch.policy.check_every = secs(3600);
    watch.policy.max_retries = std::num::NonZeroU32::MIN;
    watch.checksum = checksum.into();
    watch
}

fn monitor(name: &str, checksum: &str) -> (Arc<dyn Monitor>, Arc<AtomicUsize>) {
    let checks = Arc::new(AtomicUsize::new(0));
    let monitor = Pushed {
        watch: watch(name, checksum),
        checks: Arc::clone(&checks),
    };
    (Arc::new(monitor), checks)
}

#[derive(Default)]
struct Inbox(Mutex<Vec<String>>);

impl Inbox {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Notifier for Inbox {
    async fn deliver(&self, message: &Notification, _: &str) -> Result<(), DeliveryError> {
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {}", message.kind.label(), message.monitor));
        Ok(())
    }
}

struct Site {
    handle: Handle,
    inbox: Arc<Inbox>,
    engine: JoinHandle<Result<apmon_core::PassReport, EngineError>>,
}

/// Runs `plan` with a channel, past the checks of the first round.
async fn run(plan: Plan) -> Site {
    let inbox = Arc::new(Inbox::default());
    let plan = plan.notify("inbox", Arc::clone(&inbox) as Arc<dyn Notifier>);
    let engine = Engine::new(plan, Arc::new(MemoryStore::default())).clock(clock());
    let handle = engine.handle();
    let engine = tokio::spawn(engine.run());
    tokio::time::sleep(secs(60)).await;
    Site {
        handle,
        inbox,
        engine,
    }
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
    let plan = Plan::new("HomeLab").watch(monitor("door", "1").0);
    let engine = Engine::new(plan, Arc::new(MemoryStore::default())).clock(clock());
    let handle = engine.handle();
    let status = handle.status().await.unwrap();
    assert_eq!((status.site.as_str(), status.started), ("HomeLab", None));
    assert_eq!(status.monitors[0].name, "door");
    assert_eq!(status.monitors[0].state, Condition::Pending);
    assert_eq!(handle.plan().await.unwrap().monitors.len(), 1);
    tokio::spawn(engine.run());
    tokio::time::sleep(secs(60)).await;
    let status = handle.status().await.unwrap();
    assert!(status.started.is_some());
    assert_eq!(status.monitors[0].state, Condition::Down);
}

#[tokio::test(start_paused = true)]
async fn a_check_can_be_requested() {
    let (door, checks) = monitor("door", "1");
    let site = run(Plan::new("HomeLab").watch(door)).await;
    assert_eq!(checks.load(Ordering::Relaxed), 1);
    site.handle.check_now("door").await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(checks.load(Ordering::Relaxed), 2);
    let error = site.handle.check_now("gate").await.unwrap_err();
    assert!(matches!(error, EngineError::UnknownMonitor(name) if name == "gate"));
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_processed_as_a_check_is() {
    let site = run(Plan::new("HomeLab").watch(monitor("door", "1").0)).await;
    assert_eq!(site.inbox.take(), ["NEW OUTAGE door"]);
    let signal = |state: &str| Signal::new("192.0.2.1").with("state", state);
    site.handle.report("door", signal("up")).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(site.inbox.take(), ["RECOVERY door"]);
    site.handle.report("door", signal("open")).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(site.inbox.take(), ["NEW OUTAGE door"]);
    let status = site.handle.status().await.unwrap();
    assert_eq!(status.monitors[0].reason.as_deref(), Some("open"));
    for (name, signal) in [
        ("door", Signal::new("x")),
        ("door", signal("panic")),
        ("gate", signal("up")),
    ] {
        assert!(site.handle.report(name, signal).await.is_err(), "{name}");
    }
    site.handle.ping().await.unwrap();
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
    let store = Arc::new(MemoryStore::default());
    let plan = Plan::new("HomeLab").watch(Arc::new(SlowDoor(watch("door", "1"))));
    let engine = Engine::new(plan, Arc::clone(&store) as _).clock(clock());
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(60)).await;
    handle.check_now("door").await.unwrap();
    tokio::time::sleep(secs(5)).await;
    for _ in 0..3 {
        handle.report("door", Signal::new("x")).await.unwrap();
    }
    assert!(handle.status().await.unwrap().monitors[0].checking);
    tokio::time::sleep(secs(10)).await;
    let status = handle.status().await.unwrap();
    assert!(!status.monitors[0].checking);
    assert_eq!(status.checks.unwrap().ended, 2, "signals are not counted");
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    let memory = &store.state("door").memory;
    assert_eq!(&*memory.kept["seen"], "5", "two checks and three signals");
}

#[tokio::test(start_paused = true)]
async fn monitors_and_channels_come_and_go_until_a_reload() {
    let site = run(Plan::new("HomeLab").watch(monitor("door", "1").0)).await;
    let second = Arc::new(Inbox::default());
    let channel = Channel::new("second", Arc::clone(&second) as Arc<dyn Notifier>);
    site.handle.add_channel(channel).await.unwrap();
    site.handle.add_monitor(monitor("gate", "1").0).await.unwrap();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(second.take(), ["NEW OUTAGE gate"]);
    assert_eq!(site.inbox.take(), ["NEW OUTAGE door", "NEW OUTAGE gate"]);
    let plan = site.handle.plan().await.unwrap();
    let names: BTreeSet<_> = plan.monitors.iter().map(|it| it.watch().name.clone()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["door", "gate"]);
    assert_eq!(plan.channels.len(), 2);
    site.handle.remove_monitor("door").await.unwrap();
    site.handle.remove_channel("second").await.unwrap();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(site.inbox.take(), ["NO LONGER WATCHED door"]);
    let plan = site.handle.plan().await.unwrap();
    assert_eq!((plan.monitors.len(), plan.channels.len()), (1, 1));
    assert!(site.handle.remove_monitor("door").await.is_err());
    assert!(site.handle.remove_channel("second").await.is_err());
    // A reload is the whole truth.
    let inbox = Arc::clone(&site.inbox) as Arc<dyn Notifier>;
    let file = Plan::new("HomeLab")
        .watch(monitor("door", "1").0)
        .notify("inbox", inbox);
    site.handle.reload(file).await.unwrap();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(site.inbox.take(), ["NO LONGER WATCHED gate", "NEW OUTAGE door"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_takes_over_the_new_monitor_and_keeps_phase_and_state() {
    let (old, old_checks) = monitor("door", "same");
    let site = run(Plan::new("HomeLab").watch(old)).await;
    let next = site.handle.status().await.unwrap().monitors[0].next_check;
    let (new, new_checks) = monitor("door", "same");
    let inbox = Arc::clone(&site.inbox) as Arc<dyn Notifier>;
    let plan = Plan::new("HomeLab").watch(new).notify("inbox", inbox);
    site.handle.reload(plan).await.unwrap();
    let status = site.handle.status().await.unwrap();
    assert_eq!(status.monitors[0].next_check, next, "nothing is checked at once");
    assert_eq!(status.monitors[0].state, Condition::Down);
    tokio::time::sleep(secs(3600)).await;
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
    let site = run(Plan::new("HomeLab").watch(monitor("door", "1").0)).await;
    let mut updates = site.handle.subscribe();
    let up = Signal::new("x").with("state", "up");
    site.handle.report("door", up).await.unwrap();
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
    site.handle.shutdown().await;
    site.engine.await.unwrap().unwrap();
    assert!(site.handle.status().await.is_err());
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
    let plan = Plan::new("HomeLab").watch(monitor("door", "1").0);
    let engine = Engine::new(plan, Arc::new(MemoryStore::default())).clock(clock());
    let engine = engine.metrics(Arc::clone(&series) as Arc<dyn MetricSink>);
    engine.pass().await.unwrap();
    assert_eq!(*series.0.lock().unwrap(), ["door", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_results_and_the_steps_of_the_last_failed_check_are_kept() {
    let site = run(Plan::new("HomeLab").watch(monitor("door", "1").0)).await;
    for _ in 0..3 {
        let up = Signal::new("x").with("state", "up");
        site.handle.report("door", up).await.unwrap();
    }
    let recent = &site.handle.recent().await.unwrap()[0];
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

/// A switch that is found down when it is checked, after a while.
struct Switch {
    watch: Watch,
    takes: Duration,
}

#[async_trait]
impl Monitor for Switch {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, _: &Check) -> Observation {
        tokio::time::sleep(self.takes).await;
        Outcome::fail(FailureClass::TimedOut, "no answer").into()
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_announced_after_the_checks_that_it_waits_for() {
    // It waits for the end of the check, or no longer than the switch's max_try.
    for (takes, announced) in [(2, 3), (3_000, 9)] {
        let mut switch = Switch {
            watch: watch("switch", "1"),
            takes: secs(takes),
        };
        switch.watch.policy.max_try = secs(8);
        let site = run(Plan::new("HomeLab")).await;
        site.handle.add_monitor(Arc::new(switch)).await.unwrap();
        tokio::time::sleep(secs(30)).await;
        site.inbox.take();
        let door = {
            let (mut watch, checks) = (watch("door", "1"), Arc::default());
            watch.policy.check_before_notify = vec!["switch".into(), "not there".into()];
            Arc::new(Pushed { watch, checks })
        };
        site.handle.add_monitor(door).await.unwrap();
        tokio::time::sleep(secs(announced - 1)).await;
        assert!(site.inbox.take().is_empty(), "held while the switch is checked");
        assert_eq!(site.handle.status().await.unwrap().outbox.waiting, 1);
        tokio::time::sleep(secs(2)).await;
        assert_eq!(site.inbox.take(), ["NEW OUTAGE door"]);
    }
}
