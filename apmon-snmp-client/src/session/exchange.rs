//! The loop that sends requests, waits, receives answers and retries.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Session, pace,
    pending_request::PendingRequest,
    security::{self, Incoming, Level},
};
use crate::{
    credential::Credentials,
    error::SnmpError,
    message::{Body, CommunityMessage, Message, Pdu, PduKind},
    operation::{Answer, Limits, Operation},
    text::excerpt,
};

/// The most datagrams read before other tasks have a turn and the clock is read again: a
/// flood keeps the socket readable.
const DATAGRAMS_AT_ONCE: usize = 16;

/// The octets after which the same applies: in a datagram there may be thousands of
/// varbinds.
const OCTETS_AT_ONCE: usize = 16 * 1024;

/// The most datagrams of an operation that answer no request, and the most octets in them.
const MOST_UNRELATED: usize = 10_000;
const MOST_UNRELATED_OCTETS: usize = 16 * 1024 * 1024;

/// What one batch of datagrams was.
#[derive(Default)]
struct Batch {
    /// The number of those that answer no request.
    unrelated: usize,
    /// The octets in them.
    unrelated_octets: usize,
    /// Whether there may be more of them.
    is_full: bool,
}

/// A received datagram.
struct Received {
    /// The length in octets.
    length: usize,
    /// The ID of the request that it answers.
    id: i32,
    incoming: Incoming,
}

impl Session {
    pub(super) async fn exchange(&mut self, operations: &mut [&mut dyn Operation]) -> Result<(), SnmpError> {
        let mut pending: Vec<PendingRequest> = Vec::with_capacity(pace::WINDOW);
        let (mut unrelated, mut unrelated_octets) = (0, 0);
        loop {
            self.fill(operations, &mut pending).await?;
            let Some(wake) = pending.iter().map(PendingRequest::expires).min() else {
                return Ok(());
            };
            // Read each time: a flood keeps the socket readable.
            let now = Instant::now();
            if now >= self.deadline {
                return Err(self.unanswered(&pending));
            }
            if now >= wake {
                self.retry(&mut pending, now).await?;
                continue;
            }
            if self.transport.readable(wake.min(self.deadline)).await? {
                let batch = self.receive(operations, &mut pending).await?;
                unrelated += batch.unrelated;
                unrelated_octets += batch.unrelated_octets;
                if unrelated > MOST_UNRELATED {
                    return Err(SnmpError::Flood(MOST_UNRELATED));
                }
                if unrelated_octets > MOST_UNRELATED_OCTETS {
                    return Err(SnmpError::FloodOfOctets(MOST_UNRELATED_OCTETS));
                }
                if batch.is_full {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Sends new requests while the window has room.
    async fn fill(
        &mut self,
        operations: &mut [&mut dyn Operation],
        pending: &mut Vec<PendingRequest>,
    ) -> Result<(), SnmpError> {
        for (at, operation) in operations.iter_mut().enumerate() {
            while pending.len() < pace::window(self.round_trip(), self.agent.open_sessions()) {
                let Some(request) = operation.next(self.limits()) else {
                    break;
                };
                let wait = pace::first_wait(self.round_trip(), self.time_left());
                let mut request = PendingRequest::new(at, request, wait);
                self.send(&mut request).await?;
                pending.push(request);
            }
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let notes = self.agent.notes();
        let (is_v1, overhead) = match &*self.credentials {
            Credentials::V1(community) => (true, 40 + community.reveal().len()),
            Credentials::V2c(community) => (false, 40 + community.reveal().len()),
            // This includes two engine IDs, a signature and a salt.
            Credentials::V3(user) => (false, 190 + user.name.len() + user.context.len()),
        };
        Limits {
            lacks_bulk: is_v1 || notes.knows_bulk == Some(false),
            most_varbinds: notes.most_varbinds,
            most_octets: notes.most_octets,
            overhead,
        }
    }

    fn round_trip(&self) -> Option<Duration> {
        self.agent.notes().round_trip
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends a request with a new ID.
    async fn send(&mut self, request: &mut PendingRequest) -> Result<(), SnmpError> {
        let id = self.next_id();
        request.sent_as(id);
        let octets = self.seal(&request.request.pdu(id), Level::Full);
        self.transport.send(&octets, self.deadline).await
    }

    fn next_id(&mut self) -> i32 {
        self.last_id = if self.last_id == i32::MAX {
            1
        } else {
            self.last_id + 1
        };
        self.last_id
    }

    fn seal(&self, pdu: &Pdu, level: Level) -> Vec<u8> {
        let (is_v1, community) = match &*self.credentials {
            Credentials::V1(community) => (true, community),
            Credentials::V2c(community) => (false, community),
            Credentials::V3(user) => {
                let engine = self.agent.notes().engine.clone();
                return security::seal(user, engine.as_deref(), &self.agent, pdu, level);
            }
        };
        let message = CommunityMessage {
            is_v1,
            community: community.reveal().as_bytes().to_vec(),
            body: Body::Pdu(pdu.clone()),
        };
        message.encode()
    }

    /// Processes the answers that have arrived by now.
    async fn receive(
        &mut self,
        operations: &mut [&mut dyn Operation],
        pending: &mut Vec<PendingRequest>,
    ) -> Result<Batch, SnmpError> {
        let (mut batch, mut octets) = (Batch::default(), 0);
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Some(received) = self.next_datagram(pending)? else {
                return Ok(batch);
            };
            let Received { length, id, incoming } = received;
            octets += length;
            // Late answers to earlier requests are dropped.
            let at = pending.iter().position(|request| request.sent(id).is_some());
            let at = at.filter(|_| !matches!(incoming, Incoming::Ignored));
            let Some(at) = at else {
                batch.unrelated += 1;
                batch.unrelated_octets += length;
                if octets >= OCTETS_AT_ONCE {
                    break;
                }
                continue;
            };
            match incoming {
                Incoming::Ignored => {}
                Incoming::Answer(pdu) => {
                    let request = pending.swap_remove(at);
                    self.answers += 1;
                    self.malformed = None;
                    self.stats.round_trips += 1;
                    self.stats.longest = self.stats.longest.max(length);
                    let mut notes = self.agent.notes();
                    // Each try has its own ID, which shows the one that was answered.
                    if let Some(sent) = request.sent(id) {
                        notes.took(sent.elapsed());
                    }
                    if request.was_halved() {
                        notes.at_most(request.request.varbinds());
                    }
                    let answer = Answer { pdu, length };
                    operations[request.operation].answered(request.request, answer, &mut notes)?;
                    drop(notes);
                    self.extend_deadline();
                }
                // Engine discovery is complete with the report.
                Incoming::Resend(_) if pending[at].request.oids.is_empty() => {
                    self.stats.round_trips += 1;
                    pending.swap_remove(at);
                    self.extend_deadline();
                }
                Incoming::Resend(reason) => {
                    let request = &mut pending[at];
                    if !request.resend() {
                        return Err(reason);
                    }
                    self.stats.round_trips += 1;
                    self.send(request).await?;
                }
            }
            if octets >= OCTETS_AT_ONCE {
                break;
            }
        }
        batch.is_full = true;
        Ok(batch)
    }

    /// Reads the next datagram that has arrived, if any.
    fn next_datagram(&mut self, pending: &[PendingRequest]) -> Result<Option<Received>, SnmpError> {
        let Self {
            transport,
            credentials,
            agent,
            signed_id,
            signed_is_answered,
            malformed,
            ..
        } = self;
        transport.receive(|datagram| {
            let (id, incoming) = match (&**credentials, Message::decode(datagram)) {
                (Credentials::V1(community), Ok(Message::Community(message))) => {
                    open_community(message, true, community.reveal())
                }
                (Credentials::V2c(community), Ok(Message::Community(message))) => {
                    open_community(message, false, community.reveal())
                }
                // Anyone can claim to be the engine, so only an answer to a pending request
                // may change its known state.
                (Credentials::V3(user), Ok(Message::V3(message))) => {
                    let id = message.id;
                    let incoming = if pending.iter().any(|request| request.sent(id).is_some()) {
                        security::open(user, agent, datagram, &message, Level::Full)?
                    } else {
                        if Some(id) == *signed_id {
                            *signed_is_answered |=
                                security::is_signed_answer(user, agent, datagram, &message);
                        }
                        Incoming::Ignored
                    };
                    (id, incoming)
                }
                // Anyone may have sent it: it is reported only if nothing else arrives.
                (_, Err(error)) => {
                    *malformed = Some(error);
                    (0, Incoming::Ignored)
                }
                _ => (0, Incoming::Ignored),
            };
            Ok(Received {
                length: datagram.len(),
                id,
                incoming,
            })
        })
    }

    /// Retries the requests that were not answered in time.
    async fn retry(&mut self, pending: &mut [PendingRequest], now: Instant) -> Result<(), SnmpError> {
        let longest = pace::longest_wait(self.time_left());
        for request in pending.iter_mut().filter(|request| request.expires() <= now) {
            request.retry(longest);
            self.stats.retries += 1;
            self.send(request).await?;
        }
        self.send_signed_request().await
    }

    /// Sends an empty request that is only signed. An agent that answers it but no encrypted
    /// request has a different privacy key.
    async fn send_signed_request(&mut self) -> Result<(), SnmpError> {
        let encrypts = self
            .agent
            .notes()
            .engine
            .as_ref()
            .is_some_and(|engine| engine.encrypts());
        if !encrypts || self.answers > 0 || self.signed_is_answered {
            return Ok(());
        }
        let id = self.next_id();
        self.signed_id = Some(id);
        let octets = self.seal(&Pdu::request(PduKind::Get, id, []), Level::Signed);
        self.transport.send(&octets, self.deadline).await
    }

    /// The error for requests that are still pending at the deadline.
    fn unanswered(&self, pending: &[PendingRequest]) -> SnmpError {
        if self.signed_is_answered && self.answers == 0 {
            return SnmpError::NoAnswerEncrypted;
        }
        if let Some(malformed) = self.malformed {
            return malformed.into();
        }
        if self.answers == 0 && !self.keeps_engine_on_timeout {
            // Another device may have this address now and not report the wrong engine.
            self.agent.notes().engine = None;
        }
        let oldest = pending.iter().min_by_key(|request| request.first_sent());
        let request = oldest.map_or_else(String::new, |pending| pending.request.to_string());
        let context = match &*self.credentials {
            // Some agents do not report an unknown context.
            Credentials::V3(user) if !user.context.is_empty() => {
                format!(" in context \"{}\"", excerpt(&user.context, 40))
            }
            _ => String::new(),
        };
        let after = match self.answers {
            0 => String::new(),
            1 => ", after 1 answer".to_owned(),
            answers => format!(", after {answers} answers"),
        };
        SnmpError::NoAnswer {
            request: format!("{request}{context}{after}"),
        }
    }
}

/// Checks a message of v1 or v2c, and returns the ID that it answers and its meaning.
fn open_community(message: CommunityMessage, is_v1: bool, community: &str) -> (i32, Incoming) {
    let is_ours = message.is_v1 == is_v1 && message.community == community.as_bytes();
    match message.body {
        Body::Pdu(pdu) if is_ours && pdu.kind == PduKind::Response => (pdu.request_id, Incoming::Answer(pdu)),
        _ => (0, Incoming::Ignored),
    }
}
