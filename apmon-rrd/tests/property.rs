//! Any values, gaps and resets give what rrdtool gives that is fed by hand.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use apmon_rrd::{Consolidation, DataSource, Librrd, Point, Schema, SourceKind, Update, Value};
use proptest::{prelude::*, test_runner::TestRunner};

use self::support::{Lab, START, create_arguments, round};

/// `rrdtool -`, which reads commands and answers each.
struct Rrdtool {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Rrdtool {
    fn start() -> Self {
        let mut child = Command::new("rrdtool")
            .arg("-")
            .env_remove("RRDCACHED_ADDRESS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs rrdtool (apt install rrdtool)");
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// The lines of the answer, or the error.
    fn ask(&mut self, command: &str) -> Result<Vec<String>, String> {
        writeln!(self.stdin, "{command}").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "rrdtool ended");
            if line.starts_with("OK ") {
                return Ok(lines);
            }
            if let Some(error) = line.strip_prefix("ERROR: ") {
                return Err(error.trim().to_owned());
            }
            lines.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Rrdtool {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[derive(Debug, Clone)]
struct Case {
    schema: Schema,
    /// The points, and how many of them share an update.
    points: Vec<Point>,
    batch: usize,
}

fn any_source(i: usize) -> impl Strategy<Value = DataSource> {
    let kind = prop_oneof![
        3 => Just(SourceKind::Gauge),
        4 => Just(SourceKind::Counter),
        1 => Just(SourceKind::Derive),
        1 => Just(SourceKind::Absolute),
    ];
    // librrd reads 18 characters of a bound.
    let bound =
        |quarters: std::ops::Range<i32>| prop::option::of(quarters.prop_map(|it| f64::from(it) / 4.0));
    (kind, 30_u64..200, bound(-40..20), bound(200..4_000_000)).prop_map(move |(kind, heartbeat, min, max)| {
        DataSource {
            name: format!("source_{i}"),
            kind,
            heartbeat,
            min,
            max,
        }
    })
}

/// A value, of which counters that reset and wrap are a part.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Unknown),
        4 => (0_u64..10_000).prop_map(Value::Count),
        1 => (u64::from(u32::MAX) - 5_000..u64::from(u32::MAX)).prop_map(Value::Count),
        1 => (u64::MAX - 5_000..=u64::MAX).prop_map(Value::Count),
        2 => (-1e3..1e6).prop_map(Value::Figure),
        1 => Just(Value::Figure(f64::NAN)),
    ]
}

fn any_case() -> impl Strategy<Value = Case> {
    let step = prop_oneof![Just(1_u64), Just(7), Just(10), Just(60)];
    (step, 1_usize..4, 1_usize..9).prop_flat_map(|(step, sources, batch)| {
        let sources: Vec<_> = (0..sources).map(any_source).collect();
        let width = sources.len();
        // Steps that repeat, go back, are missed, and gaps that outlast the archives.
        let seconds = prop_oneof![
            6 => Just(i64::try_from(step).unwrap()),
            4 => 1_i64..100,
            1 => -20_i64..=0,
            1 => 100_i64..2_000,
        ];
        let points = prop::collection::vec((seconds, prop::collection::vec(any_value(), width)), 1..60);
        (sources, points).prop_map(move |(sources, points)| {
            let mut at = START;
            let points = points.into_iter().map(|(seconds, values)| {
                at += seconds;
                Point { at, values }
            });
            Case {
                schema: Schema {
                    step,
                    sources,
                    rounds: vec![
                        round(Consolidation::Average, 1, 60),
                        round(Consolidation::Min, 1, 60),
                        round(Consolidation::Max, 5, 30),
                        round(Consolidation::Average, 12, 20),
                        round(Consolidation::Last, 3, 11),
                    ],
                },
                points: points.collect(),
                batch,
            }
        })
    })
}

/// A value as it is typed by hand.
fn typed(value: &Value) -> String {
    match value {
        Value::Count(count) => count.to_string(),
        Value::Figure(figure) if figure.is_finite() => figure.to_string(),
        Value::Figure(_) | Value::Unknown => "U".to_owned(),
    }
}

/// Every row of every archive, with the moment of its end, as bits.
fn rows(librrd: &Librrd, path: &Path, schema: &Schema) -> Vec<Vec<(i64, Vec<u64>)>> {
    let last = librrd.info(path).unwrap().last_update;
    let fetched = schema.rounds.iter().map(|round| {
        let fetched = librrd
            .fetch(
                path,
                round.consolidation,
                START - 10_000,
                last,
                schema.step * round.steps,
            )
            .unwrap();
        let rows = fetched.values.chunks(fetched.sources.len());
        let rows = rows.enumerate().map(|(i, row)| {
            let bits = row
                .iter()
                .map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() });
            (fetched.at(i), bits.collect())
        });
        rows.collect()
    });
    fetched.collect()
}

fn compare(lab: &Lab, rrdtool: &mut Rrdtool, case: &Case, run: u32) {
    let Case {
        schema,
        points,
        batch,
    } = case;
    let ours = lab.file(&format!("ours-{run}.rrd"), schema);
    let theirs = lab.path(&format!("theirs-{run}.rrd"));
    let theirs_text = theirs.to_str().unwrap();
    let create = create_arguments(schema).join(" ");
    let create = format!(
        "create {theirs_text} --start {START} --step {} {create}",
        schema.step
    );
    rrdtool.ask(&create).unwrap();

    let names: Vec<_> = schema.sources.iter().map(|source| source.name.clone()).collect();
    let pending: Vec<_> = points
        .chunks(*batch)
        .map(|points| {
            let (names, points) = (names.clone(), points.to_vec());
            lab.librrd.update(&ours, &Update { names, points })
        })
        .collect();
    let mut refused = Vec::new();
    let mut stored = 0;
    for pending in pending {
        let updated = pending.wait().unwrap();
        stored += updated.stored;
        refused.extend(updated.refused);
    }

    let mut refused_by_rrdtool = Vec::new();
    for point in points {
        let values: Vec<_> = point.values.iter().map(typed).collect();
        let update = format!("update {theirs_text} {}:{}", point.at, values.join(":"));
        if let Err(error) = rrdtool.ask(&update) {
            let reason = error
                .strip_prefix(&format!("{theirs_text}: "))
                .unwrap()
                .to_owned();
            refused_by_rrdtool.push((point.at, reason));
        }
    }
    refused.sort();
    refused_by_rrdtool.sort();
    assert_eq!(refused, refused_by_rrdtool);
    assert_eq!(stored, points.len() - refused.len());
    let librrd = &lab.librrd;
    assert_eq!(rows(librrd, &ours, schema), rows(librrd, &theirs, schema));
    assert_eq!(
        librrd.last_values(&ours).unwrap(),
        librrd.last_values(&theirs).unwrap()
    );

    // What is fetched is what rrdtool prints, as far as it prints digits.
    let last = librrd.info(&ours).unwrap().last_update;
    let fetched = librrd
        .fetch(&ours, Consolidation::Average, START, last, 1)
        .unwrap();
    let shown = rrdtool
        .ask(&format!(
            "fetch {theirs_text} AVERAGE --start {START} --end {last} --resolution 1"
        ))
        .unwrap();
    let shown = shown
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(at, values)| {
            let values = values.split(' ').map(|value| value.parse().unwrap());
            (at.parse().unwrap(), values.collect())
        });
    let shown: BTreeMap<i64, Vec<f64>> = shown.collect();
    for (row, ours) in fetched.values.chunks(fetched.sources.len()).enumerate() {
        let theirs = &shown[&fetched.at(row)];
        for (ours, theirs) in ours.iter().zip(theirs) {
            let is_same = (ours - theirs).abs() <= theirs.abs() * 1e-9;
            assert!(
                is_same || (ours.is_nan() && theirs.is_nan()),
                "{row}: {ours} {theirs}"
            );
        }
    }
    // What is left out is older than the file can remember.
    let first = fetched.at(0);
    let forgotten: Vec<_> = shown.range(..first).flat_map(|(_, values)| values).collect();
    assert!(forgotten.iter().all(|value| value.is_nan()), "{forgotten:?}");
    assert_eq!(shown.range(first..).count(), fetched.len());
}

#[test]
fn any_values_gaps_and_resets_give_what_rrdtool_gives() {
    let lab = Lab::new();
    // The runner wants a function without changing state.
    let state = RefCell::new((Rrdtool::start(), 0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&any_case(), |case| {
            let (rrdtool, run) = &mut *state.borrow_mut();
            *run += 1;
            compare(&lab, rrdtool, &case, *run);
            Ok(())
        })
        .unwrap();
}
