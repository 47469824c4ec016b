//! Messages and signs of life, by real HTTP on loopback.

use std::{
    collections::BTreeMap,
    error::Error,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{
    Channel, Commit, Engine, Heartbeat, Plan, Policy, Probe, ProbeMonitor, Secret, Services, Snapshot,
    StateStore, Stopwatch, StoreError, Watch,
};
use apmon_notify::{HttpClient, HttpHeartbeats, RequestEncoding, RequestMethod, Webhook, WebhookOptions};
use apmon_store::SqliteStore;

use crate::{Idle, Nowhere, Refused, ms, plan, print, receiver::Receiver, vmhwm};

/// How long a storm is watched.
const STORM: Duration = Duration::from_secs(20);

/// All monitors fail in one moment; one webhook takes its messages, another is
/// away. State and messages go to a database in `folder`.
pub(crate) async fn storm(monitors: usize, folder: &Path) -> Result<(), Box<dyn Error>> {
    let probe: Arc<dyn Probe> = Arc::new(Refused);
    let watch = Stopwatch::start();
    let receiver = Receiver::start(watch)?;
    let path = folder.join("bench.statefile.db");
    let store = Arc::new(Noting {
        store: SqliteStore::open(&path, jiff::tz::TimeZone::UTC, None)?,
        watch,
        entries: Mutex::default(),
    });
    let mut plan = plan(monitors, &probe);
    for (id, url) in [
        ("webhook:here", receiver.url("/hook")),
        ("webhook:away", "http://127.0.0.1:1/hook".to_owned()),
    ] {
        let options = WebhookOptions {
            endpoint_url: Some(Secret::new(url)),
            request_method: Some(RequestMethod::Post),
            request_encoding: Some(RequestEncoding::Json),
            ..WebhookOptions::default()
        };
        let webhook = Webhook::new(
            &options,
            HttpClient::new(Services::default().names()),
            Duration::from_secs(20),
        )?;
        plan.channels.push(Channel::new(id, Arc::new(webhook)));
    }
    plan.delivery_timeout = STORM;
    let began = watch.elapsed();
    Engine::new(plan, store.clone()).pass().await?;
    let committed = store
        .entries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let wanted = monitors * 2;
    let all = committed.iter().find(|(entries, _)| **entries >= wanted);
    let all = all.ok_or("not all messages were committed")?.1;
    let sent = receiver.seen();
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else {
        return Err("no message was sent".into());
    };
    print("all_committed", ms(*all - began));
    print("first_sent", ms(first.1 - began));
    print("last_sent", ms(last.1 - began));
    print("sent", sent.len() as f64);
    print("vmhwm_kb", vmhwm()?);
    Ok(())
}

/// A store, and when how many messages had come to rest in it.
struct Noting {
    store: SqliteStore,
    watch: Stopwatch,
    entries: Mutex<BTreeMap<usize, Duration>>,
}

#[async_trait::async_trait]
impl StateStore for Noting {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.store.load().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.commit(commit).await?;
        let new = commit.outbox.iter().filter(|entry| entry.attempts == 0).count();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.last_key_value().map_or(0, |(sum, _)| *sum);
        entries
            .entry(before + new)
            .or_insert_with(|| self.watch.elapsed());
        Ok(())
    }

    fn keeps_history(&self) -> bool {
        true
    }
}

/// Heartbeats of `monitors`, each every two seconds: how late they arrive,
/// against the earliest on each one's grid.
pub(crate) async fn beats(monitors: usize, secs: u64) -> Result<(), Box<dyn Error>> {
    const EVERY: Duration = Duration::from_secs(2);
    let receiver = Receiver::start(Stopwatch::start())?;
    let probe: Arc<dyn Probe> = Arc::new(Idle);
    let plan = (0..monitors).fold(Plan::new("bench"), |plan, i| {
        let mut watch = Watch::new(format!("monitor{i}"), "bench", "192.0.2.1");
        watch.policy = Policy {
            heartbeat: Some(Heartbeat {
                url: Secret::new(receiver.url(&format!("/{i}"))),
                every: Some(EVERY),
            }),
            ..Policy::default()
        };
        plan.watch(Arc::new(ProbeMonitor::new(watch, Arc::clone(&probe))))
    });
    let sender = HttpHeartbeats::new(HttpClient::new(Services::default().names()));
    let engine = Engine::new(plan.heartbeats(Arc::new(sender)), Arc::new(Nowhere));
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        handle.shutdown().await;
    });
    report?;
    let mut grids: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for (path, at) in receiver.seen() {
        grids.entry(path).or_default().push(at);
    }
    let mut late = Vec::new();
    for arrivals in grids.values() {
        // On a grid each is so long after a multiple of the interval, and late by the rest.
        let first = arrivals.first().copied().unwrap_or_default();
        let offset = |(k, at): (usize, &Duration)| {
            let k = u32::try_from(k).unwrap_or(u32::MAX);
            at.as_secs_f64() - first.as_secs_f64() - (EVERY * k).as_secs_f64()
        };
        let offsets: Vec<f64> = arrivals.iter().enumerate().map(offset).collect();
        let least = offsets.iter().copied().fold(f64::INFINITY, f64::min);
        late.extend(offsets.iter().map(|offset| (offset - least) * 1000.0));
    }
    late.sort_by(f64::total_cmp);
    let at = |share: f64| {
        late.get((late.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    print("beats", late.len() as f64);
    print("p50", at(0.5));
    print("p99", at(0.99));
    print("max", late.last().copied().unwrap_or(f64::NAN));
    Ok(())
}
