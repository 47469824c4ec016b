//! The site file, by examples: what is accepted, and the exact text and position of
//! each error.

mod arbitrary;
mod channel;
mod channel_kind;
mod checksum;
mod error;
mod example;
#[cfg(unix)] // pipes, devices, links
mod file;
mod kind;
mod merge;
mod nested;
mod process;
mod rule;
mod secret;
mod syntax;
mod value;
mod variable;

use std::path::Path;

use super::{Environment, MonitorEntry, SiteFile, parse};
use crate::{kind::MonitorKind, services::Services};

/// An environment with only these variables.
struct Variables<'a>(&'a [(&'a str, &'a str)]);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
        Some((*value).to_owned())
    }
}

fn read_as(
    text: &str,
    kinds: &[&dyn MonitorKind],
    variables: &[(&str, &str)],
) -> Result<SiteFile, Vec<String>> {
    let channels = channel_kind::CHANNELS;
    parse(
        Path::new("lab.yaml"),
        text,
        kinds,
        channels,
        &Variables(variables),
    )
    .map_err(|error| error.to_string().lines().map(str::to_owned).collect())
}

/// Reads a file; fails with the lines of its error.
fn read(text: &str) -> Result<SiteFile, Vec<String>> {
    read_as(text, kind::KINDS, &[])
}

/// Reads a valid file.
#[track_caller]
fn valid(text: &str) -> SiteFile {
    read(text).unwrap_or_else(|lines| panic!("{text}\n{}", lines.join("\n")))
}

/// The errors of an invalid file, each without the file's name.
#[track_caller]
fn errors(text: &str) -> Vec<String> {
    let lines = read(text).expect_err(text);
    let bare = lines.iter().map(|line| {
        line.strip_prefix("lab.yaml:")
            .unwrap_or_else(|| panic!("no position in: {line}"))
            .to_owned()
    });
    bare.collect()
}

/// Checks each input against all its errors.
#[track_caller]
fn table(fill: impl Fn(&str) -> String, rows: &[(&str, &[&str])]) {
    for (input, expected) in rows {
        let text = fill(input);
        let lines = match read(&text) {
            Ok(_) => Vec::new(),
            Err(_) => errors(&text),
        };
        assert_eq!(lines, *expected, "\n{text}");
    }
}

/// A file with these lines in the section `site`, from line 3, column 3.
fn in_site(lines: &str) -> String {
    let lines = lines.replace('\n', "\n  ");
    format!("site:\n  name: Lab\n  {lines}\nmonitors:\n- {{type: ping, name: gw, address: 10.0.0.1}}\n")
}

/// A file with these lines in its only monitor, from line 6, column 3.
fn in_monitor(kind: &str, address: &str, lines: &str) -> String {
    let lines = lines.replace('\n', "\n  ");
    format!("site: {{name: Lab}}\nmonitors:\n- type: {kind}\n  name: a\n  address: {address}\n  {lines}\n")
}

fn in_ping(lines: &str) -> String {
    in_monitor("ping", "10.0.0.1", lines)
}

fn in_tcp(lines: &str) -> String {
    in_monitor("tcp", "tcp://h:22", lines)
}

/// The only monitor of a valid file.
#[track_caller]
fn one(text: &str) -> MonitorEntry {
    let mut monitors = valid(text).monitors;
    assert_eq!(monitors.len(), 1, "{text}");
    monitors.remove(0)
}

/// The value that the only monitor of a valid file has for `option`.
#[track_caller]
fn value_of(text: &str, option: &str) -> serde_json::Value {
    let monitor = one(text).build(&Services::default());
    let options: serde_json::Value = serde_json::from_str(&monitor.watch().address).unwrap();
    options[option].clone()
}
