//! The writer and the real librrd, judged by the real rrdtool.

mod apmonitor;
mod property;

use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use apmon_core::{SeriesReader as _, Verdict};

use super::*;
use crate::{archive::Query, schema::Consolidation};

/// A site's directory, filled by a writer that is called by hand.
struct Real {
    directory: tempfile::TempDir,
    archive: Archive,
    files: Files,
}

impl Real {
    fn new(options: WriterOptions) -> Self {
        Self::at(tempfile::tempdir().unwrap(), options)
    }

    fn at(directory: tempfile::TempDir, options: WriterOptions) -> Self {
        let librrd = Librrd::in_process().unwrap();
        let archive = Archive::open(directory.path(), librrd.clone());
        let files = Files::new(archive.clone(), Arc::new(librrd), options);
        Self {
            directory,
            archive,
            files,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn take(&mut self, sample: &Sample) {
        let now = now(sample.at);
        self.files.take(sample, now);
        self.files.write_due(now);
        self.files.settle(now);
    }

    /// A check of a monitor that is up after these milliseconds, or down.
    fn check(&mut self, monitor: &str, every: u64, at: i64, latency: Option<u64>) {
        let outcome = match latency {
            Some(latency) => Outcome::up(Duration::from_millis(latency)),
            None => Outcome::fail(FailureClass::Refused, "refused"),
        };
        let condition = match outcome.verdict() {
            Verdict::Up => Condition::Up,
            _ => Condition::Down,
        };
        let kind = ("tcp", Duration::from_secs(every));
        self.take(&Sample::new(monitor.to_owned(), kind, at, &outcome, condition));
    }

    fn poll(&mut self, monitor: &str, every: u64, at: i64, metrics: Vec<Metric>) {
        let mut outcome = up();
        outcome.metrics = metrics;
        let kind = ("ports", Duration::from_secs(every));
        self.take(&Sample::new(
            monitor.to_owned(),
            kind,
            at,
            &outcome,
            Condition::Up,
        ));
    }

    fn write_all(&mut self, at: i64) {
        self.files.write_all(Extent::All, now(at));
    }

    fn fetch(&self, query: &Query) -> crate::series::Fetched {
        self.archive.fetch(query).unwrap()
    }
}

fn now(at: i64) -> Now {
    Now {
        mono: Mono::from_nanos(at * 1_000_000_000),
        wall: Timestamp::from_second(at).unwrap(),
    }
}

/// Runs rrdtool, and returns what it prints.
fn rrdtool(arguments: &[&str]) -> String {
    let output = Command::new("rrdtool").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rrdtool {arguments:?}: {error}");
    text
}

/// Has one rrdtool carry out many commands.
fn rrdtool_lines(lines: &str) {
    let mut child = Command::new("rrdtool")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("ERROR"), "{text}");
}

/// What `rrdtool info` says about the schema.
fn described(path: &std::path::Path) -> String {
    let info = rrdtool(&["info", path.to_str().unwrap()]);
    let changing = [
        "filename",
        "last_update",
        ".cur_row",
        "last_ds",
        ".value",
        "unknown_",
        "cdp_prep",
    ];
    let lines = info
        .lines()
        .filter(|line| !changing.iter().any(|word| line.contains(word)));
    lines.fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

/// The sources and archives that APMonitor creates.
fn apmonitor_schema(sources: &str, heartbeat: u64, rows: [u64; 5], steps: [u64; 4]) -> Vec<String> {
    let [native, m5, m30, m60, day] = rows;
    let [s5, s30, s60, sday] = steps;
    let sources = sources
        .split_whitespace()
        .map(|source| source.replace("HB", &heartbeat.to_string()));
    let archives = [
        format!("RRA:AVERAGE:0.5:1:{native}"),
        format!("RRA:MIN:0.5:1:{native}"),
        format!("RRA:MAX:0.5:1:{native}"),
        format!("RRA:AVERAGE:0.5:{s5}:{m5}"),
        format!("RRA:AVERAGE:0.5:{s30}:{m30}"),
        format!("RRA:AVERAGE:0.5:{s60}:{m60}"),
        format!("RRA:AVERAGE:0.5:{sday}:{day}"),
        format!("RRA:MIN:0.5:{s5}:{m5}"),
        format!("RRA:MAX:0.5:{s5}:{m5}"),
    ];
    sources.chain(archives).collect()
}

const AVAILABILITY: &str = "DS:response_time:GAUGE:HB:0:U DS:is_up:GAUGE:HB:0:100";

const SNMP: &str = "DS:tcp_retrans:COUNTER:HB:0:U DS:total_bits_in:COUNTER:HB:0:U \
     DS:total_bits_out:COUNTER:HB:0:U DS:total_pkts_in:COUNTER:HB:0:U DS:total_pkts_out:COUNTER:HB:0:U \
     DS:total_errors_in:COUNTER:HB:0:U DS:total_errors_out:COUNTER:HB:0:U \
     DS:total_pkts_ucast:COUNTER:HB:0:U DS:total_pkts_bmcast:COUNTER:HB:0:U DS:cpu_load:GAUGE:HB:0:100 \
     DS:memory_pct:GAUGE:HB:0:100 DS:context_switches:COUNTER:HB:0:U DS:swap_io:COUNTER:HB:0:U \
     DS:disk_read:COUNTER:HB:0:U DS:disk_write:COUNTER:HB:0:U DS:disk_space_pct:GAUGE:HB:0:100 \
     DS:swap_used:GAUGE:HB:0:U DS:interrupts:COUNTER:HB:0:U DS:ports_up_count:GAUGE:HB:0:U \
     DS:nvram_flash_bytes:GAUGE:HB:0:U DS:mac_count:GAUGE:HB:0:U DS:arp_count:GAUGE:HB:0:U";

/// Creates a file as APMonitor does.
fn create(path: &std::path::Path, step: u64, start: i64, schema: &[String]) {
    let (start, step) = (start.to_string(), step.to_string());
    let mut arguments = vec![
        "create",
        path.to_str().unwrap(),
        "--start",
        &start,
        "--step",
        &step,
    ];
    arguments.extend(schema.iter().map(String::as_str));
    rrdtool(&arguments);
}

#[test]
fn a_new_file_is_the_one_that_rrdtool_creates_after_the_tables() {
    let mut real = Real::new(WriterOptions::pass(Rows::Full));
    real.check("web", 60, START, Some(5));
    real.poll(
        "core",
        300,
        START,
        vec![counter("if2_in", 1, false), counter("if10_out", 1, false)],
    );

    let steps = [5, 30, 60, 1_440];
    let schema = apmonitor_schema(AVAILABILITY, 120, [44_640, 18_600, 18_600, 43_830, 22_692], steps);
    let by_hand = real.path("by-hand.rrd");
    create(&by_hand, 60, START, &schema);
    assert_eq!(described(&real.path(WEB)), described(&by_hand));
    assert_eq!(std::fs::metadata(real.path(WEB)).unwrap().len(), 4_400_672);

    let interfaces = "DS:if2_in:COUNTER:HB:0:U DS:if2_out:COUNTER:HB:0:U \
         DS:if10_in:COUNTER:HB:0:U DS:if10_out:COUNTER:HB:0:U ";
    let sources = format!("{interfaces}{SNMP}");
    let schema = apmonitor_schema(
        &sources,
        600,
        [8_928, 18_600, 18_600, 43_830, 22_692],
        [1, 6, 12, 288],
    );
    let by_hand = real.path("by-hand-2.rrd");
    create(&by_hand, 300, START, &schema);
    let switch = real.path("core-snmp.rrd");
    assert_eq!(described(&switch), described(&by_hand));
    let template = Template::Snmp {
        interfaces: vec![2, 10],
    };
    let size = Schema::of(&template, 300, &Rows::Full).size();
    assert_eq!(std::fs::metadata(&switch).unwrap().len(), size);
}

#[test]
fn a_step_over_a_day_is_recorded() {
    let mut real = Real::new(WriterOptions::pass(Rows::Small));
    for day in 0..4 {
        real.check("backup", 172_800, START + day * 172_800, Some(5));
    }
    let query = Query::new("backup", FileKind::Availability, START..START + 700_000, 100);
    let fetched = real.fetch(&query);
    assert_eq!(fetched.step, 172_800);
    assert!(fetched.column("is_up").unwrap().contains(&100.0));
}

#[test]
fn a_reset_is_one_unknown_step_and_no_spike() {
    let mut real = Real::new(WriterOptions::pass(Rows::Small));
    let start = START / 60 * 60;
    let mut count = 4_000_000_000;
    for minute in 0..10 {
        let continues = minute != 0 && minute != 5;
        count = if minute == 5 { 77 } else { count + 6_000 };
        let metrics = vec![
            counter("if1_in", count, continues),
            counter("if1_out", 6_000 * (minute + 1), minute != 0),
            Metric::gauge("cpu_load", 50.0),
        ];
        real.poll("core", 60, start + i64::try_from(minute).unwrap() * 60, metrics);
    }
    let query = Query::new("core", FileKind::Snmp, start..start + 540, 100);
    let fetched = real.fetch(&query.of(["if1_in", "if1_out", "cpu_load"]));
    let rows = |source: &str| {
        let column = fetched.column(source).unwrap();
        column
            .iter()
            .take(9)
            .map(|value| format!("{value:.0}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(rows("if1_in"), "100 100 100 100 NaN 100 100 100 100");
    assert_eq!(rows("if1_out"), "100 100 100 100 100 100 100 100 100");
    assert_eq!(rows("cpu_load"), "50 50 50 50 50 50 50 50 50");
}

#[test]
fn another_step_is_another_file_and_readers_see_both() {
    let mut real = Real::new(WriterOptions::daemon(Rows::Small));
    let start = START / 3_600 * 3_600;
    for minute in 0..60 {
        real.check("web", 60, start + minute * 60, Some(10));
    }
    for half_minute in 0..120 {
        real.check("web", 30, start + 3_600 + half_minute * 30, Some(20));
    }
    real.write_all(start + 7_200);
    assert!(real.path("web-availability.step60.rrd").exists());
    let query = Query::new("web", FileKind::Availability, start..start + 7_200, 1_000);
    let fetched = real.fetch(&query.clone().of(["response_time"]));
    assert_eq!(fetched.step, 30);
    let known = |from: i64, to: i64| -> Vec<f64> {
        let rows = (0..fetched.len()).filter(|row| (from..to).contains(&fetched.at(*row)));
        rows.map(|row| fetched.values[row]).collect()
    };
    assert!(
        known(start + 60, start + 3_500)
            .iter()
            .all(|value| (value - 10.0).abs() < 1e-9)
    );
    assert!(
        known(start + 3_700, start + 7_100)
            .iter()
            .all(|value| (value - 20.0).abs() < 1e-9)
    );
    let few = real.fetch(&Query { points: 10, ..query }.of(["response_time"]));
    assert!(few.len() <= 11 && few.len() >= 8, "{few:?}");

    assert_eq!(
        real.archive
            .first_time("web", FileKind::Availability)
            .unwrap()
            .unwrap()
            / 3_600,
        start / 3_600 - 1
    );
    let last = real.archive.last_values("web", FileKind::Availability).unwrap();
    assert_eq!(last.at, start + 3_600 + 119 * 30);
    assert_eq!(last.values[0], ("response_time".to_owned(), Some(20.0)));
}

#[test]
fn a_percentile_is_over_the_shown_range() {
    let mut real = Real::new(WriterOptions::daemon(Rows::Small));
    let start = START / 60 * 60;
    for minute in 0..=100 {
        real.check(
            "web",
            60,
            start + minute * 60,
            Some(u64::try_from(minute).unwrap()),
        );
    }
    real.write_all(start + 6_000);
    let query = Query::new("web", FileKind::Availability, start..start + 6_000, 1_000);
    let of = |percent| real.archive.percentile(&query, percent).unwrap();
    assert_eq!(of(95.0)[0], ("response_time".to_owned(), Some(95.0)));
    assert_eq!(of(95.0)[1], ("is_up".to_owned(), Some(100.0)));
}

#[test]
fn the_series_of_a_monitor_are_read_by_the_names_of_its_metrics() {
    let mut real = Real::new(WriterOptions::daemon(Rows::Small));
    let start = START / 60 * 60;
    for minute in 0..=10 {
        let mut outcome = up();
        outcome.metrics = vec![Metric::gauge("temperature of the rack", -3.5)];
        let kind = ("tcp", Duration::from_secs(60));
        let at = start + minute * 60;
        real.take(&Sample::new("rack".to_owned(), kind, at, &outcome, Condition::Up));
    }
    real.write_all(start + 600);
    assert_eq!(
        real.archive.metrics("rack").unwrap(),
        ["response_time", "is_up", "temperature of the rack"]
    );
    assert_eq!(real.archive.metrics("nobody").unwrap(), [""; 0]);
    let at = |second| Timestamp::from_second(second).unwrap();
    let span = at(start)..at(start + 600);
    let read = |metric, step| {
        real.archive
            .series("rack", metric, &span, Duration::from_secs(step))
            .unwrap()
    };
    let series = read("temperature of the rack", 60);
    assert_eq!(series.step, Duration::from_secs(60));
    assert!(series.values.contains(&Some(-3.5)), "{series:?}");
    let coarse = read("is_up", 100);
    assert!(coarse.step >= Duration::from_secs(100), "{coarse:?}");
    assert!(read("nothing", 60).values.iter().all(Option::is_none));
    assert_eq!(
        real.archive
            .series("nobody", "is_up", &span, Duration::from_secs(60))
            .unwrap()
            .values,
        []
    );
}

#[test]
fn a_file_that_is_not_an_rrd_file_is_set_aside() {
    for content in ["", "no RRD file at all, but some bytes of text"] {
        let mut real = Real::new(WriterOptions::pass(Rows::Small));
        std::fs::write(real.path(WEB), content).unwrap();
        real.check("web", 60, START, Some(5));
        let aside = std::fs::read_to_string(real.path("web-availability.damaged.rrd")).unwrap();
        assert_eq!(aside, content);
        assert_eq!(real.files.report.stored, 1);
    }
}

fn averages(path: &std::path::Path, start: i64, end: i64, step: u64) -> crate::series::Fetched {
    let librrd = Librrd::in_process().unwrap();
    librrd
        .fetch(path, Consolidation::Average, start, end, step)
        .unwrap()
}
