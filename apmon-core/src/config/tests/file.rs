//! Files that are none, or are too much: a clear error, soon.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Variables, channel_kind::CHANNELS, kind::KINDS};
use crate::{
    config::{SiteFile, load},
    time::Stopwatch,
};

const GOOD: &[u8] = b"site: {name: Lab}\nmonitors: [{type: ping, name: a, address: h}]\n";

fn fetch(path: &Path) -> Result<SiteFile, String> {
    let watch = Stopwatch::start();
    let result = load(path, KINDS, CHANNELS, &Variables(&[])).map_err(|error| error.to_string());
    assert!(
        watch.elapsed().as_secs() < 30,
        "{} took {:?}",
        path.display(),
        watch.elapsed()
    );
    result
}

/// What is said of a file behind its path.
fn said(path: &Path) -> String {
    let error = fetch(path).expect_err("a bad file");
    let shown = path.display().to_string();
    error
        .strip_prefix(&shown)
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn a_site_file_has_one_of_three_suffixes() {
    let place = Place::new();
    for name in ["a.yaml", "a.yml", "a.json", "a.YAML", "a.b.yml", "ä b.yaml"] {
        assert_eq!(
            fetch(&place.write(name, GOOD)).unwrap().monitors.len(),
            1,
            "{name}"
        );
    }
    for name in ["a", "a.txt", "a.yaml.bak", ".yaml", "a.yaml~"] {
        let said = said(&place.write(name, GOOD));
        assert_eq!(
            said, ": a site file's name ends in .yaml, .yml or .json",
            "{name}"
        );
    }
}

#[test]
fn what_is_no_file_is_refused_without_reading_it() {
    let place = Place::new();
    assert_eq!(
        said(&place.path("missing.yaml")),
        ": No such file or directory (os error 2)"
    );

    fs::create_dir(place.path("directory.yaml")).unwrap();
    assert_eq!(
        said(&place.path("directory.yaml")),
        ": a directory; a site file is wanted"
    );

    symlink("/dev/zero", place.path("zero.yaml")).unwrap();
    let device = ": a pipe or device; a site file is a regular file";
    assert_eq!(said(&place.path("zero.yaml")), device);

    let made = Command::new("mkfifo")
        .arg(place.path("pipe.yaml"))
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(said(&place.path("pipe.yaml")), device);

    symlink("loop.yaml", place.path("loop.yaml")).unwrap();
    assert!(said(&place.path("loop.yaml")).starts_with(": Too many levels of symbolic links"));

    symlink(place.write("good.yaml", GOOD), place.path("link.yaml")).unwrap();
    assert!(fetch(&place.path("link.yaml")).is_ok());
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let place = Place::new();
    let path = place.path("sparse.yaml");
    File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    assert_eq!(
        said(&path),
        ": 104857600 bytes or more; a site file has at most 16777216"
    );
    // The largest that is read is all NUL.
    File::create(&path).unwrap().set_len(16 * 1024 * 1024).unwrap();
    assert_eq!(said(&path), ":1:1: a NUL byte: this is not a text file");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let place = Place::new();
    for (bytes, expected) in [
        (
            &b"site:\n  name: M\xfcnchen\n"[..],
            ":2:10: not UTF-8 text: byte 0xfc",
        ),
        (b"# \xc3\xa4\xc3\xb6\xe4\n", ":1:5: not UTF-8 text: byte 0xe4"),
        (b"\xef\xbb\xbf# \xe4\n", ":1:3: not UTF-8 text: byte 0xe4"),
        (b"a: \xf0\x9f\x98", ":1:4: not UTF-8 text: byte 0xf0"),
        (b"\xff\xfes\0i\0t\0e\0", ":1:1: UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff\0s\0i\0t\0e", ":1:1: UTF-16 text; save it as UTF-8"),
        (
            b"site:\n  name: a\0b\n",
            ":2:10: a NUL byte: this is not a text file",
        ),
        (
            b"\x7fELF\x02\x01\x01\0",
            ":1:8: a NUL byte: this is not a text file",
        ),
        (b"\x1f\x8b\x08\0", ":1:2: not UTF-8 text: byte 0x8b"),
        (b"", ":1:1: the file is empty"),
        (b"\xef\xbb\xbf", ":1:1: the file is empty"),
    ] {
        assert_eq!(said(&place.write("x.yaml", bytes)), expected);
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let place = Place::new();
    let marked = [b"\xef\xbb\xbf", GOOD].concat();
    assert_eq!(fetch(&place.write("x.yaml", marked)).unwrap().name, "Lab");
    let said = said(&place.write("x.yaml", b"\xef\xbb\xbfsite: {name: [a]}\nmonitors: []\n"));
    assert!(
        said.starts_with(":1:14: site: \"name\" must be text, this is a list\n"),
        "{said}"
    );
}

#[test]
fn a_path_is_printed_without_its_power_over_terminals() {
    let place = Place::new();
    let error = fetch(&place.path("a\x1b[2J\n.yaml")).unwrap_err();
    assert!(
        error.ends_with("/a\\u{1b}[2J\\n.yaml: No such file or directory (os error 2)"),
        "{error}"
    );
    let error = fetch(&place.write("b\x07.yaml", "a: @\n")).unwrap_err();
    assert!(
        error.ends_with("/b\\u{7}.yaml:1:4: text cannot begin with @; put it in quotes"),
        "{error}"
    );
}
