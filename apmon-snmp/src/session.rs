//! Asking an agent: many requests under way, each sent again until it is
//! answered or the deadline has come; answers are matched by id.

mod engine;
mod errand;
mod flight;
mod pace;
mod transport;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::text::excerpt;
use tokio::time::Instant;

pub(crate) use self::{
    engine::{Engine, heard},
    errand::{Answer, Errand, Limits, Request},
};
use self::{
    engine::{Heard, Level},
    errand::Once,
    flight::Flight,
    transport::Transport,
};
use crate::{
    agent::{Agent, Asking, random},
    ber::Malformed,
    credential::Credentials,
    error::SnmpError,
    get::Gets,
    harvest::Column,
    message::{Body, CommunityMessage, Message, Pdu, PduKind},
    oid::Oid,
    value::Varbind,
    walk::{Group, Stream, Tell, Walks},
};

/// So many datagrams are looked at before the clock is: a flood of them must
/// not hide the deadline.
const AT_ONCE: usize = 64;

/// An open way to one agent.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    credentials: Arc<Credentials>,
    agent: Arc<Agent>,
    /// Counted by the agent as long as this session is open.
    #[expect(dead_code, reason = "it counts by being there")]
    asking: Asking,
    deadline: Instant,
    /// Each answer moves the deadline so far away.
    patience: Option<Duration>,
    ids: i32,
    /// Silence is not the agent's.
    is_guest: bool,
    /// So many requests were answered as they were asked.
    answers: u32,
    /// What was asked only signed, and that something came back.
    signed_id: Option<i32>,
    hears_signed: bool,
    /// Why what came since the last answer could not be read.
    malformed: Option<Malformed>,
    count: Count,
}

/// What a session has cost so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Requests that were answered.
    pub round_trips: u32,
    /// Requests that were sent again.
    pub retries: u32,
    /// The longest answer, octets.
    pub longest: usize,
}

impl Session {
    /// Opens a way to the agent at `address`, good until `deadline`. Nothing is
    /// sent yet.
    ///
    /// # Errors
    /// [`SnmpError::Io`] where this machine has no way there;
    /// [`SnmpError::ClearText`] for a user who encrypts and does not sign.
    pub async fn open(
        address: SocketAddr,
        credentials: Arc<Credentials>,
        agent: Arc<Agent>,
        deadline: Instant,
    ) -> Result<Self, SnmpError> {
        if let Credentials::V3(user) = &*credentials
            && user.privacy.is_some()
            && user.auth.is_none()
        {
            return Err(SnmpError::ClearText);
        }
        Ok(Self {
            transport: Transport::open(address).await?,
            credentials,
            asking: agent.asking(),
            agent,
            deadline,
            patience: None,
            ids: first_id(),
            is_guest: false,
            answers: 0,
            signed_id: None,
            hears_signed: false,
            malformed: None,
            count: Count::default(),
        })
    }

    /// From now on an answer may take so long, and all of them together as long
    /// as they take: each moves the deadline. For long walks that somebody
    /// watches.
    pub fn wait_for_each(&mut self, patience: Duration) {
        self.patience = Some(patience);
        self.put_off();
    }

    fn put_off(&mut self) {
        // What is too far for the clock is no deadline that moves.
        if let Some(later) = self
            .patience
            .and_then(|patience| Instant::now().checked_add(patience))
        {
            self.deadline = later;
        }
    }

    /// Silence here says nothing of the agent: it may not have what is asked for.
    pub(crate) fn into_guest(mut self) -> Self {
        self.is_guest = true;
        self
    }

    /// A part of the time that is left is all that there is from now on.
    pub(crate) fn hurry(&mut self) {
        let now = Instant::now();
        self.deadline = now + self.deadline.saturating_duration_since(now) / 3;
    }

    /// What it has cost so far.
    #[must_use]
    pub fn count(&self) -> Count {
        self.count
    }

    /// What is known of the agent.
    #[must_use]
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// The values of `oids`, in their order. What the agent does not have is
    /// [`NoSuchObject`](crate::Value::NoSuchObject), with SNMPv1 as well; what
    /// it does not give for another reason is
    /// [`Unreadable`](crate::Value::Unreadable).
    ///
    /// # Errors
    /// When it could not be asked, or does not let us.
    pub async fn get(&mut self, oids: &[Oid]) -> Result<Vec<Varbind>, SnmpError> {
        let mut gets = Gets::new(oids);
        self.run(&mut [&mut gets]).await?;
        Ok(gets.finish())
    }

    /// What comes next after each of `oids`.
    ///
    /// # Errors
    /// When it could not be asked, or does not let us; with SNMPv1 also when
    /// nothing comes after one of them.
    pub async fn get_next(&mut self, oids: &[Oid]) -> Result<Vec<Varbind>, SnmpError> {
        let mut once = Once::new(PduKind::GetNext, oids.to_vec());
        self.run(&mut [&mut once]).await?;
        Ok(once.finish())
    }

    /// Everything below `root`, at most `limit` instances.
    ///
    /// # Errors
    /// When it could not be asked, or does not let us. What ends a walk early
    /// otherwise stands in the column's [`trouble`](crate::Column::trouble).
    pub async fn walk(&mut self, root: &Oid, limit: usize) -> Result<Column, SnmpError> {
        let mut columns = self.columns(vec![Group::new([root.clone()], limit)]).await?;
        Ok(columns
            .pop()
            .and_then(|mut group| group.pop())
            .unwrap_or_default())
    }

    /// The same, handed to `tell` as it comes, until it wants no more. Why it
    /// ended early otherwise (a loop, the limit) comes back.
    ///
    /// # Errors
    /// When it could not be asked, or does not let us; what was read before that
    /// is told.
    pub async fn walk_on(
        &mut self,
        root: &Oid,
        limit: usize,
        tell: &mut Tell<'_>,
    ) -> Result<Option<String>, SnmpError> {
        let mut stream = Stream::new(root, limit, tell);
        self.run(&mut [&mut stream]).await?;
        Ok(stream.finish())
    }

    /// The columns of each group, in their order. The columns of one group are
    /// asked for side by side, the groups at the same time.
    ///
    /// # Errors
    /// When it could not be asked, or does not let us. What ends a column early
    /// otherwise stands in its [`trouble`](crate::Column::trouble).
    pub async fn columns(&mut self, groups: Vec<Group>) -> Result<Vec<Vec<Column>>, SnmpError> {
        let mut walks = Walks::new(groups);
        self.run(&mut [&mut walks]).await?;
        Ok(walks.finish())
    }

    /// Does `errands` at the same time, until none has anything more to ask.
    pub(crate) async fn run(&mut self, errands: &mut [&mut dyn Errand]) -> Result<(), SnmpError> {
        self.greet().await?;
        self.exchange(errands).await
    }

    /// SNMPv3: an engine must be known before it can be asked.
    async fn greet(&mut self) -> Result<(), SnmpError> {
        if !matches!(*self.credentials, Credentials::V3(_)) || self.agent.notes().engine.is_some() {
            return Ok(());
        }
        let mut nothing = Once::new(PduKind::Get, Vec::new());
        self.exchange(&mut [&mut nothing]).await
    }

    async fn exchange(&mut self, errands: &mut [&mut dyn Errand]) -> Result<(), SnmpError> {
        let mut flights: Vec<Flight> = Vec::with_capacity(pace::WINDOW);
        loop {
            self.fill(errands, &mut flights).await?;
            let Some(wake) = flights.iter().map(Flight::expires).min() else {
                return Ok(());
            };
            // Looked at each time: a flood keeps the socket readable.
            let now = Instant::now();
            if now >= self.deadline {
                return Err(self.unanswered(&flights));
            }
            if now >= wake {
                self.retry(&mut flights, now).await?;
                continue;
            }
            if self.transport.anything(wake.min(self.deadline)).await? {
                self.receive(errands, &mut flights).await?;
            }
        }
    }

    /// Sends new requests while there is room for them.
    async fn fill(
        &mut self,
        errands: &mut [&mut dyn Errand],
        flights: &mut Vec<Flight>,
    ) -> Result<(), SnmpError> {
        for (at, errand) in errands.iter_mut().enumerate() {
            while flights.len() < pace::window(self.round_trip(), self.agent.askers()) {
                let Some(request) = errand.next(self.limits()) else {
                    break;
                };
                let wait = pace::first_wait(self.round_trip(), self.time_left());
                let mut flight = Flight::new(at, request, wait);
                self.send(&mut flight).await?;
                flights.push(flight);
            }
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let notes = self.agent.notes();
        let (is_v1, overhead) = match &*self.credentials {
            Credentials::V1(community) => (true, 40 + community.reveal().len()),
            Credentials::V2c(community) => (false, 40 + community.reveal().len()),
            // Two engine ids, a signature and a salt among it.
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

    /// Sends a request under an id of its own.
    async fn send(&mut self, flight: &mut Flight) -> Result<(), SnmpError> {
        let id = self.next_id();
        flight.sent_as(id);
        let octets = self.seal(&flight.request.pdu(id), Level::Full);
        self.transport.send(&octets, self.deadline).await
    }

    fn next_id(&mut self) -> i32 {
        self.ids = if self.ids == i32::MAX { 1 } else { self.ids + 1 };
        self.ids
    }

    fn seal(&self, pdu: &Pdu, level: Level) -> Vec<u8> {
        let (is_v1, community) = match &*self.credentials {
            Credentials::V1(community) => (true, community),
            Credentials::V2c(community) => (false, community),
            Credentials::V3(user) => {
                let engine = self.agent.notes().engine.clone();
                return engine::seal(user, engine.as_deref(), &self.agent, pdu, level);
            }
        };
        let message = CommunityMessage {
            is_v1,
            community: community.reveal().as_bytes().to_vec(),
            body: Body::Pdu(pdu.clone()),
        };
        message.encode()
    }

    /// Takes the answers that have come by now.
    async fn receive(
        &mut self,
        errands: &mut [&mut dyn Errand],
        flights: &mut Vec<Flight>,
    ) -> Result<(), SnmpError> {
        for _ in 0..AT_ONCE {
            let Some((length, id, heard)) = self.hear(flights)? else {
                break;
            };
            // A late answer to an earlier request is nobody's.
            let Some(at) = flights.iter().position(|flight| flight.sent(id).is_some()) else {
                continue;
            };
            match heard {
                Heard::Nothing => {}
                Heard::Answer(pdu) => {
                    let flight = flights.swap_remove(at);
                    self.answers += 1;
                    self.malformed = None;
                    self.count.round_trips += 1;
                    self.count.longest = self.count.longest.max(length);
                    let mut notes = self.agent.notes();
                    // Each try has an id of its own: which one was answered is known.
                    if let Some(sent) = flight.sent(id) {
                        notes.took(sent.elapsed());
                    }
                    if flight.was_lessened() {
                        notes.at_most(flight.request.varbinds());
                    }
                    let answer = Answer { pdu, length };
                    errands[flight.errand].answered(flight.request, answer, &mut notes)?;
                    drop(notes);
                    self.put_off();
                }
                // Who it is was all that was asked.
                Heard::AskAgain(_) if flights[at].request.oids.is_empty() => {
                    self.count.round_trips += 1;
                    flights.swap_remove(at);
                    self.put_off();
                }
                Heard::AskAgain(reason) => {
                    let flight = &mut flights[at];
                    if !flight.ask_again() {
                        return Err(reason);
                    }
                    self.count.round_trips += 1;
                    self.send(flight).await?;
                }
            }
        }
        Ok(())
    }

    /// The next datagram that has come: its length, the id it answers to, and
    /// what it means.
    fn hear(&mut self, flights: &[Flight]) -> Result<Option<(usize, i32, Heard)>, SnmpError> {
        let Self {
            transport,
            credentials,
            agent,
            signed_id,
            hears_signed,
            malformed,
            ..
        } = self;
        transport.receive(|datagram| {
            let (id, heard) = match (&**credentials, Message::decode(datagram)) {
                (Credentials::V1(community), Ok(Message::Community(message))) => {
                    believe(message, true, community.reveal())
                }
                (Credentials::V2c(community), Ok(Message::Community(message))) => {
                    believe(message, false, community.reveal())
                }
                // Only who has seen a request may change what is known of the
                // engine: anybody can say that they are one.
                (Credentials::V3(user), Ok(Message::V3(message))) => {
                    let id = message.id;
                    let heard = if flights.iter().any(|flight| flight.sent(id).is_some()) {
                        engine::open(user, agent, datagram, &message, Level::Full)?
                    } else {
                        if Some(id) == *signed_id {
                            *hears_signed |= engine::is_answered(user, agent, datagram, &message);
                        }
                        Heard::Nothing
                    };
                    (id, heard)
                }
                // It may be anybody's: as if it had not come, unless nothing else does.
                (_, Err(why)) => {
                    *malformed = Some(why);
                    (0, Heard::Nothing)
                }
                _ => (0, Heard::Nothing),
            };
            Ok((datagram.len(), id, heard))
        })
    }

    /// Sends again what was not answered in time. Much that was asked for at
    /// once may be why: it is asked for less.
    async fn retry(&mut self, flights: &mut [Flight], now: Instant) -> Result<(), SnmpError> {
        let longest = pace::longest_wait(self.time_left());
        for flight in flights.iter_mut().filter(|flight| flight.expires() <= now) {
            flight.try_again(longest);
            self.count.retries += 1;
            self.send(flight).await?;
        }
        self.ask_signed().await
    }

    /// An agent that does not answer what is encrypted may not have been able to
    /// decrypt it: a question that is only signed tells. It asks for nothing.
    async fn ask_signed(&mut self) -> Result<(), SnmpError> {
        let is_sealed = self
            .agent
            .notes()
            .engine
            .as_ref()
            .is_some_and(|engine| engine.encrypts());
        if !is_sealed || self.answers > 0 || self.hears_signed {
            return Ok(());
        }
        let id = self.next_id();
        self.signed_id = Some(id);
        let octets = self.seal(&Pdu::request(PduKind::Get, id, []), Level::Signed);
        self.transport.send(&octets, self.deadline).await
    }

    /// The deadline came: why.
    fn unanswered(&self, flights: &[Flight]) -> SnmpError {
        if self.hears_signed && self.answers == 0 {
            return SnmpError::NoAnswerEncrypted;
        }
        if let Some(malformed) = self.malformed {
            return malformed.into();
        }
        if self.answers == 0 && !self.is_guest {
            // Another device may be there now, and not say so.
            self.agent.notes().engine = None;
        }
        let oldest = flights.iter().min_by_key(|flight| flight.first_sent());
        let asked = oldest.map_or_else(String::new, |flight| flight.request.to_string());
        let context = match &*self.credentials {
            // Some agents do not report a context that they do not know.
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
            asked: format!("{asked}{context}{after}"),
        }
    }
}

/// What a message of v1 or v2c means.
fn believe(message: CommunityMessage, is_v1: bool, community: &str) -> (i32, Heard) {
    let is_ours = message.is_v1 == is_v1 && message.community == community.as_bytes();
    match message.body {
        Body::Pdu(pdu) if is_ours && pdu.kind == PduKind::Response => (pdu.request_id, Heard::Answer(pdu)),
        _ => (0, Heard::Nothing),
    }
}

/// Ids begin where nobody can guess: who cannot see a request cannot answer it.
fn first_id() -> i32 {
    i32::try_from(random() & 0x3fff_ffff).unwrap_or(1).max(1)
}
