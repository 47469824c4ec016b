//! The progress of walking one column.

use std::collections::BTreeSet;

use super::{Column, Row};
use crate::{
    oid::Oid,
    value::{Value, Varbind},
};

/// The progress of walking one column.
#[derive(Debug)]
pub(super) struct Cursor {
    root: Oid,
    /// The OID after which the next request continues.
    pub(super) at: Oid,
    /// The number of times the cursor has advanced.
    steps: usize,
    /// All indexes so far, kept once an answer has gone backwards.
    seen: Option<BTreeSet<Vec<u32>>>,
    pub(super) is_done: bool,
    pub(super) column: Column,
}

impl Cursor {
    pub(super) fn new(root: Oid) -> Self {
        Self {
            at: root.clone(),
            root,
            steps: 0,
            seen: None,
            is_done: false,
            column: Column::default(),
        }
    }

    /// Stores the next varbind of the column. Each call advances the cursor or ends the walk.
    pub(super) fn take(&mut self, varbind: Varbind, limit: usize) {
        if varbind.oid.is_empty() {
            return self.fail(format!("the agent sends an unreadable name after {}", self.at));
        }
        let is_further = varbind.oid > self.at;
        let is_absent = matches!(varbind.value, Value::NoSuchObject | Value::NoSuchInstance);
        // Some agents send one of these exceptions at the end of their MIB.
        if varbind.value == Value::EndOfMibView || (is_absent && !is_further) {
            self.is_done = true;
            return;
        }
        let Some(index) = varbind.oid.below(&self.root) else {
            self.is_done = true;
            return;
        };
        if !is_further {
            // Some agents send rows in a wrong order: not a loop as long as they are new.
            let rows = &self.column.rows;
            self.seen
                .get_or_insert_with(|| rows.iter().map(|row| row.index.clone()).collect());
        }
        let is_known = self
            .seen
            .as_mut()
            .is_some_and(|seen| !seen.insert(index.to_vec()));
        if is_known || varbind.oid == self.at {
            return self.fail(format!(
                "the agent repeats itself: {} comes after {}",
                varbind.oid, self.at
            ));
        }
        if self.steps >= limit {
            return self.fail(format!("more than {limit} rows"));
        }
        if varbind.value.exists() {
            self.column.rows.push(Row {
                index: index.to_vec(),
                value: varbind.value,
            });
        }
        self.at = varbind.oid;
        self.steps += 1;
    }

    /// Ends the walk early, for this reason.
    pub(super) fn fail(&mut self, failure: String) {
        self.is_done = true;
        self.column.failure = Some(failure);
    }
}
