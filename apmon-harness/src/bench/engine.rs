//! The engine without a network.

use std::{collections::HashMap, fs, path::Path, process::Command};

use super::{Row, median, rig::Rig};
use crate::{
    fault::{During, Fault},
    process, workspace,
};

const RUNS: usize = 3;

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let mut steady = Vec::new();
    for _ in 0..RUNS {
        steady.push(figures(Command::new(program()).args(["steady", "10000", "10"]))?);
    }
    let mut burst = Vec::new();
    for run in 0..RUNS {
        let fresh = folder.join(format!("burst{run}"));
        fs::create_dir_all(&fresh).during(format!("make {}", fresh.display()))?;
        burst.push(figures(
            Command::new(program()).args(["burst", "10000"]).arg(&fresh),
        )?);
    }
    let of = |runs: &[HashMap<String, f64>], name: &str| {
        median(runs.iter().filter_map(|run| run.get(name).copied()).collect())
    };
    Ok(vec![
        Row::new(
            "engine alone, a no-op check",
            format!("{:.4} ms", of(&steady, "cpu_per_check")),
            "0.02 ms",
        ),
        Row::new(
            "lateness at 10,000 checks/s, p99 / p99.9, phases spread",
            format!("{:.1} / {:.1} ms", of(&steady, "p99"), of(&steady, "p999")),
            "3 / 10 ms",
        ),
        Row::new(
            "the same, all 10,000 due in one moment, p99",
            format!("{:.0} ms", of(&burst, "p99")),
            "40 ms",
        ),
        Row::new(
            "10,000 failing at once, checked, decided and on disk",
            format!("{:.0} ms", of(&burst, "all_committed")),
            "250 ms",
        ),
    ])
}

pub(super) fn program() -> std::path::PathBuf {
    workspace::root().join("target/release/examples/bench")
}

/// Runs a command and reads its `name=value` lines.
pub(super) fn figures(command: &mut Command) -> Result<HashMap<String, f64>, Fault> {
    let text = process::output(command)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect())
}
