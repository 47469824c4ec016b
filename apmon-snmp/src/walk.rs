//! Reading columns of tables: side by side, as many rows at once as the agent
//! answers, and to an end whatever the agent does.

mod cursor;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::cursor::Cursor;
pub(crate) use self::stream::Stream;
pub use self::stream::Tell;
use crate::{
    agent::Notes,
    error::SnmpError,
    harvest::Column,
    message::{ErrorStatus, PduKind},
    oid::Oid,
    session::{Answer, Errand, Limits, Request},
};

/// What an agent's value is believed to take before one was seen, with its type
/// and length, and those of the varbind. In octets.
const VALUE: usize = 10;

/// And the index in its name: an ifIndex, two small numbers.
const INDEX: usize = 3;

/// Columns that are read side by side.
#[derive(Clone, Debug)]
pub struct Group {
    roots: Vec<Oid>,
    limit: usize,
    /// Octets of an index.
    index: usize,
}

impl Group {
    /// The columns below `roots`, each to `limit` rows at most. They should
    /// have the same rows: one that ends early costs nothing, one that is much
    /// longer is read alone.
    pub fn new(roots: impl IntoIterator<Item = Oid>, limit: usize) -> Self {
        Self {
            roots: roots.into_iter().collect(),
            limit,
            index: INDEX,
        }
    }

    /// The same, where an index takes so many octets: the first answer is to
    /// fit into a frame like all others.
    pub(crate) fn indexed(self, octets: usize) -> Self {
        Self {
            index: octets,
            ..self
        }
    }
}

/// Columns on the way.
#[derive(Debug)]
pub(crate) struct Walks {
    groups: Vec<Course>,
}

/// A group on the way: one request at a time, or after an answer that was too
/// long for it some with a part of the columns each.
#[derive(Debug)]
struct Course {
    cursors: Vec<Cursor>,
    limit: usize,
    /// Octets of an index, before one was seen.
    index: usize,
    /// Columns that are asked for together.
    parts: VecDeque<Vec<usize>>,
    /// Octets of a varbind of the last answer.
    octets: Option<usize>,
    /// So often a row is asked for by GETNEXT, as a GETBULK was answered by an
    /// error.
    singly: usize,
    was_refused: bool,
}

impl Walks {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let course = |group: Group| Course {
            // Without columns there is nothing to ask.
            parts: match group.roots.len() {
                0 => VecDeque::new(),
                columns => VecDeque::from([(0..columns).collect()]),
            },
            cursors: group.roots.into_iter().map(Cursor::new).collect(),
            limit: group.limit,
            index: group.index,
            octets: None,
            singly: 0,
            was_refused: false,
        };
        Self {
            groups: groups.into_iter().map(course).collect(),
        }
    }

    /// The columns of each group, in their order.
    pub(crate) fn finish(self) -> Vec<Vec<Column>> {
        let columns = |course: Course| course.cursors.into_iter().map(|cursor| cursor.column).collect();
        self.groups.into_iter().map(columns).collect()
    }
}

impl Course {
    /// Octets of a row, as far as is known.
    fn octets(&self, columns: &[usize]) -> usize {
        let guess = |at: &usize| self.cursors[*at].at.len() + self.index + 2 + VALUE;
        match self.octets {
            Some(octets) => octets * columns.len(),
            None => columns.iter().map(guess).sum(),
        }
    }

    /// Rows to ask for at once.
    fn rows(&self, columns: &[usize], limits: Limits) -> usize {
        let fitting = limits.most_octets.saturating_sub(limits.overhead) / self.octets(columns).max(1);
        fitting.min(limits.most_varbinds / columns.len()).max(1)
    }

    fn take(&mut self, request: &Request, columns: Vec<usize>, answer: Answer, notes: &mut Notes) {
        let varbinds = answer.pdu.varbinds;
        let got = varbinds.len();
        // With the octets of the head, as a reserve.
        self.octets = Some(answer.length.div_ceil(got.max(1)));
        match request.kind {
            PduKind::GetBulk => notes.knows_bulk = Some(true),
            _ => {
                self.singly = self.singly.saturating_sub(1);
                // What it refused as a GETBULK it can do.
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
        // At the end of a column an agent need not say so for each row.
        let is_end = columns.iter().any(|at| self.cursors[*at].is_done);
        if got >= request.varbinds() {
            notes.complete();
        } else if !is_end {
            notes.truncated(got, answer.length);
        }
        self.go_on(columns);
    }

    /// Nothing fits into an answer.
    fn too_big(&mut self, request: &Request, columns: Vec<usize>, notes: &mut Notes) {
        if request.varbinds() == 1 {
            self.cursors[columns[0]].ends("a value that is too long for an answer".to_owned());
            return;
        }
        let octets = self.octets(&columns) * request.repetitions;
        notes.too_big(request.repetitions, columns.len(), octets);
        self.go_on(columns);
    }

    /// A GETBULK got an error: its rows are asked for one by one.
    fn refused(&mut self, request: &Request, columns: Vec<usize>) {
        self.was_refused = true;
        self.singly = request.repetitions;
        self.go_on(columns);
    }

    /// What is not done is asked for again.
    fn go_on(&mut self, mut columns: Vec<usize>) {
        columns.retain(|at| !self.cursors[*at].is_done);
        if !columns.is_empty() {
            self.parts.push_back(columns);
        }
    }
}

impl Errand for Walks {
    fn next(&mut self, limits: Limits) -> Option<Request> {
        let at = self.groups.iter().position(|course| !course.parts.is_empty())?;
        let course = &mut self.groups[at];
        let mut columns = course.parts.pop_front()?;
        if columns.len() > limits.most_varbinds {
            let rest = columns.split_off(limits.most_varbinds.max(1));
            course.parts.push_front(rest);
        }
        let (kind, repetitions) = match limits.lacks_bulk || course.singly > 0 {
            true => (PduKind::GetNext, 1),
            false => (PduKind::GetBulk, course.rows(&columns, limits)),
        };
        Some(Request {
            kind,
            repetitions,
            oids: columns.iter().map(|at| course.cursors[*at].at.clone()).collect(),
            tag: at,
            places: columns,
        })
    }

    fn answered(&mut self, mut request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError> {
        let course = &mut self.groups[request.tag];
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
            ErrorStatus(0) if !is_empty => course.take(&request, columns, answer, notes),
            // Some agents mean GETBULK itself.
            ErrorStatus::TOO_BIG if request.kind == PduKind::GetBulk && request.varbinds() == 1 => {
                course.refused(&request, columns);
            }
            // Some agents say so by an answer without anything.
            ErrorStatus(0) | ErrorStatus::TOO_BIG => course.too_big(&request, columns, notes),
            ErrorStatus::AUTHORIZATION => return Err(request.refused(status.0)),
            // It knows no GETBULK, though it calls itself v2c; or one of the
            // rows is the trouble, or what comes after the last.
            _ if request.kind == PduKind::GetBulk => {
                course.refused(&request, columns);
            }
            // SNMPv1 has no other word for the end of what it knows.
            ErrorStatus::NO_SUCH_NAME if named.is_some() => {
                let at = columns[named.unwrap_or(0)];
                course.cursors[at].is_done = true;
                course.go_on(columns);
            }
            _ if columns.len() > 1 => {
                // One of them is the trouble.
                let alone = match named {
                    Some(at) => vec![columns.remove(at)],
                    None => columns.split_off(columns.len() / 2),
                };
                course.go_on(columns);
                course.go_on(alone);
            }
            _ => course.cursors[columns[0]].ends(format!("the agent answers {status}")),
        }
        Ok(())
    }
}
