//! Benchmarks of the engine without probes, and of SNMP polls; `cargo xtask bench` runs
//! them.
//!
//! ```text
//! bench steady MONITORS SECS   one check per second for each monitor, with spread phases
//! bench burst MONITORS DIR     all checks at once, all targets down, state file in DIR
//! bench storm MONITORS DIR     the same with a database, a working webhook and one that is down
//! bench beats MONITORS SECS    a heartbeat every two seconds for each monitor, over loopback
//! bench agent AGENTS PORT      serves switches at 127.1.0.1, 127.1.0.2, ... until killed
//! bench switch                 polls such a switch: round trips
//! bench beside ADDRESS COMMUNITY RUNS   polls an agent, alternating with snmpbulkwalk
//! bench keys                   derives the keys of an SNMPv3 user
//! ```
//!
//! Prints `name=value` lines; times are in milliseconds, memory in kilobytes.

#![allow(clippy::print_stdout)] // the results

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

pub(crate) struct IdleProbe;

#[async_trait::async_trait]
impl Probe for IdleProbe {
    async fn probe(&self, _: &Check) -> Outcome {
        Outcome::up(Duration::ZERO)
    }
}

pub(crate) struct RefusedProbe;

#[async_trait::async_trait]
impl Probe for RefusedProbe {
    async fn probe(&self, _: &Check) -> Outcome {
        Outcome::fail(FailureClass::Refused, "connect: connection refused")
    }
}

pub(crate) struct NullStore;

#[async_trait::async_trait]
impl StateStore for NullStore {
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
    let probe: Arc<dyn Probe> = Arc::new(IdleProbe);
    let engine = Engine::new(plan(monitors, &probe), Arc::new(NullStore));
    let handle = engine.handle();
    let before = cpu()?;
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        handle.shutdown().await;
    });
    let report = report?;
    print("checks", report.checks as f64);
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
    let probe: Arc<dyn Probe> = Arc::new(RefusedProbe);
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

/// The user and system time of this process so far.
pub(crate) fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // After the name: fields 12 and 13 are utime and stime, in hundredths of a second.
    let ticks: u64 =
        fields.get(11).ok_or("stat")?.parse::<u64>()? + fields.get(12).ok_or("stat")?.parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The peak memory of this process.
pub(crate) fn vmhwm() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .ok_or("VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM")?.parse()?)
}
