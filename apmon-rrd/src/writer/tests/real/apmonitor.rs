//! Directories as APMonitor 1.3 leaves them.

use super::*;

/// Five years of an hourly check of a switch with three interfaces.
const HOURS: i64 = 43_800;

fn five_years_of_a_switch(path: &std::path::Path, end: i64) {
    let interfaces: String = [1, 2, 10]
        .iter()
        .map(|number| format!("DS:if{number}_in:COUNTER:HB:0:U DS:if{number}_out:COUNTER:HB:0:U "))
        .collect();
    let sources = format!("{interfaces}{SNMP}");
    let schema = apmonitor_schema(
        &sources,
        7_200,
        [744, 18_600, 18_600, 43_830, 22_692],
        [1, 1, 1, 24],
    );
    let start = end - HOURS * 3_600;
    create(path, 3_600, start, &schema);
    // In the order of APMonitor's template, which is not that of the file.
    let names = "if10_in:if10_out:if1_in:if1_out:if2_in:if2_out:total_bits_in:cpu_load";
    let mut lines = String::new();
    for hours in (1..=HOURS).collect::<Vec<_>>().chunks(400) {
        let _ = write!(lines, "update {} --template {names}", path.display());
        for hour in hours {
            let (at, octets) = (start + hour * 3_600, hour * 3_600);
            let _ = write!(
                lines,
                " {at}:{}:{octets}:{octets}:{octets}:{}:{octets}:{}:12.5",
                octets * 10,
                octets * 2,
                octets * 104
            );
        }
        lines.push('\n');
    }
    rrdtool_lines(&lines);
}

#[test]
fn five_years_of_a_switch_stay_when_it_grows_by_two_interfaces() {
    let mut real = Real::new(WriterOptions::pass(Rows::Full));
    let end = START / 86_400 * 86_400;
    let path = real.path("core-snmp.rrd");
    five_years_of_a_switch(&path, end);
    let before = averages(&path, end - HOURS * 3_600, end, 86_400);
    let size = std::fs::metadata(&path).unwrap().len();

    for hour in 1..=3 {
        let octets = u64::try_from((HOURS + hour) * 3_600).unwrap();
        let metrics = vec![
            counter("if1_in", octets, hour > 1),
            counter("if1_out", octets, hour > 1),
            counter("if11_in", octets * 3, hour > 1),
            counter("if11_out", octets, hour > 1),
            counter("if12_in", octets * 4, hour > 1),
            counter("total_bits_in", octets * 64, hour > 1),
            Metric::gauge("cpu_load", 20.0),
        ];
        real.poll("core", 3_600, end + hour * 3_600, metrics);
    }
    assert_eq!(real.files.report.grown, 1);
    assert_eq!(real.files.report.refused, 0);

    let after = averages(&path, end - HOURS * 3_600, end, 86_400);
    assert_eq!(after.sources.len(), 32);
    for source in &before.sources {
        let (was, is) = (before.column(source).unwrap(), after.column(source).unwrap());
        let same = was
            .iter()
            .zip(&is)
            .all(|(was, is)| was == is || (was.is_nan() && is.is_nan()));
        assert!(same && was.len() == is.len(), "{source}");
    }
    let known = before.column("if10_in").unwrap();
    assert!(
        known.iter().filter(|value| (**value - 10.0).abs() < 1e-9).count() > 1_800,
        "five years of days"
    );
    assert!(std::fs::metadata(&path).unwrap().len() > size);

    let query = Query::new("core", FileKind::Snmp, end + 3_600..end + 3 * 3_600, 10);
    let fetched = real.fetch(&query.of(["if11_in", "if12_in", "if1_in", "if2_in", "cpu_load"]));
    let first = &fetched.values[..5];
    assert!(
        (first[0] - 3.0).abs() < 1e-9 && (first[1] - 4.0).abs() < 1e-9,
        "{fetched:?}"
    );
    assert!(
        (first[2] - 1.0).abs() < 1e-9 && first[3].is_nan() && (first[4] - 20.0).abs() < 1e-9,
        "{fetched:?}"
    );
    // The files of APMonitor itself are still what rrdtool reads.
    rrdtool(&["lastupdate", path.to_str().unwrap()]);
}

#[test]
fn a_shrunken_and_renumbered_switch_goes_on() {
    let mut real = Real::new(WriterOptions::pass(Rows::Small));
    let path = real.path("core-snmp.rrd");
    let sources = format!("DS:if1_in:COUNTER:HB:0:U DS:if1_out:COUNTER:HB:0:U {SNMP}");
    let schema = apmonitor_schema(&sources, 120, [44_640, 100, 100, 100, 100], [5, 30, 60, 1_440]);
    create(&path, 60, START - 600, &schema);
    real.poll("core", 60, START, vec![counter("if501_in", 7, false)]);
    real.poll("core", 60, START + 60, vec![counter("if501_in", 67, true)]);
    assert_eq!(real.files.report.refused, 0);
    let last = real.archive.last_values("core", FileKind::Snmp).unwrap();
    assert!(
        last.values.contains(&("if501_in".to_owned(), Some(67.0))),
        "{last:?}"
    );
    assert!(last.values.contains(&("if1_in".to_owned(), None)), "{last:?}");
}

#[test]
fn an_availability_file_is_continued_without_a_gap() {
    let mut real = Real::new(WriterOptions::pass(Rows::Full));
    let start = START / 60 * 60;
    let schema = apmonitor_schema(
        AVAILABILITY,
        120,
        [44_640, 18_600, 18_600, 43_830, 22_692],
        [5, 30, 60, 1_440],
    );
    let path = real.path("Büro_1-availability.rrd");
    create(&path, 60, start - 60, &schema);
    for minute in 0..10 {
        let update = format!("{}:7:100", start + minute * 60);
        rrdtool(&["update", path.to_str().unwrap(), &update]);
    }
    for minute in 10..20 {
        real.check("Büro 1", 60, start + minute * 60, Some(7));
    }
    // And the other way round.
    let update = format!("{}:7:100", start + 20 * 60);
    rrdtool(&["update", path.to_str().unwrap(), &update]);
    let query = Query::new("Büro 1", FileKind::Availability, start..start + 1_200, 100);
    let fetched = real.fetch(&query);
    let rows = fetched.column("response_time").unwrap();
    assert!(
        rows.iter().take(20).all(|value| (value - 7.0).abs() < 1e-9),
        "{rows:?}"
    );
}

#[test]
fn a_file_before_13_is_kept_beside_the_new_one() {
    let mut real = Real::new(WriterOptions::pass(Rows::Small));
    let sources = "DS:response_time:GAUGE:HB:0:U DS:is_up:GAUGE:HB:0:1";
    let schema = apmonitor_schema(sources, 600, [2_016, 600, 700, 775, 797], [1, 6, 24, 288]);
    create(&real.path(WEB), 300, START - 600, &schema);
    real.check("web", 300, START, Some(5));
    let old = described(&real.path("web-availability.before-1.3.rrd"));
    assert!(old.contains("ds[is_up].max = 1.0000000000e+00"), "{old}");
    assert!(described(&real.path(WEB)).contains("ds[is_up].max = 1.0000000000e+02"));
}

#[test]
fn a_directory_is_examined_and_repaired_without_loss() {
    let real = Real::new(WriterOptions::pass(Rows::Full));
    let start = START / 3_600 * 3_600;
    let schema = apmonitor_schema(
        AVAILABILITY,
        300,
        [2_000, 4_032, 2_880, 17_520, 1_826],
        [5, 30, 60, 1_440],
    );
    let path = real.path(WEB);
    create(&path, 60, start - 60, &schema);
    for minute in 0..100 {
        rrdtool(&[
            "update",
            path.to_str().unwrap(),
            &format!("{}:7:100", start + minute * 60),
        ]);
    }
    std::fs::write(real.path("gone-availability.rrd"), "x").unwrap();
    std::fs::write(real.path("web-availability.rrdAb12Cd"), "x").unwrap();
    let expected = [crate::repair::Expected {
        monitor: "web".to_owned(),
        kind: "tcp".to_owned(),
        step: 60,
    }];
    let examine = || {
        let mut seen = Vec::new();
        let findings = real
            .archive
            .examine(&expected, &Rows::Full, &mut |progress| {
                seen.push((progress.done, progress.all))
            })
            .unwrap();
        assert_eq!(seen, [(0, 1)]);
        findings
    };
    let before = averages(&path, start, start + 6_000, 60);
    let findings = examine();
    let texts: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!(
                "{} {}",
                finding.path.file_name().unwrap().display(),
                finding.differences[0]
            )
        })
        .collect();
    assert_eq!(
        texts,
        [
            "web-availability.rrd has fewer rows than wanted in 9 archives (+42640, +42640, +42640, +14568, \
             +15720, +26310, +20866, +14568, +14568)",
            "gone-availability.rrd belongs to no monitor of the site file",
            "web-availability.rrdAb12Cd was left by a process that was killed",
        ]
    );
    let repaired = real.archive.repair(&findings, Default::default(), &mut |_| {});
    assert_eq!(repaired.len(), 2);
    assert!(repaired.iter().all(|it| it.result.is_ok()), "{repaired:?}");
    let after = averages(&path, start, start + 6_000, 60);
    assert_eq!(before.len(), after.len());
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4_400_672);
    let left = examine();
    assert_eq!(left.len(), 1, "the orphan is left alone: {left:?}");
}
