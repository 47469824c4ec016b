//! Sessions with an agent. Several requests are in flight at once, each is retried until it
//! is answered or the deadline passes, and answers are matched by ID.

mod exchange;
mod pace;
mod pending_request;
mod security;
mod transport;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use self::security::answer;
use self::transport::Transport;
use crate::{
    agent::{Agent, SessionGuard, random},
    ber::Malformed,
    credential::Credentials,
    error::SnmpError,
    get::Gets,
    message::PduKind,
    oid::Oid,
    operation::{Once, Operation},
    value::Varbind,
    walk::{Column, Group, RowSink, Stream, Walks},
};

/// A session with one agent.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    credentials: Arc<Credentials>,
    agent: Arc<Agent>,
    #[expect(dead_code, reason = "the agent counts this session for as long as it exists")]
    guard: SessionGuard,
    deadline: Instant,
    /// The time by which each answer extends the deadline from now.
    patience: Option<Duration>,
    last_id: i32,
    /// Whether the agent's engine is kept even if no answer comes.
    keeps_engine_on_timeout: bool,
    /// The number of requests that were answered with values.
    answers: u32,
    /// The ID of the request that was only signed.
    signed_id: Option<i32>,
    /// Whether the request that was only signed was answered.
    signed_is_answered: bool,
    /// The error of the last unreadable datagram since the last answer.
    malformed: Option<Malformed>,
    stats: SessionStats,
}

/// The cost of a session so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SessionStats {
    /// The number of requests that were answered.
    pub round_trips: u32,
    /// The number of retries.
    pub retries: u32,
    /// The length of the longest answer, in octets.
    pub longest: usize,
}

impl Session {
    /// Opens a session with the agent at `address` that lasts until `deadline`. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// [`SnmpError::Io`] if this machine has no socket or route for the address;
    /// [`SnmpError::ClearText`] for a user who encrypts without signing.
    pub async fn open(
        address: SocketAddr,
        credentials: Arc<Credentials>,
        agent: Arc<Agent>,
        deadline: Instant,
    ) -> Result<Self, SnmpError> {
        Self::open_from(None, address, credentials, agent, deadline).await
    }

    /// Opens a session like [`open`](Self::open), from the address `ours` of this machine if that
    /// is given.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_from(
        ours: Option<IpAddr>,
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
            transport: Transport::open(address, ours).await?,
            credentials,
            guard: agent.open_session(),
            agent,
            deadline,
            patience: None,
            last_id: first_id(),
            keeps_engine_on_timeout: false,
            answers: 0,
            signed_id: None,
            signed_is_answered: false,
            malformed: None,
            stats: SessionStats::default(),
        })
    }

    /// The moment at which the session gives up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves the deadline.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Limits the wait for each answer from now on, instead of the total time: every answer
    /// extends the deadline. For long walks that a person watches.
    pub fn wait_for_each(&mut self, patience: Duration) {
        self.patience = Some(patience);
        self.extend_deadline();
    }

    fn extend_deadline(&mut self) {
        // A time beyond the clock's range leaves the deadline as it is.
        if let Some(later) = self
            .patience
            .and_then(|patience| Instant::now().checked_add(patience))
        {
            self.deadline = later;
        }
    }

    /// Keeps the agent's engine even if a request times out. An agent may ignore requests for
    /// something that it does not have, such as the context of a VLAN.
    pub fn keep_engine_on_timeout(&mut self) {
        self.keeps_engine_on_timeout = true;
    }

    /// The cost of the session so far.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.stats
    }

    /// The knowledge about the agent.
    #[must_use]
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Reads the values of `oids`, in their order. A value that the agent does not have is
    /// [`NoSuchObject`](crate::Value::NoSuchObject), even with SNMPv1; one that it does not
    /// return for another reason is [`Unreadable`](crate::Value::Unreadable).
    ///
    /// # Errors
    /// If the agent does not answer or refuses.
    pub async fn get(&mut self, oids: &[Oid]) -> Result<Vec<Varbind>, SnmpError> {
        let mut gets = Gets::new(oids);
        self.run(&mut [&mut gets]).await?;
        Ok(gets.finish())
    }

    /// Reads the instance that follows each of `oids`.
    ///
    /// # Errors
    /// If the agent does not answer or refuses; with SNMPv1 also if nothing
    /// follows one of them.
    pub async fn get_next(&mut self, oids: &[Oid]) -> Result<Vec<Varbind>, SnmpError> {
        let mut once = Once::new(PduKind::GetNext, oids.to_vec());
        self.run(&mut [&mut once]).await?;
        Ok(once.finish())
    }

    /// Reads everything below `root`, at most `limit` instances.
    ///
    /// # Errors
    /// If the agent does not answer or refuses. Anything else that ends the walk
    /// early is the column's [`failure`](Column::failure).
    pub async fn walk(&mut self, root: &Oid, limit: usize) -> Result<Column, SnmpError> {
        let mut columns = self.columns(vec![Group::new([root.clone()], limit)]).await?;
        Ok(columns
            .pop()
            .and_then(|mut group| group.pop())
            .unwrap_or_default())
    }

    /// Reads everything below `root`, at most `limit` instances, and passes the rows of each
    /// answer to `sink`, until that breaks. Returns the reason if the walk ended early
    /// otherwise (a loop, the limit).
    ///
    /// # Errors
    /// If the agent does not answer or refuses; `sink` has received the rows read before that.
    pub async fn walk_into(
        &mut self,
        root: &Oid,
        limit: usize,
        sink: &mut RowSink<'_>,
    ) -> Result<Option<String>, SnmpError> {
        let mut stream = Stream::new(root, limit, sink);
        self.run(&mut [&mut stream]).await?;
        Ok(stream.finish())
    }

    /// Reads the columns of each group, and returns them in their order. The columns of a group
    /// are read side by side, and the groups at the same time.
    ///
    /// # Errors
    /// If the agent does not answer or refuses. Anything else that ends a column
    /// early is its [`failure`](Column::failure).
    pub async fn columns(&mut self, groups: Vec<Group>) -> Result<Vec<Vec<Column>>, SnmpError> {
        let mut walks = Walks::new(groups);
        self.run(&mut [&mut walks]).await?;
        Ok(walks.finish())
    }

    /// Reads single values and columns at the same time, like [`get`](Self::get) and
    /// [`columns`](Self::columns).
    ///
    /// # Errors
    /// As for [`get`](Self::get) and [`columns`](Self::columns).
    pub async fn read(
        &mut self,
        oids: &[Oid],
        groups: Vec<Group>,
    ) -> Result<(Vec<Varbind>, Vec<Vec<Column>>), SnmpError> {
        let mut gets = Gets::new(oids);
        let mut walks = Walks::new(groups);
        self.run(&mut [&mut gets, &mut walks]).await?;
        Ok((gets.finish(), walks.finish()))
    }

    /// Runs `operations` at the same time, until all are done.
    async fn run(&mut self, operations: &mut [&mut dyn Operation]) -> Result<(), SnmpError> {
        self.discover_engine().await?;
        self.exchange(operations).await
    }

    /// Discovers the engine of an SNMPv3 agent if it is unknown: any other request must name
    /// the engine.
    async fn discover_engine(&mut self) -> Result<(), SnmpError> {
        if !matches!(*self.credentials, Credentials::V3(_)) || self.agent.notes().engine.is_some() {
            return Ok(());
        }
        let mut nothing = Once::new(PduKind::Get, Vec::new());
        self.exchange(&mut [&mut nothing]).await
    }
}

/// The first ID, which is unpredictable, so that only someone who sees a request can answer
/// it.
fn first_id() -> i32 {
    i32::try_from(random() & 0x3fff_ffff).unwrap_or(1).max(1)
}
