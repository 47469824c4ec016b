//! Files that cannot be read or are too large: a clear error, without delay.

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

const VALID: &[u8] = b"site: {name: Lab}\nmonitors: [{type: ping, name: a, address: h}]\n";

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

/// The error of an invalid file, without its path.
fn error_of(path: &Path) -> String {
    let error = fetch(path).expect_err("an invalid file");
    let shown = path.display().to_string();
    error
        .strip_prefix(&shown)
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

/// A temporary directory.
struct Directory(tempfile::TempDir);

impl Directory {
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
    let directory = Directory::new();
    for name in ["a.yaml", "a.yml", "a.json", "a.YAML", "a.b.yml", "ä b.yaml"] {
        assert_eq!(
            fetch(&directory.write(name, VALID)).unwrap().monitors.len(),
            1,
            "{name}"
        );
    }
    for name in ["a", "a.txt", "a.yaml.bak", ".yaml", "a.yaml~"] {
        let error = error_of(&directory.write(name, VALID));
        assert_eq!(
            error, ": a site file's name must end in .yaml, .yml or .json",
            "{name}"
        );
    }
}

#[test]
fn directories_pipes_and_devices_are_refused_without_being_read() {
    let directory = Directory::new();
    assert_eq!(
        error_of(&directory.path("missing.yaml")),
        ": No such file or directory (os error 2)"
    );

    fs::create_dir(directory.path("directory.yaml")).unwrap();
    assert_eq!(
        error_of(&directory.path("directory.yaml")),
        ": is a directory, not a site file"
    );

    symlink("/dev/zero", directory.path("zero.yaml")).unwrap();
    let device = ": is a pipe or a device, not a regular file";
    assert_eq!(error_of(&directory.path("zero.yaml")), device);

    let made = Command::new("mkfifo")
        .arg(directory.path("pipe.yaml"))
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(error_of(&directory.path("pipe.yaml")), device);

    symlink("loop.yaml", directory.path("loop.yaml")).unwrap();
    assert!(error_of(&directory.path("loop.yaml")).starts_with(": Too many levels of symbolic links"));

    symlink(directory.write("good.yaml", VALID), directory.path("link.yaml")).unwrap();
    assert!(fetch(&directory.path("link.yaml")).is_ok());
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = Directory::new();
    let path = directory.path("sparse.yaml");
    File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    assert_eq!(
        error_of(&path),
        ": at least 104857600 bytes long; the limit is 16777216 bytes"
    );
    // A file of the maximum size is read; this one is all NUL.
    File::create(&path).unwrap().set_len(16 * 1024 * 1024).unwrap();
    assert_eq!(error_of(&path), ":1:1: a NUL byte: this is not a text file");
}

#[test]
fn the_first_byte_that_is_not_text_is_reported_with_its_position() {
    let directory = Directory::new();
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
        assert_eq!(error_of(&directory.write("x.yaml", bytes)), expected);
    }
}

#[test]
fn a_byte_order_mark_does_not_belong_to_the_text() {
    let directory = Directory::new();
    let marked = [b"\xef\xbb\xbf", VALID].concat();
    assert_eq!(fetch(&directory.write("x.yaml", marked)).unwrap().name, "Lab");
    let error = error_of(&directory.write("x.yaml", b"\xef\xbb\xbfsite: {name: [a]}\nmonitors: []\n"));
    assert!(
        error.starts_with(":1:14: site: \"name\" must be text, found a list\n"),
        "{error}"
    );
}

#[test]
fn control_characters_in_a_path_are_escaped() {
    let directory = Directory::new();
    let error = fetch(&directory.path("a\x1b[2J\n.yaml")).unwrap_err();
    assert!(
        error.ends_with("/a\\u{1b}[2J\\n.yaml: No such file or directory (os error 2)"),
        "{error}"
    );
    let error = fetch(&directory.write("b\x07.yaml", "a: @\n")).unwrap_err();
    assert!(
        error.ends_with("/b\\u{7}.yaml:1:4: text cannot begin with @; put it in quotes"),
        "{error}"
    );
}
