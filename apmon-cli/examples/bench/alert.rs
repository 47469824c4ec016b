//! Notifications and heartbeats, over real HTTP on loopback.

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

use crate::{IdleProbe, NullStore, RefusedProbe, ms, plan, print, receiver::Receiver, vmhwm};

/// The deadline of deliveries in a storm.
const STORM_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes all monitors fail at once, with one webhook that works and one that is down.
/// State and notifications are kept in a database in `folder`.
pub(crate) async fn storm(monitors: usize, folder: &Path) -> Result<(), Box<dyn Error>> {
    let probe: Arc<dyn Probe> = Arc::new(RefusedProbe);
    let watch = Stopwatch::start();
    let receiver = Receiver::start(watch)?;
    let path = folder.join("bench.statefile.db");
    let store = Arc::new(RecordingStore {
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
    plan.delivery_timeout = STORM_TIMEOUT;
    let start = watch.elapsed();
    Engine::new(plan, store.clone()).pass().await?;
    let committed = store
        .entries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let expected = monitors * 2;
    let all = committed.iter().find(|(entries, _)| **entries >= expected);
    let all = all.ok_or("not all notifications were committed")?.1;
    let sent = receiver.requests();
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else {
        return Err("no notification was sent".into());
    };
    print("all_committed", ms(*all - start));
    print("first_sent", ms(first.1 - start));
    print("last_sent", ms(last.1 - start));
    print("sent", sent.len() as f64);
    print("vmhwm_kb", vmhwm()?);
    Ok(())
}

/// A store that records when how many notifications had been committed.
struct RecordingStore {
    store: SqliteStore,
    watch: Stopwatch,
    entries: Mutex<BTreeMap<usize, Duration>>,
}

#[async_trait::async_trait]
impl StateStore for RecordingStore {
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

/// Sends heartbeats for `monitors`, each every two seconds, and measures how late they
/// arrive, relative to the earliest on each monitor's grid.
pub(crate) async fn beats(monitors: usize, secs: u64) -> Result<(), Box<dyn Error>> {
    const EVERY: Duration = Duration::from_secs(2);
    let receiver = Receiver::start(Stopwatch::start())?;
    let probe: Arc<dyn Probe> = Arc::new(IdleProbe);
    let plan = (0..monitors).fold(Plan::new("bench"), |plan, i| {
        let mut watch = Watch::new(format!("monitor{i}"), "bench", "192.0.2.1");
        watch.policy = Policy {
            heartbeat: Some(Heartbeat {
                url: Secret::new(receiver.url(&format!("/{i}"))),
                every: Some(EVERY),
                options: None,
            }),
            ..Policy::default()
        };
        plan.watch(Arc::new(ProbeMonitor::new(watch, Arc::clone(&probe))))
    });
    let sender = HttpHeartbeats::new(HttpClient::new(Services::default().names()));
    let engine = Engine::new(plan.heartbeats(Arc::new(sender)), Arc::new(NullStore));
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        handle.shutdown().await;
    });
    report?;
    let mut grids: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for (path, at) in receiver.requests() {
        grids.entry(path).or_default().push(at);
    }
    let mut late = Vec::new();
    for arrivals in grids.values() {
        // Each arrives some time after a multiple of the interval: the least is the phase of
        // the grid, and the rest is the lateness.
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
