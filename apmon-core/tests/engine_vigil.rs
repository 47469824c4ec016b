//! Signs of life: those that fail are sent again within their period, and the
//! engine vouches for itself only while it is well.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod support;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{DeliveryError, Engine, Heartbeat, HeartbeatSender, Plan, Policy, Secret, SystemClock};
use async_trait::async_trait;
use support::{Condition, Memory, Recorder, Target, clock, every, run_for, secs, watch};
use tokio::time::Instant;

/// An outside watcher.
struct Watcher {
    start: Instant,
    beats: Mutex<Vec<(String, u64)>>,
    /// So long an answer takes.
    delay: Mutex<Duration>,
    /// How many requests are under way, and were at most.
    most: Mutex<(usize, usize)>,
    /// Answers to the next; `Ok` when empty.
    answers: Mutex<VecDeque<Result<(), DeliveryError>>>,
}

impl Watcher {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            beats: Mutex::default(),
            delay: Mutex::default(),
            most: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    fn fails(&self, times: usize) {
        let failure = Err(DeliveryError::retryable("503"));
        self.answers.lock().unwrap().extend(vec![failure; times]);
    }

    /// Seconds since the start of requests to `url`.
    fn beats(&self, url: &str) -> Vec<u64> {
        let beats = self.beats.lock().unwrap();
        let of_it = beats.iter().filter(|(to, _)| to == url);
        of_it.map(|(_, at)| *at).collect()
    }
}

#[async_trait]
impl HeartbeatSender for Watcher {
    async fn send(&self, url: &Secret, timeout: Duration) -> Result<(), DeliveryError> {
        let at = self.start.elapsed().as_secs();
        self.beats.lock().unwrap().push((url.reveal().to_owned(), at));
        {
            let mut most = self.most.lock().unwrap();
            most.0 += 1;
            most.1 = most.1.max(most.0);
        }
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay.min(timeout)).await;
        self.most.lock().unwrap().0 -= 1;
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

fn heartbeat(url: &str, every: Option<u64>) -> Option<Heartbeat> {
    Some(Heartbeat {
        url: Secret::new(url),
        every: every.map(secs),
    })
}

struct Site {
    clock: Arc<SystemClock>,
    target: Arc<Target>,
    store: Arc<Memory>,
    watcher: Arc<Watcher>,
}

impl Site {
    fn new() -> Self {
        Self {
            clock: clock(),
            target: Target::new(),
            store: Memory::new(),
            watcher: Watcher::new(),
        }
    }

    fn monitor(&self, check: u64, beat: Option<u64>) -> Plan {
        let policy = Policy {
            heartbeat: heartbeat("web", beat),
            ..every(check)
        };
        Plan::new("Lab").watch(self.target.monitor(watch("web", policy)))
    }

    /// A site that vouches for itself every 60 s.
    fn vouching(&self) -> Plan {
        let mut plan = Plan::new("Lab").watch(self.target.monitor(watch("web", every(10))));
        plan.heartbeat = heartbeat("self", None);
        plan
    }

    /// The plan, with heartbeats that go to the watcher.
    fn watched(&self, plan: Plan) -> Plan {
        plan.heartbeats(self.watcher.clone())
    }

    fn engine(&self, plan: Plan) -> Engine {
        Engine::new(self.watched(plan), self.store.clone()).clock(self.clock.clone())
    }

    async fn run(&self, plan: Plan, time: u64) {
        run_for(self.engine(plan), secs(time)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_fails_is_sent_again_within_its_period_only() {
    let site = Site::new();
    site.watcher.fails(100);
    site.run(site.monitor(10, Some(60)), 128).await;
    let beats = site.watcher.beats("web");
    let first = beats[0];
    let since: Vec<_> = beats.iter().map(|at| at - first).collect();
    assert_eq!(
        since,
        [0, 1, 3, 7, 15, 31, 60, 61, 63, 67, 75, 91, 120, 121, 123],
        "{beats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_failed_once_is_not_sent_twice() {
    let site = Site::new();
    site.watcher.fails(1);
    site.run(site.monitor(10, Some(60)), 100).await;
    let beats = site.watcher.beats("web");
    let since: Vec<_> = beats.iter().map(|at| at - beats[0]).collect();
    assert_eq!(since, [0, 1, 60]);
    assert!(site.store.state("web").last_successful_heartbeat.is_some());
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_is_sent_again_for_what_is_down_meanwhile() {
    let site = Site::new();
    site.watcher.fails(100);
    let running = tokio::spawn(site.engine(site.monitor(20, Some(300))).run());
    while site.watcher.beats("web").is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.target.set(Condition::Down("no".into()));
    tokio::time::sleep(secs(25)).await;
    let before = site.watcher.beats("web").len();
    tokio::time::sleep(secs(100)).await;
    assert_eq!(site.watcher.beats("web").len(), before);
    assert!(before > 1);
    running.abort();
}

/// Without a grid the next good look has its own.
#[tokio::test(start_paused = true)]
async fn without_an_interval_the_period_ends_with_the_next_look() {
    let site = Site::new();
    site.watcher.fails(3);
    site.run(site.monitor(2, None), 12).await;
    let beats = site.watcher.beats("web");
    let since: Vec<_> = beats.iter().map(|at| at - beats[0]).collect();
    // Sent again after 1 s; after the second failure the next look comes first.
    assert_eq!(since, [0, 1, 2, 3, 4, 6, 8, 10], "{beats:?}");
}

#[tokio::test(start_paused = true)]
async fn the_engine_vouches_for_itself_once_a_minute() {
    let site = Site::new();
    site.run(site.vouching(), 200).await;
    assert_eq!(site.watcher.beats("self"), [5, 65, 125, 185]);
}

#[tokio::test(start_paused = true)]
async fn its_own_heartbeat_is_sent_again_too() {
    let site = Site::new();
    site.watcher.fails(2);
    site.run(site.vouching(), 100).await;
    assert_eq!(site.watcher.beats("self"), [5, 6, 8, 65]);
}

#[tokio::test(start_paused = true)]
async fn it_does_not_vouch_while_state_cannot_be_saved() {
    let site = Site::new();
    let running = tokio::spawn(site.engine(site.vouching()).run());
    tokio::time::sleep(secs(30)).await;
    *site.store.fails.lock().unwrap() = true;
    tokio::time::sleep(secs(180)).await;
    assert_eq!(site.watcher.beats("self"), [5]);
    *site.store.fails.lock().unwrap() = false;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(site.watcher.beats("self"), [5, 245]);
    *site.store.hangs.lock().unwrap() = true;
    tokio::time::sleep(secs(180)).await;
    assert_eq!(site.watcher.beats("self"), [5, 245]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn it_does_not_vouch_while_a_message_is_stuck() {
    let site = Site::new();
    let channel = Recorder::new(&site.clock);
    *channel.hangs.lock().unwrap() = true;
    site.target.set(Condition::Down("no".into()));
    let plan = site.vouching().notify("c", channel.clone());
    let running = tokio::spawn(site.engine(plan).run());
    tokio::time::sleep(secs(595)).await;
    assert_eq!(site.watcher.beats("self").len(), 10, "so long it may take");
    tokio::time::sleep(secs(600)).await;
    assert_eq!(site.watcher.beats("self").len(), 10);
    *channel.hangs.lock().unwrap() = false;
    tokio::time::sleep(secs(600)).await;
    assert!(site.watcher.beats("self").len() >= 14, "out at last");
    running.abort();
}

/// One look at a time, and each takes 20 s: the second of two starts late.
#[tokio::test(start_paused = true)]
async fn it_does_not_vouch_while_looks_start_late() {
    let site = Site::new();
    site.target.set(Condition::Slow(secs(8)));
    let mut plan = site.vouching();
    for name in ["b", "c"] {
        plan = plan.watch(site.target.monitor(watch(name, every(10))));
    }
    plan.max_concurrent = NonZeroUsize::new(1);
    site.run(plan, 300).await;
    assert!(
        site.watcher.beats("self").len() <= 1,
        "{:?}",
        site.watcher.beats("self")
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_vouches_once_at_its_end() {
    let site = Site::new();
    site.engine(site.vouching()).pass().await.unwrap();
    assert_eq!(site.watcher.beats("self").len(), 1);
    *site.store.fails.lock().unwrap() = true;
    site.target.set(Condition::Down("no".into()));
    tokio::time::sleep(secs(60)).await;
    site.engine(site.vouching()).pass().await.unwrap();
    assert_eq!(site.watcher.beats("self").len(), 1, "what it found is lost");
}

#[tokio::test(start_paused = true)]
async fn who_tells_nobody_vouches_for_nothing() {
    let site = Site::new();
    let mut plan = site.vouching();
    plan.no_notify = true;
    site.run(plan, 100).await;
    assert!(site.watcher.beats("self").is_empty());
}

/// The heartbeat is taken out of the site file while a request is under way,
/// which then fails. A loop that turns without end would never let time pass.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_taken_out_while_it_fails_is_forgotten() {
    let site = Site::new();
    site.watcher.fails(100);
    *site.watcher.delay.lock().unwrap() = secs(10);
    let engine = site.engine(site.vouching());
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    tokio::time::sleep(secs(7)).await;
    let mut plan = site.vouching();
    plan.heartbeat = None;
    handle.reload(site.watched(plan)).await.unwrap();
    tokio::time::sleep(secs(100)).await;
    assert_eq!(site.watcher.beats("self"), [5]);
    running.abort();
}

/// An apmon that ends every six seconds must not look well.
#[tokio::test(start_paused = true)]
async fn it_does_not_vouch_before_anything_was_looked_at() {
    let site = Site::new();
    site.target.set(Condition::Silent);
    let running = tokio::spawn(site.engine(site.vouching()).run());
    tokio::time::sleep(secs(20)).await;
    assert!(site.watcher.beats("self").is_empty());
    running.abort();
}

/// One look at a time, and that one never ends: nothing is watched.
#[tokio::test(start_paused = true)]
async fn it_does_not_vouch_while_looks_wait_for_one_that_does_not_end() {
    let site = Site::new();
    let slow = |name| {
        let policy = Policy {
            max_try: secs(600),
            ..every(10)
        };
        site.target.monitor(watch(name, policy))
    };
    let mut plan = site.vouching();
    plan.monitors.clear();
    let plan = ["a", "b", "c"]
        .into_iter()
        .fold(plan, |plan, name| plan.watch(slow(name)));
    let plan = Plan {
        max_concurrent: NonZeroUsize::new(1),
        ..plan
    };
    let running = tokio::spawn(site.engine(plan).run());
    tokio::time::sleep(secs(60)).await;
    assert_eq!(site.watcher.beats("self"), [5]);
    site.target.set(Condition::Silent);
    tokio::time::sleep(secs(500)).await;
    assert!(
        site.watcher.beats("self").len() <= 2,
        "{:?}",
        site.watcher.beats("self")
    );
    running.abort();
}

/// A dead channel takes all the time that a pass has for its outbox.
#[tokio::test(start_paused = true)]
async fn a_pass_with_a_dead_channel_still_vouches_while_nothing_is_stuck() {
    let site = Site::new();
    let channel = Recorder::new(&site.clock);
    *channel.hangs.lock().unwrap() = true;
    *site.watcher.delay.lock().unwrap() = Duration::from_millis(200);
    site.target.set(Condition::Down("no".into()));
    let plan = site.vouching().notify("c", channel);
    site.engine(plan).pass().await.unwrap();
    assert_eq!(site.watcher.beats("self").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_looks_wait_for_one_another_is_well() {
    let site = Site::new();
    site.target.set(Condition::Slow(secs(1)));
    let mut plan = site.vouching();
    for i in 0..10 {
        plan = plan.watch(site.target.monitor(watch(&format!("m{i}"), every(60))));
    }
    plan.max_concurrent = NonZeroUsize::new(1);
    site.engine(plan).pass().await.unwrap();
    assert_eq!(site.watcher.beats("self").len(), 1);
}

/// Without an interval each good look has a heartbeat: a watcher that hangs must
/// not gather one for each.
#[tokio::test(start_paused = true)]
async fn heartbeats_to_a_watcher_that_hangs_do_not_pile_up() {
    let site = Site::new();
    *site.watcher.delay.lock().unwrap() = secs(100);
    let running = tokio::spawn(site.engine(site.monitor(1, None)).run());
    tokio::time::sleep(secs(300)).await;
    running.abort();
    assert!(site.watcher.most.lock().unwrap().1 <= 2);
}
