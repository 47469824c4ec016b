//! An engine whose checks are recorded by a worker child, and read again.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc, time::Duration};

use apmon_core::{
    MetricSink, Monitor, SystemClock,
    engine::Plan,
    testing::{Daemon, Response, START, Stage, Target, every, secs, watch},
};
use apmon_rrd::{Archive, FileKind, IS_UP, Query, RESPONSE_TIME, Rows, RrdWriter, WriterOptions};

/// The program of the worker.
const CHILD: &str = env!("CARGO_BIN_EXE_apmon-rrd-test");

const WAIT: Duration = Duration::from_secs(60);

fn archive(directory: &Path) -> Archive {
    Archive::worker(directory.join("site.statefile.rrd"), Command::new(CHILD))
}

fn writer(archive: &Archive, options: WriterOptions) -> Arc<RrdWriter> {
    Arc::new(RrdWriter::start(archive, options, Arc::new(SystemClock::new())).unwrap())
}

fn daemon(stage: &Stage, writer: &Arc<RrdWriter>) -> Daemon {
    Daemon::start(stage.engine().metrics(Arc::clone(writer) as Arc<dyn MetricSink>))
}

fn start() -> i64 {
    START.as_second()
}

fn known(archive: &Archive, source: &str, minutes: i64) -> Vec<f64> {
    let range = start()..start() + minutes * 60;
    let query = Query::new("web 1", FileKind::Availability, range, 1_000).of([source]);
    let values = archive.fetch(&query).unwrap().values;
    values.into_iter().filter(|value| !value.is_nan()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_check_of_a_daemon_is_recorded_and_readers_see_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let writer = writer(&archive, WriterOptions::daemon(Rows::Small));
    let web = Target::new();
    let stage = Stage::new("HomeLab").monitor(web.monitor(watch("web 1", every(60))));
    let daemon = daemon(&stage, &writer);
    tokio::time::sleep(secs(5 * 60)).await;
    assert!(
        known(&archive, IS_UP, 4)
            .iter()
            .all(|value| (value - 100.0).abs() < 1e-9)
    );
    web.set(Response::down("refused"));
    tokio::time::sleep(secs(5 * 60)).await;
    web.set(Response::unknown("no route"));
    tokio::time::sleep(secs(5 * 60)).await;
    daemon.stop().await;
    assert!(writer.flush(WAIT));

    let is_up = known(&archive, IS_UP, 15);
    let (up, down): (Vec<f64>, Vec<f64>) = is_up.iter().partition(|value| **value > 50.0);
    assert!(
        (4..=6).contains(&up.len()) && (4..=6).contains(&down.len()),
        "{is_up:?}"
    );
    assert!(
        (4..=6).contains(&known(&archive, RESPONSE_TIME, 15).len()),
        "unknown where it failed"
    );
    assert!(writer.report().stored >= 15, "{:?}", writer.report());

    let path = archive.file_of("web 1", FileKind::Availability);
    assert_eq!(path.file_name().unwrap(), "web_1-availability.rrd");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(archive.directory())), (0o644, 0o755));
}

#[tokio::test(start_paused = true)]
async fn another_interval_keeps_what_was_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let writer = writer(&archive, WriterOptions::daemon(Rows::Small));
    let web = Target::new();
    let monitor = |seconds: u64| {
        let mut watch = watch("web 1", every(seconds));
        watch.checksum = seconds.to_string().into();
        web.monitor(watch) as Arc<dyn Monitor>
    };
    let stage = Stage::new("HomeLab").monitor(monitor(60));
    let daemon = daemon(&stage, &writer);
    tokio::time::sleep(secs(10 * 60)).await;
    daemon.reload(Plan::new("HomeLab").watch(monitor(30))).await;
    tokio::time::sleep(secs(10 * 60)).await;
    daemon.stop().await;
    assert!(writer.flush(WAIT));
    let steps = fs::read_dir(archive.directory()).unwrap().count();
    assert_eq!(steps, 2, "one file per step");
    let is_up = known(&archive, IS_UP, 20);
    assert!(is_up.len() >= 36, "both files: {}", is_up.len());
}

#[tokio::test]
async fn a_pass_writes_one_value_and_the_next_pass_another() {
    let directory = tempfile::tempdir().unwrap();
    let web = Target::new();
    for stored in 1..=2 {
        let archive = archive(directory.path());
        let writer = writer(&archive, WriterOptions::pass(Rows::Small));
        let clock = apmon_core::testing::TestClock::starting_at(START + stored * secs(60));
        let stage = Stage::new("HomeLab")
            .clock(clock)
            .monitor(web.monitor(watch("web 1", every(60))));
        let engine = stage.engine().metrics(Arc::clone(&writer) as Arc<dyn MetricSink>);
        engine.pass().await.unwrap();
        assert_eq!(writer.report().stored, 1);
        let last = archive.last_values("web 1", FileKind::Availability).unwrap();
        assert!(
            (0..10).contains(&(last.at - start() - i64::from(stored) * 60)),
            "{last:?}"
        );
    }
}
