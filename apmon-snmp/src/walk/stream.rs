//! A walk whose rows are handed on as they come.

use std::{fmt, ops::ControlFlow};

use super::{Group, Walks};
use crate::{
    agent::Notes,
    error::SnmpError,
    oid::Oid,
    session::{Answer, Errand, Limits, Request},
    value::Varbind,
};

/// A column on the way whose rows are handed on as they come.
pub(crate) struct Stream<'a> {
    root: Oid,
    walks: Walks,
    /// So many rows are handed on.
    told: usize,
    tell: &'a mut Tell<'a>,
    /// Nobody wants more.
    is_over: bool,
}

/// Takes the rows of one answer, and says whether it wants more.
pub type Tell<'a> = dyn FnMut(Vec<Varbind>) -> ControlFlow<()> + Send + 'a;

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Stream");
        shown.field("walks", &self.walks).finish_non_exhaustive()
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn new(root: &Oid, limit: usize, tell: &'a mut Tell<'a>) -> Self {
        Self {
            root: root.clone(),
            walks: Walks::new(vec![Group::new([root.clone()], limit)]),
            told: 0,
            tell,
            is_over: false,
        }
    }

    /// Why it was not read to its end, where it was not.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.walks.groups[0].cursors[0].column.trouble.take()
    }
}

impl Errand for Stream<'_> {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        match self.is_over {
            true => None,
            false => self.walks.next(limits),
        }
    }

    fn answered(&mut self, request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError> {
        self.walks.answered(request, answer, notes)?;
        // They stay: an agent that goes in a circle is found out by them.
        let rows = &self.walks.groups[0].cursors[0].column.rows;
        let new: Vec<Varbind> = rows[self.told..]
            .iter()
            .map(|row| Varbind::new(Oid::join(&self.root, &row.index), row.value.clone()))
            .collect();
        self.told = rows.len();
        if !new.is_empty() {
            self.is_over = (self.tell)(new).is_break();
        }
        Ok(())
    }
}
