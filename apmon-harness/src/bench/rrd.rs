//! Values through the worker that runs librrd, beside `rrdtool -`, and what a large site writes.

use std::{
    fs,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use apmon_rrd::{
    Consolidation, DataSource, Librrd, Pending, Point, Round, RrdError, Schema, SourceKind, Update, Value,
};

use super::{Row, cost, median, rig::Rig};
use crate::{
    fault::{During as _, Fault},
    process,
    stopwatch::Stopwatch,
};

/// The verb with which this program is the worker.
pub(crate) const WORKER: &str = "rrd-worker";

/// The moment before the first value, at the beginning of a day.
const START: i64 = 1_699_920_000;
const STEP: i64 = 60;
/// Files of the comparison, and the values that each of them gets in a run.
const FILES: usize = 50;
const POINTS: i64 = 400;
/// How many updates may be on their way.
const OPEN: usize = 1024;
const BATCH: i64 = 5;
const RUNS: usize = 3;
/// A large site, and how often it flushes five steps while it is measured.
const MANY: usize = 10_000;
const FLUSHES: i64 = 4;
const SECONDS_A_DAY: f64 = 86_400.0;

pub(super) fn rows(folder: &Path, _: &Rig) -> Result<Vec<Row>, Fault> {
    let folder = folder.join("rrd");
    fs::create_dir_all(&folder).during("create the folder of the RRD files")?;
    let mut rows = compare(&folder)?;
    rows.push(site(
        &folder,
        "small",
        MANY,
        small(),
        "5 % of a core, 100 GB/day",
    )?);
    rows.push(site(&folder, "full", MANY / 10, full(), "-")?);
    fs::remove_dir_all(&folder).during("remove the RRD files")?;
    Ok(rows)
}

/// The archives of a file for availability at a step of a minute.
fn schema(native: u64, five: u64, thirty: u64, hour: u64, day: u64) -> Schema {
    let source = |name: &str, max| DataSource {
        name: name.to_owned(),
        kind: SourceKind::Gauge,
        heartbeat: 120,
        min: Some(0.0),
        max,
    };
    let round = |consolidation, steps, rows| Round {
        consolidation,
        xff: 0.5,
        steps,
        rows,
    };
    Schema {
        step: STEP.unsigned_abs(),
        sources: vec![source("response_time", None), source("is_up", Some(100.0))],
        rounds: vec![
            round(Consolidation::Average, 1, native),
            round(Consolidation::Min, 1, native),
            round(Consolidation::Max, 1, native),
            round(Consolidation::Average, 5, five),
            round(Consolidation::Average, 30, thirty),
            round(Consolidation::Average, 60, hour),
            round(Consolidation::Average, 1440, day),
            round(Consolidation::Min, 5, five),
            round(Consolidation::Max, 5, five),
        ],
    }
}

fn full() -> Schema {
    schema(44_640, 18_600, 18_600, 43_830, 22_692)
}

fn small() -> Schema {
    schema(2_880, 4_032, 2_880, 17_520, 1_826)
}

/// A worker whose number is known.
struct Worker {
    librrd: Librrd,
    id: u32,
}

impl Worker {
    fn start(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("worker.pid");
        let program = std::env::current_exe().during("find this program")?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\"; exec \"$1\" \"$2\""]);
        command.arg(&file).arg(program).arg(WORKER);
        let librrd = Librrd::worker(command);
        librrd.version().map_err(fault)?;
        let id = fs::read_to_string(&file).during("read the worker's number")?;
        let id = id.trim().parse();
        Ok(Self {
            librrd,
            id: id.map_err(|_| Fault::new("the worker has no number"))?,
        })
    }

    /// Creates files.
    fn create(&self, folder: &Path, count: usize, schema: &Schema) -> Result<Vec<PathBuf>, Fault> {
        let files: Vec<_> = (0..count).map(|i| folder.join(format!("{i}.rrd"))).collect();
        for file in &files {
            self.librrd.create(file, schema, START).map_err(fault)?;
        }
        Ok(files)
    }

    /// Stores a batch of points in each file, as many updates on their way as may be.
    fn store(&self, files: &[PathBuf], first: i64, points: i64) -> Result<(), Fault> {
        let mut pending = std::collections::VecDeque::new();
        let settle = |pending: Pending| match pending.wait() {
            Ok(updated) if updated.refused.is_empty() => Ok(()),
            Ok(updated) => Err(Fault::new(format!("values were refused: {:?}", updated.refused))),
            Err(error) => Err(fault(error)),
        };
        for file in files {
            if pending.len() == OPEN {
                pending.drain(..OPEN / 2).try_for_each(settle)?;
            }
            pending.push_back(self.librrd.update(file, &update(first, points)));
        }
        pending.into_iter().try_for_each(settle)
    }

    fn written(&self) -> Result<f64, Fault> {
        let path = format!("/proc/{}/io", self.id);
        let text = fs::read_to_string(&path).during(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|bytes| bytes.parse().ok())
            .ok_or_else(|| Fault::new(format!("{path} has no write_bytes")))
    }
}

#[allow(clippy::needless_pass_by_value)] // as map_err passes it
fn fault(error: RrdError) -> Fault {
    Fault::new(error.to_string())
}

fn update(first: i64, points: i64) -> Update {
    let points = (first..first + points).map(|i| Point {
        at: START + i * STEP,
        values: vec![Value::Count(i.unsigned_abs() % 50), Value::Count(100)],
    });
    Update {
        names: vec!["response_time".to_owned(), "is_up".to_owned()],
        points: points.collect(),
    }
}

/// The same updates through the worker and through `rrdtool -`, and batches of five.
fn compare(folder: &Path) -> Result<Vec<Row>, Fault> {
    let worker = Worker::start(folder)?;
    let (mut ours, mut theirs, mut batched, mut own) = (vec![], vec![], vec![], vec![]);
    let count = FILES as f64 * POINTS as f64;
    for run in 0..RUNS {
        let folder = folder.join(format!("compare-{run}"));
        fs::create_dir_all(&folder).during("create the folder of the RRD files")?;
        let files = worker.create(&folder, FILES, &full())?;
        let before = cost::cpu_of(std::process::id())?;
        let watch = Stopwatch::start();
        for i in 1..=POINTS {
            worker.store(&files, i, 1)?;
        }
        ours.push(count / watch.elapsed().as_secs_f64());
        own.push((cost::cpu_of(std::process::id())? - before) * 1e6 / count);
        theirs.push(count / by_rrdtool(&files, POINTS + 1)?.as_secs_f64());
        let watch = Stopwatch::start();
        for i in (0..POINTS).step_by(BATCH.unsigned_abs().try_into().unwrap_or(1)) {
            worker.store(&files, 2 * POINTS + 1 + i, BATCH)?;
        }
        // Two values for each point.
        batched.push(2.0 * count / watch.elapsed().as_secs_f64());
        fs::remove_dir_all(&folder).during("remove the RRD files")?;
    }
    worker.librrd.finish(Duration::from_secs(10));
    let (ours, theirs, batched, own) = (median(ours), median(theirs), median(batched), median(own));
    Ok(vec![
        Row::new(
            "updates of RRD files of 4.4 MB, pipelined through the worker",
            format!("{ours:.0}/s, {own:.1} µs of apmon's CPU each"),
            "0.8 of rrdtool",
        )
        .beside(format!("`rrdtool -` {theirs:.0}/s: {:.2} of it", ours / theirs)),
        Row::new(
            "the same, five points an update",
            format!("{batched:.0} values/s"),
            "40,000 values/s",
        ),
    ])
}

/// The same updates through the pipe of rrdtool.
fn by_rrdtool(files: &[PathBuf], first: i64) -> Result<Duration, Fault> {
    let program = process::find("rrdtool").ok_or_else(|| Fault::new("there is no rrdtool"))?;
    let mut child = Command::new(program)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .during("start rrdtool")?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Fault::new("rrdtool has no pipes"));
    };
    let watch = Stopwatch::start();
    // Answers are read meanwhile, or both pipes would fill.
    let reader = thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.filter(|line| line.starts_with("OK ")).count()
    });
    let mut stdin = BufWriter::new(stdin);
    for i in first..first + POINTS {
        for file in files {
            let (file, at, value) = (file.display(), START + i * STEP, i.unsigned_abs() % 50);
            writeln!(
                stdin,
                "update {file} --template response_time:is_up {at}:{value}:100"
            )
            .during("write to rrdtool")?;
        }
    }
    drop(
        stdin
            .into_inner()
            .map_err(|error| Fault::new(error.to_string()))?,
    );
    let answered = reader.join().unwrap_or(0);
    let took = watch.elapsed();
    child.wait().during("wait for rrdtool")?;
    let sent = files.len() * usize::try_from(POINTS).unwrap_or(0);
    if answered != sent {
        return Err(Fault::new(format!(
            "rrdtool accepted {answered} of {sent} updates"
        )));
    }
    Ok(took)
}

/// Has the kernel write what is dirty.
fn write_back(folder: &Path) -> Result<(), Fault> {
    let mut sync = Command::new("sync");
    if process::works(sync.arg("--file-system").arg(folder)) {
        return Ok(());
    }
    Err(Fault::new("sync failed"))
}

/// A site at a step of a minute that flushes every five: the CPU time and the bytes that a day
/// of it costs. The flushes follow each other at once, with what they wrote on the disk.
fn site(
    folder: &Path,
    name: &str,
    monitors: usize,
    schema: Schema,
    budget: &'static str,
) -> Result<Row, Fault> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).during("create the folder of the RRD files")?;
    let worker = Worker::start(&folder)?;
    let files = worker.create(&folder, monitors, &schema)?;
    write_back(&folder)?;
    let (own, child) = (cost::cpu_of(std::process::id())?, cost::cpu_of(worker.id)?);
    let written = worker.written()?;
    for i in 0..FLUSHES {
        worker.store(&files, 1 + i * BATCH, BATCH)?;
        // As the kernel does between two flushes of a real site: a page that is still dirty
        // costs nothing.
        write_back(&folder)?;
    }
    let own = cost::cpu_of(std::process::id())? - own;
    let child = cost::cpu_of(worker.id)? - child;
    let seconds = (FLUSHES * BATCH * STEP) as f64;
    let bytes = (worker.written()? - written) / seconds * SECONDS_A_DAY;
    worker.librrd.finish(Duration::from_secs(10));
    fs::remove_dir_all(&folder).during("remove the RRD files")?;
    Ok(Row::new(
        format!("{monitors} monitors with {name} RRD files, a value a minute, flushed every five"),
        format!(
            "{:.2} % of a core ({:.2} % in apmon itself), {:.1} GB written a day",
            (own + child) / seconds * 100.0,
            own / seconds * 100.0,
            bytes / 1e9
        ),
        budget,
    ))
}
