//! Entry points of the fuzz targets, for all code that decodes received bytes. Not part of the
//! API.

use std::collections::VecDeque;

use crate::{
    agent::Agent,
    credential::User,
    get::Gets,
    message::{Body, Message, Pdu, PduKind, Scoped, V3Message},
    oid::Oid,
    operation::{Answer, Limits, Operation, Request},
    session,
    value::{Value, Varbind},
    walk::{Group, Walks},
};

/// Decodes a datagram of any version. A message that can be decoded must be the same after
/// being encoded and decoded again.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else {
        return;
    };
    match message {
        Message::Community(message) => {
            let again = message.encode();
            assert_eq!(Message::decode(&again), Ok(Message::Community(message)));
        }
        Message::V3(message) => {
            if let Ok(scoped) = Scoped::decode(message.data) {
                assert_eq!(Scoped::decode(&scoped.encode()), Ok(scoped));
            }
            let (again, place) = message.encode(message.signature.len());
            let Ok(Message::V3(read)) = Message::decode(&again) else {
                unreachable!("it was decoded before");
            };
            assert_eq!(read.signature, place);
            // The signature may be in another place: lengths are written in their shortest form.
            let signature = message.signature.clone();
            assert_eq!(V3Message { signature, ..read }, message);
        }
    }
}

/// The columns to walk, and the limit of rows of each.
const COLUMNS: u32 = 5;
const ROWS: usize = 40;
/// The single values to read.
const VALUES: u32 = 25;
/// The number of requests in flight.
const WINDOW: usize = 4;

/// Processes the answers of an agent: a walk must end, and observe its limit of rows. The first
/// byte chooses the version. Each answer is preceded by its length (2 bytes) and is a message
/// or, if the length is 0, rows after the requested ones.
pub fn answer(bytes: &[u8]) {
    let Some((version, bytes)) = bytes.split_first() else {
        return;
    };
    let mut script = Script { bytes };
    let agent = Agent::default();
    let root = |column| Oid::from([1, 3, 6, 1, 2, 1, 2, 2, 1, column]);
    let groups = [1..COLUMNS, COLUMNS..COLUMNS + 1].map(|columns| Group::new(columns.map(root), ROWS));
    let names: Vec<Oid> = (0..VALUES).map(root).collect();
    let mut walks = Walks::new(groups.to_vec());
    let mut gets = Gets::new(&names);
    let is_v1 = version & 1 != 0;
    // After the script, every answer is the end of the MIB.
    let most = 2_000 + bytes.len();
    ask(&mut walks, &agent, is_v1, most, &mut script);
    ask(&mut gets, &agent, is_v1, most, &mut script);
    for column in walks.finish().iter().flatten() {
        assert!(column.rows.len() <= ROWS);
    }
    assert!(gets.finish().iter().map(|varbind| &varbind.oid).eq(&names));
}

fn ask(operation: &mut dyn Operation, agent: &Agent, is_v1: bool, most: usize, script: &mut Script<'_>) {
    let mut pending = VecDeque::new();
    for _ in 0..most {
        while pending.len() < WINDOW {
            let limits = limits(agent, is_v1);
            let Some(request) = operation.next(limits) else {
                break;
            };
            pending.push_back(request);
        }
        let Some(request) = pending.pop_front() else {
            return;
        };
        let (pdu, length) = script.next(&request, agent);
        let answer = Answer { pdu, length };
        if operation.answered(request, answer, &mut agent.notes()).is_err() {
            return;
        }
    }
    unreachable!("the operation does not end");
}

fn limits(agent: &Agent, is_v1: bool) -> Limits {
    let notes = agent.notes();
    Limits {
        lacks_bulk: is_v1 || notes.knows_bulk == Some(false),
        most_varbinds: notes.most_varbinds,
        most_octets: notes.most_octets,
        overhead: 46,
    }
}

struct Script<'a> {
    bytes: &'a [u8],
}

impl Script<'_> {
    fn take(&mut self, length: usize) -> &[u8] {
        let (taken, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    fn number(&mut self) -> usize {
        self.take(1).first().copied().map_or(0, usize::from)
    }

    /// The answer to a request, and its length.
    fn next(&mut self, request: &Request, agent: &Agent) -> (Pdu, usize) {
        if self.bytes.is_empty() {
            return (end(request), 100);
        }
        let length = self.number() << 8 | self.number();
        if length == 0 {
            return (self.rows(request), 100 + self.number());
        }
        let datagram = self.take(length);
        let length = datagram.len();
        match Message::decode(datagram) {
            Ok(Message::Community(message)) => match message.body {
                Body::Pdu(pdu) => (pdu, length),
                Body::V1Trap(_) => (end(request), length),
            },
            Ok(Message::V3(message)) => {
                // A user who does not sign accepts the most answers.
                let user = User {
                    name: String::from_utf8_lossy(message.user).into_owned(),
                    auth: None,
                    privacy: None,
                    context: String::new(),
                };
                match session::answer(&user, agent, datagram, &message) {
                    Some(pdu) => (pdu, length),
                    None => (end(request), length),
                }
            }
            Err(_) => (end(request), length),
        }
    }

    /// An answer with rows a few steps before or after the requested ones.
    fn rows(&mut self, request: &Request) -> Pdu {
        let mut answer = end(request);
        let count = self.number();
        answer.varbinds.clear();
        for i in 0..count.min(request.varbinds() + 3) {
            let mut oid = request.oids[i % request.oids.len()].parts().to_vec();
            if oid.len() < 11 {
                oid.push(100);
            }
            let step = self.number();
            if let Some(last) = oid.last_mut() {
                *last = last
                    .wrapping_add(u32::try_from(step & 15).unwrap_or(0))
                    .wrapping_sub(4);
            }
            let value = match step >> 4 {
                0 => Value::EndOfMibView,
                1 => Value::NoSuchInstance,
                2 => Value::Unreadable(0x41),
                _ => Value::Counter32(1),
            };
            answer.varbinds.push(Varbind::new(Oid::new(oid), value));
        }
        answer
    }
}

/// The answer that the MIB has ended.
fn end(request: &Request) -> Pdu {
    let mut pdu = request.pdu(1);
    pdu.kind = PduKind::Response;
    (pdu.error_status, pdu.error_index) = (0, 0);
    for varbind in &mut pdu.varbinds {
        varbind.value = Value::EndOfMibView;
    }
    pdu
}
