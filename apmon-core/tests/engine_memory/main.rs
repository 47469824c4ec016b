//! What a monitor remembers is committed together with what it reports: in
//! virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod crash;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Check, Device, FailureClass, Memory, Monitor, Notice, Observation, Outcome, Plan, Policy, PortChange,
    PortEvent, PortState, SiteStatus, Watch,
    testing::{MemoryStore, every, secs, watch},
};
use async_trait::async_trait;
use support::{Site, run_for, sleep};

/// A monitor whose observations a test makes from what it remembers.
struct Switch {
    watch: Watch,
    observe: Box<dyn Fn(&Memory) -> Observation + Send + Sync>,
    /// How long a check takes.
    delay: Duration,
    /// The memory that each check was given.
    memories: Mutex<Vec<Memory>>,
}

impl Switch {
    fn new(policy: Policy, observe: impl Fn(&Memory) -> Observation + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            watch: watch("switch", policy),
            observe: Box::new(observe),
            delay: Duration::ZERO,
            memories: Mutex::default(),
        })
    }

    /// The count that each check was given.
    fn counts(&self) -> Vec<u64> {
        self.memories.lock().unwrap().iter().map(count).collect()
    }
}

#[async_trait]
impl Monitor for Switch {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        self.memories.lock().unwrap().push(check.memory.clone());
        tokio::time::sleep(self.delay).await;
        (self.observe)(&check.memory)
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

/// Counts checks in the memory.
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

fn site() -> Site {
    Site::with_store(MemoryStore::with_history())
}

/// A plan with a switch and the recorder as its channel.
fn plan(site: &Site, switch: Arc<Switch>) -> Plan {
    Plan::new("s").watch(switch).notify("c", site.recorder.clone())
}

fn stored_memory(store: &MemoryStore) -> Memory {
    store.state("switch").memory
}

#[tokio::test(start_paused = true)]
async fn the_next_check_is_given_the_memory_of_the_last_one_also_after_a_restart() {
    let site = site();
    let observe = |memory: &Memory| match count(memory) {
        // A check that returns no memory keeps the previous one.
        3 => Outcome::fail(FailureClass::TimedOut, "no answer").into(),
        n => {
            let mut observation = counting(memory);
            let memory = observation.memory.as_mut().unwrap();
            memory.kept.insert(format!("key{n}"), n.to_string().into());
            observation
        }
    };
    for expected in [[0, 1, 2, 3, 3], [3, 3, 3, 3, 3]] {
        let switch = Switch::new(every(10), observe);
        run_for(site.engine(plan(&site, switch.clone())), secs(50)).await;
        assert_eq!(switch.counts()[..5], expected);
        let expected = memory(&[("key0", "0"), ("key1", "1"), ("key2", "2")], Some(3));
        assert_eq!(stored_memory(&site.store), expected);
        assert_eq!(switch.memories.lock().unwrap().last(), Some(&expected));
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_pass_is_given_the_memory_of_the_last_one() {
    let site = site();
    for n in 0..3 {
        let switch = Switch::new(every(10), counting);
        let report = site.engine(plan(&site, switch.clone())).pass().await.unwrap();
        assert!(report.saved);
        assert_eq!(switch.counts(), [n]);
        sleep(10).await;
    }
    assert_eq!(count(&stored_memory(&site.store)), 3);
}

/// The number of commits in five minutes with a check every second.
async fn commits(observe: impl Fn(&Memory) -> Observation + Send + Sync + 'static) -> usize {
    let site = site();
    let plan = Plan::new("s").watch(Switch::new(every(1), observe));
    run_for(site.engine(plan), secs(300)).await;
    site.store.commits().len()
}

#[tokio::test(start_paused = true)]
async fn memory_alone_waits_for_the_lazy_commit_and_a_notice_does_not() {
    let plain = commits(|_| up()).await;
    assert!(plain <= 61, "{plain}");
    assert_eq!(commits(counting).await, plain);
    let baseline = |memory: &Memory| {
        let mut observation = counting(memory);
        let n = count(memory).to_string();
        let memory = observation.memory.as_mut().unwrap();
        memory.kept.insert("ports_state".into(), n.into());
        observation
    };
    assert_eq!(commits(baseline).await, plain);

    let site = site();
    let observe = |memory: &Memory| {
        let mut observation = counting(memory);
        if count(memory) == 2 {
            observation.notices = vec![notice("port 7 is down")];
        }
        observation
    };
    let plan = plan(&site, Switch::new(every(1), observe));
    run_for(site.engine(plan), Duration::from_millis(3_900)).await;
    let [received] = &site.recorder.received()[..] else {
        panic!("the notice was not sent at once");
    };
    assert_eq!(
        received.notification.text,
        "switch in s: port 7 is down at 12:00 PM"
    );
    assert!(received.at < secs(3), "{:?}", received.at);
}

#[tokio::test(start_paused = true)]
async fn a_check_of_an_older_version_of_a_monitor_leaves_nothing() {
    let site = site();
    let mut slow = Switch::new(every(60), |_| {
        let mut observation = up();
        observation.memory = Some(memory(&[("stale", "1")], None));
        observation.notices = vec![notice("port 7 is down")];
        observation.changes = vec![change(true)];
        observation.device = Some(Arc::default());
        observation
    });
    Arc::get_mut(&mut slow).unwrap().delay = secs(10);
    let mut new = Switch::new(every(60), counting);
    Arc::get_mut(&mut new).unwrap().watch.checksum = "2".into();
    let daemon = site.start(plan(&site, slow.clone()));
    while slow.memories.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    daemon.reload(plan(&site, new.clone())).await;
    sleep(30).await;
    let status = daemon.handle().status().await.unwrap();
    assert_eq!(status.monitors[0].device, None);
    daemon.stop().await;
    assert_eq!(new.counts(), [0]);
    assert_eq!(stored_memory(&site.store), memory(&[], Some(1)));
    assert_eq!(site.recorder.texts(), [""; 0]);
    assert!(site.store.history().port_changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_alarms_off_port_changes_and_memory_are_still_recorded() {
    for alarms in [true, false] {
        let site = site();
        let observe = |memory: &Memory| {
            let mut observation = counting(memory);
            if count(memory) == 1 {
                observation.notices = vec![notice("port 7 is down")];
                observation.changes = vec![change(true), change(false)];
            }
            observation
        };
        let policy = Policy { alarms, ..every(10) };
        let plan = plan(&site, Switch::new(policy, observe));
        run_for(site.engine(plan), secs(60)).await;
        assert_eq!(site.recorder.labels().len(), usize::from(alarms));
        let records = site.store.history();
        let notified: Vec<_> = records.port_changes.iter().map(|it| it.change.notified).collect();
        assert_eq!(notified, [alarms, false]);
        assert_eq!(records.port_changes[0].monitor, "switch");
        let memory = stored_memory(&site.store);
        assert!(count(&memory) >= 5, "{memory:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_notices_of_a_failed_check_are_sent_too() {
    for class in [FailureClass::Content, FailureClass::NoRoute] {
        let site = site();
        let observe = move |memory: &Memory| {
            let mut observation = Observation::from(Outcome::fail(class, "no"));
            observation.memory = counting(memory).memory;
            if count(memory) == 0 {
                observation.notices = vec![notice("restarted, up for 3 mins")];
            }
            observation
        };
        let plan = plan(&site, Switch::new(every(10), observe));
        run_for(site.engine(plan), secs(30)).await;
        let texts = site.recorder.texts();
        let expected = "switch in s: restarted, up for 3 mins at ";
        assert!(
            texts.iter().any(|text| text.starts_with(expected)),
            "{class:?}: {texts:?}"
        );
        assert!(count(&stored_memory(&site.store)) >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_shows_the_device_as_last_polled() {
    let site = site();
    let device = |n: u64| {
        let mut device = Device::default();
        device.name = Some(format!("switch, check {n}"));
        device
    };
    let observe = move |memory: &Memory| match count(memory) {
        n @ 0..2 => {
            let mut observation = counting(memory);
            observation.device = Some(Arc::new(device(n)));
            observation
        }
        _ => Outcome::fail(FailureClass::TimedOut, "no answer").into(),
    };
    let web = site.target.monitor(watch("web", every(10)));
    let plan = plan(&site, Switch::new(every(10), observe)).watch(web);
    let daemon = site.start(plan);
    sleep(60).await;
    let status = daemon.handle().status().await.unwrap();
    let [switch, web] = &status.monitors[..] else {
        panic!()
    };
    assert_eq!(
        (switch.state, switch.device.as_deref()),
        (apmon_core::Condition::Down, Some(&device(1)))
    );
    assert_eq!(web.device, None);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["monitors"][0]["device"]["name"], "switch, check 1");
    assert!(json["monitors"][1]["device"].is_null());
    assert_eq!(serde_json::from_value::<SiteStatus>(json).unwrap(), status);
    daemon.stop().await;
    let remembered = SiteStatus::from_snapshot("s", status.at, &site.store.snapshot(), None);
    assert_eq!(remembered.monitors[0].device, None);
}

/// A subscriber that collects the errors logged while it is set.
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
async fn a_value_that_is_not_json_is_dropped_and_logged_once() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(errors.clone());
    let site = site();
    let observe = |memory: &Memory| {
        let mut observation = counting(memory);
        let memory = observation.memory.as_mut().unwrap();
        memory.kept.insert("ports_state".into(), "{\"1\": ".into());
        memory.kept.insert("good".into(), "[]".into());
        observation
    };
    let plan = plan(&site, Switch::new(every(10), observe));
    run_for(site.engine(plan), secs(60)).await;
    let stored = stored_memory(&site.store);
    assert_eq!(stored.kept, memory(&[("good", "[]")], None).kept);
    assert!(count(&stored) >= 5);
    let errors = errors.0.lock().unwrap();
    let [error] = &errors[..] else {
        panic!("{errors:?}")
    };
    for part in ["monitor=\"switch\"", "key=\"ports_state\"", "not valid JSON: EOF"] {
        assert!(error.contains(part), "{error}");
    }
}
