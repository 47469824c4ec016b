//! Channels that stand in for others, and what comes late: in virtual time.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use apmon_core::{
    Channel, Clock, DeliveryError, Engine, Notification, Notifier, Now, Plan, Policy, SystemClock,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use support::{Condition, Memory, Target, clock, every, run_for, secs, watch};

/// A channel in a mood.
#[derive(Default)]
struct Moody {
    mood: Mutex<Mood>,
    heard: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Default)]
enum Mood {
    #[default]
    Takes,
    Away,
    Refuses,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        let moody = Self::default();
        *moody.mood.lock().unwrap() = mood;
        Arc::new(moody)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[async_trait]
impl Notifier for Moody {
    async fn deliver(&self, message: &Notification, _: &str) -> Result<(), DeliveryError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Takes => {
                let line = format!("{}: {}", message.kind.label(), message.text);
                self.heard.lock().unwrap().push(line);
                Ok(())
            }
            Mood::Away => Err(DeliveryError::retryable("connection refused")),
            Mood::Refuses => Err(DeliveryError::permanent("403")),
        }
    }
}

/// One monitor, two channels; the second stands in for the first after 300 s.
struct Site {
    clock: Arc<SystemClock>,
    target: Arc<Target>,
    store: Arc<Memory>,
    first: Arc<Moody>,
    second: Arc<Moody>,
    after: Duration,
}

impl Site {
    fn new(mood: Mood) -> Self {
        Self {
            clock: clock(),
            target: Target::new(),
            store: Memory::new(),
            first: Moody::new(mood),
            second: Moody::new(Mood::Takes),
            after: secs(300),
        }
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::new("Lab").watch(self.target.monitor(watch("web", every(10))));
        plan.channels = vec![
            Channel::new("first", self.first.clone()).with_fallback("second", self.after),
            Channel::new("second", self.second.clone()),
        ];
        plan
    }

    fn engine(&self, plan: Plan) -> Engine {
        Engine::new(plan, self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }

    async fn run(&self, run: Duration) {
        run_for(self.engine(self.plan()), run).await;
    }
}

/// The label and what is said of lateness.
fn short(heard: &[String]) -> Vec<String> {
    heard
        .iter()
        .map(|line| {
            let label = line.split(':').next().unwrap();
            match line.rfind("delivered ") {
                Some(_) => format!("{label} {}", &line[line.rfind('(').unwrap()..]),
                None => label.to_owned(),
            }
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_hears_nothing_while_the_channel_takes_all() {
    let site = Site::new(Mood::Takes);
    site.target.set(Condition::Down("no".into()));
    site.run(secs(1000)).await;
    site.target.set(Condition::Up);
    site.run(secs(100)).await;
    assert_eq!(short(&site.first.heard()), ["NEW OUTAGE", "DOWN", "RECOVERY"]);
    assert!(site.second.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_hears_the_outage_once_the_channel_has_failed_for_long() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    site.run(secs(290)).await;
    assert!(site.second.heard().is_empty(), "not yet");
    site.run(secs(30)).await;
    let heard = site.second.heard();
    assert_eq!(short(&heard).len(), 1, "{heard:?}");
    assert!(
        heard[0].starts_with("NEW OUTAGE: web in Lab new outage: no "),
        "{heard:?}"
    );
    assert!(
        heard[0].ends_with("(delivered 5 mins 0 secs late)"),
        "the run before tried it in vain, which counts: {heard:?}"
    );
}

/// The channel before it is mended when the outage ends: both hear the end.
#[tokio::test(start_paused = true)]
async fn who_heard_of_the_outage_hears_of_its_end() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    site.run(secs(400)).await;
    assert_eq!(site.second.heard().len(), 1);
    site.first.set(Mood::Takes);
    site.run(secs(100)).await;
    site.target.set(Condition::Up);
    site.run(secs(100)).await;
    assert_eq!(
        short(&site.first.heard()),
        ["NEW OUTAGE (delivered 6 mins 36 secs late)", "RECOVERY"]
    );
    assert_eq!(short(&site.second.heard())[1..], ["RECOVERY"]);
    // The next outage is told where it is taken.
    site.target.set(Condition::Down("again".into()));
    site.run(secs(100)).await;
    assert_eq!(site.first.heard().len(), 3);
    assert_eq!(site.second.heard().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_goes_to_the_stand_in_at_once() {
    let site = Site::new(Mood::Refuses);
    site.target.set(Condition::Down("no".into()));
    site.run(secs(20)).await;
    assert_eq!(short(&site.second.heard()), ["NEW OUTAGE"]);
    site.target.set(Condition::Up);
    site.run(secs(20)).await;
    assert_eq!(short(&site.second.heard()), ["NEW OUTAGE", "RECOVERY"]);
    let kept = site.store.kept.lock().unwrap();
    let left: Vec<_> = kept.outbox.iter().map(|entry| entry.channel.as_str()).collect();
    assert_eq!(left, ["first", "first"], "it is still tried there");
}

#[tokio::test(start_paused = true)]
async fn while_the_channel_fails_the_stand_in_hears_the_next_outage_at_once() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    let engine = site.engine(site.plan());
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(400)).await;
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(20)).await;
    assert_eq!(
        short(&site.second.heard()),
        ["NEW OUTAGE (delivered 5 mins 0 secs late)", "RECOVERY"]
    );
    site.target.set(Condition::Down("again".into()));
    tokio::time::sleep(secs(20)).await;
    assert_eq!(short(&site.second.heard())[2..], ["NEW OUTAGE"]);
    handle.shutdown().await;
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_hands_over_what_it_had_not() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    let running = tokio::spawn(site.engine(site.plan()).run());
    tokio::time::sleep(secs(200)).await;
    running.abort();
    let _ = running.await;
    tokio::time::sleep(secs(200)).await;
    site.run(secs(2)).await;
    let heard = site.second.heard();
    assert_eq!(
        short(&heard),
        ["NEW OUTAGE (delivered 6 mins 36 secs late)"],
        "{heard:?}"
    );
}

/// An outage that a message is about has ended long ago, and its recovery was
/// taken: to a stand-in that is new it would stand there as if it went on.
#[tokio::test(start_paused = true)]
async fn a_stand_in_that_is_new_hears_no_outage_whose_end_it_will_not_hear() {
    let site = Site::new(Mood::Refuses);
    site.target.set(Condition::Down("no".into()));
    let alone = || {
        let mut plan = site.plan();
        plan.channels.truncate(1);
        plan.channels[0].fallback = None;
        plan
    };
    let engine = site.engine(alone());
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(20)).await;
    // The recovery is taken, the outage is refused once more.
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(20)).await;
    {
        let mut kept = site.store.kept.lock().unwrap();
        kept.outbox
            .retain(|entry| entry.notification.kind == apmon_core::NotificationKind::Outage);
        assert_eq!(kept.outbox.len(), 1);
    }
    handle.shutdown().await;
    running.await.unwrap().unwrap();
    {
        let mut kept = site.store.kept.lock().unwrap();
        kept.outbox
            .retain(|entry| entry.notification.kind == apmon_core::NotificationKind::Outage);
    }
    site.run(secs(30)).await;
    assert!(site.second.heard().is_empty(), "{:?}", site.second.heard());
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_may_have_one_of_its_own() {
    let site = Site::new(Mood::Away);
    site.second.set(Mood::Refuses);
    let third = Moody::new(Mood::Takes);
    site.target.set(Condition::Down("no".into()));
    let mut plan = site.plan();
    plan.channels[1] = plan.channels[1].clone().with_fallback("third", secs(300));
    plan.channels.push(Channel::new("third", third.clone()));
    run_for(site.engine(plan), secs(310)).await;
    assert_eq!(
        short(&third.heard()),
        ["NEW OUTAGE (delivered 5 mins 0 secs late)"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_has_switches_too() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    let mut plan = site.plan();
    plan.channels[1].switches.reminders = false;
    run_for(site.engine(plan), secs(2000)).await;
    assert_eq!(site.second.heard().len(), 1, "{:?}", site.second.heard());
}

#[tokio::test(start_paused = true)]
async fn a_message_about_what_is_over_says_so_when_it_comes_late() {
    let site = Site::new(Mood::Away);
    let engine = site.engine(site.plan());
    let mut plan = site.plan();
    plan.channels.truncate(1);
    plan.channels[0].fallback = None;
    drop(engine);
    let engine = site.engine(plan);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(125)).await; // 12:02
    site.target.set(Condition::Down("no".into()));
    tokio::time::sleep(secs(420)).await; // 12:09
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(1200)).await;
    site.first.set(Mood::Takes);
    tokio::time::sleep(secs(600)).await;
    let heard = site.first.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    for line in &heard {
        assert!(line.contains("(was down 12:02-12:09; delivered "), "{line}");
    }
    assert!(heard[0].starts_with("NEW OUTAGE") && heard[1].starts_with("RECOVERY"));
    handle.shutdown().await;
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_is_given_up_when_the_plan_says() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    let mut plan = site.plan();
    plan.channels.truncate(1);
    plan.channels[0].fallback = None;
    plan.expire_after = secs(500);
    let engine = site.engine(plan.clone());
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    let outages = || {
        let kept = site.store.kept.lock().unwrap();
        let messages = kept.outbox.iter().map(|entry| &entry.notification.kind);
        messages
            .filter(|kind| **kind == apmon_core::NotificationKind::Outage)
            .count()
    };
    tokio::time::sleep(secs(490)).await;
    assert_eq!(outages(), 1);
    tokio::time::sleep(secs(20)).await;
    assert_eq!(outages(), 0);
    // A reload may shorten the time of what waits.
    let waiting = || site.store.kept.lock().unwrap().outbox.len();
    tokio::time::sleep(secs(200)).await;
    assert_eq!(waiting(), 1, "a reminder");
    plan.expire_after = secs(10);
    handle.reload(plan).await.unwrap();
    tokio::time::sleep(secs(30)).await;
    assert_eq!(waiting(), 0);
    handle.shutdown().await;
    running.await.unwrap().unwrap();
}

/// Refused, and taken half an hour later, when the recovery has long been told:
/// it must not read as if it went on.
#[tokio::test(start_paused = true)]
async fn an_outage_that_was_refused_says_when_it_is_told_at_last_that_it_is_over() {
    let site = Site::new(Mood::Refuses);
    let mut plan = site.plan();
    plan.channels.truncate(1);
    plan.channels[0].fallback = None;
    let running = tokio::spawn(site.engine(plan.clone()).run());
    tokio::time::sleep(secs(65)).await;
    site.target.set(Condition::Down("no".into()));
    tokio::time::sleep(secs(20)).await;
    site.target.set(Condition::Up);
    site.first.set(Mood::Takes);
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.first.set(Mood::Refuses);
    tokio::time::sleep(secs(20)).await;
    running.abort();
    let _ = running.await;
    // Killed: what is over is known from what is on disk.
    tokio::time::sleep(secs(3600)).await;
    site.first.set(Mood::Takes);
    run_for(site.engine(plan), secs(60)).await;
    let heard = site.first.heard();
    let outage = heard.iter().find(|line| line.starts_with("NEW OUTAGE"));
    let outage = outage.unwrap_or_else(|| panic!("{heard:?}"));
    assert!(
        outage.contains("(was down 12:01-12:01; delivered 1 hours "),
        "{outage}"
    );
}

/// It was a channel like others and has heard of the outage.
#[tokio::test(start_paused = true)]
async fn a_channel_that_becomes_a_stand_in_hears_the_end_of_what_it_has_heard_of() {
    let site = Site::new(Mood::Takes);
    site.target.set(Condition::Down("no".into()));
    let mut before = site.plan();
    before.channels[0].fallback = None;
    let engine = site.engine(before);
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(20)).await;
    handle.reload(site.plan()).await.unwrap();
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(30)).await;
    assert_eq!(short(&site.second.heard()), ["NEW OUTAGE", "RECOVERY"]);
    running.abort();
}

/// A token that was revoked: who stands in hears the whole story.
#[tokio::test(start_paused = true)]
async fn while_the_channel_refuses_the_stand_in_hears_reminders() {
    let site = Site::new(Mood::Refuses);
    site.target.set(Condition::Down("no".into()));
    site.run(secs(2000)).await;
    assert_eq!(
        short(&site.second.heard()),
        ["NEW OUTAGE", "DOWN", "DOWN", "DOWN"]
    );
}

/// A wall clock that can be set.
struct Clockwork(SystemClock, AtomicI64);

impl Clock for Clockwork {
    fn now(&self) -> Now {
        let now = self.0.now();
        let set = jiff::SignedDuration::from_secs(self.1.load(Ordering::Relaxed));
        Now {
            wall: now.wall + set,
            ..now
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_meanwhile_does_not_keep_a_message_from_the_stand_in() {
    for start in ["1970-01-01T00:00:20Z", "2026-02-11T12:00:00Z"] {
        let site = Site::new(Mood::Away);
        site.target.set(Condition::Down("no".into()));
        let clock = SystemClock::starting_at(start.parse().unwrap());
        let clock = Arc::new(Clockwork(clock, AtomicI64::new(0)));
        let engine = Engine::new(site.plan(), site.store.clone())
            .clock(clock.clone())
            .zone(TimeZone::UTC);
        let running = tokio::spawn(engine.run());
        tokio::time::sleep(secs(100)).await;
        clock.1.store(200_000, Ordering::Relaxed);
        tokio::time::sleep(secs(300)).await;
        running.abort();
        assert_eq!(
            short(&site.second.heard()),
            ["NEW OUTAGE (delivered 5 mins 0 secs late)"],
            "{start}"
        );
    }
}

/// Two channels have one stand-in: what the first still holds of an outage that
/// is over must not be the last word on the one that runs.
#[tokio::test(start_paused = true)]
async fn an_old_recovery_is_not_told_after_a_new_outage() {
    let site = Site::new(Mood::Away);
    let third = Moody::new(Mood::Takes);
    let mut plan = site.plan();
    let shared = Channel::new("third", third.clone()).with_fallback("second", secs(300));
    plan.channels.push(shared);
    let running = tokio::spawn(site.engine(plan).run());
    tokio::time::sleep(secs(30)).await;
    site.target.set(Condition::Down("one".into()));
    tokio::time::sleep(secs(60)).await;
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(60)).await;
    third.set(Mood::Refuses);
    site.target.set(Condition::Down("two".into()));
    tokio::time::sleep(secs(300)).await;
    running.abort();
    assert_eq!(short(&site.second.heard()), ["NEW OUTAGE"]);
}

/// Alarms are switched off in the outage: nobody is told its end, but what is
/// told at last of its beginning says that it is over.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_told_to_nobody_is_known_to_what_waits() {
    let site = Site::new(Mood::Away);
    site.target.set(Condition::Down("no".into()));
    let plan = |alarms: bool| {
        let policy = Policy { alarms, ..every(10) };
        let mut watch = watch("web", policy);
        watch.checksum = format!("{alarms}").into();
        Plan::new("Lab")
            .watch(site.target.monitor(watch))
            .notify("first", site.first.clone())
    };
    let engine = site.engine(plan(true));
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(100)).await;
    handle.reload(plan(false)).await.unwrap();
    tokio::time::sleep(secs(100)).await;
    site.target.set(Condition::Up);
    tokio::time::sleep(secs(1000)).await;
    site.first.set(Mood::Takes);
    tokio::time::sleep(secs(1000)).await;
    running.abort();
    let heard = site.first.heard();
    assert!(
        heard.iter().all(|line| line.contains("(was down 12:00-12:03; ")),
        "{heard:?}"
    );
    assert_eq!(heard.len(), 1);
}

/// A receiver that asks for patience, and a pass a minute.
#[tokio::test(start_paused = true)]
async fn what_a_receiver_asks_for_is_kept_from_pass_to_pass() {
    struct Asks(Mutex<usize>);

    #[async_trait]
    impl Notifier for Asks {
        async fn deliver(&self, _: &Notification, _: &str) -> Result<(), DeliveryError> {
            *self.0.lock().unwrap() += 1;
            Err(DeliveryError::Retryable {
                reason: "429".into(),
                retry_after: Some(secs(400)),
            })
        }
    }

    let site = Site::new(Mood::Takes);
    site.target.set(Condition::Down("no".into()));
    let asks = Arc::new(Asks(Mutex::default()));
    for _ in 0..10 {
        let mut plan = site.plan();
        plan.channels = vec![Channel::new("first", asks.clone())];
        site.engine(plan).pass().await.unwrap();
        tokio::time::sleep(secs(40)).await;
    }
    assert_eq!(*asks.0.lock().unwrap(), 2, "at once, and after 400 s");
}
