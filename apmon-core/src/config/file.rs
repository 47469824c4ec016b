//! A whole site file: reading it, and what was read.

mod plan;
mod process;
mod read;

use std::path::{Path, PathBuf};

pub use self::process::{ProcessSection, check_process};
use super::{
    channel::ChannelEntry,
    diagnostic::{ConfigError, Diagnostic},
    monitor::MonitorEntry,
    site::SiteOptions,
    source::{self, Environment},
};
use crate::{
    channel::{ChannelKind, SectionKind},
    kind::MonitorKind,
    section_value::SectionValue,
};

/// A site file, read and checked.
#[derive(Debug)]
#[non_exhaustive]
pub struct SiteFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The site's name.
    pub name: String,
    /// The site's options.
    pub site: SiteOptions,
    /// Its channels: by kind in the order of the table, within a kind in the order
    /// of the file.
    pub channels: Vec<ChannelEntry>,
    /// Its monitors, in the order of the file.
    pub monitors: Vec<MonitorEntry>,
    /// What was read by the kinds of [`Tables::site`], as far as their options are given.
    pub site_values: Vec<SectionValue>,
    /// The sections under `apmon`, which concern the process.
    pub process: Vec<ProcessSection>,
    /// Settings that are allowed but questionable.
    pub warnings: Vec<Diagnostic>,
    /// Settings that could be safer, or may surprise. They are meant for
    /// `--test-config`, not for every start.
    pub hints: Vec<Diagnostic>,
}

/// The tables of kinds that a site file may use, as libraries list them.
#[derive(Clone, Copy, Default)]
pub struct Tables<'a> {
    /// The kinds of monitors.
    pub kinds: &'a [&'a dyn MonitorKind],
    /// The kinds of channels.
    pub channels: &'a [&'a dyn ChannelKind],
    /// More options of the section `site`: each kind reads its own keys in the section itself, and
    /// returns `None` if there are none of them.
    pub site: &'a [&'a dyn SectionKind],
    /// The kinds of sections under the top-level key `apmon`: options of the
    /// process, not of a site.
    pub process: &'a [&'a dyn SectionKind],
    /// The options of heartbeats that their sender reads, beside `heartbeat_url` in the site's
    /// section and in those of monitors. Returns `None` if a section has none of them; then those
    /// of the site apply to a monitor.
    pub heartbeat: Option<&'a dyn SectionKind>,
    /// Values of options of the site that are refused: option, value and reason.
    pub refused: &'a [(&'static str, &'a str, &'a str)],
}

impl Tables<'_> {
    /// Reads a site file.
    ///
    /// # Errors
    /// The file cannot be read or is not valid YAML; or its content is invalid, and
    /// all errors in it are returned.
    pub fn load(&self, path: &Path, environment: &dyn Environment) -> Result<SiteFile, ConfigError> {
        self.parse(path, &source::read(path)?, environment)
    }

    /// Reads the text of a site file. `path` is shown in messages, and paths in the
    /// file are relative to its directory.
    ///
    /// # Errors
    /// The text is not valid YAML; or its content is invalid, and all errors in it
    /// are returned.
    pub fn parse(
        &self,
        path: &Path,
        text: &str,
        environment: &dyn Environment,
    ) -> Result<SiteFile, ConfigError> {
        read::site_file(self, path, text, environment)
    }
}

/// Reads a site file: [`Tables::load`] without options of the process.
///
/// ```no_run
/// # use apmon_core::{config, MonitorKind, channel::ChannelKind, Services, Engine, StateStore};
/// # async fn run(kinds: &[&dyn MonitorKind], channels: &[&dyn ChannelKind], store: std::sync::Arc<dyn StateStore>) -> Result<(), Box<dyn std::error::Error>> {
/// let services = Services::default();
/// let file = config::load("site.yaml".as_ref(), kinds, channels, &config::ProcessEnvironment)?;
/// Engine::new(file.plan(&services), store).pass().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// See [`Tables::load`].
pub fn load(
    path: &Path,
    kinds: &[&dyn MonitorKind],
    channels: &[&dyn ChannelKind],
    environment: &dyn Environment,
) -> Result<SiteFile, ConfigError> {
    let tables = Tables {
        kinds,
        channels,
        ..Tables::default()
    };
    tables.load(path, environment)
}

/// Reads the text of a site file: [`Tables::parse`] without options of the process.
///
/// # Errors
/// See [`Tables::parse`].
pub fn parse(
    path: &Path,
    text: &str,
    kinds: &[&dyn MonitorKind],
    channels: &[&dyn ChannelKind],
    environment: &dyn Environment,
) -> Result<SiteFile, ConfigError> {
    let tables = Tables {
        kinds,
        channels,
        ..Tables::default()
    };
    tables.parse(path, text, environment)
}
