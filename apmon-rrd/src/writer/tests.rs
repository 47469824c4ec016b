//! The writer, with a librrd that the test controls.

mod failure;
mod fake;
mod real;

use std::{path::Path, process::Command, time::Duration};

use apmon_core::{Condition, FailureClass, Metric, Mono, Now, Outcome, Phase};
use jiff::Timestamp;

use self::fake::{Fake, FakeFile};
use super::*;
use crate::{
    client::Librrd,
    schema::Schema,
    template::{FileKind, Template},
};

/// A site's files in a directory of their own.
struct Site {
    directory: tempfile::TempDir,
    fake: Arc<Fake>,
    files: Files,
    secs: i64,
}

const START: i64 = 1_790_000_000;

impl Site {
    fn new(options: WriterOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Arc::new(Fake::default());
        let files = files(directory.path(), &fake, options);
        Self {
            directory,
            fake,
            files,
            secs: 0,
        }
    }

    fn daemon() -> Self {
        Self::new(WriterOptions::daemon(Rows::Small))
    }

    fn pass() -> Self {
        Self::new(WriterOptions::pass(Rows::Small))
    }

    /// The same directory in another process.
    fn restart(&mut self, options: WriterOptions) {
        self.files = files(self.directory.path(), &self.fake, options);
    }

    fn now(&self) -> Now {
        Now {
            mono: Mono::from_nanos(self.secs * 1_000_000_000),
            wall: Timestamp::from_second(START + self.secs).unwrap(),
        }
    }

    fn wait(&mut self, secs: i64) {
        self.secs += secs;
        let now = self.now();
        self.files.write_due(now);
        self.files.settle(now);
    }

    fn take(&mut self, sample: &Sample) {
        let now = self.now();
        self.files.take(sample, now);
        self.files.settle(now);
    }

    fn check(&mut self, monitor: &str, every: u64, outcome: &Outcome) {
        let sample = self.sample(monitor, ("tcp", every), outcome);
        self.take(&sample);
    }

    fn poll(&mut self, monitor: &str, metrics: Vec<Metric>) {
        let mut outcome = up();
        outcome.metrics = metrics;
        let sample = self.sample(monitor, ("ports", 60), &outcome);
        self.take(&sample);
    }

    fn sample(&self, monitor: &str, (kind, every): (&str, u64), outcome: &Outcome) -> Sample {
        let every = Duration::from_secs(every);
        let at = START + self.secs;
        Sample::new(monitor.to_owned(), (kind, every), at, outcome, Condition::Up)
    }

    fn write_all(&mut self, extent: Extent) {
        let now = self.now();
        self.files.write_all(extent, now);
    }

    fn file(&self, name: &str) -> FakeFile {
        self.fake.file(&self.directory.path().join(name))
    }

    /// The points of a file, with times since the start.
    fn points(&self, name: &str) -> Vec<(i64, String)> {
        let points = self.file(name).points.into_iter();
        points.map(|(at, text)| (at - START, text)).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn files(directory: &Path, fake: &Arc<Fake>, options: WriterOptions) -> Files {
    let archive = Archive::open(directory, Librrd::worker(Command::new("/nonexistent")));
    let library: Arc<dyn Library> = Arc::clone(fake) as Arc<dyn Library>;
    Files::new(archive, library, options)
}

fn up() -> Outcome {
    Outcome::up(Duration::from_millis(5))
}

fn counter(name: &'static str, value: u64, continues: bool) -> Metric {
    Metric::counter(name, value, continues)
}

const WEB: &str = "web-availability.rrd";

#[test]
fn a_pass_writes_at_once_and_a_daemon_in_batches() {
    let mut pass = Site::pass();
    pass.check("web", 60, &up());
    assert_eq!(pass.points(WEB), [(0, "response_time=5 is_up=100".to_owned())]);
    assert_eq!(pass.file(WEB).created_at, START - 60);

    let mut daemon = Site::daemon();
    for _ in 0..5 {
        daemon.check("web", 60, &up());
        assert_eq!(daemon.names(), [""; 0]);
        daemon.wait(60);
    }
    assert_eq!(daemon.points(WEB).len(), 5);
    assert_eq!(daemon.fake.updates(), 1, "one batch");
    assert_eq!(daemon.files.report.stored, 5);
}

#[test]
fn a_reader_sees_what_waits() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.write_all(Extent::All);
    assert_eq!(site.points(WEB).len(), 1);
}

#[test]
fn of_two_checks_in_one_second_the_last_counts() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.check("web", 60, &Outcome::fail(FailureClass::Refused, "refused"));
    site.write_all(Extent::All);
    assert_eq!(site.points(WEB), [(0, "response_time=U is_up=100".to_owned())]);
    assert_eq!(site.files.report.replaced, 1);
}

#[test]
fn a_daemon_that_collects_nothing_waits_for_the_end_of_the_second() {
    let mut options = WriterOptions::daemon(Rows::Small);
    options.flush_every = Some(Duration::ZERO);
    let mut site = Site::new(options);
    site.check("web", 60, &up());
    site.wait(0);
    site.check("web", 60, &Outcome::fail(FailureClass::Refused, "refused"));
    assert_eq!(site.names(), [""; 0]);
    site.wait(1);
    assert_eq!(site.points(WEB), [(0, "response_time=U is_up=100".to_owned())]);
}

#[test]
fn the_second_that_runs_is_not_written_yet() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.secs = 300;
    site.check("web", 60, &up());
    site.wait(0);
    assert_eq!(site.points(WEB).len(), 1);
    site.check("web", 60, &Outcome::fail(FailureClass::Refused, "refused"));
    site.wait(300);
    assert_eq!(site.points(WEB)[1], (300, "response_time=U is_up=100".to_owned()));
}

#[test]
fn a_file_of_apmonitor_is_continued_whatever_its_archives_are() {
    let mut site = Site::pass();
    let mut schema = Schema::of(&Template::Availability, 60, &Rows::Full);
    schema.rounds.truncate(3);
    site.fake
        .add(&site.directory.path().join(WEB), &schema, START - 60);
    site.check("web", 60, &up());
    assert_eq!(site.points(WEB), [(0, "response_time=5 is_up=100".to_owned())]);
    assert_eq!(site.file(WEB).schema, schema);
}

#[test]
fn another_step_begins_a_file_and_keeps_the_old_one() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.wait(30);
    site.check("web", 30, &up());
    site.wait(600);
    assert_eq!(site.names(), [WEB, "web-availability.step60.rrd"]);
    assert_eq!(site.points("web-availability.step60.rrd").len(), 1);
    assert_eq!(site.file(WEB).schema.step, 30);
    // Back again: the file of that step goes on.
    site.check("web", 60, &up());
    site.wait(600);
    assert_eq!(site.names(), [WEB, "web-availability.step30.rrd"]);
    assert_eq!(site.points(WEB).len(), 2);
}

#[test]
fn a_damaged_file_is_set_aside_and_one_before_13_too() {
    let mut site = Site::pass();
    std::fs::write(site.directory.path().join(WEB), "no RRD").unwrap();
    site.check("web", 60, &up());
    assert_eq!(site.names(), ["web-availability.damaged.rrd", WEB]);
    assert_eq!(site.points(WEB).len(), 1);

    let mut site = Site::pass();
    let mut schema = Schema::of(&Template::Availability, 60, &Rows::Full);
    schema.sources[1].max = Some(1.0);
    site.fake
        .add(&site.directory.path().join(WEB), &schema, START - 60);
    site.check("web", 60, &up());
    assert_eq!(site.names(), ["web-availability.before-1.3.rrd", WEB]);
    assert_eq!(site.points(WEB).len(), 1);
}

#[test]
fn a_switch_grows_and_keeps_what_it_has() {
    let mut site = Site::pass();
    site.poll(
        "core",
        vec![counter("if1_in", 10, false), counter("if1_out", 20, false)],
    );
    let before = site.file("core-snmp.rrd").schema.sources.len();
    assert_eq!(before, 24);
    site.secs = 60;
    site.poll(
        "core",
        vec![
            counter("if1_in", 11, true),
            counter("if1_out", 21, true),
            counter("if7_in", 5, false),
        ],
    );
    let file = site.file("core-snmp.rrd");
    assert_eq!(file.schema.sources.len(), 26, "in and out");
    let (_, last) = site.points("core-snmp.rrd").pop().unwrap();
    assert_eq!(last, "if1_in=11 if1_out=21 if7_in=5");
    // A shrunken switch writes what it has.
    site.secs = 120;
    site.poll("core", vec![counter("if7_in", 6, true)]);
    let (_, last) = site.points("core-snmp.rrd").pop().unwrap();
    assert_eq!(last, "if1_in=U if1_out=U if7_in=6");
    assert_eq!(site.files.report.grown, 1);
}

#[test]
fn a_reset_is_one_unknown_second_before() {
    let mut site = Site::pass();
    site.poll("core", vec![counter("if1_in", 1_000, false)]);
    site.secs = 60;
    site.poll("core", vec![counter("if1_in", 2_000, true)]);
    site.secs = 120;
    site.poll("core", vec![counter("if1_in", 5, false)]);
    assert_eq!(
        site.points("core-snmp.rrd"),
        [
            (-1, "if1_in=U".to_owned()),
            (0, "if1_in=1000".to_owned()),
            (60, "if1_in=2000".to_owned()),
            (119, "if1_in=U".to_owned()),
            (120, "if1_in=5".to_owned()),
        ]
    );
}

#[test]
fn a_count_below_the_last_one_of_the_file_is_a_reset() {
    let mut site = Site::pass();
    site.poll("core", vec![counter("if1_in", 1_000, false)]);
    // What the state says about continuing is of another file.
    site.restart(WriterOptions::pass(Rows::Small));
    site.secs = 60;
    site.poll("core", vec![counter("if1_in", 999, true)]);
    assert_eq!(site.points("core-snmp.rrd")[2], (59, "if1_in=U".to_owned()));
}

#[test]
fn rows_that_were_dropped_may_have_known_of_a_reset() {
    let mut site = Site::pass();
    site.poll("core", vec![counter("if1_in", 1_000, false)]);
    site.files.mark_broken("core");
    site.secs = 60;
    site.poll("core", vec![counter("if1_in", 1_500, true)]);
    assert_eq!(site.points("core-snmp.rrd")[2], (59, "if1_in=U".to_owned()));
}

#[test]
fn metrics_go_into_a_file_of_their_own_with_kept_names() {
    let mut site = Site::pass();
    let mut outcome = up();
    outcome.metrics = vec![
        Metric::gauge("loss_pct", 0.0),
        Metric::gauge("queue of the printer", 3.0),
    ];
    outcome.phases = vec![(Phase::Connect, Duration::from_micros(1_500))];
    site.check("web", 60, &outcome);
    assert_eq!(site.names(), [WEB, "web-metrics.json", "web-metrics.rrd"]);
    let metrics = "loss_pct=0 queue_of_the_pri_1=3 connect_ms=1.5";
    assert_eq!(
        site.points("web-metrics.rrd"),
        [(0, metrics.replace("_pri_1", "_pr_1"))]
    );
    // A check without metrics is a gap, also for another process.
    site.restart(WriterOptions::pass(Rows::Small));
    site.secs = 60;
    site.check("web", 60, &Outcome::fail(FailureClass::Refused, "refused"));
    let (at, last) = site.points("web-metrics.rrd").pop().unwrap();
    assert_eq!((at, last.ends_with("=U")), (60, true), "{last}");
}

#[test]
fn a_monitor_without_metrics_has_no_file_of_them() {
    let mut site = Site::pass();
    for _ in 0..3 {
        site.check("web", 60, &up());
        site.secs += 60;
    }
    assert_eq!(site.names(), [WEB]);
}

#[test]
fn a_pass_creates_some_files_and_the_next_one_others() {
    let mut options = WriterOptions::pass(Rows::Small);
    options.most_created = Some(2);
    let mut site = Site::new(options.clone());
    for monitor in ["a", "b", "c"] {
        site.check(monitor, 60, &up());
    }
    assert_eq!(site.names().len(), 2);
    assert_eq!((site.files.report.created, site.files.report.not_created), (2, 1));
    site.restart(options);
    site.secs = 60;
    for monitor in ["a", "b", "c"] {
        site.check(monitor, 60, &up());
    }
    assert_eq!(site.names().len(), 3);
    assert_eq!(site.points("a-availability.rrd").len(), 2);
}

#[test]
fn a_daemon_creates_twenty_files_a_second_and_loses_nothing() {
    let mut site = Site::daemon();
    for number in 0..50 {
        site.check(&format!("m{number}"), 60, &up());
    }
    site.wait(300);
    assert_eq!(site.names().len(), 1);
    site.wait(1);
    assert_eq!(site.names().len(), 21);
    site.wait(2);
    assert_eq!(site.names().len(), 50);
    assert_eq!((site.files.report.stored, site.files.report.lost), (50, 0));
}

#[test]
fn monitors_that_would_meet_have_files_of_their_own_and_that_is_kept() {
    let mut site = Site::pass();
    site.check("a b", 60, &up());
    site.check("a_b", 60, &up());
    assert_eq!(
        site.names(),
        [
            "a_b-availability.rrd",
            "a_b~2-availability.rrd",
            "apmon-names.json"
        ]
    );
    site.restart(WriterOptions::pass(Rows::Small));
    site.secs = 60;
    site.check("a_b", 60, &up());
    assert_eq!(site.points("a_b~2-availability.rrd").len(), 2);
}

#[test]
fn the_thread_writes_for_readers_and_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let archive = Archive::open(directory.path(), Librrd::worker(Command::new("/nonexistent")));
    let clock = Arc::new(apmon_core::SystemClock::new());
    let library: Arc<dyn Library> = Arc::clone(&fake) as Arc<dyn Library>;
    let writer = RrdWriter::start_with(&archive, library, WriterOptions::daemon(Rows::Small), clock).unwrap();
    let record = |monitor: &str, at| {
        let kind = ("tcp", Duration::from_secs(60));
        let sample = Sample::new(monitor.to_owned(), kind, at, &up(), Condition::Up);
        writer.shared.queue.push(sample, MOST_FIGURES);
    };
    record("web", START);
    assert!(writer.flush(Duration::from_secs(60)));
    let path = archive.file_of("web", FileKind::Availability);
    assert_eq!(fake.file(&path).points.len(), 1);
    assert_eq!((writer.report().stored, writer.report().created), (1, 1));

    record("web", START + 60);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        writer.finish(deadline).await;
    });
    assert_eq!(fake.file(&path).points.len(), 2);
    record("web", START + 120);
    assert!(writer.flush(Duration::from_secs(60)), "it has ended");
    assert_eq!(fake.file(&path).points.len(), 2);
}
