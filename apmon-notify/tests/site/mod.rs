//! Site files for the tests of channels: one monitor that does nothing, and the
//! channels of this crate.

#![allow(dead_code)] // not every test file asks for everything

use std::path::Path;

use apmon_core::{
    Blueprint, Kind, MonitorKind,
    config::{ProcessEnvironment, Section, SiteFile, parse},
    testing::Target,
};
use apmon_notify::CHANNELS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Manual;

#[derive(Deserialize, Serialize, JsonSchema)]
struct NoOptions {}

impl Kind for Manual {
    type Options = NoOptions;

    fn name(&self) -> &'static str {
        "manual"
    }

    fn summary(&self) -> &'static str {
        "does nothing"
    }

    fn address(&self) -> &'static str {
        "anything"
    }

    fn example(&self) -> &'static str {
        "type: manual\nname: door\naddress: front\n"
    }

    fn compile(&self, _: NoOptions, _: &mut Section<'_>) -> Option<Blueprint> {
        Some(Blueprint::monitor(|_, watch| Target::new().monitor(watch)))
    }
}

/// The kinds of its monitors.
pub const KINDS: &[&dyn MonitorKind] = &[&Manual];

/// A site with these lines in the section `site`, from line 3, column 3.
pub fn read(lines: &str) -> Result<SiteFile, Vec<String>> {
    let lines = lines.replace('\n', "\n  ");
    let text = format!(
        "site:\n  name: Lab\n  {lines}\nmonitors:\n- {{type: manual, name: door, address: front, email: no}}\n"
    );
    let parsed = parse(Path::new("lab.yaml"), &text, KINDS, CHANNELS, &ProcessEnvironment);
    parsed.map_err(|error| {
        let text = error.to_string();
        let lines = text
            .lines()
            .map(|line| line.strip_prefix("lab.yaml:").unwrap_or(line));
        lines.map(str::to_owned).collect()
    })
}

/// Reads a valid file.
#[track_caller]
pub fn valid(lines: &str) -> SiteFile {
    read(lines).unwrap_or_else(|errors| panic!("{lines}\n{}", errors.join("\n")))
}

/// The errors of an invalid file.
#[track_caller]
pub fn errors(lines: &str) -> Vec<String> {
    read(lines).expect_err(lines)
}

/// The ids of its channels.
#[track_caller]
pub fn ids(lines: &str) -> Vec<String> {
    valid(lines)
        .channels
        .into_iter()
        .map(|channel| channel.id)
        .collect()
}
