//! What a session is sent out for.

use std::fmt;

use crate::{
    agent::Notes,
    error::SnmpError,
    message::{ErrorStatus, Pdu, PduKind},
    oid::Oid,
    value::Varbind,
};

/// One thing to find out, by as many requests as it takes. It knows nothing of
/// sockets and of time.
pub(crate) trait Errand: Send {
    /// The next request that can be made now; `None` while answers are waited
    /// for, and at the end.
    fn next(&mut self, limits: Limits) -> Option<Request>;

    /// The answer to a request.
    fn answered(&mut self, request: Request, answer: Answer, notes: &mut Notes) -> Result<(), SnmpError>;
}

/// What may be asked of an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// It knows no GETBULK.
    pub(crate) lacks_bulk: bool,
    /// Varbinds that fit into an answer, as far as is known.
    pub(crate) most_varbinds: usize,
    /// Octets of an answer.
    pub(crate) most_octets: usize,
    /// Octets of an answer besides its varbinds.
    pub(crate) overhead: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) pdu: Pdu,
    /// Octets.
    pub(crate) length: usize,
}

/// A request before it has an id.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: PduKind,
    /// How often each is asked for: more than once only in a GETBULK.
    pub(crate) repetitions: usize,
    pub(crate) oids: Vec<Oid>,
    /// Whose it is within its errand.
    pub(crate) tag: usize,
    /// Which of the errand's objects these are.
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

    /// Asks for less at once.
    pub(crate) fn lessen(&mut self) {
        self.repetitions = (self.repetitions / 2).max(1);
    }

    /// So many varbinds answer it.
    pub(crate) fn varbinds(&self) -> usize {
        self.repetitions * self.oids.len()
    }

    /// The error of an answer that says no.
    pub(crate) fn refused(&self, status: i32) -> SnmpError {
        SnmpError::Status {
            status: ErrorStatus(status),
            asked: self.to_string(),
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
            [] => f.write_str("who it is"),
            [oid] => write!(f, "{kind} of {oid}"),
            [oid, rest @ ..] => write!(f, "{kind} of {oid} and {} more", rest.len()),
        }
    }
}

/// A single request.
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

impl Errand for Once {
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
