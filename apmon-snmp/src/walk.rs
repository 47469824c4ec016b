//! Reading columns of tables: side by side, as many rows at once as the agent
//! answers, and to an end whatever the agent does.

mod stream;

use std::collections::VecDeque;

pub(crate) use self::stream::Stream;
pub use self::stream::Tell;
use crate::{
    agent::{MOST_VARBINDS, Notes},
    error::SnmpError,
    harvest::{Column, Row},
    message::{ErrorStatus, PduKind},
    oid::Oid,
    session::{Answer, Errand, Limits, Request},
    value::{Value, Varbind},
};

/// An answer is to fit into one frame of Ethernet: an agent that sends in
/// fragments, or a router on the way that drops them, is common. In octets.
const ANSWER: usize = 1_400;

/// What an agent's value is believed to take before one was seen, with its type
/// and length, and those of the varbind. In octets.
const VALUE: usize = 10;

/// Columns that are read side by side.
#[derive(Clone, Debug)]
pub struct Group {
    roots: Vec<Oid>,
    limit: usize,
}

impl Group {
    /// The columns below `roots`, each to `limit` rows at most. They should
    /// have the same rows: one that ends early costs nothing, one that is much
    /// longer is read alone.
    pub fn new(roots: impl IntoIterator<Item = Oid>, limit: usize) -> Self {
        Self {
            roots: roots.into_iter().collect(),
            limit,
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
    /// Columns that are asked for together.
    parts: VecDeque<Vec<usize>>,
    /// Octets of a varbind of the last answer.
    octets: Option<usize>,
}

#[derive(Debug)]
struct Cursor {
    root: Oid,
    at: Oid,
    /// How often it got further.
    steps: usize,
    /// An answer went backwards, and was new all the same.
    is_disordered: bool,
    is_done: bool,
    column: Column,
}

impl Cursor {
    /// `varbind` is the next of this column.
    fn take(&mut self, varbind: Varbind, limit: usize) {
        let Some(index) = varbind.oid.below(&self.root) else {
            self.is_done = true;
            return;
        };
        if varbind.oid <= self.at {
            // Some agents answer in a wrong order, but with something new.
            let is_known = varbind.oid == self.at || self.column.rows.iter().any(|row| row.index == index);
            if is_known {
                let oid = &varbind.oid;
                return self.ends(format!("the agent repeats itself: {oid} comes after {}", self.at));
            }
            self.is_disordered = true;
        } else if self.is_disordered && self.column.rows.iter().any(|row| row.index == index) {
            return self.ends(format!("the agent repeats itself: {} came before", varbind.oid));
        }
        if self.column.rows.len() >= limit {
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

    fn ends(&mut self, trouble: String) {
        self.is_done = true;
        self.column.trouble = Some(trouble);
    }
}

impl Walks {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let course = |group: Group| Course {
            parts: VecDeque::from([(0..group.roots.len()).collect()]),
            cursors: group.roots.into_iter().map(cursor).collect(),
            limit: group.limit,
            octets: None,
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

fn cursor(root: Oid) -> Cursor {
    Cursor {
        at: root.clone(),
        root,
        steps: 0,
        is_disordered: false,
        is_done: false,
        column: Column::default(),
    }
}

impl Course {
    /// Rows to ask for at once.
    fn rows(&self, columns: &[usize], limits: Limits) -> usize {
        let guess = |at: &usize| self.cursors[*at].at.len() + 2 + VALUE;
        let row: usize = match self.octets {
            Some(octets) => octets * columns.len(),
            None => columns.iter().map(guess).sum(),
        };
        let fitting = ANSWER.saturating_sub(limits.overhead) / row.max(1);
        fitting
            .min(limits.most_varbinds.min(MOST_VARBINDS) / columns.len())
            .max(1)
    }

    fn take(&mut self, request: &Request, columns: Vec<usize>, answer: Answer, notes: &mut Notes) {
        let varbinds = answer.pdu.varbinds;
        let got = varbinds.len();
        if got > 0 {
            // With the octets of the head, as a reserve.
            self.octets = Some(answer.length.div_ceil(got));
        }
        let before: Vec<usize> = columns.iter().map(|at| self.cursors[*at].steps).collect();
        for (i, varbind) in varbinds.into_iter().enumerate() {
            let cursor = &mut self.cursors[columns[i % columns.len()]];
            if cursor.is_done {
                continue;
            }
            match varbind.value {
                Value::EndOfMibView => cursor.is_done = true,
                _ => cursor.take(varbind, self.limit),
            }
        }
        let wanted = request.repetitions.max(1) * columns.len();
        let is_done = |at: &usize| self.cursors[*at].is_done;
        if request.kind == PduKind::GetBulk && got < wanted && !columns.iter().any(is_done) {
            notes.lower(got);
        } else if got >= notes.most_varbinds {
            notes.full();
        }
        // An agent that answers, and gets no further.
        for (at, before) in columns.iter().zip(before) {
            let cursor = &mut self.cursors[*at];
            if !cursor.is_done && cursor.steps == before && got >= columns.len() {
                cursor.ends("the agent does not answer for it".to_owned());
            }
        }
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
        let repetitions = course.rows(&columns, limits);
        let kind = match limits.lacks_bulk {
            true => PduKind::GetNext,
            false => PduKind::GetBulk,
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
        let named = named.filter(|at| *at < columns.len());
        let is_empty = answer.pdu.varbinds.is_empty();
        match status {
            ErrorStatus(0) if !is_empty => course.take(&request, columns, answer, notes),
            // Nothing fits, which some agents say by an answer without anything.
            ErrorStatus(0) | ErrorStatus::TOO_BIG => {
                let asked = request.repetitions.max(1) * columns.len();
                if asked == 1 {
                    course.cursors[columns[0]].ends("a value that is too long for an answer".to_owned());
                    return Ok(());
                }
                notes.lower(asked / 2);
                course.go_on(columns);
            }
            // SNMPv1 has no other word for the end of what it knows.
            ErrorStatus::NO_SUCH_NAME if named.is_some() => {
                let at = columns[named.unwrap_or(0)];
                course.cursors[at].is_done = true;
                course.go_on(columns);
            }
            ErrorStatus::AUTHORIZATION => return Err(request.refused(status.0)),
            // An agent that calls itself v2c and knows no GETBULK.
            _ if request.kind == PduKind::GetBulk && !notes.lacks_bulk && course.is_new(&columns) => {
                notes.lacks_bulk = true;
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

impl Course {
    /// Nothing was read of any of these.
    fn is_new(&self, columns: &[usize]) -> bool {
        columns.iter().all(|at| self.cursors[*at].column.rows.is_empty())
    }
}
