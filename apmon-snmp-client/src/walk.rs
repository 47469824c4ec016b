//! Walking the columns of tables: side by side, with as many rows at once as fit into the
//! agent's answers. A walk ends whatever the agent does.

mod column;
mod cursor;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::cursor::Cursor;
pub(crate) use self::stream::Stream;
pub use self::{
    column::{Column, Row},
    stream::RowSink,
};
use crate::{
    agent::Notes,
    error::SnmpError,
    message::{ErrorStatus, PduKind},
    oid::Oid,
    operation::{Answer, Limits, Operation, Request},
};

/// The assumed size, in octets, of a value before one was seen, with the types and lengths
/// of value and varbind.
const VALUE_OCTETS: usize = 10;

/// The assumed size, in octets, of an index: an ifIndex, or two small numbers.
const INDEX_OCTETS: usize = 3;

/// A group of columns that are read side by side.
#[derive(Clone, Debug)]
pub struct Group {
    roots: Vec<Oid>,
    limit: usize,
    index_octets: usize,
}

impl Group {
    /// Creates a group of the columns below `roots`, each with at most `limit` rows. They should
    /// have the same rows: a column that ends early costs nothing, but one that is much longer
    /// is read alone.
    pub fn new(roots: impl IntoIterator<Item = Oid>, limit: usize) -> Self {
        Self {
            roots: roots.into_iter().collect(),
            limit,
            index_octets: INDEX_OCTETS,
        }
    }

    /// Sets an estimate of the length of the indexes, in octets, so that even the first answer
    /// fits into an Ethernet frame. A number below 128 takes one octet. Default 3.
    #[must_use]
    pub fn with_index_octets(self, index_octets: usize) -> Self {
        Self { index_octets, ..self }
    }
}

/// The operation that walks groups of columns.
#[derive(Debug)]
pub(crate) struct Walks {
    groups: Vec<GroupWalk>,
}

/// The walk of a group, with one request at a time or, once an answer was too long for the
/// agent, with several requests for a part of the columns each.
#[derive(Debug)]
struct GroupWalk {
    cursors: Vec<Cursor>,
    limit: usize,
    /// The estimated octets of an index, until one is seen.
    index_octets: usize,
    /// The sets of columns that are requested together.
    parts: VecDeque<Vec<usize>>,
    /// The octets of a varbind in the last answer.
    octets: Option<usize>,
    /// The number of rows to request by GETNEXT, because a GETBULK for them was refused.
    single_rows: usize,
    was_refused: bool,
}

impl Walks {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let walk = |group: Group| GroupWalk {
            // A group without columns asks for nothing.
            parts: match group.roots.len() {
                0 => VecDeque::new(),
                columns => VecDeque::from([(0..columns).collect()]),
            },
            cursors: group.roots.into_iter().map(Cursor::new).collect(),
            limit: group.limit,
            index_octets: group.index_octets,
            octets: None,
            single_rows: 0,
            was_refused: false,
        };
        Self {
            groups: groups.into_iter().map(walk).collect(),
        }
    }

    /// The columns of each group, in their order.
    pub(crate) fn finish(self) -> Vec<Vec<Column>> {
        let columns = |walk: GroupWalk| walk.cursors.into_iter().map(|cursor| cursor.column).collect();
        self.groups.into_iter().map(columns).collect()
    }
}

impl GroupWalk {
    /// The octets of a row, as far as is known.
    fn row_octets(&self, columns: &[usize]) -> usize {
        let guess = |at: &usize| self.cursors[*at].at.len() + self.index_octets + 2 + VALUE_OCTETS;
        match self.octets {
            Some(octets) => octets * columns.len(),
            None => columns.iter().map(guess).sum(),
        }
    }

    /// The number of rows to request at once.
    fn rows(&self, columns: &[usize], limits: Limits) -> usize {
        let fitting = limits.most_octets.saturating_sub(limits.overhead) / self.row_octets(columns).max(1);
        fitting.min(limits.most_varbinds / columns.len()).max(1)
    }

    /// Stores the rows of an answer.
    fn take(&mut self, request: &Request, columns: Vec<usize>, answer: Answer, notes: &mut Notes) {
        let varbinds = answer.pdu.varbinds;
        let got = varbinds.len();
        // The header of the message is included, as a reserve.
        self.octets = Some(answer.length.div_ceil(got.max(1)));
        match request.kind {
            PduKind::GetBulk => notes.knows_bulk = Some(true),
            _ => {
                self.single_rows = self.single_rows.saturating_sub(1);
                // The agent answers as a GETNEXT what it refused as a GETBULK.
                if self.was_refused && notes.knows_bulk.is_none() {
                    notes.knows_bulk = Some(false);
                }
            }
        }
        for (i, varbind) in varbinds.into_iter().enumerate() {
            let cursor = &mut self.cursors[columns[i % columns.len()]];
            if !cursor.is_done {
                cursor.take(varbind, self.limit);
            }
        }
        // At the end of a column, an answer may be short.
        let is_end = columns.iter().any(|at| self.cursors[*at].is_done);
        if got >= request.varbinds() {
            notes.complete();
        } else if !is_end {
            notes.truncated(got, answer.length);
        }
        self.requeue(columns);
    }

    /// Handles an answer that would not fit into a message.
    fn too_big(&mut self, request: &Request, columns: Vec<usize>, notes: &mut Notes) {
        if request.varbinds() == 1 {
            self.cursors[columns[0]].fail("the next value is too long for an answer".to_owned());
            return;
        }
        let octets = self.row_octets(&columns) * request.repetitions;
        notes.too_big(request.repetitions, columns.len(), octets);
        self.requeue(columns);
    }

    /// Handles a GETBULK that was answered with an error: its rows are requested one by one.
    fn refused(&mut self, request: &Request, columns: Vec<usize>) {
        self.was_refused = true;
        self.single_rows = request.repetitions;
        self.requeue(columns);
    }

    /// Queues those of the columns that are not done.
    fn requeue(&mut self, mut columns: Vec<usize>) {
        columns.retain(|at| !self.cursors[*at].is_done);
        if !columns.is_empty() {
            self.parts.push_back(columns);
        }
    }
}

impl Operation for Walks {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        let at = self.groups.iter().position(|walk| !walk.parts.is_empty())?;
        let walk = &mut self.groups[at];
        let mut columns = walk.parts.pop_front()?;
        if columns.len() > limits.most_varbinds {
            let rest = columns.split_off(limits.most_varbinds.max(1));
            walk.parts.push_front(rest);
        }
        let (kind, repetitions) = match limits.lacks_bulk || walk.single_rows > 0 {
            true => (PduKind::GetNext, 1),
            false => (PduKind::GetBulk, walk.rows(&columns, limits)),
        };
        Some(Request {
            kind,
            repetitions,
            oids: columns.iter().map(|at| walk.cursors[*at].at.clone()).collect(),
            tag: at,
            places: columns,
        })
    }

    fn answered(&mut self, mut request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError> {
        let walk = &mut self.groups[request.tag];
        let mut columns = std::mem::take(&mut request.places);
        let status = ErrorStatus(answer.pdu.error_status);
        let named = usize::try_from(answer.pdu.error_index)
            .ok()
            .and_then(|index| index.checked_sub(1));
        let named = match columns.len() {
            1 => Some(0),
            _ => named.filter(|at| *at < columns.len()),
        };
        let is_empty = answer.pdu.varbinds.is_empty();
        match status {
            ErrorStatus(0) if !is_empty => walk.take(&request, columns, answer, notes),
            // Some agents refuse GETBULK itself with this status.
            ErrorStatus::TOO_BIG if request.kind == PduKind::GetBulk && request.varbinds() == 1 => {
                walk.refused(&request, columns);
            }
            // Some agents send an empty answer instead of this status.
            ErrorStatus(0) | ErrorStatus::TOO_BIG => walk.too_big(&request, columns, notes),
            ErrorStatus::AUTHORIZATION => return Err(request.refused(status.0)),
            // The agent speaks v2c without GETBULK, or it cannot read one of the rows or
            // the object that follows them.
            _ if request.kind == PduKind::GetBulk => {
                walk.refused(&request, columns);
            }
            // SNMPv1 has no other status for the end of the MIB.
            ErrorStatus::NO_SUCH_NAME if named.is_some() => {
                let at = columns[named.unwrap_or(0)];
                walk.cursors[at].is_done = true;
                walk.requeue(columns);
            }
            _ if columns.len() > 1 => {
                // One of the columns is at fault.
                let alone = match named {
                    Some(at) => vec![columns.remove(at)],
                    None => columns.split_off(columns.len() / 2),
                };
                walk.requeue(columns);
                walk.requeue(alone);
            }
            _ => walk.cursors[columns[0]].fail(format!("the agent answers {status}")),
        }
        Ok(())
    }
}
