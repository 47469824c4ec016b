//! A whole site file, read and checked.

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
};

/// A site file, read and checked.
#[derive(Debug)]
#[non_exhaustive]
pub struct SiteFile {
    /// Where it was read.
    pub path: PathBuf,
    /// The site's name.
    pub name: String,
    /// The site's options.
    pub site: SiteOptions,
    /// Its channels: the kinds in the order of their table, the entries of each
    /// in the order of the file.
    pub channels: Vec<ChannelEntry>,
    /// Its monitors, in the order of the file.
    pub monitors: Vec<MonitorEntry>,
    /// What it says of the process, under `apmon`.
    pub process: Vec<ProcessSection>,
    /// What is questionable but allowed.
    pub warnings: Vec<Diagnostic>,
    /// What could be safer, or may surprise. For who asks (`--test-config`), not
    /// for every start.
    pub hints: Vec<Diagnostic>,
}

/// What a site file may hold: tables of kinds, as libraries list them.
#[derive(Clone, Copy, Default)]
pub struct Tables<'a> {
    /// The kinds of monitors.
    pub kinds: &'a [&'a dyn MonitorKind],
    /// The kinds of channels.
    pub channels: &'a [&'a dyn ChannelKind],
    /// The sections of the top-level key `apmon`: options of the process, not of
    /// a site.
    pub process: &'a [&'a dyn SectionKind],
}

impl Tables<'_> {
    /// Reads a site file.
    ///
    /// # Errors
    /// It cannot be read, is not valid YAML, or its content is invalid: then
    /// every error in it.
    pub fn load(&self, path: &Path, environment: &dyn Environment) -> Result<SiteFile, ConfigError> {
        self.parse(path, &source::read(path)?, environment)
    }

    /// Reads a site file's text; `path` is for messages, and paths in the file
    /// are relative to its directory.
    ///
    /// # Errors
    /// It is not valid YAML, or its content is invalid: then every error in it.
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
        process: &[],
    };
    tables.load(path, environment)
}

/// Reads a site file's text: [`Tables::parse`] without options of the process.
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
        process: &[],
    };
    tables.parse(path, text, environment)
}
