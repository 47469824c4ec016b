//! What a monitor remembers, and what it tells with it, in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Check, Commit, Device, Engine, FailureClass, Memory, Monitor, Notice, Observation, Outcome, Plan, Policy,
    PortChange, PortEvent, PortState, Records, Snapshot, StateStore, StoreError, Watch,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use support::{Recorder, Target, clock, every, run_for, secs, watch};

/// A monitor that is told what to find.
struct Switch {
    watch: Watch,
    find: Box<dyn Fn(&Memory) -> Observation + Send + Sync>,
    takes: Duration,
    /// What each look knew.
    knew: Mutex<Vec<Memory>>,
}

impl Switch {
    fn new(policy: Policy, find: impl Fn(&Memory) -> Observation + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            watch: watch("switch", policy),
            find: Box::new(find),
            takes: Duration::ZERO,
            knew: Mutex::default(),
        })
    }

    /// The counts that each look knew.
    fn counts(&self) -> Vec<u64> {
        self.knew.lock().unwrap().iter().map(count).collect()
    }
}

#[async_trait]
impl Monitor for Switch {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        self.knew.lock().unwrap().push(check.memory.clone());
        tokio::time::sleep(self.takes).await;
        (self.find)(&check.memory)
    }
}

fn up() -> Observation {
    Outcome::up(Duration::from_millis(5)).into()
}

fn memory(kept: &[(&str, &str)], counts: Option<u64>) -> Memory {
    Memory {
        kept: kept
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).into()))
            .collect(),
        counts: counts.map(|n| n.to_string().into()),
    }
}

fn count(memory: &Memory) -> u64 {
    memory.counts.as_ref().map_or(0, |text| text.parse().unwrap())
}

/// Counts its looks in its memory.
fn counting(memory: &Memory) -> Observation {
    let mut observation = up();
    observation.memory = Some(Memory {
        counts: Some((count(memory) + 1).to_string().into()),
        ..memory.clone()
    });
    observation
}

fn notice(text: &str) -> Notice {
    Notice {
        label: "PORT CHANGE".into(),
        text: text.into(),
    }
}

fn change(notified: bool) -> PortChange {
    PortChange {
        index: 7,
        port: "Gi0/7".into(),
        event: PortEvent::Added {
            is: PortState::default(),
        },
        notified,
    }
}

/// Keeps all there is, and may be told to fail or to stand still.
#[derive(Default)]
struct Chest {
    kept: Mutex<Snapshot>,
    records: Mutex<Records>,
    commits: Mutex<usize>,
    fails: Mutex<bool>,
    hangs: Mutex<bool>,
    /// A commit takes so long.
    takes: Duration,
}

impl Chest {
    fn memory(&self) -> Memory {
        self.kept
            .lock()
            .unwrap()
            .monitors
            .get("switch")
            .map_or_else(Memory::default, |state| state.memory.clone())
    }

    fn commits(&self) -> usize {
        *self.commits.lock().unwrap()
    }
}

#[async_trait]
impl StateStore for Chest {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.kept.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let hangs = *self.hangs.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.takes).await;
        if *self.fails.lock().unwrap() {
            return Err(StoreError::Stopped);
        }
        *self.commits.lock().unwrap() += 1;
        let mut kept = self.kept.lock().unwrap();
        kept.monitors.extend(commit.states.iter().cloned());
        for entry in &commit.outbox {
            kept.outbox.retain(|old| old.key() != entry.key());
            kept.outbox.push(entry.clone());
        }
        kept.outbox.retain(|entry| !commit.settled.contains(&entry.key()));
        let history = Records::clone(&commit.history);
        self.records
            .lock()
            .unwrap()
            .port_changes
            .extend(history.port_changes);
        Ok(())
    }

    fn keeps_history(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_look_leaves_the_next_one_knows_also_after_a_restart() {
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let find = |known: &Memory| match count(known) {
        // A look that leaves nothing leaves what there was.
        3 => Outcome::fail(FailureClass::TimedOut, "no answer").into(),
        n => {
            let mut observation = counting(known);
            let memory = observation.memory.as_mut().unwrap();
            memory.kept.insert(format!("key{n}"), n.to_string().into());
            observation
        }
    };
    for expected in [[0, 1, 2, 3, 3], [3, 3, 3, 3, 3]] {
        let switch = Switch::new(every(10), find);
        let plan = Plan::new("s").watch(switch.clone());
        run_for(Engine::new(plan, store.clone()).clock(clock.clone()), secs(50)).await;
        assert_eq!(switch.counts()[..5], expected);
        let expected = memory(&[("key0", "0"), ("key1", "1"), ("key2", "2")], Some(3));
        assert_eq!(store.memory(), expected);
        assert_eq!(switch.knew.lock().unwrap().last(), Some(&expected));
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_pass_it_is_the_same() {
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    for n in 0..3 {
        let switch = Switch::new(every(10), counting);
        let plan = Plan::new("s").watch(switch.clone());
        let report = Engine::new(plan, store.clone()).clock(clock.clone()).pass().await;
        assert!(report.unwrap().saved);
        assert_eq!(switch.counts(), [n]);
        tokio::time::sleep(secs(10)).await;
    }
    assert_eq!(count(&store.memory()), 3);
}

/// Commits of a run of five minutes with a look each second.
async fn commits(find: impl Fn(&Memory) -> Observation + Send + Sync + 'static) -> usize {
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let plan = Plan::new("s").watch(Switch::new(every(1), find));
    run_for(Engine::new(plan, store.clone()).clock(clock), secs(300)).await;
    store.commits()
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_waits_for_the_lazy_commit_unless_something_is_told_with_it() {
    let plain = commits(|_| up()).await;
    assert!(plain <= 61, "{plain}");
    assert_eq!(commits(counting).await, plain);
    let baseline = |known: &Memory| {
        let mut observation = counting(known);
        let memory = observation.memory.as_mut().unwrap();
        memory
            .kept
            .insert("ports_state".into(), count(known).to_string().into());
        observation
    };
    assert_eq!(commits(baseline).await, plain);

    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let recorder = Recorder::new(&clock);
    let find = |known: &Memory| {
        let mut observation = counting(known);
        if count(known) == 2 {
            observation.notices = vec![notice("port 7 is down")];
        }
        observation
    };
    let plan = Plan::new("s")
        .watch(Switch::new(every(1), find))
        .notify("c", recorder.clone());
    let engine = Engine::new(plan, store.clone()).clock(clock).zone(TimeZone::UTC);
    run_for(engine, Duration::from_millis(3_900)).await;
    let [(at, message, _)] = &recorder.heard.lock().unwrap()[..] else {
        panic!("it was told at once");
    };
    assert_eq!(message.text, "switch in s: port 7 is down at 12:00 PM");
    assert!(at.nanos() < 3_000_000_000, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_at_an_older_version_of_a_monitor_leaves_nothing() {
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let recorder = Recorder::new(&clock);
    let mut slow = Switch::new(every(60), |_| {
        let mut observation = up();
        observation.memory = Some(memory(&[("stale", "1")], None));
        observation.notices = vec![notice("port 7 is down")];
        observation.changes = vec![change(true)];
        observation.device = Some(Arc::default());
        observation
    });
    Arc::get_mut(&mut slow).unwrap().takes = secs(10);
    let mut new = Switch::new(every(60), counting);
    Arc::get_mut(&mut new).unwrap().watch.checksum = "2".into();
    let plan = |monitor: Arc<Switch>| Plan::new("s").watch(monitor).notify("c", recorder.clone());
    let engine = Engine::new(plan(slow.clone()), store.clone()).clock(clock);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    while slow.knew.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    handle.reload(plan(new.clone())).await.unwrap();
    tokio::time::sleep(secs(30)).await;
    assert_eq!(handle.status().await.unwrap().monitors[0].device, None);
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    assert_eq!(new.counts(), [0]);
    assert_eq!(store.memory(), memory(&[], Some(1)));
    assert_eq!(recorder.texts(), [""; 0]);
    assert!(store.records.lock().unwrap().port_changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn changes_stand_in_the_history_and_what_is_remembered_is_kept_while_nobody_is_told() {
    for alarms in [true, false] {
        let (clock, store) = (clock(), Arc::new(Chest::default()));
        let recorder = Recorder::new(&clock);
        let find = |known: &Memory| {
            let mut observation = counting(known);
            if count(known) == 1 {
                observation.notices = vec![notice("port 7 is down")];
                observation.changes = vec![change(true), change(false)];
            }
            observation
        };
        let policy = Policy { alarms, ..every(10) };
        let switch = Switch::new(policy, find);
        let plan = Plan::new("s").watch(switch.clone()).notify("c", recorder.clone());
        run_for(Engine::new(plan, store.clone()).clock(clock), secs(60)).await;
        assert_eq!(recorder.labels().len(), usize::from(alarms));
        let records = store.records.lock().unwrap();
        let notified: Vec<_> = records.port_changes.iter().map(|it| it.change.notified).collect();
        assert_eq!(notified, [alarms, false]);
        assert_eq!(records.port_changes[0].monitor, "switch");
        assert!(count(&store.memory()) >= 5, "{:?}", store.memory());
    }
}

#[tokio::test(start_paused = true)]
async fn notices_of_a_look_that_failed_are_told_as_well() {
    for class in [FailureClass::Content, FailureClass::NoRoute] {
        let (clock, store) = (clock(), Arc::new(Chest::default()));
        let recorder = Recorder::new(&clock);
        let find = move |known: &Memory| {
            let mut observation = Observation::from(Outcome::fail(class, "no"));
            observation.memory = counting(known).memory;
            if count(known) == 0 {
                observation.notices = vec![notice("restarted, up for 3 mins")];
            }
            observation
        };
        let plan = Plan::new("s")
            .watch(Switch::new(every(10), find))
            .notify("c", recorder.clone());
        run_for(Engine::new(plan, store.clone()).clock(clock), secs(30)).await;
        let texts = recorder.texts();
        assert!(
            texts
                .iter()
                .any(|text| text.starts_with("switch in s: restarted, up for 3 mins at ")),
            "{class:?}: {texts:?}"
        );
        assert!(count(&store.memory()) >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_has_the_device_as_it_was_when_it_could_be_asked() {
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let device = |n: u64| {
        let mut device = Device::default();
        device.name = Some(format!("switch, look {n}"));
        device
    };
    let find = move |known: &Memory| match count(known) {
        n @ 0..2 => {
            let mut observation = counting(known);
            observation.device = Some(Arc::new(device(n)));
            observation
        }
        _ => Outcome::fail(FailureClass::TimedOut, "no answer").into(),
    };
    let switch = Switch::new(every(10), find);
    let web = Target::new();
    let plan = || {
        let web = web.monitor(watch("web", every(10)));
        Plan::new("s").watch(switch.clone()).watch(web)
    };
    let engine = Engine::new(plan(), store.clone()).clock(clock);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(60)).await;
    let status = handle.status().await.unwrap();
    let [now, web] = &status.monitors[..] else {
        panic!()
    };
    assert_eq!(
        (now.state, now.device.as_deref()),
        (apmon_core::Condition::Down, Some(&device(1)))
    );
    assert_eq!(web.device, None);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["monitors"][0]["device"]["name"], "switch, look 1");
    assert!(json["monitors"][1]["device"].is_null());
    assert_eq!(
        serde_json::from_value::<apmon_core::SiteStatus>(json).unwrap(),
        status
    );
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    let remembered = apmon_core::SiteStatus::from_snapshot("s", status.at, &store.load().await.unwrap());
    assert_eq!(remembered.monitors[0].device, None);
}

/// The errors that were logged while it is alive.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_is_not_kept_and_said_once() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(errors.clone());
    let (clock, store) = (clock(), Arc::new(Chest::default()));
    let find = |known: &Memory| {
        let mut observation = counting(known);
        let memory = observation.memory.as_mut().unwrap();
        memory.kept.insert("ports_state".into(), "{\"1\": ".into());
        memory.kept.insert("good".into(), "[]".into());
        observation
    };
    let plan = Plan::new("s").watch(Switch::new(every(10), find));
    run_for(Engine::new(plan, store.clone()).clock(clock), secs(60)).await;
    assert_eq!(store.memory().kept, memory(&[("good", "[]")], None).kept);
    assert!(count(&store.memory()) >= 5);
    let errors = errors.0.lock().unwrap();
    let [error] = &errors[..] else {
        panic!("{errors:?}")
    };
    for part in ["monitor=\"switch\"", "key=\"ports_state\"", "not valid JSON: EOF"] {
        assert!(error.contains(part), "{error}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Crash,
    Restart,
    Fails(bool),
    Hangs(bool),
    /// The receiver does not answer.
    Deaf(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..1_000_u64).prop_map(Step::Wait),
        3 => (1..20_000_u64).prop_map(Step::Wait),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Fails),
        1 => any::<bool>().prop_map(Step::Hangs),
        1 => any::<bool>().prop_map(Step::Deaf),
    ];
    prop::collection::vec(step, 1..30)
}

/// Of each change in the baseline on disk somebody was told, or its message
/// stands beside it.
fn assert_none_is_lost(store: &Chest, recorder: &Recorder) {
    let mut told = recorder.texts();
    let outbox = store.kept.lock().unwrap().outbox.clone();
    told.extend(outbox.into_iter().map(|entry| entry.notification.text));
    for n in 1..=count(&store.memory()) {
        let text = format!("switch in s: change {n} at ");
        assert!(
            told.iter().any(|told| told.starts_with(&text)),
            "{text} is not among {told:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A change is told once it is in the baseline, and is in the baseline only
    /// once it is told: whenever the process is killed, none is lost.
    #[test]
    fn no_change_is_lost_wherever_the_process_is_killed(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let takes = Duration::from_millis(200);
            let (clock, store) = (clock(), Arc::new(Chest { takes, ..Chest::default() }));
            let recorder = Recorder::new(&clock);
            // Each look finds the next change.
            let find = |known: &Memory| {
                let mut observation = counting(known);
                observation.notices = vec![notice(&format!("change {}", count(known) + 1))];
                observation
            };
            let start = || {
                let plan = Plan::new("s").watch(Switch::new(every(3), find)).notify("c", recorder.clone());
                let engine = Engine::new(plan, store.clone()).clock(clock.clone());
                (engine.handle(), tokio::spawn(engine.run()))
            };
            let (mut handle, mut running) = start();
            for step in steps {
                match step {
                    Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    Step::Fails(fails) => *store.fails.lock().unwrap() = fails,
                    Step::Deaf(deaf) => *recorder.hangs.lock().unwrap() = deaf,
                    Step::Hangs(hangs) => *store.hangs.lock().unwrap() = hangs,
                    Step::Crash | Step::Restart => {
                        match step {
                            Step::Crash => running.abort(),
                            _ => handle.shutdown().await,
                        }
                        let _ = running.await;
                        (handle, running) = start();
                    }
                }
                assert_none_is_lost(&store, &recorder);
            }
            *store.fails.lock().unwrap() = false;
            running.abort();
            let _ = running.await;
            *store.hangs.lock().unwrap() = false;
            *recorder.hangs.lock().unwrap() = false;
            let (handle, running) = start();
            // Longer than the longest pause between two tries.
            tokio::time::sleep(secs(330)).await;
            assert!(store.kept.lock().unwrap().outbox.len() < 3, "what waited was told");
            handle.shutdown().await;
            assert!(running.await.unwrap().unwrap().saved);
            assert_none_is_lost(&store, &recorder);
            assert!(count(&store.memory()) > 5);
        });
    }
}
