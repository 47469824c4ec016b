//! What the tests share: the worker, files in a directory of their own, and rrdtool as a judge.

#![allow(dead_code, clippy::unwrap_used)] // each test uses a part; what fails here is a test

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use apmon_rrd::{
    Consolidation, DataSource, Librrd, Point, Round, RrdError, Schema, SourceKind, Update, Updated, Value,
};
use tempfile::TempDir;

/// The moment before the first value of most files.
pub const START: i64 = 1_700_000_000 - 1_700_000_000 % 86_400;

/// The program of the worker.
pub const CHILD: &str = env!("CARGO_BIN_EXE_apmon-rrd-test");

/// A directory with files, and a worker.
pub struct Lab {
    pub librrd: Librrd,
    directory: TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Command::new(CHILD))
    }

    pub fn with(command: Command) -> Self {
        Self {
            librrd: Librrd::worker(command),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new file.
    pub fn file(&self, name: &str, schema: &Schema) -> PathBuf {
        let path = self.path(name);
        self.librrd.create(&path, schema, START).unwrap();
        path
    }

    pub fn update(&self, path: &Path, names: &[&str], points: Vec<Point>) -> Result<Updated, RrdError> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.librrd.update(path, &Update { names, points }).wait()
    }

    /// Stores figures a step apart, beginning a step after the start of the file.
    pub fn fill(&self, path: &Path, schema: &Schema, figures: &[f64]) {
        let names: Vec<&str> = schema.sources.iter().map(|source| source.name.as_str()).collect();
        let points = (1..).zip(figures).map(|(i, figure)| {
            let at = START + i * i64::try_from(schema.step).unwrap();
            point(at, &vec![Value::Figure(*figure); names.len()])
        });
        let updated = self.update(path, &names, points.collect()).unwrap();
        assert_eq!((updated.stored, updated.refused), (figures.len(), vec![]));
    }

    /// A file with any bytes.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

pub fn point(at: i64, values: &[Value]) -> Point {
    Point {
        at,
        values: values.to_vec(),
    }
}

pub fn source(name: &str, kind: SourceKind) -> DataSource {
    DataSource {
        name: name.to_owned(),
        kind,
        heartbeat: 120,
        min: Some(0.0),
        max: None,
    }
}

pub fn round(consolidation: Consolidation, steps: u64, rows: u64) -> Round {
    Round {
        consolidation,
        xff: 0.5,
        steps,
        rows,
    }
}

/// Two gauges, like those of a file for availability, with few rows.
pub fn small() -> Schema {
    Schema {
        step: 60,
        sources: vec![
            source("response_time", SourceKind::Gauge),
            DataSource {
                max: Some(100.0),
                ..source("is_up", SourceKind::Gauge)
            },
        ],
        rounds: vec![
            round(Consolidation::Average, 1, 200),
            round(Consolidation::Min, 1, 200),
            round(Consolidation::Max, 5, 100),
        ],
    }
}

/// What `rrdtool` prints; it must succeed.
pub fn rrdtool(arguments: &[&str]) -> String {
    let output = Command::new("rrdtool")
        .args(arguments)
        .env_remove("RRDCACHED_ADDRESS")
        .output()
        .expect("this test needs rrdtool (apt install rrdtool)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rrdtool {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The sources and archives as arguments of `rrdtool create`.
pub fn create_arguments(schema: &Schema) -> Vec<String> {
    let bound = |bound: Option<f64>| bound.map_or("U".to_owned(), |bound| format!("{bound}"));
    let sources = schema.sources.iter().map(|source| {
        let (min, max) = (bound(source.min), bound(source.max));
        let kind = source.kind.as_str();
        format!("DS:{}:{kind}:{}:{min}:{max}", source.name, source.heartbeat)
    });
    let rounds = schema.rounds.iter().map(|round| {
        let (name, xff) = (round.consolidation.as_str(), round.xff);
        format!("RRA:{name}:{xff}:{}:{}", round.steps, round.rows)
    });
    sources.chain(rounds).collect()
}

/// Creates a file with rrdtool.
pub fn create_by_rrdtool(path: &Path, schema: &Schema) {
    let (start, step) = (START.to_string(), schema.step.to_string());
    let mut arguments = vec![
        "create",
        path.to_str().unwrap(),
        "--start",
        &start,
        "--step",
        &step,
    ];
    let rest = create_arguments(schema);
    arguments.extend(rest.iter().map(String::as_str));
    rrdtool(&arguments);
}
