use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::{
    super::tests::{monitor, site},
    *,
};

struct Lab {
    directory: tempfile::TempDir,
    to: Destination,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let to = Destination {
            cfg: directory.path().join("state/office.statefile.mrtg.cfg"),
            pages: directory.path().join("html/mrtg"),
            suffix: "svg",
        };
        Self { directory, to }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn mode(&self, path: &str) -> u32 {
        self.path(path).metadata().unwrap().permissions().mode() & 0o7777
    }

    fn script(&self, text: &str) {
        fs::create_dir_all(self.path("html")).unwrap();
        fs::write(self.path("html/mrtg-rrd.cgi.pl"), text).unwrap();
    }

    fn write(&self) -> Written {
        let site = site(vec![monitor("ports", "core"), monitor("tcp", "web")]);
        write(&site, &self.to).unwrap()
    }

    fn problems(&self) -> Vec<String> {
        self.write().problems.iter().map(ToString::to_string).collect()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn every_file_is_readable_for_the_web_server() {
    let lab = Lab::new();
    let written = lab.write();
    assert!(written.problems.is_empty() && !written.has_cgi, "{written:?}");
    assert_eq!(written.directory, lab.path("html/mrtg/Office"));
    assert_eq!(
        lab.names("html/mrtg/Office"),
        ["index.html", "ports-core-detail.html", "tcp-web-detail.html"]
    );
    for name in lab.names("html/mrtg/Office") {
        assert_eq!(lab.mode(&format!("html/mrtg/Office/{name}")), 0o644, "{name}");
    }
    assert_eq!(lab.mode("html/mrtg/Office"), 0o755);
    assert_eq!(lab.mode("state/office.statefile.mrtg.cfg"), 0o644);
    let work_dir = format!("WorkDir: {}\n", lab.path("html/mrtg/Office").display());
    assert!(lab.read("state/office.statefile.mrtg.cfg").contains(&work_dir));
    assert!(
        lab.read("html/mrtg/Office/index.html")
            .contains("src=\"web-day.svg\"")
    );
}

#[test]
fn a_script_above_the_pages_gets_the_site_and_draws_the_pictures() {
    let lab = Lab::new();
    lab.script("BEGIN {\n  %site_config = (\n  );\n}\n");
    let written = lab.write();
    assert!(written.has_cgi);
    assert_eq!(
        lab.read("html/mrtg-rrd.cgi.pl"),
        format!(
            "BEGIN {{\n  %site_config = (\n      'Office' => '{}',\n  );\n}}\n",
            lab.to.cfg.display()
        )
    );
    assert_eq!(lab.mode("html/mrtg-rrd.cgi.pl"), 0o755);
    let index = lab.read("html/mrtg/Office/index.html");
    assert!(index.contains("/mrtg-rrd/Office/web-day.png"), "{index}");
    // It has a page for what has one chart.
    assert_eq!(
        lab.names("html/mrtg/Office"),
        ["index.html", "ports-core-detail.html"]
    );
}

#[test]
fn a_script_that_lists_the_site_is_left_alone() {
    let lab = Lab::new();
    lab.script("%site_config = ();\n");
    lab.write();
    let path = lab.path("html/mrtg-rrd.cgi.pl");
    let was = path.metadata().unwrap();
    lab.write();
    let is = path.metadata().unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((is.ino(), is.mtime_nsec()), (was.ino(), was.mtime_nsec()));
}

#[test]
fn a_script_beside_the_pages_has_links_without_a_site() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("html/mrtg")).unwrap();
    fs::write(lab.path("html/mrtg/mrtg-rrd.cgi.pl"), "@config_files = qw();\n").unwrap();
    assert!(lab.write().has_cgi);
    assert!(
        lab.read("html/mrtg/Office/index.html")
            .contains("\"/mrtg-rrd/web-day.png\"")
    );
}

#[test]
fn a_script_of_another_kind_is_said_and_the_pictures_are_in_files() {
    let lab = Lab::new();
    lab.script("print 1;\n");
    let written = lab.write();
    assert!(!written.has_cgi);
    let path = lab.path("html/mrtg-rrd.cgi.pl");
    assert_eq!(
        lab.problems(),
        [format!(
            "{} does not list the site: it has neither %site_config = (...) nor @config_files = qw(...)",
            path.display()
        )]
    );
    assert!(
        lab.read("html/mrtg/Office/index.html")
            .contains("src=\"web-day.svg\"")
    );
}

#[test]
fn a_name_that_another_site_has_is_said() {
    let lab = Lab::new();
    lab.script("%site_config = ('Office' => '/other.cfg');\n");
    let problems = lab.problems();
    assert!(
        problems[0].contains("listed /other.cfg for the site Office"),
        "{problems:?}"
    );
}

#[test]
fn two_writers_lose_no_entry() {
    let lab = Lab::new();
    lab.script("%site_config = ();\n");
    let script = lab.path("html/mrtg-rrd.cgi.pl");
    let names: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let script = &script;
            scope.spawn(move || {
                super::script::enter(script, name, Path::new("/a.cfg")).unwrap();
            });
        }
    });
    let text = lab.read("html/mrtg-rrd.cgi.pl");
    for name in names {
        assert!(text.contains(&format!("'{name}' => '/a.cfg'")), "{text}");
    }
}

#[test]
fn no_link_is_followed() {
    let lab = Lab::new();
    let victim = lab.path("victim");
    fs::write(&victim, "mine").unwrap();
    fs::create_dir_all(lab.path("html/mrtg/Office")).unwrap();
    for name in ["index.html", ".index.html.new", ".tcp-web-detail.html.new"] {
        symlink(&victim, lab.path("html/mrtg/Office").join(name)).unwrap();
    }
    assert!(lab.write().problems.is_empty());
    assert_eq!(lab.read("victim"), "mine");
    assert!(
        lab.path("html/mrtg/Office/index.html")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );

    fs::create_dir(lab.path("elsewhere")).unwrap();
    fs::remove_dir_all(lab.path("html/mrtg/Office")).unwrap();
    symlink(lab.path("elsewhere"), lab.path("html/mrtg/Office")).unwrap();
    let site = site(vec![monitor("tcp", "web")]);
    let refused = write(&site, &lab.to).unwrap_err();
    assert!(matches!(refused, MrtgError::NotOurs(_)), "{refused}");
    assert!(lab.names("elsewhere").is_empty());
}

#[test]
fn a_file_that_cannot_be_written_does_not_keep_the_others_from_it() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("html/mrtg/Office/tcp-web-detail.html/x")).unwrap();
    let problems = lab.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("cannot replace /"), "{problems:?}");
    assert!(problems[0].ends_with("/tcp-web-detail.html"), "{problems:?}");
    assert_eq!(
        lab.names("html/mrtg/Office"),
        ["index.html", "ports-core-detail.html", "tcp-web-detail.html"]
    );
}

#[test]
fn a_picture_is_replaced_and_its_time_known() {
    let lab = Lab::new();
    let written = lab.write();
    assert_eq!(written.drawn("web-day.svg"), None);
    written.draw("web-day.svg", b"<svg/>").unwrap();
    assert_eq!(lab.read("html/mrtg/Office/web-day.svg"), "<svg/>");
    assert_eq!(lab.mode("html/mrtg/Office/web-day.svg"), 0o644);
    let modified = lab
        .path("html/mrtg/Office/web-day.svg")
        .metadata()
        .unwrap()
        .modified()
        .unwrap();
    let modified = jiff::Timestamp::try_from(modified).unwrap();
    let drawn = written.drawn("web-day.svg").unwrap();
    assert_eq!(drawn.as_second(), modified.as_second());
}

#[test]
fn the_script_can_write_its_pictures_or_it_is_said_that_it_cannot() {
    let lab = Lab::new();
    lab.script("%site_config = ();\n");
    let written = lab.write();
    use std::os::unix::fs::MetadataExt as _;
    let directory = written.directory.metadata().unwrap();
    let is_open = Some(directory.gid()) == group::web_server() && directory.mode() & 0o020 != 0;
    let is_said = written
        .problems
        .iter()
        .any(|problem| matches!(problem, MrtgError::NotWritable(_)));
    assert!(is_open != is_said, "{written:?}");
}

#[test]
fn a_path_that_the_script_cannot_read_is_said() {
    let lab = Lab::new();
    lab.script("%site_config = ();\n");
    let mut web = monitor("tcp", "web");
    web.file = "office.rrd/web-availability.rrd".into();
    let written = write(&site(vec![web]), &lab.to).unwrap();
    let problems: Vec<_> = written.problems.iter().map(ToString::to_string).collect();
    let expected = "mrtg-rrd.cgi.pl cannot read office.rrd/web-availability.rrd: it is relative";
    assert!(problems.iter().any(|problem| problem == expected), "{problems:?}");
}
