//! Opening a file before something is written into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{
    aside::{Reason, is_before_13, set_aside},
    library::Library,
};
use crate::{
    archive::earlier_name, error::RrdError, operation::FileInfo, schema::SourceKind, template::FileKind,
};

/// What is known about a file that can be written into.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) sources: BTreeSet<String>,
    pub(super) last_update: i64,
    /// The last counts, as far as they are known.
    pub(super) counts: BTreeMap<String, f64>,
}

/// Opens the file at `path`; `None` if there is none.
///
/// A file that cannot be continued gets another name. If there is an earlier one of this step, it is
/// continued.
pub(super) fn open(
    library: &dyn Library,
    path: &Path,
    kind: FileKind,
    step: u64,
) -> Result<Option<Opened>, RrdError> {
    let reason = match library.info(path) {
        Ok(info) => match reason_of(kind, step, &info) {
            None => return opened(library, path, info).map(Some),
            Some(reason) => Some(reason),
        },
        Err(RrdError::Missing(_)) => None,
        Err(RrdError::Damaged { reason, .. }) => {
            tracing::error!("{} is damaged ({reason})", path.display());
            Some(Reason::Damaged)
        }
        Err(error) => return Err(error),
    };
    if let Some(reason) = reason {
        let to = set_aside(path, reason).map_err(|error| refused(path, &error))?;
        let (path, to) = (path.display(), to.display());
        match reason {
            Reason::Damaged => tracing::error!("{to} is what was {path}; a new file is begun"),
            Reason::BeforeApmonitor13 => {
                tracing::warn!(
                    "{path} is of an APMonitor before 1.3; it is kept as {to}, and a new file is begun"
                );
            }
            Reason::Step(old) => tracing::info!(
                "checks are {step} s apart and no longer {old} s; what {path} holds is kept as {to}"
            ),
        }
    }
    let earlier = earlier_name(path, step);
    match fs::rename(&earlier, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&earlier, &error)),
    }
    match library.info(path) {
        Ok(info) if reason_of(kind, step, &info).is_none() => opened(library, path, info).map(Some),
        // Set aside at the next attempt.
        Ok(_) => Err(RrdError::Refused {
            path: path.to_owned(),
            reason: format!("it does not have the step of {step} s that its name says"),
        }),
        Err(error) => Err(error),
    }
}

/// Why a file is not continued.
fn reason_of(kind: FileKind, step: u64, info: &FileInfo) -> Option<Reason> {
    if is_before_13(kind, &info.schema) {
        return Some(Reason::BeforeApmonitor13);
    }
    (info.schema.step != step).then_some(Reason::Step(info.schema.step))
}

fn opened(library: &dyn Library, path: &Path, info: FileInfo) -> Result<Opened, RrdError> {
    let sources = &info.schema.sources;
    let has_counters = sources.iter().any(|source| source.kind == SourceKind::Counter);
    let counts = match has_counters {
        true => library.last_values(path)?.values,
        false => Vec::new(),
    };
    Ok(Opened {
        counts: counts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        sources: info
            .schema
            .sources
            .into_iter()
            .map(|source| source.name)
            .collect(),
        last_update: info.last_update,
    })
}

pub(super) fn refused(path: &Path, error: &io::Error) -> RrdError {
    RrdError::Refused {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
