//! History in RRD files, by the real binary; rrdtool is the judge.
#![cfg(feature = "rrd")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use support::{Behaviour, Lab, Output, Receiver, Service, Site, run, wait_until};

/// A site that is checked every second, whose monitor `web` is up while the service is open.
fn site(service: &Service) -> Site {
    Site::new("HomeLab")
        .option("check_every_n_secs: 1")
        .watch_service("web", service)
}

/// What rrdtool prints.
fn rrdtool(arguments: &[&str]) -> String {
    let output = Command::new("rrdtool")
        .args(arguments)
        .env_remove("RRDCACHED_ADDRESS")
        .output()
        .expect("rrdtool is required; `cargo xtask test` or `apt install rrdtool` installs it");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn directory(lab: &Lab) -> PathBuf {
    lab.path("state/home.statefile.rrd")
}

fn availability(lab: &Lab) -> String {
    let path = directory(lab).join("web-availability.rrd");
    path.to_str().unwrap().to_owned()
}

/// The second of the last update.
fn last(path: &str) -> i64 {
    rrdtool(&["last", path]).trim().parse().unwrap()
}

/// The known values of a data source in what `apmon export` prints.
fn known(lab: &Lab, source: &str, more: &[&str]) -> Vec<f64> {
    let arguments = [&["export", "home.yaml", "web", "--last", "1h", "--json"], more].concat();
    let export = lab.run(&arguments).json();
    let rows = export["rows"].as_array().unwrap().iter();
    rows.filter_map(|row| row[source].as_f64()).collect()
}

#[test]
fn a_pass_keeps_history_from_the_day_it_is_asked_to() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).text());
    lab.run(&["home.yaml"]).assert_code(0);
    assert!(!directory(&lab).exists());

    let path = availability(&lab);
    lab.state("home").age(Duration::from_secs(1));
    lab.run(&["--generate-rrds", "home.yaml"]).assert_code(0);
    let info = rrdtool(&["info", &path]);
    for line in [
        "step = 1",
        "ds[response_time].type = \"GAUGE\"",
        "ds[response_time].minimal_heartbeat = 2",
        "ds[is_up].max = 1.0000000000e+02",
        "rra[0].cf = \"AVERAGE\"",
        "rra[3].pdp_per_row = 300",
        "rra[8].rows = 18600",
    ] {
        assert!(info.lines().any(|found| found == line), "{line}: {info}");
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    // Then without the option, until the site file says no.
    let before = last(&path);
    wait_until("a later second", || {
        lab.run(&["home.yaml"]).assert_code(0);
        (last(&path) > before).then_some(())
    });
    lab.write("home.yaml", site(&web).option("rrd: no").text());
    let before = last(&path);
    let output = lab.run(&["home.yaml", "--generate-rrds"]);
    output.assert_code(0);
    assert_eq!(last(&path), before);
    assert!(
        output.logged("WARN")[0].contains("because the site file says rrd: no"),
        "{}",
        output.text()
    );
}

#[test]
fn a_site_without_history_starts_no_child_and_loads_no_library() {
    let (lab, web) = (Lab::new(), Service::open());
    let log = lab.path("calls");
    let pass = || {
        let output = lab.start_traced(&log, "execve,openat", &["home.yaml"]).wait();
        output.assert_code(0);
        fs::read_to_string(&log).unwrap()
    };
    lab.write("home.yaml", site(&web).text());
    let calls = pass();
    assert!(
        !calls.contains("rrd-worker") && !calls.contains("librrd"),
        "{calls}"
    );
    // The same way it would be seen.
    lab.state("home").age(Duration::from_secs(1));
    lab.write("home.yaml", site(&web).option("rrd: yes").text());
    let calls = pass();
    assert!(
        calls.contains("rrd-worker") && calls.contains("librrd.so.8"),
        "{calls}"
    );
}

#[test]
fn without_the_library_one_line_says_what_to_install() {
    let (lab, web) = (Lab::new(), Service::open());
    let site = site(&web).option("rrd: yes").watch_service("mail", &web);
    lab.write("home.yaml", site.text());
    let libraries =
        "for library in $(find /usr/lib /lib -name 'librrd.so.8*'); do mount --bind /dev/null $library; done";
    let output = run(lab.apmon_with_mounts(libraries, &["-v", "home.yaml"]));
    output.assert_code(0);
    let missing: Vec<_> = output
        .logged("WARN")
        .into_iter()
        .filter(|line| line.contains("librrd8"))
        .collect();
    assert_eq!(missing.len(), 1, "{}", output.text());
    assert!(output.text().contains("2 up"), "{}", output.text());
}

#[test]
fn the_daemon_writes_before_somebody_reads_and_when_it_stops() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).option("rrd: yes").text());
    let daemon = lab.start(&["run", "home.yaml"]);
    // The default collects for a minute.
    let values = wait_until("values", || {
        let output = lab.run(&["export", "home.yaml", "web", "--last", "1h", "--json"]);
        if output.code != Some(0) {
            return None; // not created yet
        }
        let values = known(&lab, "is_up", &[]);
        (values.len() >= 3).then_some(values)
    });
    assert!(
        values.iter().all(|value| (*value - 100.0).abs() < 1e-9),
        "{values:?}"
    );
    let before = last(&availability(&lab));
    let status = lab.run(&["status", "--json", "home.yaml"]).json();
    let checks = status["sites"][0]["checks"]["ended"].as_u64().unwrap();
    wait_until("another check", || {
        let status = lab.run(&["status", "--json", "home.yaml"]).json();
        (status["sites"][0]["checks"]["ended"].as_u64().unwrap() > checks + 1).then_some(())
    });
    assert_eq!(last(&availability(&lab)), before, "it is collected");
    daemon.stop().assert_code(0);
    assert!(last(&availability(&lab)) > before);
}

#[test]
fn a_reload_begins_and_ends_the_history() {
    let (lab, web) = (Lab::new(), Service::open());
    let text = |rrd: &str| site(&web).option(rrd).option("rrd_flush_secs: 0").text();
    lab.write("home.yaml", text("rrd: no"));
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.wait_for_err("watching 1 monitor");
    assert!(!directory(&lab).exists());
    lab.replace("home.yaml", text("rrd: yes"));
    wait_until("a file", || Path::new(&availability(&lab)).exists().then_some(()));
    lab.replace("home.yaml", text("rrd: no"));
    daemon.wait_for_err("HomeLab: history is no longer recorded");
    let ended = last(&availability(&lab));
    let status = || lab.run(&["status", "--json", "home.yaml"]).json();
    let checks = status()["sites"][0]["checks"]["ended"].as_u64().unwrap();
    wait_until("more checks", || {
        (status()["sites"][0]["checks"]["ended"].as_u64().unwrap() > checks + 2).then_some(())
    });
    assert_eq!(last(&availability(&lab)), ended);
    daemon.stop().assert_code(0);
}

#[test]
fn charts_are_written_and_printed() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).option("rrd: yes").text());
    recorded(&lab, 1_700_000_000, 100);
    let from = ["--from", "2023-11-14T22:13:20Z", "--to", "2023-11-14T22:15:00Z"];
    let graph = |more: &[&str]| lab.run(&[&["graph", "home.yaml", "web"], &from[..], more].concat());
    graph(&["-o", "web.svg"]).assert_code(0);
    let svg = fs::read_to_string(lab.path("web.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") || svg.starts_with("<?xml"),
        "{}",
        &svg[..80]
    );
    graph(&["-o", "web.png", "--size", "1920x720", "--dark"]).assert_code(0);
    let png = fs::read(lab.path("web.png")).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(&png[16..24], [0, 0, 7, 128, 0, 0, 2, 208], "the size");
    let shown = graph(&[]);
    shown.assert_code(0);
    assert!(!shown.text().contains('\x1b'), "no colours in a pipe");
    assert!(shown.text().contains("Response Time"), "{}", shown.text());
    let one = graph(&["--metric", "response_time"]);
    one.assert_code(0);

    for (more, error) in [
        (
            &["--metric", "respones_time"][..],
            "\"respones_time\" is not recorded; did you mean response_time?",
        ),
        (&["-o", "nowhere/web.svg"], "cannot write nowhere/web.svg"),
    ] {
        let output = graph(more);
        output.assert_code(1);
        assert!(output.text().contains(error), "{}", output.text());
    }
    graph(&["-o", "web.jpg"]).assert_code(2);
    let other = lab.run(&["graph", "home.yaml", "wbe"]);
    other.assert_code(1);
    assert!(other.text().contains("did you mean \"web\"?"), "{}", other.text());
}

/// Makes rrdtool write a file as APMonitor does, with a value each second: its response time is
/// the number of the second.
fn recorded(lab: &Lab, start: i64, seconds: i64) {
    fs::create_dir_all(directory(lab)).unwrap();
    let path = availability(lab);
    let begin = (start - 1).to_string();
    rrdtool(&[
        "create",
        &path,
        "--step",
        "1",
        "--start",
        &begin,
        "DS:response_time:GAUGE:2:0:U",
        "DS:is_up:GAUGE:2:0:100",
        "RRA:AVERAGE:0.5:1:3600",
        "RRA:MIN:0.5:1:3600",
        "RRA:MAX:0.5:1:3600",
    ]);
    let values: Vec<String> = (0..seconds)
        .map(|second| format!("{}:{second}:100", start + second))
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    rrdtool(&[&["update", &path], &values[..]].concat());
}

#[test]
fn numbers_are_exported() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).text());
    recorded(&lab, 1_700_000_000, 10);
    let from = ["--from", "2023-11-14T22:13:22Z", "--to", "2023-11-14T22:13:25Z"];
    let export = |more: &[&str]| lab.run(&[&["export", "home.yaml", "web"], &from[..], more].concat());
    assert_eq!(
        export(&["--csv"]).out,
        [
            "time,response_time,is_up\r",
            "2023-11-14T22:13:23+00:00,3,100\r",
            "2023-11-14T22:13:24+00:00,4,100\r",
            "2023-11-14T22:13:25+00:00,5,100\r",
        ]
    );
    let json = export(&["--json", "--metric", "response_time", "--values", "max"]).json();
    assert_eq!(
        (json["step_secs"].as_u64(), json["values"].as_str()),
        (Some(1), Some("max"))
    );
    assert_eq!(json["rows"][0]["response_time"].as_f64(), Some(3.0));
    let wrong = lab.run(&[
        "export",
        "home.yaml",
        "web",
        "--from",
        "2023-11-15",
        "--to",
        "2023-11-14",
    ]);
    wrong.assert_code(1);
    assert!(
        wrong.text().contains("is not after the beginning"),
        "{}",
        wrong.text()
    );
}

#[test]
fn a_site_without_history_says_how_to_keep_one() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).text());
    for arguments in [
        &["graph", "home.yaml", "web"][..],
        &["export", "home.yaml", "web"],
        &["rrd", "check", "home.yaml"],
        &["rrd", "migrate", "home.yaml"],
    ] {
        let output = lab.run(arguments);
        output.assert_code(1);
        assert!(
            output.text().contains("HomeLab has no history in ") && output.text().contains("rrd: yes"),
            "{}",
            output.text()
        );
    }
}

#[test]
fn files_of_apmonitor_are_mended_only_on_request() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).option("rrd_rows: {native: 7200}").text());
    recorded(&lab, 1_700_000_000, 10);
    let path = availability(&lab);
    let fetch = || rrdtool(&["fetch", &path, "AVERAGE", "-s", "1700000000", "-e", "1700000010"]);
    let before = (fs::read(&path).unwrap(), fetch());

    let check = lab.run(&["rrd", "check", "home.yaml"]);
    check.assert_code(1);
    assert!(
        check
            .text()
            .contains("web-availability.rrd has fewer rows than wanted"),
        "{}",
        check.text()
    );
    let dry = lab.run(&["rrd", "migrate", "home.yaml"]);
    dry.assert_code(0);
    assert!(
        dry.text().contains("Nothing was changed: --write does it."),
        "{}",
        dry.text()
    );
    assert_eq!(fs::read(&path).unwrap(), before.0);

    // A daemon that writes would push out what is so old.
    let rows = site(&web).option("rrd_rows: {native: 7200}");
    lab.write("home.yaml", rows.option("rrd: no").text());
    let daemon = lab.start_daemon(1);
    lab.run(&["rrd", "check", "home.yaml"]).assert_code(1);
    let refused = lab.run(&["rrd", "migrate", "--write", "home.yaml"]);
    refused.assert_code(1);
    assert!(
        refused.text().contains("another apmon is running this site"),
        "{}",
        refused.text()
    );
    daemon.stop().assert_code(0);

    let done = lab.run(&["rrd", "migrate", "--write", "home.yaml"]);
    done.assert_code(0);
    assert!(
        done.text().contains("1 file changed, 0 failed"),
        "{}",
        done.text()
    );
    assert!(rrdtool(&["info", &path]).contains("rra[0].rows = 7200"));
    assert_eq!(fetch(), before.1, "every value is kept");
}

#[test]
fn the_configuration_of_a_site_shows_what_its_history_takes() {
    let (lab, web) = (Lab::new(), Service::open());
    let site = site(&web).option("check_every_n_secs: 60");
    lab.write("home.yaml", site.text());
    let without = lab.run(&["--test-config", "home.yaml"]);
    assert!(!without.text().contains("history of"), "{}", without.text());
    let with = lab.run(&["--test-config", "home.yaml", "--generate-rrds"]);
    with.assert_code(0);
    assert!(with.text().contains("rrd_rows full"), "{}", with.text());
    assert!(with.text().contains("web-availability.rrd"), "{}", with.text());
    assert!(!directory(&lab).exists(), "nothing is created");
}

#[test]
fn values_that_come_too_late_are_warned_of() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("home.yaml", site(&web).option("rrd: yes").text());
    lab.run(&["home.yaml"]).assert_code(0);
    lab.state("home").age(Duration::from_secs(10));
    let output = lab.run(&["home.yaml"]);
    output.assert_code(0);
    let warnings = output.logged("WARN");
    assert_eq!(warnings.len(), 1, "{}", output.text());
    assert!(
        warnings[0]
            .starts_with("HomeLab: the history of web has a gap: values more than 2 secs apart are unknown"),
        "{}",
        output.text()
    );
}

#[test]
fn pages_are_made_after_the_checks() {
    let (lab, web, receiver) = (
        Lab::new(),
        Service::closed(),
        Receiver::new(Behaviour::Answer(200)),
    );
    let site = Site::every_second("Home Lab", &receiver).watch_service("web <1>", &web);
    lab.write("home.yaml", site.text());
    let pages = lab.path("pages");
    let output = lab.run(&["home.yaml", "--generate-mrtg-config", "pages"]);
    output.assert_code(0);
    assert_pages(&lab, &pages, &output);
}

fn assert_pages(lab: &Lab, pages: &Path, output: &Output) {
    let index = fs::read_to_string(pages.join("Home_Lab/index.html"));
    let index = index.unwrap_or_else(|error| panic!("{error}: {}", output.text()));
    assert!(
        index.contains("web &lt;1&gt;") && !index.contains("web <1>"),
        "{index}"
    );
    assert!(index.contains("connection refused"), "the reason: {index}");
    let cfg = fs::read_to_string(lab.path("state/home.statefile.mrtg.cfg")).unwrap();
    let file = directory(lab).join("web__1_-availability.rrd");
    let target = format!("Target[web__1_]: response_time&is_up:{}", file.display());
    assert!(cfg.lines().any(|line| line == target), "{cfg}");
    assert!(pages.join("Home_Lab/web__1_-day.svg").exists());
}

#[test]
fn the_daemon_makes_pages_when_a_condition_changes() {
    let (lab, web, receiver) = (
        Lab::new(),
        Service::closed(),
        Receiver::new(Behaviour::Answer(200)),
    );
    let site = Site::every_second("Home Lab", &receiver).watch_service("web <1>", &web);
    lab.write("home.yaml", site.option("rrd_flush_secs: 0").text());
    let pages = lab.path("pages");
    let daemon = lab.start(&["run", "home.yaml", "--generate-mrtg-config", "pages"]);
    let index = pages.join("Home_Lab/index.html");
    let says = |text: &str| {
        let index = fs::read_to_string(&index).unwrap_or_default();
        index.contains(text).then_some(())
    };
    wait_until("the outage on the page", || says("connection refused"));
    web.reopen();
    wait_until("its end", || says("connection refused").is_none().then_some(()));
    daemon.stop().assert_code(0);
}

#[test]
fn charts_are_drawn_beside_a_daemon_that_writes() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write(
        "home.yaml",
        site(&web).option("rrd: yes").option("rrd_flush_secs: 0").text(),
    );
    let daemon = lab.start_daemon(2);
    wait_until("a file", || Path::new(&availability(&lab)).exists().then_some(()));
    let before = last(&availability(&lab));
    let graphs: Vec<_> = (0..8)
        .map(|number| {
            let file = format!("web{number}.svg");
            lab.start(&["graph", "home.yaml", "web", "--last", "1h", "-o", &file])
        })
        .collect();
    for graph in graphs {
        let output = graph.wait();
        output.assert_code(0);
        assert_eq!(output.logged("WARN"), [""; 0], "{}", output.text());
    }
    wait_until("a later value", || {
        (last(&availability(&lab)) > before).then_some(())
    });
    let output = daemon.stop();
    output.assert_code(0);
    assert_eq!(output.logged("WARN"), [""; 0], "{}", output.text());
}
