//! What is reported of parts: events, updates, metrics, status, history.

use std::collections::BTreeMap;

use super::*;
use apmon_core::{
    CheckRecord, Condition, EngineError, Incident, MetricSink, Received, SiteStatus, Update,
    testing::{Daemon, StageEvent},
};

fn checked(stage: &Stage) -> Vec<String> {
    let events = stage.events().into_iter();
    let checked = events.filter_map(|event| match event {
        StageEvent::Checked {
            monitor, condition, ..
        } => Some(format!("{monitor} {}", condition.as_str())),
        _ => None,
    });
    checked.collect()
}

#[tokio::test(start_paused = true)]
async fn each_part_has_events_and_updates_of_its_own() {
    let says = Says::new(&[("eth1", down("no link")), ("eth0", up())]);
    let (mut stage, _, _) = stage([says.monitor(every(3600))]);
    let mut updates = stage.handle().subscribe();
    stage.run_for(secs(60)).await;
    let expected = ["switch up", "switch/eth1 down", "switch/eth0 up"];
    assert_eq!(
        checked(&stage),
        expected,
        "the monitor first, then its parts as listed"
    );
    let mut seen = Vec::new();
    while let Ok(Some(Received::Update(update))) = tokio::time::timeout(secs(1), updates.next()).await {
        match &*update {
            Update::Checked { monitor, reason, .. } => seen.push(format!("checked {monitor} {reason:?}")),
            Update::ConditionChanged { monitor, after, .. } => seen.push(format!("{monitor} {after:?}")),
            Update::Decided { notification, .. } => seen.push(format!("decided {}", notification.monitor)),
            Update::Delivery { monitor, .. } => seen.push(format!("delivered {monitor}")),
            _ => {}
        }
    }
    assert_eq!(
        seen,
        [
            "checked switch None",
            "switch Up",
            r#"checked switch/eth1 Some("no link")"#,
            "switch/eth1 Down",
            "decided switch/eth1",
            "checked switch/eth0 None",
            "switch/eth0 Up",
            "delivered switch/eth1",
        ]
    );
}

#[derive(Default)]
struct Series(Mutex<Vec<String>>);

#[async_trait]
impl MetricSink for Series {
    fn record(&self, check: &CheckRecord<'_>) {
        let failure = check.observation.outcome.failure();
        let reason = failure.map_or("", |failure| failure.reason.as_str());
        let warnings = check.observation.outcome.warning_text().unwrap_or_default();
        let line = format!("{} {reason}{warnings}", check.watch.name);
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test(start_paused = true)]
async fn a_metric_sink_gets_the_outcome_and_the_warnings_of_each_part() {
    use apmon_core::{Warning, WarningClass};
    let mut warned = up();
    warned
        .warnings
        .push(Warning::degrades(WarningClass::Incomplete, "10 Mbit/s"));
    let says = Says::new(&[("eth0", warned), ("eth1", down("no link"))]);
    let (stage, _, _) = stage([says.monitor(policy())]);
    let series = Arc::new(Series::default());
    let engine = stage.engine().metrics(Arc::clone(&series) as Arc<dyn MetricSink>);
    engine.pass().await.unwrap();
    let expected = ["switch ", "switch/eth0 10 Mbit/s", "switch/eth1 no link"];
    assert_eq!(*series.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_status_lists_the_parts_of_a_monitor_below_it() {
    let says = Says::new(&[("eth1", down("no link")), ("eth0", up())]);
    let plain = Says::new(&[]);
    let monitors = [
        says.monitor(every(100_000)),
        plain.named("switch-2", every(100_000)),
    ];
    let (mut stage, _, store) = stage(monitors);
    stage.run_for(secs(90)).await;
    let status = stage.handle().status().await.unwrap();
    let names: Vec<_> = status
        .monitors
        .iter()
        .map(|monitor| monitor.name.as_str())
        .collect();
    assert_eq!(names, ["switch", "switch-2"]);
    let switch = &status.monitors[0];
    let [eth0, eth1] = &switch.parts[..] else { panic!() };
    assert_eq!((eth0.name.as_str(), eth0.state), ("switch/eth0", Condition::Up));
    assert_eq!((eth1.name.as_str(), eth1.state), ("switch/eth1", Condition::Down));
    assert_eq!(eth1.reason.as_deref(), Some("no link"));
    assert_eq!((eth1.kind.as_deref(), eth1.max_retries), (Some("test"), Some(1)));
    assert_eq!(
        (eth1.next_check, eth1.last_checked),
        (switch.next_check, switch.last_checked)
    );
    assert!(eth1.next_reminder.is_some() && eth0.next_reminder.is_none());
    assert_eq!(status.checks.as_ref().unwrap().ended, 2, "parts are not checks");
    assert_eq!(status.monitors[1].parts, []);

    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<SiteStatus>(&json).unwrap(), status);

    stage.stop().await;
    let remembered = SiteStatus::from_snapshot("home", status.at, &store.snapshot(), None);
    let outline = |status: &SiteStatus| -> Vec<_> {
        let monitors = status.monitors.iter().map(|monitor| {
            let parts = monitor.parts.iter().map(|part| (part.name.clone(), part.state));
            (monitor.name.clone(), parts.collect::<Vec<_>>())
        });
        monitors.collect()
    };
    assert_eq!(outline(&remembered), outline(&status));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_older_apmon_has_no_parts() {
    let (mut stage, _, _) = stage([Says::new(&[]).monitor(policy())]);
    stage.run_for(secs(60)).await;
    let status = stage.handle().status().await.unwrap();
    let mut json = serde_json::to_value(&status).unwrap();
    json["monitors"][0]
        .as_object_mut()
        .unwrap()
        .remove("parts")
        .unwrap();
    assert_eq!(serde_json::from_value::<SiteStatus>(json).unwrap(), status);
}

#[tokio::test(start_paused = true)]
async fn requests_concern_monitors_and_their_parts_with_them() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let (mut stage, phone, _) = stage([says.monitor(every(3600))]);
    stage.run_for(secs(60)).await;
    let handle = stage.handle().clone();
    says.list(up(), &[("eth0", up()), ("eth1", down("no link"))]);
    handle.check_now("switch").await.unwrap();
    stage.run_for(secs(10)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);

    let is_unknown = |result: Result<(), EngineError>| matches!(result, Err(EngineError::UnknownMonitor(name)) if name == "switch/eth1");
    assert!(is_unknown(handle.check_now("switch/eth1").await));
    assert!(is_unknown(handle.remove_monitor("switch/eth1").await));
    assert!(is_unknown(handle.report("switch/eth1", Signal::new("x")).await));

    let plan = handle.plan().await.unwrap();
    let names: Vec<_> = plan
        .monitors
        .iter()
        .map(|monitor| &monitor.watch().name)
        .collect();
    assert_eq!(names, ["switch"]);
    handle.reload(plan).await.unwrap();
    let recent = handle.recent().await.unwrap();
    let recent: Vec<_> = recent
        .iter()
        .map(|it| (it.monitor.as_str(), it.results.len()))
        .collect();
    assert_eq!(recent, [("switch", 2), ("switch/eth0", 2), ("switch/eth1", 2)]);
    let report = stage.stop().await.unwrap();
    assert_eq!(
        (report.watched, report.checks, report.up, report.down),
        (1, 2, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_history_of_a_part_has_its_own_name() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let (mut stage, _, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(700)).await;
    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    stage.run_for(secs(60)).await;
    stage.stop().await;
    let history = store.history();
    let mut results: BTreeMap<&str, usize> = BTreeMap::new();
    for result in &history.results {
        *results.entry(&result.monitor).or_default() += 1;
    }
    assert_eq!(results.len(), 3);
    assert_eq!(results["switch/eth1"], results["switch"]);
    let last: Vec<&Incident> = history.incidents.iter().rev().take(1).collect();
    assert_eq!(
        (last[0].monitor.as_str(), last[0].notifications),
        ("switch/eth1", 3)
    );
    assert!(last[0].ended.is_some());
    assert!(
        history
            .incidents
            .iter()
            .all(|incident| incident.monitor == "switch/eth1")
    );
}

/// Another process continues from the rows that a store has.
#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_asked_at_once_knows_the_parts_of_the_last_one() {
    let says = Says::new(&[("eth1", down("no link"))]);
    let (mut stage, _, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    stage.stop().await;
    let daemon = Daemon::start(stage.engine());
    daemon.handle().ping().await.unwrap();
    let status = daemon.handle().status().await.unwrap();
    assert_eq!(status.monitors[0].parts[0].state, Condition::Down);
    daemon.stop().await;
}

/// The incident that a receiver keeps open ends with the part.
#[tokio::test(start_paused = true)]
async fn a_part_that_vanishes_after_it_was_reported_as_unknown_gets_its_end() {
    let says = Says::new(&[("eth0", up()), ("eth1", unknown())]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(600)).await;
    let began = phone.take();
    assert_eq!(began[0].notification.kind.label(), "UNKNOWN");
    says.list(up(), &[("eth0", up())]);
    stage.run_for(secs(600)).await;
    let [ended] = &phone.take()[..] else { panic!() };
    let ended = &ended.notification;
    assert_eq!(
        (ended.kind.label(), ended.monitor.as_str()),
        ("KNOWN", "switch/eth1")
    );
    assert_eq!(ended.incident, began[0].notification.incident);
    assert!(store.state("switch/eth1").own.announced_to.is_empty());
    stage.stop().await;
}
