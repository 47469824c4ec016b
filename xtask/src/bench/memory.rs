//! One pass for cron, and what a large site holds in memory.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Row, apmon, cost, median, rig::Rig, write_site};
use crate::{
    fault::{During, Fault},
    process,
    stopwatch::Stopwatch,
};

const MONITORS: usize = 10_000;
const PASSES: usize = 100;

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    Ok(vec![
        one_pass(folder)?,
        reading(folder)?,
        resident(folder)?,
        waiting(folder)?,
    ])
}

fn one_pass(folder: &Path) -> Result<Row, Fault> {
    let site = folder.join("one.yaml");
    let state = folder.join("one.statefile.json");
    write_site(
        &site,
        "check_every_n_secs: 1",
        [format!("type: tcp, name: m, address: \"tcp://{}\"", Rig::http(0))].into_iter(),
    )?;
    let mut pass = Command::new(apmon());
    pass.arg("-s").arg(&state).arg(&site);
    let mut costs = Vec::new();
    for _ in 0..3 {
        // The kernel counts children in hundredths of a second: many, or nothing is seen.
        let before = cost::cpu_of_ended_children()?;
        for _ in 0..PASSES {
            let _ = std::fs::remove_file(&state); // so that it is due
            if !process::works(&mut pass) {
                return Err(Fault::new("a pass failed"));
            }
        }
        costs.push((cost::cpu_of_ended_children()? - before) * 1000.0 / PASSES as f64);
    }
    let output = Command::new(apmon())
        .arg("-vv")
        .arg("-s")
        .arg(&state)
        .arg(&site)
        .output()
        .during("a pass")?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let peak = log
        .split("peak memory ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let peak = peak.ok_or_else(|| Fault::new("a pass did not say its peak memory"))?;
    Ok(Row::new(
        "one pass, one monitor",
        format!("{:.1} ms, {:.1} MB", median(costs), peak / 1024.0),
        "6 ms, 8 MB",
    ))
}

fn reading(folder: &Path) -> Result<Row, Fault> {
    let site = folder.join("large.yaml");
    write_site(&site, "check_every_n_secs: 3600", (0..MONITORS).map(monitor))?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let watch = Stopwatch::start();
        process::works(
            Command::new(apmon())
                .arg("--test-config")
                .arg(&site)
                .stdout(Stdio::null()),
        );
        times.push(watch.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(Row::new(
        "reading and printing a site of 10,000 monitors",
        format!("{:.0} ms", median(times)),
        "300 ms",
    ))
}

fn monitor(i: usize) -> String {
    format!("type: tcp, name: m{i}, address: \"tcp://{}\"", Rig::http(i))
}

fn resident(folder: &Path) -> Result<Row, Fault> {
    let site = folder.join("large.yaml");
    let mut peaks = Vec::new();
    for _ in 0..3 {
        peaks.push(cost::watch(&site, Duration::from_secs(7), Duration::from_secs(6))?.peak / 1024.0);
    }
    Ok(Row::new(
        "10,000 monitors resident, each looked at once",
        format!("{:.0} MB", median(peaks)),
        "40 MB",
    ))
}

/// 10,000 looks that hang on silent peers, and a hundred living neighbours.
fn waiting(folder: &Path) -> Result<Row, Fault> {
    let living = |i: usize| format!("{}, check_every_n_secs: 1", monitor(i));
    let dead = |i: usize| {
        format!(
            "type: tcp, name: dead{i}, address: \"tcp://{}\", expect: never",
            Rig::silent(i)
        )
    };
    let head = "check_every_n_secs: 30, max_try_secs: 20, max_retries: 9";
    let site = folder.join("waiting.yaml");
    let (mut each, mut late, mut late_alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        // The same number of monitors that answer at once, against those that wait.
        let answering = |i: usize| format!("type: tcp, name: m{i}, address: \"tcp://{}\"", Rig::http(i));
        write_site(
            &site,
            head,
            (0..100).map(living).chain((100..MONITORS + 100).map(answering)),
        )?;
        let without = cost::watch(&site, Duration::from_secs(8), Duration::from_secs(6))?;
        write_site(&site, head, (0..100).map(living).chain((0..MONITORS).map(dead)))?;
        let with = cost::watch(&site, Duration::from_secs(8), Duration::from_secs(6))?;
        each.push((with.peak - without.peak) / MONITORS as f64);
        late.push(cost::quantile(&with.last_words, "p99"));
        late_alone.push(cost::quantile(&without.last_words, "p99"));
    }
    Ok(Row::new(
        format!(
            "10,000 waiting on silent peers: memory each (lateness p99 {:.1} ms, {:.1} ms when all answer)",
            median(late),
            median(late_alone)
        ),
        format!("{:.1} kB", median(each)),
        "6 kB",
    ))
}
