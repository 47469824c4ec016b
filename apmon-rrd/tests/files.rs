//! Files are created, filled and read, with rrdtool as the judge.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use apmon_rrd::{Consolidation, FileInfo, LastValues, RrdError, Schema, SourceKind, Updated, Value};

use self::support::{CHILD, Lab, START, create_by_rrdtool, point, round, rrdtool, small, source};

/// The lines of `rrdtool info` that do not depend on the file's name and on where librrd, by
/// chance, begins a ring.
fn shape(path: &std::path::Path) -> Vec<String> {
    rrdtool(&["info", path.to_str().unwrap()])
        .lines()
        .filter(|line| !line.starts_with("filename") && !line.contains(".cur_row"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_version_is_that_of_the_library() {
    let version = Lab::new().librrd.version().unwrap();
    let shown = rrdtool(&["--version"]);
    assert!(
        shown.contains(&format!("RRDtool {version} ")),
        "{version}: {shown}"
    );
}

#[test]
fn a_file_is_as_rrdtool_creates_it() {
    let lab = Lab::new();
    let mut schema = small();
    schema.sources.push(source("octets", SourceKind::Counter));
    schema.sources.push(source("drift", SourceKind::Derive));
    schema.sources.push(source("calls", SourceKind::Absolute));
    schema.sources[2].min = None;
    schema.sources[3].min = Some(-1.5);
    schema.rounds.push(round(Consolidation::Last, 3, 7));
    let ours = lab.file("ours.rrd", &schema);
    let theirs = lab.path("theirs.rrd");
    create_by_rrdtool(&theirs, &schema);
    assert_eq!(shape(&ours), shape(&theirs));
    let expected = FileInfo {
        size: schema.size(),
        schema,
        last_update: START,
        version: "0003".to_owned(),
    };
    assert_eq!(lab.librrd.info(&ours).unwrap(), expected);
    assert_eq!(lab.librrd.info(&theirs).unwrap(), expected);
    assert_eq!(fs::metadata(&ours).unwrap().len(), expected.size);
}

#[test]
fn sizes_are_those_of_apmonitors_files() {
    // Availability at a step of 60 seconds, and the file of a switch with three ports.
    let rounds = vec![
        round(Consolidation::Average, 1, 44_640),
        round(Consolidation::Min, 1, 44_640),
        round(Consolidation::Max, 1, 44_640),
        round(Consolidation::Average, 5, 18_600),
        round(Consolidation::Average, 30, 18_600),
        round(Consolidation::Average, 60, 43_830),
        round(Consolidation::Average, 1_440, 22_692),
        round(Consolidation::Min, 5, 18_600),
        round(Consolidation::Max, 5, 18_600),
    ];
    let of = |sources: usize| Schema {
        step: 60,
        sources: vec![source("a", SourceKind::Gauge); sources],
        rounds: rounds.clone(),
    };
    assert_eq!(of(2).size(), 4_400_672);
    assert_eq!(of(28).size(), 61_592_560);
    assert_eq!(of(70).size(), 153_979_456);
}

#[test]
fn a_new_file_is_readable_by_everybody_whatever_the_umask() {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\"", CHILD]);
    let lab = Lab::with(command);
    let path = lab.file("a.rrd", &small());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn a_new_file_is_written_to_the_disk_and_leaves_memory() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-y", "-e", "trace=fsync,fadvise64", "-o"]);
    command.arg(log.path()).arg(CHILD);
    let lab = Lab::with(command);
    lab.file("new.rrd", &small());
    let calls = fs::read_to_string(log.path()).unwrap();
    let calls: Vec<_> = calls.lines().filter(|line| line.contains("/new.rrd>")).collect();
    let [.., synced, dropped] = calls[..] else {
        panic!("{calls:?}");
    };
    assert!(synced.starts_with("fsync("), "{calls:?}");
    assert!(dropped.contains("POSIX_FADV_DONTNEED"), "{calls:?}");
}

#[test]
fn a_file_that_exists_is_not_replaced() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    lab.fill(&path, &small(), &[1.0, 2.0]);
    let error = lab.librrd.create(&path, &small(), START).unwrap_err();
    assert!(matches!(error, RrdError::Refused { .. }), "{error}");
    assert_eq!(lab.librrd.info(&path).unwrap().last_update, START + 120);
}

#[test]
fn a_file_that_does_not_fit_is_not_begun() {
    let lab = Lab::new();
    let mut schema = small();
    schema.rounds[0].rows = 1 << 50;
    let path = lab.path("a.rrd");
    match lab.librrd.create(&path, &schema, START).unwrap_err() {
        RrdError::NoSpace { needed, free, .. } => {
            assert_eq!(needed, schema.size());
            assert!(free < needed, "{free}");
        }
        error => panic!("{error}"),
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn a_schema_that_librrd_does_not_know_is_refused() {
    let lab = Lab::new();
    let path = lab.path("a.rrd");
    let refused = |change: fn(&mut Schema)| {
        let mut schema = small();
        change(&mut schema);
        match lab.librrd.create(&path, &schema, START).unwrap_err() {
            RrdError::Refused { reason, .. } => reason,
            error => panic!("{error}"),
        }
    };
    let name = refused(|schema| schema.sources[0].name = "a:GAUGE:1:U:U RRA".to_owned());
    assert!(
        name.starts_with("a data source cannot be named \"a:GAUGE"),
        "{name}"
    );
    refused(|schema| schema.sources[0].name = "a_name_of_20_letters".to_owned());
    refused(|schema| schema.sources[0].kind = SourceKind::Other);
    refused(|schema| schema.rounds[0].consolidation = Consolidation::Other);
    refused(|schema| schema.rounds[0].xff = 2.0);
    assert_eq!(refused(|schema| schema.step = 0), "the step is 0");
    assert!(!path.exists());
    let elsewhere = lab.path("not-there/a.rrd");
    let error = lab.librrd.create(&elsewhere, &small(), START).unwrap_err();
    assert!(
        error.to_string().contains("its directory: No such file"),
        "{error}"
    );
}

#[test]
fn what_was_written_is_read_as_rrdtool_reads_it() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let points = vec![
        point(START + 60, &[Value::Count(12), Value::Count(100)]),
        point(START + 120, &[Value::Figure(0.1), Value::Unknown]),
        point(START + 400, &[Value::Figure(7.25), Value::Count(0)]),
        point(START + 460, &[Value::Figure(1e-9), Value::Count(101)]),
    ];
    let updated = lab.update(&path, &["response_time", "is_up"], points).unwrap();
    assert_eq!((updated.stored, updated.refused), (4, vec![]));

    let text = path.to_str().unwrap();
    let (start, end) = (START.to_string(), (START + 460).to_string());
    let shown = rrdtool(&["fetch", text, "AVERAGE", "--start", &start, "--end", &end]);
    let rows = shown.lines().filter_map(|line| line.split_once(": "));
    let rows: Vec<(i64, Vec<f64>)> = rows
        .map(|(at, values)| {
            let values = values.split(' ').map(|value| value.parse().unwrap());
            (at.parse().unwrap(), values.collect())
        })
        .collect();
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START, START + 460, 1)
        .unwrap();
    assert_eq!(fetched.sources, ["response_time", "is_up"]);
    assert_eq!(fetched.step, 60);
    assert_eq!(fetched.len(), rows.len());
    for (i, (at, values)) in rows.iter().enumerate() {
        assert_eq!(fetched.at(i), *at);
        for (ours, theirs) in fetched.values[i * 2..].iter().zip(values) {
            // rrdtool prints eleven digits.
            let is_same = (ours - theirs).abs() <= theirs.abs() * 1e-9;
            assert!(
                is_same || (ours.is_nan() && theirs.is_nan()),
                "{at}: {ours}, {theirs}"
            );
        }
    }
    assert_eq!(fetched.values[0].to_bits(), 12.0_f64.to_bits());
    assert_eq!(fetched.values[2].to_bits(), 0.1_f64.to_bits());

    let last = LastValues {
        at: START + 460,
        values: vec![
            ("response_time".to_owned(), Some(1e-9)),
            ("is_up".to_owned(), Some(101.0)),
        ],
    };
    assert_eq!(lab.librrd.last_values(&path).unwrap(), last);
    let shown = rrdtool(&["lastupdate", text]);
    assert!(
        shown.ends_with(&format!("{}: 1e-9 101\n", START + 460)),
        "{shown}"
    );
    for i in 0..3_usize {
        let shown = rrdtool(&["first", text, "--rraindex", &i.to_string()]);
        assert_eq!(lab.librrd.first(&path, i).unwrap().to_string(), shown.trim());
    }
    let error = lab.librrd.first(&path, 3).unwrap_err();
    assert!(error.to_string().contains("rraindex"), "{error}");
}

#[test]
fn a_row_of_an_archive_of_sixty_years_may_begin_before_1970() {
    let lab = Lab::new();
    let mut schema = small();
    schema.rounds.push(round(Consolidation::Average, 1_440, 22_692));
    let path = lab.file("a.rrd", &schema);
    let first = lab.librrd.first(&path, 3).unwrap();
    assert_eq!(first, START - 22_691 * 86_400);
    assert!(first < 0);
}

#[test]
fn values_before_the_first_are_unknown() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let last = lab.librrd.last_values(&path).unwrap();
    assert_eq!(last.at, START);
    let values: Vec<_> = last.values.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [None, None]);
}

#[test]
fn a_point_that_is_refused_takes_no_other_with_it() {
    let lab = Lab::new();
    let mut schema = small();
    schema.sources[1] = source("octets", SourceKind::Counter);
    let path = lab.file("a.rrd", &schema);
    lab.fill(&path, &schema, &[1.0]);
    let names = ["response_time", "octets"];
    let at = |at: i64, octets| point(START + at, &[Value::Count(5), octets]);
    let points = vec![
        // As old as what is there, and older.
        at(60, Value::Count(2)),
        at(30, Value::Count(2)),
        at(120, Value::Count(3)),
        // A counter is a whole number.
        at(180, Value::Figure(3.5)),
        at(240, Value::Figure(4.0)),
        // Twice, and back.
        at(240, Value::Count(5)),
        at(200, Value::Count(5)),
        at(300, Value::Count(6)),
        point(START + 360, &[Value::Count(1)]),
        point(0, &[Value::Count(1), Value::Count(1)]),
        at(420, Value::Count(8)),
    ];
    let Updated { stored, refused } = lab.update(&path, &names, points).unwrap();
    assert_eq!(stored, 4);
    let mut refused = refused.into_iter();
    for (at, text) in [
        (0, "the moment is not after 1970"),
        (START + 30, "illegal attempt to update using time"),
        (START + 60, "illegal attempt to update using time"),
        (START + 180, "not a simple unsigned integer: '3.5'"),
        (START + 200, "illegal attempt to update using time"),
        (START + 240, "illegal attempt to update using time"),
        (START + 360, "the number of values is 1, that of data sources 2"),
    ] {
        let (refused_at, reason) = refused.next().unwrap();
        assert_eq!(refused_at, at);
        assert!(reason.starts_with(text), "{reason}");
    }
    assert_eq!(refused.next(), None);
    let last = lab.librrd.last_values(&path).unwrap();
    assert_eq!((last.at, last.values[1].1), (START + 420, Some(8.0)));
    // The values at 240 s are those that came first.
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START + 60, START + 419, 60)
        .unwrap();
    let five = fetched.column("response_time").unwrap();
    assert_eq!(five, [5.0; 6]);
}

#[test]
fn an_update_with_nothing_to_store_changes_nothing() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let nothing = lab.update(&path, &["is_up"], vec![]).unwrap();
    assert_eq!(nothing, Updated::default());
    let refused = lab.update(&path, &[], vec![point(START + 60, &[])]).unwrap();
    assert_eq!(refused.refused.len(), 1);
    assert_eq!(lab.librrd.info(&path).unwrap().last_update, START);
}

#[test]
fn names_that_the_file_does_not_have_refuse_the_update() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let store = |names: &[&str]| {
        let values = vec![Value::Count(1); names.len()];
        lab.update(&path, names, vec![point(START + 60, &values)])
            .unwrap_err()
            .to_string()
    };
    assert!(store(&["is_up", "loss"]).ends_with("a.rrd: unknown DS name 'loss'"));
    assert!(store(&["is_up:response_time"]).ends_with("a.rrd: there is no data source is_up:response_time"));
    assert!(store(&["is_up", "a\0b"]).ends_with("a.rrd: a text contains NUL"));
    assert_eq!(lab.librrd.info(&path).unwrap().last_update, START);
}

#[test]
fn what_no_average_survives_is_written_as_unknown() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let wild = [f64::NAN, f64::INFINITY, f64::MAX, f64::NEG_INFINITY];
    lab.fill(&path, &small(), &[&wild[..], &[1e300, 2.0]].concat());
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START, START + 360, 60)
        .unwrap();
    let column = fetched.column("response_time").unwrap();
    assert!(column[..4].iter().all(|value| value.is_nan()), "{column:?}");
    assert!(column[4] > 9e299 && column[4].is_finite(), "{column:?}");
    assert_eq!(column[5].to_bits(), 2.0_f64.to_bits());
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let lab = Lab::new();
    let missing = lab.path("missing.rrd");
    let good = lab.file("good.rrd", &small());
    let bytes = fs::read(&good).unwrap();
    let mut foreign = bytes.clone();
    foreign[0] = b'X';
    let broken = [
        lab.write("empty.rrd", ""),
        lab.write("text.rrd", "a text file"),
        lab.write("cut-header.rrd", &bytes[..400]),
        lab.write("cut.rrd", &bytes[..bytes.len() - 8]),
        lab.write("foreign.rrd", foreign),
    ];
    let all = |path: &std::path::Path| {
        let fetched = lab
            .librrd
            .fetch(path, Consolidation::Average, START, START + 60, 60);
        let points = vec![point(START + 60, &[Value::Count(1)])];
        [
            lab.librrd.info(path).unwrap_err(),
            lab.librrd.last_values(path).unwrap_err(),
            lab.librrd.first(path, 0).unwrap_err(),
            lab.update(path, &["is_up"], points).unwrap_err(),
            fetched.unwrap_err(),
        ]
    };
    for error in all(&missing) {
        assert_eq!(error, RrdError::Missing(missing.clone()));
    }
    for path in broken {
        for error in all(&path) {
            assert!(matches!(error, RrdError::Damaged { .. }), "{error:?}");
        }
    }
    assert_eq!(fs::read(&good).unwrap(), bytes);
}

#[test]
fn a_range_of_centuries_has_no_more_rows_than_the_file() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    lab.fill(&path, &small(), &[1.0, 2.0, 3.0]);
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, i64::MIN, i64::MAX, 1)
        .unwrap();
    assert!((200..=203).contains(&fetched.len()), "{}", fetched.len());
    let column = fetched.column("is_up").unwrap();
    let known: Vec<_> = column.into_iter().filter(|value| !value.is_nan()).collect();
    assert_eq!(known, [1.0, 2.0, 3.0]);
    let after = lab.librrd.fetch(
        &path,
        Consolidation::Average,
        START + 86_400,
        START + 2 * 86_400,
        1,
    );
    assert!(after.unwrap().values.iter().all(|value| value.is_nan()));
    let none = lab.librrd.fetch(&path, Consolidation::Last, START, START + 60, 1);
    assert!(
        none.unwrap_err()
            .to_string()
            .ends_with("it has no archive of LAST")
    );
    let reversed = lab
        .librrd
        .fetch(&path, Consolidation::Average, START + 60, START, 1)
        .unwrap_err();
    assert!(reversed.to_string().contains("before its start"), "{reversed}");
}

#[test]
fn more_rows_than_one_answer_holds_are_read_in_parts() {
    let lab = Lab::new();
    let rows = 44_640;
    let schema = Schema {
        step: 60,
        sources: (0..70)
            .map(|i| source(&format!("if{i}_in"), SourceKind::Gauge))
            .collect(),
        rounds: vec![round(Consolidation::Average, 1, rows)],
    };
    let path = lab.file("switch.rrd", &schema);
    let rows = i64::try_from(rows).unwrap();
    // A value at each end, and a few in the middle of the parts.
    let names: Vec<_> = schema.sources.iter().map(|source| source.name.as_str()).collect();
    for i in [
        1_i64,
        2,
        10_000,
        10_001,
        20_000,
        20_001,
        30_000,
        30_001,
        rows - 1,
        rows,
    ] {
        let values = vec![Value::Count(u64::try_from(i).unwrap()); 70];
        lab.update(&path, &names, vec![point(START + i * 60, &values)])
            .unwrap();
    }
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START, START + rows * 60 - 60, 60)
        .unwrap();
    assert_eq!(fetched.len(), usize::try_from(rows).unwrap());
    assert_eq!(fetched.at(0), START + 60);
    let column = fetched.column("if69_in").unwrap();
    let known = (1_i32..).zip(column).filter(|(_, value)| !value.is_nan());
    let known: Vec<_> = known.collect();
    let expected = [2, 10_001, 20_001, 30_001, 44_640].map(|i| (i, f64::from(i)));
    assert_eq!(known, [&[(1, 1.0)][..], &expected[..]].concat());
}
