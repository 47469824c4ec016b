//! A walk whose rows are handed on as they arrive.

use std::{fmt, ops::ControlFlow};

use super::{Group, Walks};
use crate::{
    agent::Notes,
    error::SnmpError,
    oid::Oid,
    operation::{Answer, Limits, Operation, Request},
    value::Varbind,
};

/// A walk of one column whose rows are handed on as they arrive.
pub(crate) struct Stream<'a> {
    root: Oid,
    walks: Walks,
    /// Rows that were handed on.
    handed_on: usize,
    sink: &'a mut RowSink<'a>,
    /// The sink wants no more.
    is_over: bool,
}

/// Takes the rows of one answer, and breaks when it wants no more.
pub type RowSink<'a> = dyn FnMut(Vec<Varbind>) -> ControlFlow<()> + Send + 'a;

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Stream");
        shown.field("walks", &self.walks).finish_non_exhaustive()
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn new(root: &Oid, limit: usize, sink: &'a mut RowSink<'a>) -> Self {
        Self {
            root: root.clone(),
            walks: Walks::new(vec![Group::new([root.clone()], limit)]),
            handed_on: 0,
            sink,
            is_over: false,
        }
    }

    /// Why it was not read to its end; `None` if it was.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.walks.groups[0].cursors[0].column.failure.take()
    }
}

impl Operation for Stream<'_> {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        match self.is_over {
            true => None,
            false => self.walks.next(limits),
        }
    }

    fn answered(&mut self, request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError> {
        self.walks.answered(request, answer, notes)?;
        // The rows stay in the walk: they reveal an agent that goes in a circle.
        let rows = &self.walks.groups[0].cursors[0].column.rows;
        let new: Vec<Varbind> = rows[self.handed_on..]
            .iter()
            .map(|row| Varbind::new(Oid::join(&self.root, &row.index), row.value.clone()))
            .collect();
        self.handed_on = rows.len();
        if !new.is_empty() {
            self.is_over = (self.sink)(new).is_break();
        }
        Ok(())
    }
}
