//! Creates files.

use std::ffi::{CStr, CString};

use super::{
    fault::{self, Fault, as_path},
    ffi::Library,
    place,
};
use crate::{
    schema::{Consolidation, DataSource, Schema, SourceKind},
    wire::c_text,
};

/// The longest name of a data source.
const LONGEST_NAME: usize = 19;

/// Creates a file that is not there yet. Values are accepted for moments after `last_update`.
pub(super) fn create(
    library: &mut Library,
    path: &CStr,
    schema: &Schema,
    last_update: i64,
) -> Result<(), Fault> {
    let arguments = arguments(schema)?;
    let place = as_path(path);
    let size = schema.size();
    place::check_space(&place, size)?;
    if let Err(reason) = library.create(path, schema.step, last_update, &arguments) {
        // Somebody else may have taken the space meanwhile.
        place::check_space(&place, size)?;
        return Err(Fault::Refused(fault::without_path(
            &reason,
            &path.to_string_lossy(),
        )));
    }
    place::settle_new(&place).map_err(|error| Fault::Refused(error.to_string()))
}

/// The sources and archives as `rrdtool create` writes them.
fn arguments(schema: &Schema) -> Result<Vec<CString>, Fault> {
    if schema.step == 0 {
        // librrd would take its default of 300 seconds.
        return Err(Fault::Refused("the step is 0".to_owned()));
    }
    let mut arguments = Vec::new();
    for source in &schema.sources {
        arguments.push(source_argument(source)?);
    }
    for round in &schema.rounds {
        if round.consolidation == Consolidation::Other {
            return Err(Fault::Refused(
                "an archive of an unknown kind cannot be created".to_owned(),
            ));
        }
        let text = format!(
            "RRA:{}:{}:{}:{}",
            round.consolidation.as_str(),
            round.xff,
            round.steps,
            round.rows
        );
        arguments.push(argument(text)?);
    }
    Ok(arguments)
}

/// A source as `rrdtool create` and `rrdtool tune` write it.
pub(super) fn source_argument(source: &DataSource) -> Result<CString, Fault> {
    check_name(&source.name)?;
    if source.kind == SourceKind::Other {
        let text = format!("the data source {} is of an unknown kind", source.name);
        return Err(Fault::Refused(text));
    }
    let bound = |bound: Option<f64>| bound.map_or("U".to_owned(), bound_text);
    argument(format!(
        "DS:{}:{}:{}:{}:{}",
        source.name,
        source.kind.as_str(),
        source.heartbeat,
        bound(source.min),
        bound(source.max)
    ))
}

/// A bound as librrd reads it: of 18 characters at most.
fn bound_text(bound: f64) -> String {
    let text = bound.to_string();
    if text.len() <= 18 {
        text
    } else {
        format!("{bound:.9e}")
    }
}

/// A source with the bounds that the file will have.
pub(super) fn as_kept(source: &DataSource) -> DataSource {
    let kept = |bound: f64| bound_text(bound).parse().unwrap_or(bound);
    DataSource {
        min: source.min.map(kept),
        max: source.max.map(kept),
        ..source.clone()
    }
}

/// Checks a name as librrd does, whose text for a wrong one says little.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let is_good = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_good {
        return Ok(());
    }
    Err(Fault::Refused(format!(
        "a data source cannot be named {name:?}; a name has 1 to {LONGEST_NAME} letters of English, digits and _"
    )))
}

pub(super) fn argument(text: String) -> Result<CString, Fault> {
    c_text(text).map_err(|_| Fault::Refused("a text contains NUL".to_owned()))
}
