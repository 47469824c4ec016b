//! Parts of monitors: their outages, from the beginning to the end, whatever happens in
//! between. In virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod list;
mod name;
mod report;
mod warning;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Check, FailureClass, Monitor, Observation, Outcome, Part, Plan, Policy, Signal, Watch,
    testing::{MemoryStore, Recorder, START, Stage, every, secs, watch},
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// What a switch says about itself and its ports, until a test changes it.
#[derive(Default)]
struct Says(Mutex<Observation>);

impl Says {
    fn new(parts: &[(&str, Outcome)]) -> Arc<Self> {
        let says = Arc::new(Self::default());
        says.list(up(), parts);
        says
    }

    fn list(&self, outcome: Outcome, parts: &[(&str, Outcome)]) {
        let parts = parts
            .iter()
            .map(|(name, outcome)| Part::new(*name, outcome.clone()));
        self.set(outcome, parts.collect());
    }

    fn set(&self, outcome: Outcome, parts: Vec<Part>) {
        let mut observation = Observation::from(outcome);
        observation.parts = parts;
        *self.0.lock().unwrap() = observation;
    }

    /// A monitor named `switch` that says the same.
    fn monitor(self: &Arc<Self>, policy: Policy) -> Arc<Switch> {
        self.named("switch", policy)
    }

    fn named(self: &Arc<Self>, name: &str, policy: Policy) -> Arc<Switch> {
        Arc::new(Switch {
            watch: watch(name, policy),
            says: Arc::clone(self),
            checks: Mutex::default(),
        })
    }
}

struct Switch {
    watch: Watch,
    says: Arc<Says>,
    checks: Mutex<Vec<Timestamp>>,
}

impl Switch {
    /// When each check started, in whole seconds since the start.
    fn checks(&self) -> Vec<i64> {
        let checks = self.checks.lock().unwrap();
        checks
            .iter()
            .map(|at| at.duration_since(START).as_secs())
            .collect()
    }
}

#[async_trait]
impl Monitor for Switch {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        self.checks.lock().unwrap().push(check.started.wall);
        self.says.0.lock().unwrap().clone()
    }

    /// A trap: it lists the one port that is concerned.
    fn receive(&self, signal: &Signal, _: &Check) -> Option<Observation> {
        let outcome = match signal.fields.get("is")?.as_str() {
            "up" => up(),
            reason => down(reason),
        };
        let mut observation = Observation::from(up());
        observation.parts.push(Part::new(&signal.source, outcome));
        Some(observation)
    }
}

fn up() -> Outcome {
    Outcome::up(Duration::from_millis(5))
}

fn down(reason: &str) -> Outcome {
    Outcome::fail(FailureClass::Status, reason)
}

fn unknown() -> Outcome {
    Outcome::fail(FailureClass::NoRoute, "no route")
}

/// A check every minute whose first failure is an outage, and a reminder every ten minutes.
fn policy() -> Policy {
    every(60)
}

/// The stage `HomeLab` with these monitors, a channel and a history.
fn stage(monitors: impl IntoIterator<Item = Arc<Switch>>) -> (Stage, Arc<Recorder>, Arc<MemoryStore>) {
    let (phone, store) = (Recorder::new(), MemoryStore::with_history());
    (
        Stage::of(plan(monitors, &phone)).store(store.clone()),
        phone,
        store,
    )
}

fn plan(monitors: impl IntoIterator<Item = Arc<Switch>>, phone: &Arc<Recorder>) -> Plan {
    let plan = Plan::new("HomeLab").notify("phone", phone.clone());
    monitors
        .into_iter()
        .fold(plan, |plan, monitor| plan.watch(monitor))
}

/// Label and monitor of each notification since the last call.
fn take(phone: &Recorder) -> Vec<String> {
    let received = phone.take().into_iter().map(|it| it.notification);
    let lines = received.map(|it| format!("{} {}", it.kind.label(), it.monitor));
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_parts_fails_and_recovers() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), [""; 0], "both are up");

    says.list(up(), &[("eth0", up()), ("eth1", down("no link"))]);
    stage.run_for(secs(60)).await;
    let [outage] = &phone.take()[..] else { panic!() };
    let outage = &outage.notification;
    assert_eq!((outage.monitor.as_str(), outage.number), ("switch/eth1", 1));
    let text = "switch/eth1 in HomeLab new outage: no link (192.0.2.1) at ";
    assert!(outage.text.starts_with(text), "{}", outage.text);
    assert_eq!(store.state("switch/eth1").is_up, Some(false));
    assert_eq!(store.state("switch/eth0").is_up, Some(true));
    assert_eq!(store.state("switch").is_up, Some(true), "the others are up");

    stage.run_for(secs(600)).await;
    let [reminder] = &phone.take()[..] else { panic!() };
    let reminder = &reminder.notification;
    assert_eq!((reminder.kind.label(), reminder.number), ("DOWN", 2));
    assert_eq!(reminder.incident, outage.incident);
    let text = "switch/eth1 in HomeLab is down: no link (192.0.2.1) at ";
    assert!(reminder.text.starts_with(text), "{}", reminder.text);
    let late = reminder.at.duration_since(outage.at) - SignedDuration::from_secs(600);
    assert!(late.abs() < SignedDuration::from_secs(1), "{late}");

    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    stage.run_for(secs(60)).await;
    let [recovery] = &phone.take()[..] else { panic!() };
    let recovery = &recovery.notification;
    assert_eq!(recovery.incident, outage.incident);
    let text = "switch/eth1 in HomeLab is UP (192.0.2.1) at ";
    assert!(recovery.text.starts_with(text), "{}", recovery.text);
    stage.run_for(secs(3600)).await;
    assert_eq!(take(&phone), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_outage_of_a_part_continues_after_a_restart() {
    let says = Says::new(&[("eth0", up()), ("eth1", down("no link"))]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    let incident = store.state("switch/eth1").own.incident;
    for is_killed in [true, false] {
        match is_killed {
            true => stage.kill().await,
            false => drop(stage.stop().await),
        }
        stage.run_for(secs(60)).await;
        assert_eq!(take(&phone), [""; 0], "it was announced");
        assert_eq!(store.state("switch/eth1").own.incident, incident);
    }
    // The reminder keeps its time.
    stage.run_for(secs(600)).await;
    assert_eq!(take(&phone), ["DOWN switch/eth1"]);
    // It recovers while apmon does not run.
    stage.stop().await;
    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["RECOVERY switch/eth1"]);
}

#[tokio::test(start_paused = true)]
async fn a_reminder_that_was_due_while_apmon_did_not_run_waits_for_the_first_check() {
    let says = Says::new(&[("eth1", down("no link"))]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    for (now, then) in [
        (down("no link"), "DOWN switch/eth1"),
        (up(), "RECOVERY switch/eth1"),
    ] {
        says.list(up(), &[("eth1", down("no link"))]);
        stage.run_for(secs(90)).await;
        stage.stop().await;
        take(&phone);
        tokio::time::sleep(secs(3600)).await;
        says.list(up(), &[("eth1", now)]);
        stage.run_for(secs(60)).await;
        assert_eq!(take(&phone), [then]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undelivered_notification_of_a_part_survives_a_restart() {
    use apmon_core::testing::Answer;
    let says = Says::new(&[("eth1", down("no link"))]);
    let (mut stage, phone, store) = stage([says.monitor(policy())]);
    phone.set(Answer::Unavailable);
    // The outage and two reminders, of which the last one is kept.
    stage.run_for(secs(1300)).await;
    stage.kill().await;
    assert_eq!(store.outbox().len(), 2);
    phone.set(Answer::Accepts);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1", "DOWN switch/eth1"]);
    assert_eq!(store.outbox(), []);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_soft_before_it_is_down_and_is_retried_like_a_monitor() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let policy = Policy {
        max_retries: NonZeroU32::new(3).unwrap(),
        retry_every: Some(secs(5)),
        ..every(600)
    };
    let switch = says.monitor(policy);
    let (mut stage, phone, store) = stage([Arc::clone(&switch)]);
    stage.run_for(secs(30)).await;
    says.list(up(), &[("eth0", up()), ("eth1", down("no link"))]);
    let regular = switch.checks().len();
    while switch.checks().len() == regular {
        stage.run_for(secs(1)).await;
    }
    stage.run_for(secs(6)).await;
    assert_eq!(take(&phone), [""; 0]);
    stage.run_for(secs(6)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    assert_eq!(store.state("switch/eth1").down_count, 3);
    let checks = switch.checks();
    let [.., first, second, third] = &checks[..] else {
        panic!()
    };
    assert_eq!((second - first, third - second), (5, 5));
    // A hard state is not retried.
    stage.run_for(secs(60)).await;
    assert_eq!(switch.checks().len(), checks.len());
}

#[tokio::test(start_paused = true)]
async fn a_soft_state_of_a_part_that_clears_is_not_announced() {
    let says = Says::new(&[("eth1", up())]);
    let policy = Policy {
        max_retries: NonZeroU32::new(2).unwrap(),
        retry_every: Some(secs(600)),
        ..every(100_000)
    };
    let (mut stage, phone, store) = stage([says.monitor(policy)]);
    stage.run_for(secs(10)).await;
    let steps = [
        (down("no link"), 1),
        (up(), 0),
        (down("no link"), 1),
        (unknown(), 1),
        (up(), 0),
    ];
    for (outcome, down_count) in steps {
        says.list(up(), &[("eth1", outcome)]);
        stage.handle().check_now("switch").await.unwrap();
        stage.run_for(secs(10)).await;
        assert_eq!(store.state("switch/eth1").down_count, down_count);
    }
    assert_eq!(take(&phone), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_checked_is_unknown_like_a_monitor() {
    let says = Says::new(&[("eth0", up()), ("eth1", unknown())]);
    let (mut stage, phone, _) = stage([says.monitor(policy())]);
    stage.run_for(secs(420)).await;
    assert_eq!(take(&phone), ["UNKNOWN switch/eth1"]);
    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["KNOWN switch/eth1"]);
}

#[tokio::test(start_paused = true)]
async fn alarms_and_classes_are_those_of_the_monitor() {
    let says = Says::new(&[("eth1", down("no link"))]);
    let silent = Policy {
        alarms: false,
        ..policy()
    };
    let (mut stage, phone, store) = stage([says.monitor(silent.clone())]);
    stage.run_for(secs(90)).await;
    assert_eq!(take(&phone), [""; 0]);
    assert_eq!(store.state("switch/eth1").is_up, Some(false));
    // The test's watches all have the same checksum, so that only the policy is new.
    stage.reload(plan([says.monitor(policy())], &phone)).await;
    stage.run_for(secs(60)).await;
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    let often = Policy {
        notify_every: secs(10),
        ..policy()
    };
    stage.reload(plan([says.monitor(often)], &phone)).await;
    stage.run_for(secs(61)).await;
    let reminders = take(&phone);
    assert!(reminders.len() >= 6, "{reminders:?}");
    stage.reload(plan([says.monitor(silent)], &phone)).await;
    stage.run_for(secs(3600)).await;
    assert!(take(&phone).len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn passes_announce_remind_and_end_the_outage_of_a_part() {
    let says = Says::new(&[("eth0", up()), ("eth1", up())]);
    let policy = Policy {
        max_retries: NonZeroU32::new(2).unwrap(),
        retry_every: Some(secs(5)),
        ..every(60)
    };
    let switch = says.monitor(policy);
    let (mut stage, phone, _) = stage([Arc::clone(&switch)]);
    stage.pass().await.unwrap();
    tokio::time::sleep(secs(60)).await;
    says.list(up(), &[("eth0", up()), ("eth1", down("no link"))]);
    // The retry is in the same pass.
    let report = stage.pass().await.unwrap();
    assert_eq!((report.watched, report.checks, report.up), (1, 2, 2));
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    let mut all = Vec::new();
    for _ in 0..11 {
        tokio::time::sleep(secs(55)).await;
        stage.pass().await.unwrap();
        all.extend(take(&phone));
    }
    assert_eq!(all, ["DOWN switch/eth1"]);
    says.list(up(), &[("eth0", up()), ("eth1", up())]);
    tokio::time::sleep(secs(60)).await;
    stage.pass().await.unwrap();
    assert_eq!(take(&phone), ["RECOVERY switch/eth1"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_reminds_although_no_check_is_due_or_the_part_is_not_listed() {
    let says = Says::new(&[("eth1", down("no link"))]);
    let rare = every(3600);
    let (mut stage, phone, _) = stage([says.monitor(rare)]);
    stage.pass().await.unwrap();
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    tokio::time::sleep(secs(601)).await;
    let report = stage.pass().await.unwrap();
    assert_eq!(report.checks, 0);
    assert_eq!(take(&phone), ["DOWN switch/eth1"]);
    says.list(unknown(), &[]);
    tokio::time::sleep(secs(3600)).await;
    let report = stage.pass().await.unwrap();
    assert_eq!(report.checks, 1);
    assert_eq!(take(&phone), ["DOWN switch/eth1"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_continues_the_soft_state_of_a_part() {
    let says = Says::new(&[("eth1", down("no link"))]);
    let policy = Policy {
        max_retries: NonZeroU32::new(3).unwrap(),
        retry_every: Some(secs(50)),
        ..every(100_000)
    };
    let (mut stage, phone, store) = stage([says.monitor(policy)]);
    stage.run_for(secs(20)).await;
    stage.stop().await;
    assert_eq!(store.state("switch/eth1").down_count, 1);
    // No check is due, except for the soft state.
    assert_eq!(stage.pass().await.unwrap().checks, 2);
    assert_eq!(take(&phone), ["NEW OUTAGE switch/eth1"]);
    assert_eq!(store.state("switch/eth1").down_count, 3);
}
