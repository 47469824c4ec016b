//! An operation on an agent, apart from sockets and time.

use std::fmt;

use crate::{
    agent::Notes,
    error::SnmpError,
    message::{ErrorStatus, Pdu, PduKind},
    oid::Oid,
    value::Varbind,
};

/// Something to read from an agent, in as many requests as it takes. It knows
/// nothing of sockets or time.
pub(crate) trait Operation: Send {
    /// The next request that can be made now; `None` while it waits for
    /// answers, and when it is done.
    fn next(&mut self, limits: Limits) -> Option<Request>;

    /// Takes the answer to a request.
    fn answered(&mut self, request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError>;
}

/// What a request to an agent must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The agent does not know GETBULK.
    pub(crate) lacks_bulk: bool,
    /// Varbinds that fit into an answer, as far as is known.
    pub(crate) most_varbinds: usize,
    /// Octets of an answer.
    pub(crate) most_octets: usize,
    /// Octets of an answer besides its varbinds.
    pub(crate) overhead: usize,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) pdu: Pdu,
    /// Octets.
    pub(crate) length: usize,
}

/// A request that has no id yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: PduKind,
    /// How often each OID is asked for: more than once only in a GETBULK.
    pub(crate) repetitions: usize,
    pub(crate) oids: Vec<Oid>,
    /// Which part of its operation made it.
    pub(crate) tag: usize,
    /// Which of the operation's objects it asks for.
    pub(crate) places: Vec<usize>,
}

impl Request {
    pub(crate) fn pdu(&self, id: i32) -> Pdu {
        let mut pdu = Pdu::request(self.kind, id, &self.oids);
        if self.kind == PduKind::GetBulk {
            pdu.error_index = i32::try_from(self.repetitions).unwrap_or(i32::MAX);
        }
        pdu
    }

    /// Halves what it asks for at once.
    pub(crate) fn halve(&mut self) {
        self.repetitions = (self.repetitions / 2).max(1);
    }

    /// The number of varbinds in a complete answer.
    pub(crate) fn varbinds(&self) -> usize {
        self.repetitions * self.oids.len()
    }

    /// The error for an answer with that status.
    pub(crate) fn refused(&self, status: i32) -> SnmpError {
        SnmpError::Status {
            status: ErrorStatus(status),
            request: self.to_string(),
        }
    }
}

/// `GET of 1.3.6.1.2.1.1.5.0 and 3 more`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PduKind::Get => "GET",
            PduKind::GetNext => "GETNEXT",
            _ => "GETBULK",
        };
        match self.oids.as_slice() {
            [] => f.write_str("engine discovery"),
            [oid] => write!(f, "{kind} of {oid}"),
            [oid, rest @ ..] => write!(f, "{kind} of {oid} and {} more", rest.len()),
        }
    }
}

/// An operation of one request.
#[derive(Debug)]
pub(crate) struct Once {
    request: Option<Request>,
    varbinds: Vec<Varbind>,
}

impl Once {
    pub(crate) fn new(kind: PduKind, oids: Vec<Oid>) -> Self {
        Self {
            request: Some(Request {
                kind,
                repetitions: 1,
                oids,
                tag: 0,
                places: Vec::new(),
            }),
            varbinds: Vec::new(),
        }
    }

    pub(crate) fn finish(self) -> Vec<Varbind> {
        self.varbinds
    }
}

impl Operation for Once {
    fn next(&mut self, _: Limits) -> Option<Request> {
        self.request.take()
    }

    fn answered(&mut self, request: Request, answer: Answer, _: &mut Notes) -> Result<(), SnmpError> {
        if answer.pdu.error_status != 0 {
            return Err(request.refused(answer.pdu.error_status));
        }
        self.varbinds = answer.pdu.varbinds;
        Ok(())
    }
}
