//! Which warnings about a site file are new: a pass each minute does not repeat those that stand.

use std::{collections::BTreeSet, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{secret::hex, store::StateRecord};

/// The key of the record of the warnings that were shown.
pub(crate) const RECORD: &str = "warnings";
const VERSION: u32 = 1;

/// The warnings that a run has, by whether the run before it had them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Warnings<'a> {
    /// Those that are new.
    pub(crate) new: Vec<&'a str>,
    /// Those that were shown before.
    pub(crate) standing: Vec<&'a str>,
    /// The record of all of them, if it differs from the last one; `None` deletes it.
    pub(crate) record: Option<Option<StateRecord>>,
}

impl<'a> Warnings<'a> {
    /// Compares the warnings of this run with the record of the last one.
    #[must_use]
    pub(crate) fn of(warnings: &'a [String], last: Option<&StateRecord>) -> Self {
        let known = last.filter(|record| record.version == VERSION);
        let known: BTreeSet<String> = known
            .and_then(|record| serde_json::from_str(&record.json).ok())
            .unwrap_or_default();
        let (mut sorted, mut all) = (Self::default(), BTreeSet::new());
        for warning in warnings {
            // The text may be long; it is not secret.
            let digest = hex(&Sha256::digest(warning)[..8]);
            match known.contains(&digest) {
                true => sorted.standing.push(warning),
                false => sorted.new.push(warning),
            }
            all.insert(digest);
        }
        let is_same = all == known && last.is_none_or(|record| record.version == VERSION);
        sorted.record = (!is_same).then(|| record(&all));
        sorted
    }
}

fn record(digests: &BTreeSet<String>) -> Option<StateRecord> {
    // A list of texts can always be written.
    let json = serde_json::to_string(digests)
        .ok()
        .filter(|_| !digests.is_empty())?;
    Some(StateRecord {
        version: VERSION,
        json: Arc::from(json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &[&str]) -> Vec<String> {
        warnings.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn only_a_warning_that_the_last_run_did_not_have_is_new() {
        let (a, b) = (texts(&["a"]), texts(&["b", "a"]));
        let first = Warnings::of(&a, None);
        assert_eq!((&first.new[..], &first.standing[..]), (&["a"][..], &[][..]));
        let record = first.record.unwrap();
        let same = Warnings::of(&a, record.as_ref());
        assert_eq!((&same.new[..], &same.standing[..]), (&[][..], &["a"][..]));
        assert_eq!(same.record, None);
        let more = Warnings::of(&b, record.as_ref());
        assert_eq!((&more.new[..], &more.standing[..]), (&["b"][..], &["a"][..]));
        let record = more.record.unwrap();
        // What is mended is forgotten: if it comes back, it is new.
        let none = Warnings::of(&[], record.as_ref());
        assert_eq!(none.record, Some(None));
        assert_eq!(Warnings::of(&[], None).record, None);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_written_anew() {
        let a = texts(&["a"]);
        for (version, json) in [(1, "?"), (2, "[]")] {
            let record = StateRecord {
                version,
                json: json.into(),
            };
            let warnings = Warnings::of(&a, Some(&record));
            assert_eq!(warnings.new, ["a"]);
            assert!(matches!(warnings.record, Some(Some(_))), "{warnings:?}");
        }
    }
}
