//! Heartbeats: one that fails is sent again within its period, and the engine
//! sends its own only while self-monitoring finds it healthy.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{DeliveryError, Engine, Heartbeat, HeartbeatSender, Plan, Policy, Secret};
use async_trait::async_trait;
use support::{Condition, Recorder, Running, every, run_for, secs, sleep, watch};
use tokio::time::Instant;

/// The outside receiver of heartbeats.
struct Watcher {
    start: Instant,
    /// URL and time of each request, in seconds since the start.
    requests: Mutex<Vec<(String, u64)>>,
    /// How long an answer takes.
    delay: Mutex<Duration>,
    /// Concurrent requests: now, and at most.
    concurrent: Mutex<(usize, usize)>,
    /// Answers to the next requests; `Ok` when empty.
    answers: Mutex<VecDeque<Result<(), DeliveryError>>>,
}

impl Watcher {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            requests: Mutex::default(),
            delay: Mutex::default(),
            concurrent: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    fn fail_next(&self, times: usize) {
        let failure = Err(DeliveryError::retryable("503"));
        self.answers.lock().unwrap().extend(vec![failure; times]);
    }

    /// When requests to `url` arrived, in seconds since the start.
    fn times(&self, url: &str) -> Vec<u64> {
        let requests = self.requests.lock().unwrap();
        let same = requests.iter().filter(|(to, _)| to == url);
        same.map(|(_, at)| *at).collect()
    }

    /// The same, in seconds since the first of them.
    fn times_since_first(&self, url: &str) -> Vec<u64> {
        let times = self.times(url);
        times.iter().map(|at| at - times[0]).collect()
    }
}

#[async_trait]
impl HeartbeatSender for Watcher {
    async fn send(&self, url: &Secret, timeout: Duration) -> Result<(), DeliveryError> {
        let at = self.start.elapsed().as_secs();
        self.requests.lock().unwrap().push((url.reveal().to_owned(), at));
        {
            let mut concurrent = self.concurrent.lock().unwrap();
            concurrent.0 += 1;
            concurrent.1 = concurrent.1.max(concurrent.0);
        }
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay.min(timeout)).await;
        self.concurrent.lock().unwrap().0 -= 1;
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

fn heartbeat(url: &str, every: Option<u64>) -> Option<Heartbeat> {
    Some(Heartbeat {
        url: Secret::new(url),
        every: every.map(secs),
    })
}

/// A site, and the watcher that its heartbeats go to.
struct Site {
    site: support::Site,
    watcher: Arc<Watcher>,
}

impl Site {
    /// A site whose target is up.
    fn new() -> Self {
        Self {
            site: support::Site::new(),
            watcher: Watcher::new(),
        }
    }

    fn set(&self, condition: Condition) {
        self.site.target.set(condition);
    }

    /// A plan with a monitor `web` that has a heartbeat.
    fn plan_with_monitor_heartbeat(&self, check_every: u64, heartbeat_every: Option<u64>) -> Plan {
        let policy = Policy {
            heartbeat: heartbeat("web", heartbeat_every),
            ..every(check_every)
        };
        Plan::new("Lab").watch(self.site.target.monitor(watch("web", policy)))
    }

    /// A plan of a site with a heartbeat of its own, every 60 s.
    fn plan(&self) -> Plan {
        let mut plan = Plan::new("Lab").watch(self.site.target.monitor(watch("web", every(10))));
        plan.heartbeat = heartbeat("self", None);
        plan
    }

    fn engine(&self, plan: Plan) -> Engine {
        self.site.engine(plan.heartbeats(self.watcher.clone()))
    }

    fn start(&self, plan: Plan) -> Running {
        Running::start(self.engine(plan))
    }

    async fn run(&self, plan: Plan, time: u64) {
        run_for(self.engine(plan), secs(time)).await;
    }

    /// When the site's own heartbeats arrived, in seconds since the start.
    fn own_heartbeats(&self) -> Vec<u64> {
        self.watcher.times("self")
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_heartbeat_is_sent_again_within_its_period_only() {
    let site = Site::new();
    site.watcher.fail_next(100);
    site.run(site.plan_with_monitor_heartbeat(10, Some(60)), 128)
        .await;
    assert_eq!(
        site.watcher.times_since_first("web"),
        [0, 1, 3, 7, 15, 31, 60, 61, 63, 67, 75, 91, 120, 121, 123]
    );
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_sent_again_is_not_sent_a_third_time() {
    let site = Site::new();
    site.watcher.fail_next(1);
    site.run(site.plan_with_monitor_heartbeat(10, Some(60)), 100)
        .await;
    assert_eq!(site.watcher.times_since_first("web"), [0, 1, 60]);
    let state = site.site.store.state("web");
    assert!(state.last_successful_heartbeat.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_heartbeat_is_not_sent_again_once_the_target_is_down() {
    let site = Site::new();
    site.watcher.fail_next(100);
    let daemon = site.start(site.plan_with_monitor_heartbeat(20, Some(300)));
    while site.watcher.times("web").is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.set(Condition::Down("no".into()));
    sleep(25).await;
    let before = site.watcher.times("web").len();
    sleep(100).await;
    assert_eq!(site.watcher.times("web").len(), before);
    assert!(before > 1);
    daemon.kill().await;
}

/// Without an interval the next successful check sends its own.
#[tokio::test(start_paused = true)]
async fn without_an_interval_the_period_ends_with_the_next_check() {
    let site = Site::new();
    site.watcher.fail_next(3);
    site.run(site.plan_with_monitor_heartbeat(2, None), 12).await;
    // Sent again after 1 s; after the second failure the next check comes first.
    assert_eq!(site.watcher.times_since_first("web"), [0, 1, 2, 3, 4, 6, 8, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_engine_sends_its_own_heartbeat_once_a_minute() {
    let site = Site::new();
    site.run(site.plan(), 200).await;
    assert_eq!(site.own_heartbeats(), [5, 65, 125, 185]);
}

#[tokio::test(start_paused = true)]
async fn its_own_heartbeat_is_sent_again_too() {
    let site = Site::new();
    site.watcher.fail_next(2);
    site.run(site.plan(), 100).await;
    assert_eq!(site.own_heartbeats(), [5, 6, 8, 65]);
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_state_cannot_be_saved() {
    let site = Site::new();
    let store = &site.site.store;
    let daemon = site.start(site.plan());
    sleep(30).await;
    store.fails.set(true);
    sleep(180).await;
    assert_eq!(site.own_heartbeats(), [5]);
    store.fails.set(false);
    sleep(60).await;
    assert_eq!(site.own_heartbeats(), [5, 245]);
    store.hangs.set(true);
    sleep(180).await;
    assert_eq!(site.own_heartbeats(), [5, 245]);
    daemon.kill().await;
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_a_message_is_stuck() {
    let site = Site::new();
    let channel = Recorder::hanging(&site.site.clock);
    site.set(Condition::Down("no".into()));
    let daemon = site.start(site.plan().notify("c", channel.clone()));
    sleep(595).await;
    assert_eq!(site.own_heartbeats().len(), 10, "this long is tolerated");
    sleep(600).await;
    assert_eq!(site.own_heartbeats().len(), 10);
    channel.hangs.set(false);
    sleep(600).await;
    assert!(site.own_heartbeats().len() >= 14, "delivered at last");
    daemon.kill().await;
}

/// Checks run one at a time and take 8 s each: three of them every 10 s start late.
#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_checks_start_late() {
    let site = Site::new();
    site.set(Condition::Slow(secs(8)));
    let mut plan = site.plan();
    for name in ["b", "c"] {
        plan = plan.watch(site.site.target.monitor(watch(name, every(10))));
    }
    plan.max_concurrent = NonZeroUsize::new(1);
    site.run(plan, 300).await;
    let heartbeats = site.own_heartbeats();
    assert!(heartbeats.len() <= 1, "{heartbeats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_sends_its_own_heartbeat_once_at_its_end() {
    let site = Site::new();
    site.engine(site.plan()).pass().await.unwrap();
    assert_eq!(site.own_heartbeats().len(), 1);
    site.site.store.fails.set(true);
    site.set(Condition::Down("no".into()));
    sleep(60).await;
    site.engine(site.plan()).pass().await.unwrap();
    assert_eq!(site.own_heartbeats().len(), 1, "its results are lost");
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_with_no_notify() {
    let site = Site::new();
    let mut plan = site.plan();
    plan.no_notify = true;
    site.run(plan, 100).await;
    assert!(site.own_heartbeats().is_empty());
}

/// The heartbeat is taken out of the site file while a request is under way,
/// which then fails. An endless loop would never let time pass.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_taken_out_while_it_fails_is_dropped() {
    let site = Site::new();
    site.watcher.fail_next(100);
    *site.watcher.delay.lock().unwrap() = secs(10);
    let daemon = site.start(site.plan());
    sleep(7).await;
    let mut plan = site.plan();
    plan.heartbeat = None;
    daemon.reload(plan.heartbeats(site.watcher.clone())).await;
    sleep(100).await;
    assert_eq!(site.own_heartbeats(), [5]);
    daemon.kill().await;
}

/// An apmon that ends every six seconds must not seem healthy.
#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_before_a_check_has_ended() {
    let site = Site::new();
    site.set(Condition::Silent);
    let daemon = site.start(site.plan());
    sleep(20).await;
    assert!(site.own_heartbeats().is_empty());
    daemon.kill().await;
}

/// Checks run one at a time, and one never ends: nothing is monitored.
#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_checks_wait_for_one_that_does_not_end() {
    let site = Site::new();
    let patient = |name| {
        let policy = Policy {
            max_try: secs(600),
            ..every(10)
        };
        site.site.target.monitor(watch(name, policy))
    };
    let mut plan = site.plan();
    plan.monitors.clear();
    plan.max_concurrent = NonZeroUsize::new(1);
    for name in ["a", "b", "c"] {
        plan = plan.watch(patient(name));
    }
    let daemon = site.start(plan);
    sleep(60).await;
    assert_eq!(site.own_heartbeats(), [5]);
    site.set(Condition::Silent);
    sleep(500).await;
    let heartbeats = site.own_heartbeats();
    assert!(heartbeats.len() <= 2, "{heartbeats:?}");
    daemon.kill().await;
}

/// A dead channel uses up the time that a pass has for its outbox.
#[tokio::test(start_paused = true)]
async fn a_pass_with_a_dead_channel_sends_its_own_heartbeat_while_nothing_is_stuck() {
    let site = Site::new();
    *site.watcher.delay.lock().unwrap() = Duration::from_millis(200);
    site.set(Condition::Down("no".into()));
    let plan = site.plan().notify("c", Recorder::hanging(&site.site.clock));
    site.engine(plan).pass().await.unwrap();
    assert_eq!(site.own_heartbeats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_checks_wait_for_one_another_sends_its_own_heartbeat() {
    let site = Site::new();
    site.set(Condition::Slow(secs(1)));
    let mut plan = site.plan();
    for i in 0..10 {
        plan = plan.watch(site.site.target.monitor(watch(&format!("m{i}"), every(60))));
    }
    plan.max_concurrent = NonZeroUsize::new(1);
    site.engine(plan).pass().await.unwrap();
    assert_eq!(site.own_heartbeats().len(), 1);
}

/// Without an interval each successful check has a heartbeat; with a watcher that
/// hangs they must not accumulate.
#[tokio::test(start_paused = true)]
async fn heartbeats_to_a_watcher_that_hangs_do_not_pile_up() {
    let site = Site::new();
    *site.watcher.delay.lock().unwrap() = secs(100);
    let daemon = site.start(site.plan_with_monitor_heartbeat(1, None));
    sleep(300).await;
    daemon.kill().await;
    assert!(site.watcher.concurrent.lock().unwrap().1 <= 2);
}
