//! Measures the engine without probes: `cargo xtask bench` runs it.
//!
//! ```text
//! bench steady MONITORS SECS   one check a second each, phases spread
//! bench burst MONITORS DIR     all check at once, all find their target down, state file in DIR
//! bench storm MONITORS DIR     the same with a database, a webhook that takes messages and one that is away
//! bench beats MONITORS SECS    a heartbeat each every two seconds, to a receiver on loopback
//! bench agent AGENTS PORT      switches at 127.1.0.1, 127.1.0.2, ... until it is ended
//! bench switch                 polls of such a switch: round trips
//! bench beside ADDRESS COMMUNITY RUNS   polls of an agent, and in turn snmpbulkwalk
//! bench keys                   making the keys of a user of SNMPv3
//! ```
//!
//! Prints `name=value` lines; times are in milliseconds, memory in kilobytes.

#![allow(clippy::print_stdout)] // its figures

mod agent;
mod alert;
mod receiver;
mod snmp;

use std::{error::Error, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use apmon_core::{
    Check, Commit, Engine, FailureClass, Outcome, Plan, Policy, Probe, ProbeMonitor, Snapshot, StateStore,
    Stopwatch, StoreError, Watch,
};
use apmon_store::JsonStore;

pub(crate) struct Idle;

#[async_trait::async_trait]
impl Probe for Idle {
    async fn probe(&self, _: &Check) -> Outcome {
        Outcome::up(Duration::ZERO)
    }
}

pub(crate) struct Refused;

#[async_trait::async_trait]
impl Probe for Refused {
    async fn probe(&self, _: &Check) -> Outcome {
        Outcome::fail(FailureClass::Refused, "connect: connection refused")
    }
}

pub(crate) struct Nowhere;

#[async_trait::async_trait]
impl StateStore for Nowhere {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }
    async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) fn plan(monitors: usize, probe: &Arc<dyn Probe>) -> Plan {
    let policy = Policy {
        check_every: Duration::from_secs(1),
        max_retries: NonZeroU32::MIN,
        ..Policy::default()
    };
    (0..monitors).fold(Plan::new("bench"), |plan, i| {
        let watch = Watch {
            policy: policy.clone(),
            ..Watch::new(format!("monitor{i}"), "bench", "192.0.2.1")
        };
        plan.watch(Arc::new(ProbeMonitor::new(watch, Arc::clone(probe))))
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["steady", monitors, secs] => steady(monitors.parse()?, secs.parse()?).await,
        ["burst", monitors, folder] => burst(monitors.parse()?, Path::new(folder)).await,
        ["storm", monitors, folder] => alert::storm(monitors.parse()?, Path::new(folder)).await,
        ["beats", monitors, secs] => alert::beats(monitors.parse()?, secs.parse()?).await,
        ["agent", agents, port] => agent::serve(agents.parse()?, port.parse()?).await,
        ["switch"] => snmp::switch().await,
        ["beside", address, community, runs] => {
            snmp::beside(address.parse()?, community, runs.parse()?).await
        }
        ["keys"] => {
            snmp::keys();
            Ok(())
        }
        _ => Err("bench steady|beats MONITORS SECS | bench burst|storm MONITORS DIR | bench agent AGENTS PORT | bench switch|keys | bench beside ADDRESS COMMUNITY RUNS".into()),
    }
}

async fn steady(monitors: usize, secs: u64) -> Result<(), Box<dyn Error>> {
    let probe: Arc<dyn Probe> = Arc::new(Idle);
    let engine = Engine::new(plan(monitors, &probe), Arc::new(Nowhere));
    let handle = engine.handle();
    let before = cpu()?;
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        handle.shutdown().await;
    });
    let report = report?;
    print("looks", report.checks as f64);
    print("p50", ms(report.lateness.quantile(0.5)));
    print("p99", ms(report.lateness.quantile(0.99)));
    print("p999", ms(report.lateness.quantile(0.999)));
    print("max", ms(report.lateness.max()));
    print("missed", report.missed as f64);
    print("cpu_per_check", ms(cpu()? - before) / report.checks as f64);
    print("vmhwm_kb", vmhwm()?);
    Ok(())
}

async fn burst(monitors: usize, folder: &Path) -> Result<(), Box<dyn Error>> {
    let probe: Arc<dyn Probe> = Arc::new(Refused);
    let store = Arc::new(JsonStore::open(
        folder.join("bench.statefile.json"),
        jiff::tz::TimeZone::UTC,
        None,
    )?);
    let engine = Engine::new(plan(monitors, &probe), store);
    let watch = Stopwatch::start();
    let report = engine.pass().await?;
    print("all_committed", ms(watch.elapsed()));
    print("down", report.down as f64);
    print("p99", ms(report.lateness.quantile(0.99)));
    print("max", ms(report.lateness.max()));
    print("vmhwm_kb", vmhwm()?);
    Ok(())
}

pub(crate) fn print(name: &str, value: f64) {
    println!("{name}={value:.4}");
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// User and system time of this process so far.
pub(crate) fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // After the name: field 12 and 13 are utime and stime, in hundredths.
    let ticks: u64 =
        fields.get(11).ok_or("stat")?.parse::<u64>()? + fields.get(12).ok_or("stat")?.parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory this process ever held.
pub(crate) fn vmhwm() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .ok_or("VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM")?.parse()?)
}
