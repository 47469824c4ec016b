//! A walk that passes on its rows as they arrive.

use std::{fmt, ops::ControlFlow};

use super::{Group, Walks};
use crate::{
    agent::Notes,
    error::SnmpError,
    oid::Oid,
    operation::{Answer, Limits, Operation, Request},
    value::Varbind,
};

/// The walk of one column that passes on its rows as they arrive.
pub(crate) struct Stream<'a> {
    root: Oid,
    walks: Walks,
    /// The number of rows that were passed on.
    passed_on: usize,
    sink: &'a mut RowSink<'a>,
    /// Whether the sink has stopped the walk.
    is_over: bool,
}

/// A function that receives the rows of one answer, and breaks to stop the walk.
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
            passed_on: 0,
            sink,
            is_over: false,
        }
    }

    /// The reason why the walk ended early; `None` if it did not.
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
        // The rows stay in the walk, where they reveal an agent that loops.
        let rows = &self.walks.groups[0].cursors[0].column.rows;
        let new: Vec<Varbind> = rows[self.passed_on..]
            .iter()
            .map(|row| Varbind::new(Oid::join(&self.root, &row.index), row.value.clone()))
            .collect();
        self.passed_on = rows.len();
        if !new.is_empty() {
            self.is_over = (self.sink)(new).is_break();
        }
        Ok(())
    }
}
