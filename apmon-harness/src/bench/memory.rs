//! One pass for cron, and the memory of a large site.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{Row, apmon, cost, median, rig::Rig, write_site};
use crate::{
    fault::{During as _, Fault},
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

/// A first pass without a state file, and the usual one, which continues from a
/// state file.
fn one_pass(folder: &Path) -> Result<Row, Fault> {
    let site = folder.join("one.yaml");
    let state = folder.join("one.statefile.json");
    let kept = folder.join("one.kept.json");
    write_site(
        &site,
        "check_every_n_secs: 1",
        [format!("type: tcp, name: m, address: \"tcp://{}\"", Rig::http(0))].into_iter(),
    )?;
    let mut pass = Command::new(apmon());
    pass.arg("-s").arg(&state).arg(&site);
    let (first, first_peak) = passes(&mut pass, || {
        let _ = fs::remove_file(&state);
        Ok(())
    })?;
    fs::copy(&state, &kept).during("keep the state file")?;
    thread::sleep(Duration::from_secs(2)); // so that the monitor is due
    let (next, next_peak) = passes(&mut pass, || {
        fs::copy(&kept, &state).during("prepare the state file").map(drop)
    })?;
    Ok(Row::new(
        "one pass, one monitor: without a state file; with one",
        format!("{first:.1} ms, {first_peak:.1} MB; {next:.1} ms, {next_peak:.1} MB"),
        "6 ms, 8 MB",
    ))
}

/// CPU milliseconds and peak megabytes of a pass, each after `prepare`.
fn passes(pass: &mut Command, mut prepare: impl FnMut() -> Result<(), Fault>) -> Result<(f64, f64), Fault> {
    let mut costs = Vec::new();
    for _ in 0..3 {
        // The kernel counts children in hundredths of a second, so one pass is too short.
        let before = cost::cpu_of_ended_children()?;
        for _ in 0..PASSES {
            prepare()?;
            if !process::works(pass) {
                return Err(Fault::new("a pass failed"));
            }
        }
        costs.push((cost::cpu_of_ended_children()? - before) * 1000.0 / PASSES as f64);
    }
    let mut peaks = Vec::new();
    for _ in 0..5 {
        prepare()?;
        let output = Command::new(pass.get_program())
            .arg("-vv")
            .args(pass.get_args())
            .output()
            .during("a pass")?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        if !log.contains(": 1 up, ") {
            return Err(Fault::new(format!("a pass did not find its target up:\n{log}")));
        }
        let peak = log
            .split("peak memory ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        peaks.push(peak.ok_or_else(|| Fault::new("a pass did not log its peak memory"))? / 1024.0);
    }
    Ok((median(costs), median(peaks)))
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
        peaks.push(cost::measure(&[&site], Duration::from_secs(7), Duration::from_secs(6))?.peak / 1024.0);
    }
    Ok(Row::new(
        "10,000 monitors resident, each checked once",
        format!("{:.0} MB", median(peaks)),
        "36 MB in the dist profile",
    ))
}

/// 10,000 checks that wait for silent peers, and a hundred responding
/// neighbours: two sites in one daemon, so that each logs its own lateness.
fn waiting(folder: &Path) -> Result<Row, Fault> {
    let neighbours = folder.join("neighbours.yaml");
    write_site(&neighbours, "check_every_n_secs: 1", (0..100).map(monitor))?;
    let dead = |i: usize| {
        format!(
            "type: tcp, name: dead{i}, address: \"tcp://{}\", expect: never",
            Rig::silent(i)
        )
    };
    let head = "check_every_n_secs: 30, max_try_secs: 20, max_retries: 9";
    let others = folder.join("others.yaml");
    let (mut each, mut late, mut late_alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        // The same number of monitors whose targets answer, compared with those that wait.
        write_site(&others, head, (0..MONITORS).map(monitor))?;
        let without = cost::measure(
            &[&neighbours, &others],
            Duration::from_secs(8),
            Duration::from_secs(6),
        )?;
        write_site(&others, head, (0..MONITORS).map(dead))?;
        let with = cost::measure(
            &[&neighbours, &others],
            Duration::from_secs(8),
            Duration::from_secs(6),
        )?;
        each.push((with.peak - without.peak) / MONITORS as f64);
        late.push(with.lateness("neighbours", "p99")?);
        late_alone.push(without.lateness("neighbours", "p99")?);
    }
    Ok(Row::new(
        format!(
            "10,000 waiting on silent peers: memory each (100 neighbours' checks late by p99 {:.1} ms, {:.1} ms beside 10,000 that answer)",
            median(late),
            median(late_alone)
        ),
        format!("{:.1} kB", median(each)),
        "6 kB",
    ))
}
