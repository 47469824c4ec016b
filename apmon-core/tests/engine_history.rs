//! What a store that keeps a history is given: in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use apmon_core::{
    Commit, DeliveryError, DeliveryFate, Engine, Incident, IncidentKind, Plan, Policy, Records, Snapshot,
    StateStore, StoreError, StretchKind, Verdict,
};
use async_trait::async_trait;
use support::{Condition, Recorder, Target, clock, every, run_for, secs, watch};

/// A store that keeps nothing but the history.
#[derive(Default)]
struct Chronicle {
    records: Mutex<Records>,
    commits: Mutex<usize>,
    fails: Mutex<bool>,
}

impl Chronicle {
    /// As a database would have them: of each incident its last record.
    fn incidents(&self) -> Vec<Incident> {
        let mut last: BTreeMap<String, Incident> = BTreeMap::new();
        for incident in &self.records.lock().unwrap().incidents {
            let known = last
                .entry(incident.id.clone())
                .or_insert_with(|| incident.clone());
            known.ended = incident.ended;
            known.messages = incident.messages;
        }
        let mut all: Vec<_> = last.into_values().collect();
        all.sort_by_key(|incident| incident.started);
        all
    }
}

#[async_trait]
impl StateStore for Chronicle {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        if *self.fails.lock().unwrap() {
            return Err(StoreError::Stopped);
        }
        *self.commits.lock().unwrap() += 1;
        let mut records = self.records.lock().unwrap();
        let history = Records::clone(&commit.history);
        records.results.extend(history.results);
        records.incidents.extend(history.incidents);
        records.deliveries.extend(history.deliveries);
        records.stretches.extend(history.stretches);
        Ok(())
    }

    fn keeps_history(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_stands_there_with_its_reason_its_messages_and_its_end() {
    let (clock, target, store) = (clock(), Target::new(), Arc::new(Chronicle::default()));
    let recorder = Recorder::new(&clock);
    recorder
        .answers
        .lock()
        .unwrap()
        .push_back(Err(DeliveryError::retryable("503")));
    target.set(Condition::Down("no answer".into()));
    let policy = Policy {
        notify_every: secs(60),
        ..every(10)
    };
    let plan = Plan::new("s")
        .watch(target.monitor(watch("a", policy)))
        .notify("c", recorder.clone());
    let engine = Engine::new(plan, store.clone()).clock(clock);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(90)).await;
    let [open] = &store.incidents()[..] else { panic!() };
    assert_eq!((open.kind.clone(), open.ended), (IncidentKind::Outage, None));
    assert_eq!((open.reason.as_deref(), open.messages), (Some("no answer"), 2));
    target.set(Condition::Up);
    tokio::time::sleep(secs(20)).await;
    handle.shutdown().await;
    let report = running.await.unwrap().unwrap();
    let [over] = &store.incidents()[..] else { panic!() };
    assert_eq!(over.messages, 3);
    assert!(over.ended.unwrap() > over.started);

    let records = store.records.lock().unwrap();
    assert_eq!(records.results.len(), report.checks);
    let first = &records.results[0];
    assert_eq!(
        (first.verdict, first.reason.as_deref()),
        (Verdict::Down, Some("no answer"))
    );
    let last = records.results.back().unwrap();
    assert_eq!(
        (last.verdict, last.latency),
        (Verdict::Up, Some(std::time::Duration::from_millis(5)))
    );
    let fates: Vec<_> = records
        .deliveries
        .iter()
        .map(|it| (it.label.as_str(), it.tries, it.fate))
        .collect();
    let delivered = DeliveryFate::Delivered;
    assert_eq!(
        fates,
        [
            ("NEW OUTAGE", 2, delivered),
            ("DOWN", 1, delivered),
            ("RECOVERY", 1, delivered)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_nobody_is_told_of_stands_there_too_and_unknown_once_it_is_told() {
    let (clock, target, store) = (clock(), Target::new(), Arc::new(Chronicle::default()));
    target.set(Condition::Down("no".into()));
    let alarms_off = Policy {
        alarms: false,
        ..every(10)
    };
    let lost = Target::new();
    lost.set(Condition::Unknown("no route".into()));
    let plan = Plan::new("s")
        .watch(target.monitor(watch("quiet", alarms_off)))
        .watch(lost.monitor(watch("lost", every(10))));
    let engine = Engine::new(plan, store.clone()).clock(clock);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(400)).await;
    target.set(Condition::Up);
    lost.set(Condition::Up);
    tokio::time::sleep(secs(20)).await;
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    let mut told: Vec<_> = store
        .incidents()
        .into_iter()
        .map(|it| (it.monitor, it.kind, it.messages, it.ended.is_some()))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        told,
        [
            ("lost".to_owned(), IncidentKind::Unknown, 2, true),
            ("quiet".to_owned(), IncidentKind::Outage, 0, true)
        ]
    );
}

/// A thousand monitors that fail at once, and what they found, are few commits.
#[tokio::test(start_paused = true)]
async fn a_thousand_outages_share_a_few_commits() {
    let (clock, target, store) = (clock(), Target::new(), Arc::new(Chronicle::default()));
    target.set(Condition::Down("no".into()));
    let mut plan = Plan::new("s");
    for n in 0..1_000 {
        plan = plan.watch(target.monitor(watch(&format!("m{n}"), every(60))));
    }
    let report = Engine::new(plan, store.clone())
        .clock(clock)
        .pass()
        .await
        .unwrap();
    assert_eq!(report.down, 1_000);
    assert_eq!(store.incidents().len(), 1_000);
    assert_eq!(store.records.lock().unwrap().results.len(), 1_000);
    let commits = *store.commits.lock().unwrap();
    assert!(commits <= 10, "{commits}");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_later_in_its_order() {
    let (clock, target, store) = (clock(), Target::new(), Arc::new(Chronicle::default()));
    *store.fails.lock().unwrap() = true;
    let plan = Plan::new("s").watch(target.monitor(watch("a", every(1))));
    let engine = Engine::new(plan, store.clone()).clock(clock);
    let mend = async {
        tokio::time::sleep(secs(60)).await;
        *store.fails.lock().unwrap() = false;
    };
    let (report, ()) = tokio::join!(run_for(engine, secs(120)), mend);
    let records = store.records.lock().unwrap();
    assert_eq!(records.results.len(), report.checks);
    let times: Vec<_> = records.results.iter().map(|result| result.at).collect();
    assert!(times.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_seen_and_what_nobody_was_told_stands_there_as_stretches() {
    let (clock, target, store) = (clock(), Target::new(), Arc::new(Chronicle::default()));
    let silent = Policy {
        alarms: false,
        ..every(10)
    };
    let plan = Plan::new("s").watch(target.monitor(watch("a", silent)));
    let engine = Engine::new(plan, store.clone()).clock(clock);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    let conditions = [
        Condition::Unknown("no route".into()),
        Condition::Up,
        Condition::Down("refused".into()),
        Condition::Unknown("no route".into()),
        Condition::Down("refused".into()),
        Condition::Up,
    ];
    for condition in conditions {
        target.set(condition);
        tokio::time::sleep(secs(60)).await;
    }
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    let records = store.records.lock().unwrap();
    let stretches: Vec<_> = records
        .stretches
        .iter()
        // Looks come every ten seconds, the first one before its turn.
        .map(|it| (it.kind, it.ended.duration_since(it.started).as_secs() / 10 * 10))
        .collect();
    assert_eq!(
        stretches,
        [
            (StretchKind::Unknown, 60),
            (StretchKind::Unknown, 60),
            (StretchKind::AlarmsOff, 180)
        ]
    );
    // The outage itself is an incident, told or not.
    assert_eq!(store_incidents(&records), [(IncidentKind::Outage, 0)]);
    let gaps: Vec<_> = records.results.iter().map(|result| result.max_gap).collect();
    assert!(
        gaps.iter().all(|gap| *gap == secs(40)),
        "twice 10 s, and the 20 s of a look"
    );
}

fn store_incidents(records: &Records) -> Vec<(IncidentKind, u32)> {
    let over = records.incidents.iter().filter(|it| it.ended.is_some());
    over.map(|it| (it.kind.clone(), it.messages)).collect()
}
