//! How far a column was read.

use std::collections::BTreeSet;

use crate::{
    harvest::{Column, Row},
    oid::Oid,
    value::{Value, Varbind},
};

#[derive(Debug)]
pub(super) struct Cursor {
    root: Oid,
    /// What comes next after this is asked for.
    pub(super) at: Oid,
    /// How often it got further.
    steps: usize,
    /// What came so far, from when an answer went backwards.
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

    /// `varbind` is the next of this column. Each call gets it further or ends
    /// it.
    pub(super) fn take(&mut self, varbind: Varbind, limit: usize) {
        if varbind.oid.is_empty() {
            return self.ends(format!(
                "the agent sends a name that cannot be read, after {}",
                self.at
            ));
        }
        let is_further = varbind.oid > self.at;
        let says_no = matches!(varbind.value, Value::NoSuchObject | Value::NoSuchInstance);
        // Some agents say no where others say that nothing comes after it.
        if varbind.value == Value::EndOfMibView || (says_no && !is_further) {
            self.is_done = true;
            return;
        }
        let Some(index) = varbind.oid.below(&self.root) else {
            self.is_done = true;
            return;
        };
        if !is_further {
            // Some agents answer in a wrong order, but with something new.
            let rows = &self.column.rows;
            self.seen
                .get_or_insert_with(|| rows.iter().map(|row| row.index.clone()).collect());
        }
        let is_known = self
            .seen
            .as_mut()
            .is_some_and(|seen| !seen.insert(index.to_vec()));
        if is_known || varbind.oid == self.at {
            return self.ends(format!(
                "the agent repeats itself: {} comes after {}",
                varbind.oid, self.at
            ));
        }
        if self.steps >= limit {
            return self.ends(format!("more than {limit} rows"));
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

    pub(super) fn ends(&mut self, trouble: String) {
        self.is_done = true;
        self.column.trouble = Some(trouble);
    }
}
