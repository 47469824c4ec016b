//! Edits of site files, by example and by property; and writing them.

mod kind;
mod option;
mod property;
#[cfg(unix)] // permission bits, links
mod write;

use std::path::Path;

use apmon_core::config::{Environment, SiteFile, Tables};

use super::{SiteReader, set_option};

/// An environment of these variables and no others.
struct Variables<'a>(&'a [(&'a str, &'a str)]);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
        Some((*value).to_owned())
    }
}

/// What the files of these tests may hold.
const TABLES: Tables<'_> = Tables {
    kinds: kind::KINDS,
    channels: &[],
    site: &[],
    process: &[],
    heartbeat: None,
    refused: &[],
};

/// Sets an option in the text of a file `lab.yaml`.
fn set(
    text: &str,
    variables: &[(&str, &str)],
    (monitor, key, value): (&str, &str, &str),
) -> anyhow::Result<String> {
    let reader = SiteReader {
        path: Path::new("lab.yaml"),
        tables: TABLES,
        environment: &Variables(variables),
    };
    set_option(&reader, text, monitor, key, value)
}

/// Reads the text of a valid site file.
#[track_caller]
fn read(text: &str, variables: &[(&str, &str)]) -> SiteFile {
    TABLES
        .parse(Path::new("lab.yaml"), text, &Variables(variables))
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}
