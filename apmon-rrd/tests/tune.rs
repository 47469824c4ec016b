//! Files grow and shrink, and keep what is in them.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
};

use apmon_rrd::{Consolidation, DataSource, RrdError, SourceKind, Tune, Value};

use self::support::{Lab, START, create_by_rrdtool, point, rrdtool, small, source};

const FIGURES: [f64; 150] = {
    let mut figures = [0.0; 150];
    let mut i = 0;
    while i < figures.len() {
        figures[i] = (i % 90) as f64 + 0.125;
        i += 1;
    }
    figures
};

/// All values of the sources at a step, as bits: unknown is equal to unknown.
fn values(lab: &Lab, path: &Path, consolidation: Consolidation, step: u64) -> Vec<(i64, Vec<u64>)> {
    let fetched = lab
        .librrd
        .fetch(path, consolidation, START, START + 150 * 60, step)
        .unwrap();
    assert_eq!(fetched.step, step);
    let columns = ["response_time", "is_up"].map(|name| fetched.column(name).unwrap());
    (0..fetched.len())
        .map(|row| {
            (
                fetched.at(row),
                columns.iter().map(|it| it[row].to_bits()).collect(),
            )
        })
        .collect()
}

fn everything(lab: &Lab, path: &Path) -> [Vec<(i64, Vec<u64>)>; 3] {
    [
        values(lab, path, Consolidation::Average, 60),
        values(lab, path, Consolidation::Min, 60),
        values(lab, path, Consolidation::Max, 300),
    ]
}

#[test]
fn sources_are_added_and_every_value_is_kept() {
    let lab = Lab::new();
    // A file of somebody else.
    let path = lab.path("a.rrd");
    create_by_rrdtool(&path, &small());
    lab.fill(&path, &small(), &FIGURES);
    let before = everything(&lab, &path);
    let tune = Tune {
        add: vec![
            source("octets_in", SourceKind::Counter),
            source("octets_out", SourceKind::Counter),
        ],
        ..Tune::default()
    };
    lab.librrd.tune(&path, &tune).unwrap();
    assert_eq!(everything(&lab, &path), before);
    let info = lab.librrd.info(&path).unwrap();
    let names: Vec<_> = info
        .schema
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["response_time", "is_up", "octets_in", "octets_out"]);
    assert_eq!(info.size, info.schema.size());

    // It goes on, with both kinds of names.
    let at = |i: i64| START + i * 60;
    let all = [151, 152].map(|i| point(at(i), &[Value::Count(u64::try_from(i).unwrap() * 60); 4]));
    lab.update(&path, &names, all.to_vec()).unwrap();
    lab.update(&path, &["is_up"], vec![point(at(153), &[Value::Count(7)])])
        .unwrap();
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START, at(153), 60)
        .unwrap();
    let octets = fetched.column("octets_out").unwrap();
    let known: Vec<_> = octets.iter().filter(|value| !value.is_nan()).collect();
    assert_eq!(known, [&1.0]);
    assert_eq!(fetched.column("is_up").unwrap()[152].to_bits(), 7.0_f64.to_bits());
}

#[test]
fn archives_grow_and_shrink() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    lab.fill(&path, &small(), &FIGURES);
    let before = everything(&lab, &path);
    let grown = Tune {
        rows: vec![(0, 1_000), (2, 50)],
        ..Tune::default()
    };
    lab.librrd.tune(&path, &grown).unwrap();
    assert_eq!(everything(&lab, &path), before);
    let rows = || {
        lab.librrd
            .info(&path)
            .unwrap()
            .schema
            .rounds
            .iter()
            .map(|it| it.rows)
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(), [1_200, 200, 150]);
    let shrunken = Tune {
        rows: vec![(0, -1_100)],
        ..Tune::default()
    };
    lab.librrd.tune(&path, &shrunken).unwrap();
    assert_eq!(rows(), [100, 200, 150]);
    let after = values(&lab, &path, Consolidation::Average, 60);
    let recent = after.len() - 90;
    assert_eq!(after[recent..], before[0][before[0].len() - 90..]);
}

#[test]
fn everything_at_once_is_changed_as_asked() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    lab.fill(&path, &small(), &FIGURES);
    let before = everything(&lab, &path);
    let tune = Tune {
        // With a bound of more characters than librrd reads.
        add: vec![DataSource {
            max: Some(-1.0 / 3.0),
            min: Some(-1e18 / 7.0),
            ..source("loss", SourceKind::Gauge)
        }],
        rows: vec![(1, 7)],
        heartbeat: vec![("is_up".to_owned(), 600), ("response_time".to_owned(), 601)],
    };
    lab.librrd.tune(&path, &tune).unwrap();
    assert_eq!(everything(&lab, &path), before);
    let schema = lab.librrd.info(&path).unwrap().schema;
    let heartbeats: Vec<_> = schema.sources.iter().map(|source| source.heartbeat).collect();
    assert_eq!(heartbeats, [601, 600, 120]);
    assert_eq!(schema.rounds[1].rows, 207);
    let shown = rrdtool(&["info", path.to_str().unwrap()]);
    assert!(shown.contains("ds[is_up].minimal_heartbeat = 600\n"), "{shown}");
}

#[test]
fn what_librrd_ignores_in_silence_is_refused() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let bytes = fs::read(&path).unwrap();
    let refused = |tune: Tune| match lab.librrd.tune(&path, &tune).unwrap_err() {
        RrdError::Refused { reason, .. } => reason,
        error => panic!("{error}"),
    };
    let rows = |rows| Tune {
        rows: vec![rows],
        ..Tune::default()
    };
    let add = |source| Tune {
        add: vec![source],
        ..Tune::default()
    };
    assert_eq!(refused(rows((99, 1))), "it has no archive 99");
    assert_eq!(
        refused(rows((0, -200))),
        "archive 0 has 200 rows; -200 leaves none"
    );
    assert_eq!(
        refused(rows((0, i64::MIN))),
        format!("archive 0 has 200 rows; {} leaves none", i64::MIN)
    );
    let again = add(source("is_up", SourceKind::Gauge));
    assert_eq!(refused(again), "it already has a data source is_up");
    refused(add(source("a b", SourceKind::Gauge)));
    refused(add(source("other", SourceKind::Other)));
    let unknown = Tune {
        heartbeat: vec![("nope".to_owned(), 1)],
        ..Tune::default()
    };
    assert_eq!(refused(unknown), "it has no data source nope");
    assert!(fs::read(&path).unwrap() == bytes);
    let missing = lab.path("missing.rrd");
    let error = lab.librrd.tune(&missing, &rows((0, 1))).unwrap_err();
    assert_eq!(error, RrdError::Missing(missing));
}

#[test]
fn nothing_to_change_changes_nothing() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let bytes = fs::read(&path).unwrap();
    lab.librrd.tune(&path, &Tune::default()).unwrap();
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_changed_file_keeps_its_mode_and_its_owner() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    chown(&path, Some(65_534), Some(65_534)).expect("this test needs root, to give a file away");
    let tune = Tune {
        rows: vec![(0, 10)],
        ..Tune::default()
    };
    lab.librrd.tune(&path, &tune).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.permissions().mode() & 0o7777, 0o660);
    assert_eq!((after.uid(), after.gid()), (65_534, 65_534));
}

#[test]
fn a_name_that_begins_like_an_option_is_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(support::CHILD);
    command.current_dir(directory.path());
    let lab = Lab::with(command);
    let path = Path::new("--step.rrd");
    lab.librrd.create(path, &small(), START).unwrap();
    let tune = Tune {
        rows: vec![(0, 10)],
        ..Tune::default()
    };
    lab.librrd.tune(path, &tune).unwrap();
    assert_eq!(lab.librrd.info(path).unwrap().schema.rounds[0].rows, 210);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
