//! A pass keeps time for everybody while it waits for retries: in virtual time.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use apmon_core::{
    Clock as _, Engine, Heartbeat, PassReport, Plan, Policy, Secret,
    testing::{
        Answer, HeartbeatRecorder, MemoryStore, Recorder, Response, START, Target, TestClock, secs, watch,
    },
};
use jiff::tz::TimeZone;
use support::sleep;

/// All that outlives a pass.
struct Cron {
    clock: Arc<TestClock>,
    store: Arc<MemoryStore>,
    heartbeats: Arc<HeartbeatRecorder>,
    recorder: Arc<Recorder>,
}

impl Cron {
    fn new() -> Self {
        Self {
            clock: TestClock::new(),
            store: MemoryStore::new(),
            heartbeats: HeartbeatRecorder::new(),
            recorder: Recorder::new(),
        }
    }

    async fn pass(&self, plan: &Plan) -> PassReport {
        let plan = plan.clone().heartbeats(self.heartbeats.clone());
        let longest = plan.longest_pass();
        let engine = Engine::new(plan, self.store.clone());
        let engine = engine.clock(self.clock.clone()).zone(TimeZone::UTC);
        let report = engine.pass().await.unwrap();
        assert!(report.took < longest, "{report:?} {longest:?}");
        report
    }

    /// Starts a pass a moment after each full minute, unless another one is at work then.
    async fn run(&self, minutes: u64, plan: impl Fn() -> Plan) -> Vec<PassReport> {
        let mut reports = Vec::new();
        loop {
            let now = self.clock.now().wall.duration_since(START).as_millis();
            let next = 60_000 - (now - 200).rem_euclid(60_000);
            if now + next > i128::from(minutes) * 60_000 {
                return reports;
            }
            tokio::time::sleep(Duration::from_millis(next as u64)).await;
            reports.push(self.pass(&plan()).await);
        }
    }
}

fn n(n: u32) -> std::num::NonZeroU32 {
    n.try_into().unwrap()
}

/// The defaults of a site file.
fn defaults() -> Policy {
    Policy {
        check_every: secs(60),
        max_retries: n(3),
        max_try: secs(20),
        ..Policy::default()
    }
}

fn with_heartbeat(policy: Policy, url: &str, every: Option<u64>) -> Policy {
    let heartbeat = Heartbeat {
        url: Secret::new(url),
        every: every.map(secs),
        options: None,
    };
    Policy {
        heartbeat: Some(heartbeat),
        ..policy
    }
}

/// The times between consecutive moments, in seconds.
fn gaps(times: &[Duration]) -> Vec<f64> {
    times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect()
}

#[track_caller]
fn assert_every(times: &[Duration], every: f64, slack: f64, at_least: usize) {
    assert!(times.len() >= at_least, "{times:?}");
    let gaps = gaps(times);
    let is_regular = |gap: &f64| (every - slack..every + slack).contains(gap);
    assert!(gaps.iter().all(is_regular), "{gaps:?}");
}

/// Whatever the newly dead target does to the pass: its length is swept across the full minute.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_on_time_beside_a_target_that_has_just_died() {
    for retries in 1..=5 {
        for pause in (1..=40).chain([59, 60, 61]) {
            let cron = Cron::new();
            let (dead, gateway) = (Target::new(), Target::new());
            dead.set(Response::Silent);
            let policy = Policy {
                max_retries: n(retries),
                retry_every: Some(secs(pause)),
                ..defaults()
            };
            let reports = cron
                .run(12, || {
                    Plan::new("s")
                        .watch(dead.monitor(watch("dead", policy.clone())))
                        .watch(
                            gateway.monitor(watch("gw", with_heartbeat(defaults(), "http://h/", Some(60)))),
                        )
                })
                .await;
            let longest = reports.iter().map(|report| report.took).max().unwrap();
            let retries_take = 20.5 * f64::from(retries) + f64::from(retries - 1) * pause.min(60) as f64;
            // Near a full minute it also does what is due a moment later, and checks the dead target.
            assert!(
                longest.as_secs_f64() < retries_take + 26.0,
                "{retries} {pause}: {longest:?}"
            );
            assert_every(&cron.heartbeats.times("http://h/"), 60.0, 1.0, 10);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn checks_reminders_and_deliveries_go_on_while_a_pass_waits_for_retries() {
    let cron = Cron::new();
    let (dead, down, quick) = (Target::new(), Target::down("refused"), Target::new());
    dead.set(Response::Silent);
    let every_20 = Policy {
        check_every: secs(20),
        max_retries: n(1),
        notify_every: secs(30),
        ..Policy::default()
    };
    let plan = Plan::new("s")
        .watch(dead.monitor(watch("dead", defaults())))
        .watch(down.monitor(watch("down", every_20)))
        .watch(quick.monitor(watch(
            "quick",
            with_heartbeat(
                Policy {
                    check_every: secs(10),
                    ..defaults()
                },
                "http://h/",
                None,
            ),
        )))
        .notify("c", cron.recorder.clone());
    cron.recorder.set_next(vec![Answer::Unavailable; 4]); // delivered after 1 + 2 + 4 + 8 s
    let report = cron.pass(&plan).await;
    assert!((100..=102).contains(&report.took.as_secs()), "{:?}", report.took);
    assert_eq!(report.unsettled, 0);
    let received = cron.recorder.received();
    let of = |monitor: &str| {
        let of = received.iter().filter(|it| it.notification.monitor == monitor);
        of.map(|it| (it.notification.kind.label().to_owned(), it.at.as_secs()))
            .collect::<Vec<_>>()
    };
    let of_down = of("down");
    assert_eq!(of_down[0].0, "NEW OUTAGE");
    assert!((10..=20).contains(&of_down[0].1), "{of_down:?}");
    let reminders: Vec<_> = of_down[1..].iter().map(|(_, at)| *at).collect();
    assert_eq!(reminders, [30, 60, 90], "{of_down:?}");
    assert_eq!(of("dead")[0].0, "NEW OUTAGE");
    assert!(
        (9..=11).contains(&quick.checks().len()),
        "{:?}",
        quick.checks().len()
    );
    assert_every(&cron.heartbeats.times("http://h/"), 10.0, 0.1, 9);
}

/// A heartbeat that was not accepted is sent again, although the next pass is far away.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_repeated_while_a_pass_waits_for_retries() {
    let cron = Cron::new();
    let (dead, gateway) = (Target::new(), Target::new());
    dead.set(Response::Silent);
    let plan = Plan::new("s")
        .watch(dead.monitor(watch("dead", defaults())))
        .watch(gateway.monitor(watch("gw", with_heartbeat(defaults(), "http://h/", Some(60)))));
    cron.heartbeats
        .set_next([Answer::Unavailable, Answer::Unavailable]);
    cron.pass(&plan).await;
    let times: Vec<_> = cron
        .heartbeats
        .times("http://h/")
        .iter()
        .map(Duration::as_secs)
        .collect();
    assert_eq!(times, [0, 1, 3, 60]);
}

#[tokio::test(start_paused = true)]
async fn apmons_own_heartbeat_is_sent_also_while_a_pass_waits_for_retries() {
    let cron = Cron::new();
    let dead = Target::new();
    let other = Target::new();
    cron.run(3, || own_heartbeat(&dead, &other)).await;
    dead.set(Response::Silent);
    cron.run(12, || own_heartbeat(&dead, &other)).await;
    let gaps = gaps(&cron.heartbeats.times("http://own/"));
    assert!(gaps.len() > 8 && gaps.iter().all(|gap| *gap < 66.0), "{gaps:?}");
}

fn own_heartbeat(dead: &Arc<Target>, other: &Arc<Target>) -> Plan {
    let mut plan = Plan::new("s")
        .watch(dead.monitor(watch("dead", defaults())))
        .watch(other.monitor(watch("other", defaults())));
    plan.heartbeat = Some(Heartbeat {
        url: Secret::new("http://own/"),
        every: None,
        options: None,
    });
    plan
}

/// A channel that hangs keeps a pass waiting for its timeout only, and nobody else waiting.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_on_time_beside_a_dead_target_and_a_channel_that_hangs() {
    let cron = Cron::new();
    let (dead, gateway) = (Target::new(), Target::new());
    dead.set(Response::Silent);
    cron.recorder.set(Answer::Hangs);
    let plan = || {
        Plan::new("s")
            .watch(dead.monitor(watch("dead", defaults())))
            .watch(gateway.monitor(watch("gw", with_heartbeat(defaults(), "http://h/", Some(60)))))
            .notify("c", cron.recorder.clone())
    };
    let reports = cron.run(12, plan).await;
    assert!(reports[0].took < secs(127), "{:?}", reports[0].took);
    assert_every(&cron.heartbeats.times("http://h/"), 60.0, 5.1, 10);
}

/// The check ends after the pass has waited for its other deliveries.
#[tokio::test(start_paused = true)]
async fn an_outage_that_a_pass_finds_at_its_end_is_delivered_by_it_once() {
    let cron = Cron::new();
    let (dead, late) = (Target::new(), Target::new());
    dead.set(Response::Silent);
    let every_19 = Policy {
        check_every: secs(19),
        max_retries: n(1),
        max_try: secs(15),
        ..Policy::default()
    };
    let mut plan = Plan::new("s")
        .watch(dead.monitor(watch("dead", defaults())))
        .watch(late.monitor(watch("late", every_19)))
        .notify("c", cron.recorder.clone());
    plan.delivery_timeout = secs(5);
    cron.recorder.set_delay(secs(3));
    let (report, ()) = tokio::join!(cron.pass(&plan), async {
        sleep(90).await;
        late.set(Response::Silent);
    });
    assert_eq!(report.undelivered, 0, "{report:?}");
    let received = cron.recorder.received();
    let monitors: Vec<_> = received
        .iter()
        .map(|it| it.notification.monitor.as_str())
        .collect();
    assert_eq!(monitors, ["dead", "late"]);
    assert!(received[1].at > secs(106), "after the time for the others");
    cron.pass(&plan).await;
    assert_eq!(cron.recorder.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_becomes_soft_while_a_pass_waits_is_left_to_the_next_one() {
    let cron = Cron::new();
    let (dead, late) = (Target::new(), Target::new());
    dead.set(Response::Silent);
    let plan = Plan::new("s")
        .watch(dead.monitor(watch("dead", defaults())))
        .watch(late.monitor(watch(
            "late",
            Policy {
                max_retries: n(5),
                ..defaults()
            },
        )));
    let (first, ()) = tokio::join!(cron.pass(&plan), async {
        sleep(50).await;
        late.set(Response::down("refused"));
    });
    assert!((100..=102).contains(&first.took.as_secs()), "{:?}", first.took);
    assert_eq!(first.unsettled, 0, "it was not due at the start");
    assert!(cron.store.state("late").health().is_soft());
    let next = cron.pass(&plan).await;
    assert!(cron.store.state("late").health().is_down(), "{next:?}");
}

/// With a limit on concurrent checks a pass cannot finish in time, and each target gets its turn.
#[tokio::test(start_paused = true)]
async fn a_pass_that_cannot_settle_everything_in_time_ends_and_the_next_one_goes_on() {
    let cron = Cron::new();
    let targets: Vec<_> = (0..12).map(|_| Target::new()).collect();
    for target in &targets {
        target.set(Response::Silent);
    }
    let plan = || {
        let mut plan = Plan::new("s");
        for (i, target) in targets.iter().enumerate() {
            plan = plan.watch(target.monitor(watch(&format!("t{i}"), defaults())));
        }
        plan.max_concurrent = NonZeroUsize::new(1);
        plan
    };
    let reports = cron.run(40, plan).await;
    assert!(reports[0].unsettled > 0, "{:?}", reports[0]);
    for report in &reports {
        assert!(report.took < secs(127), "{:?}", report.took);
    }
    for i in 0..12 {
        let state = cron.store.state(&format!("t{i}"));
        assert!(state.health().is_down(), "t{i}: {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_targets_answer_waits_for_nothing_that_falls_due_later() {
    let cron = Cron::new();
    let (target, other) = (Target::new(), Target::new());
    let every_30 = Policy {
        check_every: secs(30),
        ..defaults()
    };
    let plan = Plan::new("s")
        .watch(target.monitor(watch("a", with_heartbeat(every_30, "http://h/", Some(40)))))
        .watch(other.monitor(watch("b", defaults())));
    for pause in [25, 3, 11, 57] {
        let report = cron.pass(&plan).await;
        assert!(report.took < secs(1), "{:?}", report.took);
        sleep(pause).await;
    }
}
