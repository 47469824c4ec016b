//! Stores values.

use std::ffi::CStr;

use super::{
    fault::{Fault, patiently, without_path},
    ffi::{Library, Reason},
};
use crate::{operation::Updated, wire::Encoder};

impl Updated {
    pub(super) fn encode(&self, answer: &mut Encoder) {
        answer.count(self.stored);
        answer.count(self.refused.len());
        for (at, reason) in &self.refused {
            answer.signed(*at);
            answer.own_text(reason);
        }
    }
}

/// Stores points, each a moment and the text of `rrdtool update`.
///
/// librrd keeps the points before one that it refuses, and drops those behind it. Here these are
/// stored as well.
pub(super) fn update(
    library: &mut Library,
    path: &CStr,
    template: &CStr,
    points: &[(i64, &CStr)],
) -> Result<Updated, Fault> {
    let path_text = path.to_string_lossy();
    let mut updated = Updated::default();
    let mut rest = points;
    while !rest.is_empty() {
        let run = &rest[..rising(rest)];
        let texts: Vec<&CStr> = run.iter().map(|(_, text)| *text).collect();
        let reason = match patiently(|| library.update(path, template, &texts)) {
            Ok(()) => {
                updated.stored += run.len();
                rest = &rest[run.len()..];
                continue;
            }
            Err(reason) => reason,
        };
        // What librrd says of a point begins with the file; what it says of the file or of the
        // names does not.
        if !reason.starts_with(&format!("{path_text}: ")) {
            return Err(Fault::of(reason, path));
        }
        let stored = stored(library, path, run, &reason).map_err(|reason| Fault::of(reason, path))?;
        updated.stored += stored;
        let Some(((at, _), behind)) = rest[stored..].split_first() else {
            // All of them are there, and librrd complains nevertheless.
            return Err(Fault::of(reason, path));
        };
        updated.refused.push((*at, without_path(&reason, &path_text)));
        rest = behind;
    }
    Ok(updated)
}

/// How many of the first points have rising moments, so that the last moment in the file shows
/// which of them are stored.
fn rising(points: &[(i64, &CStr)]) -> usize {
    let rises = points.windows(2).take_while(|pair| pair[0].0 < pair[1].0).count();
    (rises + 1).min(points.len())
}

/// How many points of a run are stored, now that one was refused.
fn stored(library: &mut Library, path: &CStr, run: &[(i64, &CStr)], reason: &str) -> Result<usize, Reason> {
    let Some((first, _)) = run.first() else {
        return Ok(0);
    };
    // The file was at or behind this moment before, so none is stored. Without this text, these
    // points would look like those that have just been stored.
    if reason.contains(&format!("using time {first} when")) {
        return Ok(0);
    }
    let last = patiently(|| library.last(path))?;
    Ok(run.iter().take_while(|(at, _)| *at <= last).count())
}
