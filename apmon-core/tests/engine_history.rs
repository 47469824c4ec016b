//! The history that a store is given: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{collections::BTreeMap, time::Duration};

use apmon_core::{
    DeliveryFate, Incident, IncidentKind, Plan, Policy, StretchKind, Verdict,
    testing::{Answer, MemoryStore, Response, StoreAnswer, Target, every, secs, watch},
};
use support::{Site, run_for, sleep};

fn site() -> Site {
    Site::with_store(MemoryStore::with_history())
}

/// Incidents as a database would keep them: the last record of each.
fn incidents(store: &MemoryStore) -> Vec<Incident> {
    let mut last: BTreeMap<String, Incident> = BTreeMap::new();
    for incident in &store.history().incidents {
        let known = last
            .entry(incident.id.clone())
            .or_insert_with(|| incident.clone());
        known.ended = incident.ended;
        known.notifications = incident.notifications;
    }
    let mut all: Vec<_> = last.into_values().collect();
    all.sort_by_key(|incident| incident.started);
    all
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_recorded_with_its_reason_its_notifications_and_its_end() {
    let site = site();
    site.recorder.set_next([Answer::Unavailable]);
    site.target.set(Response::down("no answer"));
    let policy = Policy {
        notify_every: secs(60),
        ..every(10)
    };
    let daemon = site.start(site.plan(policy));
    sleep(90).await;
    let [open] = &incidents(&site.store)[..] else {
        panic!()
    };
    assert_eq!((open.kind.clone(), open.ended), (IncidentKind::Outage, None));
    assert_eq!(
        (open.reason.as_deref(), open.notifications),
        (Some("no answer"), 2)
    );
    site.target.set(Response::Up);
    sleep(20).await;
    let report = daemon.stop().await;
    let [over] = &incidents(&site.store)[..] else {
        panic!()
    };
    assert_eq!(over.notifications, 3);
    assert!(over.ended.unwrap() > over.started);

    let records = site.store.history();
    assert_eq!(records.results.len(), report.checks);
    let first = &records.results[0];
    assert_eq!(
        (first.verdict, first.reason.as_deref()),
        (Verdict::Down, Some("no answer"))
    );
    let last = records.results.back().unwrap();
    assert_eq!(
        (last.verdict, last.latency),
        (Verdict::Up, Some(Duration::from_millis(5)))
    );
    let fates: Vec<_> = records
        .deliveries
        .iter()
        .map(|delivery| (delivery.label.as_str(), delivery.tries, delivery.fate))
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
async fn an_outage_with_alarms_off_is_recorded_and_unknown_once_it_is_announced() {
    let (site, unreachable) = (site(), Target::new());
    site.target.set(Response::down("no"));
    unreachable.set(Response::unknown("no route"));
    let alarms_off = Policy {
        alarms: false,
        ..every(10)
    };
    let plan = Plan::new("s")
        .watch(site.target.monitor(watch("alarms off", alarms_off)))
        .watch(unreachable.monitor(watch("unreachable", every(10))));
    let daemon = site.start(plan);
    sleep(400).await;
    site.target.set(Response::Up);
    unreachable.set(Response::Up);
    sleep(20).await;
    daemon.stop().await;
    let mut recorded: Vec<_> = incidents(&site.store)
        .into_iter()
        .map(|it| (it.monitor, it.kind, it.notifications, it.ended.is_some()))
        .collect();
    recorded.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        recorded,
        [
            ("alarms off".to_owned(), IncidentKind::Outage, 0, true),
            ("unreachable".to_owned(), IncidentKind::Unknown, 2, true),
        ]
    );
}

/// The monitor is removed, which is reported, or its alarms are off.
#[tokio::test(start_paused = true)]
async fn an_unknown_period_ends_in_the_history_whether_or_not_its_end_is_reported() {
    for alarms_off in [false, true] {
        let site = site();
        site.target.set(Response::unknown("no route"));
        let daemon = site.start(site.plan(every(10)));
        sleep(400).await;
        let [open] = &incidents(&site.store)[..] else {
            panic!()
        };
        assert_eq!((open.kind.clone(), open.ended), (IncidentKind::Unknown, None));
        let policy = Policy {
            alarms: false,
            ..every(10)
        };
        match alarms_off {
            true => {
                daemon.reload(site.plan(policy)).await;
                site.target.set(Response::Up);
                sleep(20).await;
            }
            false => daemon.reload(Plan::new("s")).await,
        }
        daemon.stop().await;
        let [over] = &incidents(&site.store)[..] else {
            panic!()
        };
        assert_eq!((&over.id, over.started), (&open.id, open.started));
        assert!(over.ended.is_some(), "alarms off: {alarms_off}");
        assert_eq!(over.notifications, if alarms_off { 1 } else { 2 });
        assert_eq!(over.reason.as_deref(), Some("no route"));
    }
}

/// A thousand monitors that fail at once are few commits, results included.
#[tokio::test(start_paused = true)]
async fn a_thousand_outages_share_a_few_commits() {
    let site = site();
    site.target.set(Response::down("no"));
    let mut plan = Plan::new("s");
    for n in 0..1_000 {
        plan = plan.watch(site.target.monitor(watch(&format!("m{n}"), every(60))));
    }
    let report = site.engine(plan).pass().await.unwrap();
    assert_eq!(report.down, 1_000);
    assert_eq!(incidents(&site.store).len(), 1_000);
    assert_eq!(site.store.history().results.len(), 1_000);
    let commits = site.store.commits().len();
    assert!(commits <= 10, "{commits}");
}

#[tokio::test(start_paused = true)]
async fn results_that_could_not_be_written_are_written_later_in_order() {
    let site = site();
    site.store.set(StoreAnswer::Fails);
    let engine = site.engine(site.plan(every(1)));
    let repair = async {
        sleep(60).await;
        site.store.set(StoreAnswer::Stores);
    };
    let (report, ()) = tokio::join!(run_for(engine, secs(120)), repair);
    let records = site.store.history();
    assert_eq!(records.results.len(), report.checks);
    let times: Vec<_> = records.results.iter().map(|result| result.at).collect();
    assert!(times.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn unknown_time_and_outages_with_alarms_off_are_recorded_as_stretches() {
    let site = site();
    let alarms_off = Policy {
        alarms: false,
        ..every(10)
    };
    let daemon = site.start(site.plan(alarms_off));
    let conditions = [
        Response::unknown("no route"),
        Response::Up,
        Response::down("refused"),
        Response::unknown("no route"),
        Response::down("refused"),
        Response::Up,
    ];
    for condition in conditions {
        site.target.set(condition);
        sleep(60).await;
    }
    daemon.stop().await;
    let records = site.store.history();
    let stretches: Vec<_> = records
        .stretches
        .iter()
        // Checks are ten seconds apart, but the first one comes earlier.
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
    // The outage itself is an incident, announced or not.
    let over = records.incidents.iter().filter(|it| it.ended.is_some());
    let over: Vec<_> = over.map(|it| (it.kind.clone(), it.notifications)).collect();
    assert_eq!(over, [(IncidentKind::Outage, 0)]);
    let mut gaps = records.results.iter().map(|result| result.max_gap);
    assert!(
        gaps.all(|gap| gap == secs(40)),
        "twice the 10 s between checks, and the 20 s of a check"
    );
}
