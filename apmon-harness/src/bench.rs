//! `cargo xtask bench`: the cost of a check, compared with other tools of the
//! field in the same run. Figures are medians; nothing here passes or fails.

mod alert;
mod bare;
mod cost;
mod dead;
mod engine;
mod field;
mod hostile;
mod memory;
mod names;
mod peer;
mod rig;
pub(crate) mod rrd;
mod snmp;
mod space;

use std::{fs, path::Path};

use crate::{
    fault::{During, Fault},
    process, workspace,
};

/// One line of the table.
struct Row {
    work: String,
    measured: String,
    budget: &'static str,
    peers: String,
}

impl Row {
    fn new(work: impl Into<String>, measured: impl Into<String>, budget: &'static str) -> Self {
        Self {
            work: work.into(),
            measured: measured.into(),
            budget,
            peers: "-".into(),
        }
    }

    fn beside(mut self, peers: impl Into<String>) -> Self {
        self.peers = peers.into();
        self
    }
}

/// Runs every part, or the one whose title begins with the argument.
pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let only = match arguments {
        [] => "",
        [only] => only.as_str(),
        _ => {
            return Err(Fault::new(
                "takes the beginning of one part's title, or nothing for all parts",
            ));
        }
    };
    process::run(process::cargo().args([
        "build",
        "--release",
        "-p",
        "apmon-cli",
        "--bins",
        "--example",
        "bench",
    ]))?;
    let folder = workspace::scratch("bench")?;
    let rig = rig::Rig::start(&folder)?;
    let mut rows = Vec::new();
    let parts: &[(&str, Part)] = &[
        ("the engine alone", engine::rows),
        ("checks of each kind, and the peers", field::rows),
        ("alerts", alert::rows),
        ("one pass, and memory", memory::rows),
        ("targets that never answer", dead::rows),
        ("hostile servers", hostile::rows),
        ("names that do not resolve", names::rows),
        ("snmp", snmp::rows),
        ("rrd files", rrd::rows),
    ];
    for (title, part) in parts.iter().filter(|(title, _)| title.starts_with(only)) {
        println!("== {title}");
        rows.extend(part(&folder, &rig)?);
    }
    drop(rig);
    workspace::leave(&folder);
    print(&rows);
    Ok(())
}

type Part = fn(&Path, &rig::Rig) -> Result<Vec<Row>, Fault>;

fn print(rows: &[Row]) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{cores} cores; CPU time is the prober's own, user and system; medians of several runs\n");
    println!("| work | measured | budget | peers in the same run |\n|---|---|---|---|");
    for Row {
        work,
        measured,
        budget,
        peers,
    } in rows
    {
        println!("| {work} | {measured} | {budget} | {peers} |");
    }
}

fn apmon() -> std::path::PathBuf {
    workspace::root().join("target/release/apmon")
}

/// The median.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Writes a site file of many monitors; `head` holds the site's options.
fn write_site(path: &Path, head: &str, monitors: impl Iterator<Item = String>) -> Result<(), Fault> {
    let list: String = monitors.map(|monitor| format!("  - {{{monitor}}}\n")).collect();
    fs::write(path, format!("site: {{name: bench, {head}}}\nmonitors:\n{list}"))
        .during(format!("write {}", path.display()))
}
