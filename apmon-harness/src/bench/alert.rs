//! Notifications and heartbeats, by HTTP on loopback.

use std::{collections::HashMap, fs, path::Path, process::Command};

use super::{
    Row,
    engine::{figures, program},
    median,
    rig::Rig,
};
use crate::fault::{During as _, Fault};

const RUNS: usize = 3;

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let mut storms = Vec::new();
    for run in 0..RUNS {
        let fresh = folder.join(format!("storm{run}"));
        fs::create_dir_all(&fresh).during(format!("make {}", fresh.display()))?;
        storms.push(figures(
            Command::new(program()).args(["storm", "10000"]).arg(&fresh),
        )?);
    }
    let mut beats = Vec::new();
    for _ in 0..RUNS {
        beats.push(figures(Command::new(program()).args(["beats", "1000", "15"]))?);
    }
    let of = |runs: &[HashMap<String, f64>], name: &str| {
        median(runs.iter().filter_map(|run| run.get(name).copied()).collect())
    };
    Ok(vec![
        Row::new(
            "10,000 failing at once, two channels: all 20,000 notifications on disk; the first and the last at the receiver; peak memory",
            format!(
                "{:.0} ms; {:.0} ms, {:.0} ms; {:.0} MB",
                of(&storms, "all_committed"),
                of(&storms, "first_sent"),
                of(&storms, "last_sent"),
                of(&storms, "vmhwm_kb") / 1000.0
            ),
            "1 s; 2 s, -; -",
        ),
        Row::new(
            "1,000 heartbeats each 2 s, late at the receiver, p99 / latest",
            format!("{:.1} / {:.1} ms", of(&beats, "p99"), of(&beats, "max")),
            "10 ms",
        ),
    ])
}
