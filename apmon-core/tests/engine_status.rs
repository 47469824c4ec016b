//! The status of a running engine, and retries on request: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use apmon_core::{
    Action, Actor, ChannelStatus, Condition as State, DeliveryCounts, DeliveryError, EngineError,
    MonitorStatus, OutboxStatus, Plan, Policy, SiteStatus,
    action::recorded_actions,
    testing::{Answer, MemoryStore, Recorder, Response, START, Stage, Target, every, secs, watch},
};
use jiff::{SignedDuration, Timestamp};
use support::{Site, sleep};

/// The moment `secs` seconds after the start.
fn after(secs: i64) -> Option<Timestamp> {
    Some(START + SignedDuration::from_secs(secs))
}

fn monitor<'a>(status: &'a SiteStatus, name: &str) -> &'a MonitorStatus {
    let found = status.monitors.iter().find(|monitor| monitor.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {status:#?}"))
}

/// Asserts that two moments are at most a second apart.
#[track_caller]
fn assert_near(actual: Option<Timestamp>, expected: Option<Timestamp>) {
    let apart = actual.unwrap().duration_since(expected.unwrap()).unsigned_abs();
    assert!(apart <= Duration::from_secs(1), "{actual:?} is not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn the_status_shows_each_monitor_in_its_state() {
    let site = Site::new();
    let responses = [
        ("up", Response::Up),
        ("down", Response::down("refused")),
        ("soft", Response::down("slow")),
        ("unknown", Response::unknown("no route")),
        ("pending", Response::Silent),
    ];
    let mut plan = Plan::new("Home").notify("c", site.recorder.clone());
    for (name, response) in responses {
        let target = Target::new();
        target.set(response);
        let policy = Policy {
            max_retries: NonZeroU32::new(if name == "soft" { 3 } else { 1 }).unwrap(),
            retry_every: Some(secs(600)),
            max_try: secs(100_000),
            notify_every: secs(600),
            ..every(100_000)
        };
        plan = plan.watch(target.monitor(watch(name, policy)));
    }
    let daemon = site.start(plan.clone());
    // Every monitor but the silent one was checked once.
    sleep(300).await;
    let status = daemon.handle().status().await.unwrap();
    assert_eq!((status.site.as_str(), status.at), ("Home", after(300).unwrap()));
    assert_eq!(
        (status.started, status.no_notify, status.unsaved),
        (after(0), false, false)
    );
    assert_eq!(status.checks.as_ref().unwrap().ended, 4);
    let states: Vec<_> = status
        .monitors
        .iter()
        .map(|monitor| (monitor.name.as_str(), monitor.state, monitor.reason.as_deref()))
        .collect();
    assert_eq!(
        states,
        [
            ("down", State::Down, Some("refused")),
            ("pending", State::Pending, None),
            ("soft", State::Soft, Some("slow")),
            ("unknown", State::Unknown, Some("no route")),
            ("up", State::Up, None),
        ],
        "by name"
    );
    let up = monitor(&status, "up");
    assert_eq!(
        (up.kind.as_deref(), up.address.as_deref()),
        (Some("test"), Some("192.0.2.1"))
    );
    assert_eq!((up.since, up.last_response_time_ms), (up.last_checked, Some(5.0)));
    assert!(
        up.next_check > after(300) && up.next_check <= after(100_300),
        "{up:?}"
    );
    assert_eq!((up.checking, up.next_reminder), (false, None));

    let down = monitor(&status, "down");
    assert_eq!(
        (down.notified_count, down.down_count, down.max_retries),
        (1, 1, Some(1))
    );
    assert_near(down.next_reminder, down.since.map(|since| since + secs(600)));
    let said = |monitor: &MonitorStatus| monitor.announcement.clone().unwrap();
    assert!(
        said(down).starts_with("announced 4 mins ") && said(down).contains(" to c; reminder due in 5 mins "),
        "{}",
        said(down)
    );
    let soft = monitor(&status, "soft");
    assert_eq!(
        (soft.down_count, soft.max_retries, soft.since),
        (1, Some(3), None)
    );
    assert_near(soft.next_check, soft.last_checked.map(|at| at + secs(600)));
    assert_eq!(
        said(soft),
        "nobody is notified yet: failed check 1 of 3 (max_retries)"
    );
    assert_eq!(said(up), "it is up: nothing to announce");
    let unknown = monitor(&status, "unknown");
    assert_eq!(
        (unknown.since, unknown.unknown_since),
        (unknown.unknown_since, unknown.last_checked)
    );
    assert!(monitor(&status, "pending").checking);

    daemon.stop().await;
    // The stored state shows the same, as far as it goes.
    let snapshot = site.store.snapshot();
    let with_plan = SiteStatus::from_snapshot("stem", status.at, &snapshot, Some(&plan));
    assert_eq!(with_plan.site, "Home");
    for before in &status.monitors {
        let after = monitor(&with_plan, &before.name);
        assert_eq!(
            (&after.address, after.max_retries),
            (&before.address, before.max_retries)
        );
        assert_eq!(said(after), said(before));
    }
    let remembered = SiteStatus::from_snapshot("home", status.at, &snapshot, None);
    for before in &status.monitors {
        // It was never checked, so nothing is stored.
        if before.state == State::Pending {
            continue;
        }
        let expected = MonitorStatus {
            kind: None,
            address: None,
            next_check: None,
            next_reminder: None,
            max_retries: None,
            alarms: None,
            announcement: None,
            ..before.clone()
        };
        assert_eq!(monitor(&remembered, &before.name), &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_goes_on_while_the_target_cannot_be_checked() {
    let site = Site::new();
    site.target.set(Response::down("refused"));
    let daemon = site.start(site.plan(every(10)));
    sleep(60).await;
    site.target.set(Response::unknown("no route"));
    sleep(60).await;
    let status = daemon.handle().status().await.unwrap();
    let a = monitor(&status, "a");
    assert_eq!((a.state, a.reason.as_deref()), (State::Down, Some("refused")));
    assert!(a.unknown_since > a.since, "{a:?}");
    daemon.stop().await;
}

/// A site that is down, with two channels; the first fails with these errors.
fn two_channels(errors: &[DeliveryError]) -> (Stage, [Arc<Recorder>; 2]) {
    let recorders = [Recorder::new(), Recorder::new()];
    recorders[0].set_next(errors.iter().cloned().map(Answer::Fails));
    let policy = Policy {
        notify_every: secs(100_000),
        ..every(1000)
    };
    let stage = Stage::new("s")
        .monitor(Target::down("refused").monitor(watch("a", policy)))
        .channel("one", recorders[0].clone())
        .channel("two", recorders[1].clone());
    (stage, recorders)
}

fn channel<'a>(status: &'a SiteStatus, id: &str) -> &'a ChannelStatus {
    status.channels.iter().find(|channel| channel.id == id).unwrap()
}

/// Retries the notifications of a channel, or of all, on request of `max`.
async fn retry(stage: &mut Stage, channel: Option<&str>) -> Result<usize, EngineError> {
    let actor = Actor {
        name: "max".into(),
        means: "test".into(),
    };
    let channel = channel.map(str::to_owned);
    stage.handle().act(Action::Retry { channel }, actor).await
}

#[tokio::test(start_paused = true)]
async fn a_refused_notification_is_shown_and_tried_again_when_asked_for() {
    let refused = DeliveryError::permanent("HTTP 404");
    let (mut stage, [one, two]) = two_channels(&[refused.clone(), refused]);
    stage.run_for(secs(120)).await;
    let status = stage.handle().status().await.unwrap();
    let found = channel(&status, "one");
    let notification = &status.outbox.oldest[0];
    assert_eq!((status.outbox.waiting, status.outbox.refused), (0, 1));
    assert_eq!(
        (
            notification.channel.as_str(),
            notification.refused,
            notification.attempts
        ),
        ("one", true, 1)
    );
    assert_eq!(notification.last_error.as_deref(), Some("HTTP 404"));
    assert_eq!((found.waiting, found.refused, found.failures), (0, 1, 1));
    assert_eq!(found.last_error.as_deref(), Some("HTTP 404"));
    assert_eq!(
        (found.oldest, found.last_delivered),
        (Some(notification.at), None)
    );
    assert_near(found.next_try, found.failing_since.map(|at| at + secs(1800)));
    let other = channel(&status, "two");
    assert!(other.last_delivered.is_some());
    assert_eq!(
        (other.failing_since, other.oldest, other.next_try),
        (None, None, None)
    );
    let delivered = |n| DeliveryCounts {
        delivered: n,
        ..DeliveryCounts::default()
    };
    assert_eq!(other.counts, delivered(1));

    // A retry of the other channel does not affect it.
    assert_eq!(retry(&mut stage, Some("two")).await.unwrap(), 0);
    assert_eq!(one.attempts(), 1);
    assert_eq!(retry(&mut stage, Some("one")).await.unwrap(), 1);
    stage.run_for(secs(1)).await;
    let status = stage.handle().status().await.unwrap();
    assert_eq!((channel(&status, "one").failures, status.outbox.refused), (2, 1));
    assert_eq!(retry(&mut stage, None).await.unwrap(), 1);
    stage.run_for(secs(1)).await;
    assert_eq!(
        (one.labels(), two.labels().len()),
        (vec!["NEW OUTAGE".to_owned()], 1)
    );
    let status = stage.handle().status().await.unwrap();
    let found = channel(&status, "one");
    let counts = DeliveryCounts {
        refused: 2,
        ..delivered(1)
    };
    assert_eq!(
        (found.counts, found.failures, found.failing_since),
        (counts, 0, None)
    );
    assert_eq!(status.outbox, Default::default());

    let error = retry(&mut stage, Some("three")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no such channel: three; known channels: one, two"
    );
    let handle = stage.handle().clone();
    stage.stop().await;
    assert!(matches!(handle.status().await, Err(EngineError::Ended)));
}

/// The list of all has twenty, and those about one monitor may be behind them.
#[tokio::test(start_paused = true)]
async fn the_notifications_about_one_monitor_are_found_behind_older_ones() {
    let recorder = Recorder::answering(Answer::Fails(DeliveryError::permanent("HTTP 404")));
    let store = MemoryStore::new();
    let mut stage = Stage::new("s").store(store.clone()).channel("one", recorder);
    let (late, part) = (Target::new(), Target::new());
    for n in 0..30 {
        stage = stage.monitor(Target::down("refused").monitor(watch(&format!("m{n}"), every(100))));
    }
    stage = stage
        .monitor(late.monitor(watch("nas", every(100))))
        .monitor(part.monitor(watch("nasty", every(100))));
    stage.run_for(secs(300)).await;
    late.set(Response::down("refused"));
    part.set(Response::down("refused"));
    stage.run_for(secs(600)).await;
    let all = stage.handle().status().await.unwrap().outbox;
    assert_eq!(all.oldest.len(), 20);
    assert!(all.oldest.iter().all(|entry| entry.monitor.starts_with('m')));
    let status = stage.handle().status_for("nas").await.unwrap();
    let about = &status.outbox;
    assert_eq!((about.waiting, about.refused), (0, 1));
    assert_eq!(about.oldest.len(), 1, "{about:?}");
    assert_eq!(
        (about.oldest[0].monitor.as_str(), about.oldest[0].attempts),
        ("nas", 1)
    );
    assert_eq!(
        channel(&status, "one").refused,
        all.refused,
        "the queue of the channel is whole"
    );
    let stored = OutboxStatus::about("nas", store.snapshot().outbox.iter());
    assert_eq!(&stored, about);
    assert_eq!(
        stage.handle().status_for("na").await.unwrap().outbox,
        OutboxStatus::default()
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_on_request_ends_a_pause_and_its_actor_is_recorded() {
    let failed = DeliveryError::Retryable {
        reason: "503".into(),
        retry_after: Some(secs(1000)),
    };
    let (stage, [one, _]) = two_channels(&[failed]);
    let store = MemoryStore::new();
    let mut stage = stage.store(store.clone());
    stage.run_for(secs(120)).await;
    let status = stage.handle().status().await.unwrap();
    let found = channel(&status, "one");
    assert_eq!((found.waiting, found.refused, found.counts.failed), (1, 0, 1));
    assert_near(found.next_try, found.failing_since.map(|at| at + secs(1000)));
    assert_eq!(one.labels(), [""; 0]);
    assert_eq!(retry(&mut stage, None).await.unwrap(), 1);
    stage.run_for(secs(1)).await;
    assert_eq!(one.labels(), ["NEW OUTAGE"]);

    // Who asked for it is on disk.
    let actions = recorded_actions(&store.snapshot());
    let recorded: Vec<_> = actions
        .iter()
        .map(|it| (&*it.actor.name, &*it.action, it.affected))
        .collect();
    assert_eq!(recorded, [("max", "retry", 1)]);
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_no_notify_only_an_action_that_would_send_is_refused() {
    let failed = DeliveryError::Retryable {
        reason: "503".into(),
        retry_after: Some(secs(1000)),
    };
    let (stage, [one, two]) = two_channels(&[failed]);
    let store = MemoryStore::new();
    let mut stage = stage.store(store.clone());
    stage.run_for(secs(120)).await;
    assert_eq!((one.labels().len(), two.labels().len()), (0, 1));
    let no_notify = Plan {
        no_notify: true,
        ..stage.plan().clone()
    };
    stage.reload(no_notify).await;
    let error = retry(&mut stage, None).await.unwrap_err();
    assert_eq!(error.to_string(), "notifications are off in this run");
    assert!(stage.handle().status().await.unwrap().no_notify);
    // Nothing waits for this channel, so nothing is sent.
    assert_eq!(retry(&mut stage, Some("two")).await.unwrap(), 0);
    stage.run_for(secs(1)).await;
    let actions = recorded_actions(&store.snapshot());
    let subjects: Vec<_> = actions.iter().map(|it| it.subject.as_deref()).collect();
    assert_eq!(subjects, [Some("two")], "the other one was not carried out");
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_all_notifications_and_lists_the_oldest() {
    let site = Site::new();
    site.recorder.set(Answer::Hangs);
    let mut plan = Plan::new("s").notify("c", site.recorder.clone());
    for n in 0..50 {
        let target = Target::down("refused");
        plan = plan.watch(target.monitor(watch(&format!("m{n}"), every(1000))));
    }
    let daemon = site.start(plan);
    sleep(300).await;
    let status = daemon.handle().status().await.unwrap();
    assert_eq!((status.outbox.waiting, status.outbox.oldest.len()), (50, 20));
    let times: Vec<_> = status
        .outbox
        .oldest
        .iter()
        .map(|notification| notification.at)
        .collect();
    assert!(times.is_sorted());
    assert_eq!(times.first().copied(), channel(&status, "c").oldest);
    // JSON and back loses nothing.
    let json = serde_json::to_string(&status).unwrap();
    let read: SiteStatus = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert_eq!((read.monitors, read.outbox), (status.monitors, status.outbox));
    daemon.stop().await;
}
