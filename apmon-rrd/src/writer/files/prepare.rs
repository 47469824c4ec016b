//! A file before it is written: opened, created, grown.

use std::{fs, io, os::unix::fs::PermissionsExt as _, time::Duration};

use apmon_core::Now;

use super::{
    super::{
        file::FileState,
        opening::{self, Opened, refused},
    },
    AFTER_FAILURES, Extent, Files, count,
};
use crate::{error::RrdError, operation::Tune, schema::DataSource};

/// The most sources of a file: a thousand interfaces.
const MOST_SOURCES: usize = 2_048;
/// Between two files that a daemon creates: 20 a second.
const BETWEEN_CREATIONS: Duration = Duration::from_millis(50);
/// The files that a daemon still creates when it ends.
const MOST_AT_THE_END: u32 = 200;

impl Files {
    /// Opens the file, creates it, lets it grow. Returns whether it can be written now.
    pub(super) fn prepare(&mut self, file: usize, extent: Extent, now: Now) -> Result<bool, RrdError> {
        let it = &mut self.files[file];
        if let FileState::Unknown = it.state {
            let opened = opening::open(&*self.library, &it.path, it.kind, it.step)?;
            it.state = match opened {
                Some(opened) => {
                    it.metrics.reserve(opened.sources.iter().map(String::as_str));
                    FileState::Open(opened)
                }
                None => FileState::Missing,
            };
            it.compare_with_last();
        }
        match &self.files[file].state {
            FileState::Open(opened) => {
                let missing = self.files[file].missing_sources(opened);
                if !missing.is_empty() {
                    self.grow(file, missing, now)?;
                }
                Ok(true)
            }
            _ => self.create(file, extent, now),
        }
    }

    fn create(&mut self, file: usize, extent: Extent, now: Now) -> Result<bool, RrdError> {
        if self.files[file].rows.names.is_empty() {
            // A check without metrics, of a monitor that never had any.
            self.files[file].rows.clear();
            return Ok(false);
        }
        if !self.may_create(file, extent, now) {
            return Ok(false);
        }
        self.make_directory()?;
        let it = &mut self.files[file];
        let path = it.path.clone();
        if let Err(error) = it.metrics.save(&path).and_then(|()| self.archive.save_names()) {
            return Err(refused(&path, &error));
        }
        let it = &mut self.files[file];
        let schema = it.schema(&self.options.rows);
        let first = it.rows.first_at().unwrap_or_default();
        let begins = first
            .saturating_sub(i64::try_from(it.step).unwrap_or(i64::MAX))
            .max(1);
        self.library.create(&path, &schema, begins)?;
        tracing::debug!("{} is created: {} bytes", path.display(), schema.size());
        it.state = FileState::Open(Opened {
            sources: schema.sources.into_iter().map(|source| source.name).collect(),
            last_update: begins,
            counts: [].into(),
        });
        self.report.created += 1;
        self.said.remove("space");
        Ok(true)
    }

    /// Whether a file may be created now. If not, it is tried again later, or not at all.
    fn may_create(&mut self, file: usize, extent: Extent, now: Now) -> bool {
        if let Some(most) = self.options.most_created {
            if self.created < most {
                self.created += 1;
                return true;
            }
            let rows = self.files[file].rows.clear();
            self.report.lost += count(rows);
            self.report.not_created += 1;
            return false;
        }
        let at = match self.files[file].create_at {
            Some(at) => at,
            None => {
                let at = self.next_creation.map_or(now.mono, |next| next.max(now.mono));
                self.next_creation = Some(at.plus(BETWEEN_CREATIONS));
                self.files[file].create_at = Some(at);
                at
            }
        };
        if at > now.mono {
            if extent != Extent::Last {
                self.arm(file, at);
                return false;
            }
            // There is no later: a limited number is created all the same.
            if self.created >= MOST_AT_THE_END {
                self.report.not_created += 1;
                return false;
            }
            self.created += 1;
        }
        self.files[file].create_at = None;
        true
    }

    fn make_directory(&mut self) -> Result<(), RrdError> {
        if self.has_directory {
            return Ok(());
        }
        let directory = self.archive.directory();
        let make = || -> io::Result<()> {
            if !directory.is_dir() {
                fs::create_dir_all(directory)?;
                // The web server reads it, whatever the umask is.
                fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
            }
            Ok(())
        };
        make().map_err(|error| refused(directory, &error))?;
        self.has_directory = true;
        Ok(())
    }

    /// Adds sources to a file. Without them, the others are still written.
    fn grow(&mut self, file: usize, missing: Vec<DataSource>, now: Now) -> Result<(), RrdError> {
        let it = &mut self.files[file];
        if it.no_growth_before.is_some_and(|before| before > now.mono) {
            return Ok(());
        }
        let FileState::Open(opened) = &mut it.state else {
            return Ok(());
        };
        let path = it.path.clone();
        if opened.sources.len() + missing.len() > MOST_SOURCES {
            it.no_growth_before = Some(now.mono.plus(AFTER_FAILURES));
            self.say("sources", || {
                format!("{} has too many data sources; no more are added", path.display())
            });
            return Ok(());
        }
        if let Err(error) = it.metrics.save(&path) {
            return Err(refused(&path, &error));
        }
        let names: Vec<String> = missing.iter().map(|source| source.name.clone()).collect();
        let tune = Tune {
            add: missing,
            ..Tune::default()
        };
        match self.library.tune(&path, &tune) {
            Ok(()) => {
                tracing::info!("{} grows by {}", path.display(), names.join(", "));
                opened.sources.extend(names);
                self.report.grown += 1;
                Ok(())
            }
            Err(error @ (RrdError::NoSpace { .. } | RrdError::Refused { .. })) => {
                it.no_growth_before = Some(now.mono.plus(AFTER_FAILURES));
                self.say_error(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
