//! Heartbeats: one that fails is sent again within its period, and the engine
//! sends its own only while self-monitoring finds it healthy.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{num::NonZeroUsize, time::Duration};

use apmon_core::{
    Engine, Heartbeat, Plan, Policy, Secret, StoreLimits,
    testing::{Answer, Daemon, MemoryStore, Recorder, Response, StoreAnswer, every, secs, watch},
};
use support::{run_for, sleep};

fn heartbeat(url: &str, every: Option<u64>) -> Option<Heartbeat> {
    Some(Heartbeat {
        url: Secret::new(url),
        every: every.map(secs),
        options: None,
    })
}

/// A site whose heartbeats are recorded.
struct Site(support::Site);

impl Site {
    /// A site whose target is up.
    fn new() -> Self {
        Self(support::Site::new())
    }

    fn set(&self, response: Response) {
        self.0.target.set(response);
    }

    /// Fails the next heartbeats.
    fn fail_next(&self, times: usize) {
        self.0.heartbeats.set_next(vec![Answer::Unavailable; times]);
    }

    /// When heartbeats to `url` arrived, in seconds since the start.
    fn times(&self, url: &str) -> Vec<u64> {
        let times = self.0.heartbeats.times(url);
        times.iter().map(Duration::as_secs).collect()
    }

    /// The same, in seconds since the first of them.
    fn times_since_first(&self, url: &str) -> Vec<u64> {
        let times = self.times(url);
        times.iter().map(|at| at - times[0]).collect()
    }

    /// A plan with a monitor `web` that has a heartbeat.
    fn plan_with_monitor_heartbeat(&self, check_every: u64, heartbeat_every: Option<u64>) -> Plan {
        let policy = Policy {
            heartbeat: heartbeat("web", heartbeat_every),
            ..every(check_every)
        };
        Plan::new("Lab").watch(self.0.target.monitor(watch("web", policy)))
    }

    /// A plan of a site with a heartbeat of its own, every 60 s.
    fn plan(&self) -> Plan {
        let mut plan = Plan::new("Lab").watch(self.0.target.monitor(watch("web", every(10))));
        plan.heartbeat = heartbeat("self", None);
        plan
    }

    fn engine(&self, plan: Plan) -> Engine {
        self.0.engine(plan.heartbeats(self.0.heartbeats.clone()))
    }

    fn start(&self, plan: Plan) -> Daemon {
        Daemon::start(self.engine(plan))
    }

    async fn run(&self, plan: Plan, time: u64) {
        run_for(self.engine(plan), secs(time)).await;
    }

    /// When the site's own heartbeats arrived, in seconds since the start.
    fn own_heartbeats(&self) -> Vec<u64> {
        self.times("self")
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_heartbeat_is_sent_again_within_its_period_only() {
    let site = Site::new();
    site.fail_next(100);
    site.run(site.plan_with_monitor_heartbeat(10, Some(60)), 128)
        .await;
    assert_eq!(
        site.times_since_first("web"),
        [0, 1, 3, 7, 15, 31, 60, 61, 63, 67, 75, 91, 120, 121, 123]
    );
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_sent_again_is_not_sent_a_third_time() {
    let site = Site::new();
    site.fail_next(1);
    site.run(site.plan_with_monitor_heartbeat(10, Some(60)), 100)
        .await;
    assert_eq!(site.times_since_first("web"), [0, 1, 60]);
    let state = site.0.store.state("web");
    assert!(state.last_successful_heartbeat.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_heartbeat_is_not_sent_again_once_the_target_is_down() {
    let site = Site::new();
    site.fail_next(100);
    let daemon = site.start(site.plan_with_monitor_heartbeat(20, Some(300)));
    while site.times("web").is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.set(Response::down("no"));
    sleep(25).await;
    let before = site.times("web").len();
    sleep(100).await;
    assert_eq!(site.times("web").len(), before);
    assert!(before > 1);
    daemon.kill().await;
}

/// Without an interval the next successful check sends its own.
#[tokio::test(start_paused = true)]
async fn without_an_interval_the_period_ends_with_the_next_check() {
    let site = Site::new();
    site.fail_next(3);
    site.run(site.plan_with_monitor_heartbeat(2, None), 12).await;
    // Sent again after 1 s; after the second failure the next check comes first.
    assert_eq!(site.times_since_first("web"), [0, 1, 2, 3, 4, 6, 8, 10]);
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
    site.fail_next(2);
    site.run(site.plan(), 100).await;
    assert_eq!(site.own_heartbeats(), [5, 6, 8, 65]);
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_state_cannot_be_saved() {
    let site = Site::new();
    let store = &site.0.store;
    let daemon = site.start(site.plan());
    sleep(30).await;
    store.set(StoreAnswer::Fails);
    sleep(180).await;
    assert_eq!(site.own_heartbeats(), [5]);
    store.set(StoreAnswer::Stores);
    sleep(60).await;
    assert_eq!(site.own_heartbeats(), [5, 245]);
    store.set(StoreAnswer::Hangs);
    sleep(180).await;
    assert_eq!(site.own_heartbeats(), [5, 245]);
    daemon.kill().await;
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_a_state_is_too_large_for_the_store() {
    let mut limits = StoreLimits::default();
    limits.items = Some(1); // no notification fits together with the state
    let site = Site(support::Site::with_store(MemoryStore::with_limits(limits)));
    let channel = Recorder::answering(Answer::Unavailable);
    site.set(Response::down("no"));
    let daemon = site.start(site.plan().notify("c", channel.clone()));
    sleep(120).await;
    let before = site.own_heartbeats().len();
    assert!(before <= 1, "{before}");
    channel.set(Answer::Accepts);
    sleep(300).await;
    assert!(site.own_heartbeats().len() > before, "delivered at last");
    daemon.kill().await;
}

#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_a_notification_is_stuck() {
    let site = Site::new();
    let channel = Recorder::answering(Answer::Hangs);
    site.set(Response::down("no"));
    let daemon = site.start(site.plan().notify("c", channel.clone()));
    sleep(595).await;
    assert_eq!(site.own_heartbeats().len(), 10, "this long is tolerated");
    sleep(600).await;
    assert_eq!(site.own_heartbeats().len(), 10);
    channel.set(Answer::Accepts);
    sleep(600).await;
    assert!(site.own_heartbeats().len() >= 14, "delivered at last");
    daemon.kill().await;
}

/// Checks run one at a time and take 8 s each: three of them every 10 s start late.
#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_while_checks_start_late() {
    let site = Site::new();
    site.set(Response::Slow(secs(8)));
    let mut plan = site.plan();
    for name in ["b", "c"] {
        plan = plan.watch(site.0.target.monitor(watch(name, every(10))));
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
    site.0.store.set(StoreAnswer::Fails);
    site.set(Response::down("no"));
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
    site.fail_next(100);
    site.0.heartbeats.set_delay(secs(10));
    let daemon = site.start(site.plan());
    sleep(7).await;
    let mut plan = site.plan();
    plan.heartbeat = None;
    daemon.reload(plan.heartbeats(site.0.heartbeats.clone())).await;
    sleep(100).await;
    assert_eq!(site.own_heartbeats(), [5]);
    daemon.kill().await;
}

/// An apmon that ends every six seconds must not seem healthy.
#[tokio::test(start_paused = true)]
async fn no_own_heartbeat_before_a_check_has_ended() {
    let site = Site::new();
    site.set(Response::Silent);
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
        site.0.target.monitor(watch(name, policy))
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
    site.set(Response::Silent);
    sleep(500).await;
    let heartbeats = site.own_heartbeats();
    assert!(heartbeats.len() <= 2, "{heartbeats:?}");
    daemon.kill().await;
}

/// A dead channel uses up the time that a pass has for its outbox.
#[tokio::test(start_paused = true)]
async fn a_pass_with_a_dead_channel_sends_its_own_heartbeat_while_nothing_is_stuck() {
    let site = Site::new();
    site.0.heartbeats.set_delay(Duration::from_millis(200));
    site.set(Response::down("no"));
    let plan = site.plan().notify("c", Recorder::answering(Answer::Hangs));
    site.engine(plan).pass().await.unwrap();
    assert_eq!(site.own_heartbeats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_checks_wait_for_one_another_sends_its_own_heartbeat() {
    let site = Site::new();
    site.set(Response::Slow(secs(1)));
    let mut plan = site.plan();
    for i in 0..10 {
        plan = plan.watch(site.0.target.monitor(watch(&format!("m{i}"), every(60))));
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
    site.0.heartbeats.set_delay(secs(100));
    let daemon = site.start(site.plan_with_monitor_heartbeat(1, None));
    sleep(300).await;
    daemon.kill().await;
    assert!(site.0.heartbeats.most_concurrent() <= 2);
}
