//! The tools of MRTG's world read what apmon writes for them: MRTG's own reader and indexmaker,
//! and a CGI program of the same outside as APMonitor's, which draws with librrd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use apmon_core::Condition;
use apmon_rrd::{
    mrtg::{Destination, MonitorView, SiteView, Written, targets, write},
    safe_name,
};
use jiff::{Timestamp, tz::TimeZone};

const NOW: i64 = 1_773_144_300;
const CGI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mrtg/mrtg-rrd.cgi.pl");
const READ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mrtg/read.pl");

/// A directory with the state of a site and its pages.
struct Lab {
    directory: tempfile::TempDir,
    monitors: Vec<(&'static str, &'static str)>,
}

impl Lab {
    fn new(monitors: &[(&'static str, &'static str)]) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            monitors: monitors.to_vec(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn cfg(&self) -> PathBuf {
        self.path("state/office.statefile.mrtg.cfg")
    }

    fn site(&self) -> SiteView<'static> {
        let monitor = |&(kind, name): &(&'static str, &'static str)| {
            let is_device = matches!(kind, "ports" | "port" | "host");
            let family = if is_device { "snmp" } else { "availability" };
            let file = format!("state/office.statefile.rrd/{}-{family}.rrd", safe_name(name));
            MonitorView {
                name,
                kind,
                address: "192.0.2.1",
                display: true,
                condition: Condition::Up,
                since: None,
                reason: None,
                last_checked: None,
                response_time_ms: None,
                disk_space_pct: Some(50.0),
                percentile: (kind == "ports").then_some(95),
                file: self.path(&file),
                device: None,
            }
        };
        SiteView {
            name: "Büro 1",
            monitors: self.monitors.iter().map(monitor).collect(),
            generated: Timestamp::from_second(NOW).expect("a time"),
            zone: TimeZone::UTC,
        }
    }

    fn write(&self) -> Written {
        let to = Destination {
            cfg: self.cfg(),
            pages: self.path("html/mrtg"),
            suffix: "svg",
        };
        write(&self.site(), &to).expect("the pages are written")
    }

    /// A file for each monitor, in which every source has been at 1000, or has grown by 1000 a
    /// second, for two hours.
    fn record(&self) {
        for monitor in self.site().monitors {
            fs::create_dir_all(monitor.file.parent().expect("a directory")).expect("a directory");
            let site = SiteView {
                monitors: vec![monitor.clone()],
                ..self.site()
            };
            let mut sources: Vec<&str> = Vec::new();
            for target in targets(&site) {
                for side in target.pair.sides {
                    if !sources.contains(&side.source) {
                        sources.push(side.source);
                    }
                }
            }
            let begin = NOW - 7_200;
            let file = &monitor.file;
            let mut create = Command::new("rrdtool");
            create.arg("create").arg(file);
            create.args(["--step", "60", "--start", &begin.to_string()]);
            create.args(
                sources
                    .iter()
                    .map(|source| format!("DS:{source}:COUNTER:120:0:U")),
            );
            create.args(["RRA:AVERAGE:0.5:1:44640", "RRA:AVERAGE:0.5:30:18600"]);
            run(&mut create);
            let mut update = Command::new("rrdtool");
            update.arg("update").arg(file);
            update.args((1..=120).map(|minute: i64| {
                let values = format!(":{}", minute * 60_000).repeat(sources.len());
                format!("{}{values}", begin + minute * 60)
            }));
            run(&mut update);
        }
    }

    /// What the CGI program answers, with its header cut off.
    fn get(&self, path: &str) -> Vec<u8> {
        let mut cgi = Command::new("perl");
        cgi.arg(self.path("html/mrtg-rrd.cgi.pl"));
        cgi.env("PATH_INFO", path).env("TEST_NOW", NOW.to_string());
        let answer = run(&mut cgi);
        let split = answer.windows(2).position(|bytes| bytes == b"\n\n");
        let (header, body) = answer.split_at(split.expect("a header") + 2);
        assert!(
            !header.starts_with(b"Content-Type: text/plain"),
            "{path}: {}",
            String::from_utf8_lossy(body)
        );
        body.to_vec()
    }

    fn page(&self, path: &str) -> String {
        String::from_utf8(self.get(path)).expect("a page in ASCII")
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{command:?}: {errors}"
    );
    output.stdout
}

const MONITORS: &[(&str, &str)] = &[
    ("ports", "core switch"),
    ("port", "uplink"),
    ("host", "nas"),
    ("http", "Büro: <web> & \"more\""),
    ("tcp", "büro  #1\nOptions[x]: y"),
    ("ping", "_"),
    ("ping", "Core_Switch-errors"),
];

#[test]
fn mrtg_reads_every_target() {
    let lab = Lab::new(MONITORS);
    assert!(lab.write().problems.is_empty());
    let understood = run(Command::new("perl").arg(READ).arg(lab.cfg()));
    let understood = String::from_utf8(understood).expect("text");
    let site = lab.site();
    let targets = targets(&site);
    assert_eq!(targets.len(), 8 + 4 + 4 + 4);
    for target in &targets {
        // Its reader ignores case, in ASCII.
        let name = target.name.to_ascii_lowercase();
        let [first, second] = target.pair.sides;
        let file = target.monitor.file.display();
        for line in [
            format!("{name} targorig {}&{}:{file}", first.source, second.source),
            format!("{name} maxbytes1 {}", first.max),
            format!("{name} maxbytes2 {}", second.max),
            format!("{name} legend1 {}", first.legend),
            format!("{name} legendo {}", second.short),
            format!("{name} cgi*y2legend {}", second.axis),
            format!("{name} withpeak dwmy"),
        ] {
            assert!(
                understood.lines().any(|found| found == line),
                "{line} in\n{understood}"
            );
        }
    }
    let lines: Vec<_> = understood
        .lines()
        .filter(|line| line.contains(" cgi*percentile "))
        .collect();
    assert_eq!(lines.len(), 8, "those of the switch");
    // A name with a line break is one line.
    let title = "büro___1_options_x___y title b&#252;ro  #1&#92;nOptions[x]: y - Availability";
    assert!(understood.lines().any(|line| line == title), "{understood}");
}

#[test]
fn indexmaker_makes_a_page_of_every_target() {
    let lab = Lab::new(MONITORS);
    lab.write();
    // What the CGI program alone knows is left out.
    let text = fs::read_to_string(lab.cfg()).expect("it is written");
    let known: String = text
        .lines()
        .filter(|line| !line.starts_with("Y2Legend") && !line.starts_with("Percentile"))
        .map(|line| format!("{}\n", line.trim_end_matches(",dualaxis")))
        .collect();
    let plain = lab.path("plain.cfg");
    fs::write(&plain, known).expect("a copy");
    let page = run(Command::new("indexmaker").arg(&plain));
    let page = String::from_utf8_lossy(&page);
    for name in ["core_switch-bandwidth", "uplink-errors", "nas-system4", "_~2"] {
        assert!(page.contains(&format!("log={name}&amp;")), "{name} in\n{page}");
    }
    assert!(
        page.contains("B&#252;ro: &lt;web&gt; &amp; &quot;more&quot;"),
        "{page}"
    );
    assert!(!page.contains("<web>"));
}

#[test]
fn a_cgi_program_serves_every_target_of_its_site() {
    let lab = Lab::new(MONITORS);
    fs::create_dir_all(lab.path("html")).expect("a directory");
    fs::copy(CGI, lab.path("html/mrtg-rrd.cgi.pl")).expect("the program");
    lab.record();
    assert!(lab.write().has_cgi);
    let site = lab.site();
    for target in targets(&site) {
        let page = lab.page(&format!("/Büro_1/{}.html", target.name));
        assert_eq!(page.matches("<img").count(), 4, "{page}");
        let [first, second] = target.pair.sides;
        // What it shows is what was recorded: bits are not multiplied by 8 again.
        let values = format!(
            "{} max 1000.0 {unit}\n{} max 1000.0 {unit}\n",
            first.short,
            second.short,
            unit = target.pair.short_legend
        );
        assert!(page.contains(&values), "{values} in\n{page}");
        let picture = lab.get(&format!("/Büro_1/{}-day.png", target.name));
        assert!(picture.starts_with(b"\x89PNG"), "{}", target.name);
    }
}

#[test]
fn every_link_of_the_pages_leads_to_something() {
    let lab = Lab::new(MONITORS);
    fs::create_dir_all(lab.path("html")).expect("a directory");
    fs::copy(CGI, lab.path("html/mrtg-rrd.cgi.pl")).expect("the program");
    lab.record();
    let written = lab.write();
    let mut checked = 0;
    for page in ["index.html", "ports-core_switch-detail.html"] {
        let text = fs::read_to_string(written.directory.join(page)).expect("a page");
        let links = text.split(['"']).skip(1).step_by(2);
        for link in links.filter(|link| link.ends_with(".html") || link.ends_with(".png")) {
            match decoded(link).strip_prefix("/mrtg-rrd") {
                Some(path) => assert!(!lab.get(path).is_empty(), "{link}"),
                None => assert!(written.directory.join(decoded(link)).is_file(), "{link}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

/// A link without its escapes.
fn decoded(link: &str) -> String {
    let mut parts = link.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_list_of_the_program_keeps_other_sites() {
    let lab = Lab::new(&[("tcp", "web")]);
    fs::create_dir_all(lab.path("html")).expect("a directory");
    let program = lab.path("html/mrtg-rrd.cgi.pl");
    fs::copy(CGI, &program).expect("the program");
    lab.write();
    let is = fs::read_to_string(&program).expect("the program");
    let entry = format!("        'Büro_1' => '{}',\n", lab.cfg().display());
    let was = fs::read_to_string(Path::new(CGI)).expect("the program");
    let before = was.find("        'Elsewhere'").expect("its entry");
    assert_eq!(is, format!("{}{entry}{}", &was[..before], &was[before..]));
}
