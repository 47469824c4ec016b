//! Operations on an agent, independent of sockets and time.

use std::fmt;

use crate::{
    agent::Notes,
    error::SnmpError,
    message::{ErrorStatus, Pdu, PduKind},
    oid::Oid,
    value::Varbind,
};

/// An operation that reads from an agent, in as many requests as it takes. It does not
/// depend on sockets or time.
pub(crate) trait Operation: Send {
    /// Returns the next request; `None` while the operation waits for answers, and when it
    /// is done.
    fn next(&mut self, limits: Limits) -> Option<Request>;

    /// Processes the answer to a request.
    fn answered(&mut self, request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError>;
}

/// The limits for requests to an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Whether the agent lacks GETBULK.
    pub(crate) lacks_bulk: bool,
    /// The most varbinds that fit into an answer, as far as is known.
    pub(crate) most_varbinds: usize,
    /// The most octets that fit into an answer.
    pub(crate) most_octets: usize,
    /// The octets of an answer besides its varbinds.
    pub(crate) overhead: usize,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) pdu: Pdu,
    /// The length of the message, in octets.
    pub(crate) length: usize,
}

/// A request that has not been given an ID yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: PduKind,
    /// The number of instances to read after each OID; more than 1 only in a GETBULK.
    pub(crate) repetitions: usize,
    pub(crate) oids: Vec<Oid>,
    /// The part of the operation that made the request.
    pub(crate) tag: usize,
    /// The objects of the operation that the request asks for, by position.
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

    /// Halves the number of rows that the request asks for.
    pub(crate) fn halve(&mut self) {
        self.repetitions = (self.repetitions / 2).max(1);
    }

    /// The number of varbinds in a complete answer.
    pub(crate) fn varbinds(&self) -> usize {
        self.repetitions * self.oids.len()
    }

    /// The error for an answer with this status.
    pub(crate) fn refused(&self, status: i32) -> SnmpError {
        SnmpError::Status {
            status: ErrorStatus(status),
            request: self.to_string(),
        }
    }
}

/// Shows the request in errors: `GET of 1.3.6.1.2.1.1.5.0 and 3 more`.
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

/// An operation that consists of one request.
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
