//! The two ICMP sockets that all pings of a process share.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Check, Failure, FailureClass, errno};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, task::AbortHandle};

use super::{
    packet::{self, Family, IcmpError, Message, Nonce},
    table::{Arrival, Inbox, RequestTable, lock},
};
use crate::{
    by_source::BySource,
    errqueue::{self, Reported},
    pace::Pace,
};

/// 100 packets per millisecond: replies must not arrive faster than they are read.
const PACE: Duration = Duration::from_micros(10);

/// Size of the send and receive buffers. The default receive buffer loses 372 of
/// 500 replies that arrive together, and each would be reported as an outage. In
/// the send buffer a packet stays until ARP has resolved its host: 3 s for an
/// absent one.
const BUFFER: usize = 4 * 1024 * 1024;

/// How many packets are read in a row before other tasks get their turn.
const BATCH: usize = 256;

/// How long to wait before sending again when the send buffer is full. (Waiting
/// for readiness does not work: tokio takes an error queue for a closed socket,
/// and a closed one is always ready.)
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// The part of a packet that matters: IP and ICMP headers and the same quoted,
/// with the most options possible.
const MAX_PACKET: usize = 512;

/// The sockets, each opened when first needed.
pub(super) struct Sockets {
    v4: Mutex<Option<OpenSocket>>,
    v6: Mutex<Option<OpenSocket>>,
    /// Those of checks that are made from a certain address.
    bound: BySource<OpenSocket>,
    pace: Pace,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            v4: Mutex::default(),
            v6: Mutex::default(),
            bound: BySource::default(),
            pace: Pace::every(PACE),
        }
    }
}

/// A socket and the task that reads it.
#[derive(Clone)]
pub(super) struct OpenSocket {
    pub(super) socket: Arc<IcmpSocket>,
    receiver: Arc<Receiver>,
}

/// The task that reads a socket. It ends when the last user of the socket is dropped.
struct Receiver(AbortHandle);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One socket and its pending requests.
pub(super) struct IcmpSocket {
    socket: UdpSocket,
    family: Family,
    kind: SocketKind,
    pub(super) table: RequestTable,
    /// The next call on a socket returns the error that the kernel holds for it,
    /// whatever request caused it. Locked while sending and while reading the
    /// errors, so that a failed send knows whether the error was its own.
    errors: Mutex<()>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SocketKind {
    /// The kernel sets the identifier and assigns replies by it; ICMP errors
    /// arrive in the error queue.
    Datagram,
    /// Every raw socket receives every ICMP packet.
    Raw { identifier: u16 },
}

impl Sockets {
    /// The requests of a check of `to`, none of them sent yet; they come from `source` if that is
    /// given.
    pub(super) fn requests_to(
        &self,
        to: IpAddr,
        source: Option<IpAddr>,
    ) -> Result<EchoRequests<'_>, Failure> {
        Ok(EchoRequests {
            pace: &self.pace,
            open: match source {
                None => self.socket(Family::of(to))?,
                Some(source) => {
                    let open = || OpenSocket::open(Family::of(source), Some(source));
                    self.bound.of(source, OpenSocket::is_alive, open)?
                }
            },
            to,
            inbox: Arc::default(),
            sequences: Vec::new(),
        })
    }

    /// The socket of `family`, opened if necessary.
    pub(super) fn socket(&self, family: Family) -> Result<OpenSocket, Failure> {
        let mut open = lock(match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        });
        if let Some(socket) = open.as_ref().filter(|socket| socket.is_alive()) {
            return Ok(socket.clone());
        }
        Ok(open.insert(OpenSocket::open(family, None)?).clone())
    }
}

impl OpenSocket {
    fn open(family: Family, source: Option<IpAddr>) -> Result<Self, Failure> {
        let socket = Arc::new(IcmpSocket::open(family, source)?);
        let receiver = tokio::spawn(receive(Arc::clone(&socket)));
        Ok(Self {
            socket,
            receiver: Arc::new(Receiver(receiver.abort_handle())),
        })
    }

    /// Whether its receiver is running: it ends with its runtime, and the socket with it.
    fn is_alive(&self) -> bool {
        !self.receiver.0.is_finished()
    }
}

/// The requests of one check. Dropping it forgets those still pending.
pub(super) struct EchoRequests<'a> {
    pace: &'a Pace,
    open: OpenSocket,
    to: IpAddr,
    inbox: Arc<Inbox>,
    sequences: Vec<u16>,
}

impl Drop for EchoRequests<'_> {
    fn drop(&mut self) {
        for sequence in &self.sequences {
            self.open.socket.table.remove(self.to, *sequence, &self.inbox);
        }
    }
}

impl EchoRequests<'_> {
    /// Sends a request in its turn. Returns whether its turn came before the deadline.
    pub(super) async fn send(&mut self, check: &Check) -> Result<bool, Failure> {
        match tokio::time::timeout_at(check.deadline(), self.send_in_turn()).await {
            Ok(sent) => sent.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn send_in_turn(&mut self) -> Result<(), Failure> {
        self.pace.turn().await;
        let nonce = nonce()?;
        let index = u8::try_from(self.sequences.len()).unwrap_or(u8::MAX);
        let Some(sequence) = self.open.socket.table.insert(self.to, &nonce, index, &self.inbox) else {
            let text = "send: 65536 requests to this host are already pending";
            return Err(Failure::new(FailureClass::Resources, text));
        };
        self.sequences.push(sequence);
        loop {
            match self.open.socket.send(self.to, sequence, &nonce) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(RETRY_DELAY).await;
                    self.open.socket.table.reset_sent(self.to, sequence);
                }
                Err(error) => return Err(errno::failure("send", &error)),
            }
        }
    }

    /// Waits until something has arrived.
    pub(super) async fn arrived(&self) {
        self.inbox.arrived().await;
    }

    /// Takes what has arrived.
    pub(super) fn take(&self) -> Vec<Arrival> {
        self.inbox.take()
    }
}

fn nonce() -> Result<Nonce, Failure> {
    let mut nonce = Nonce::default();
    match apmon_tls::provider().secure_random.fill(&mut nonce) {
        Ok(()) => Ok(nonce),
        Err(_) => Err(Failure::new(
            FailureClass::Resources,
            "the system's random number generator failed",
        )),
    }
}

impl IcmpSocket {
    fn open(family: Family, source: Option<IpAddr>) -> Result<Self, Failure> {
        let (socket, kind) = open(family).map_err(|error| open_failure(&error))?;
        if let Some(source) = source {
            let bound = socket.bind(&SocketAddr::new(source, 0).into());
            bound.map_err(|error| errno::failure("bind", &error))?;
        }
        let socket =
            Self::from_socket(socket, family, kind).map_err(|error| errno::failure("open", &error))?;
        let protocol = match family {
            Family::V4 => "ICMP",
            Family::V6 => "ICMPv6",
        };
        let of_kind = match kind {
            SocketKind::Datagram => "datagram",
            SocketKind::Raw { .. } => "raw",
        };
        tracing::debug!("{protocol} socket opened ({of_kind})");
        Ok(socket)
    }

    fn from_socket(socket: Socket, family: Family, kind: SocketKind) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if kind == SocketKind::Datagram {
            // On a raw socket errors arrive as packets anyway.
            errqueue::enable(&socket, family == Family::V4)?;
        }
        // More than net.core.rmem_max needs CAP_NET_ADMIN; without it, as much as allowed.
        let enlarged = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER))
            .and_then(|()| {
                setsockopt(&socket, sockopt::SndBufForce, &BUFFER)
                    .or_else(|_| setsockopt(&socket, sockopt::SndBuf, &BUFFER))
            });
        if let Err(error) = enlarged {
            tracing::debug!(%error, "could not enlarge the ICMP socket buffers");
        }
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            family,
            kind,
            table: RequestTable::default(),
            errors: Mutex::default(),
        })
    }

    fn send(&self, to: IpAddr, sequence: u16, nonce: &Nonce) -> io::Result<()> {
        let identifier = match self.kind {
            SocketKind::Datagram => 0,
            SocketKind::Raw { identifier } => identifier,
        };
        let packet = packet::request(self.family, identifier, sequence, nonce);
        let to = SockAddr::from(SocketAddr::new(to, 0));
        let _errors = lock(&self.errors);
        let mut was_queue_empty = false;
        loop {
            let error = match SockRef::from(&self.socket).send_to(&packet, &to) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // The error may belong to another host: the kernel held it for the next
            // call. It is ours if it occurs twice with an empty queue. Once is not
            // enough, since the kernel queues an error a moment before it holds it.
            let is_queue_empty = self.drain_errors() == 0;
            if is_queue_empty && was_queue_empty {
                return Err(error);
            }
            was_queue_empty = is_queue_empty;
        }
    }

    /// Reads what has arrived and delivers it.
    fn read_arrivals(&self) {
        {
            let _errors = lock(&self.errors);
            self.drain_errors();
        }
        let mut buffer = [0; MAX_PACKET];
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => self.deliver(&buffer[..length.min(MAX_PACKET)], from.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An error about some host: the queue, read above or next time, has it.
                Err(_) => {}
            }
        }
    }

    /// Delivers a packet to the check that waits for it.
    fn deliver(&self, bytes: &[u8], from: IpAddr) {
        let (message, identifier) = match self.kind {
            SocketKind::Datagram => (packet::parse_icmp(self.family, bytes), None),
            SocketKind::Raw { identifier } => (packet::parse_raw(self.family, bytes), Some(identifier)),
        };
        let is_ours = |received| identifier.is_none_or(|ours| ours == received);
        match message {
            Some(Message::Reply(echo)) if is_ours(echo.identifier) => self.table.reply(from, &echo),
            Some(Message::Error { error, to, echo }) if is_ours(echo.identifier) => {
                self.table.error(to, &echo, error, from);
            }
            _ => {}
        }
    }

    /// Empties the error queue and delivers each error. Returns how many there
    /// were.
    fn drain_errors(&self) -> usize {
        if self.kind != SocketKind::Datagram {
            return 0;
        }
        let mut drained = 0;
        loop {
            match errqueue::take(&self.socket) {
                Ok(reported) => {
                    drained += 1;
                    if let Some(reported) = reported {
                        self.deliver_error(&reported);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return drained,
            }
        }
    }

    /// Delivers an error to the check that waits for the reply. The reported
    /// datagram is the quoted packet, starting at its ICMP header.
    fn deliver_error(&self, reported: &Reported) {
        let (Some((kind, code)), Some(from)) = (reported.icmp, reported.by) else {
            return;
        };
        let error = IcmpError {
            family: self.family,
            kind,
            code,
        };
        if let Some(echo) = packet::parse_quoted(self.family, &reported.datagram) {
            self.table.error(reported.to.ip(), &echo, error, from);
        }
    }
}

/// Reads until the socket is closed.
async fn receive(socket: Arc<IcmpSocket>) {
    let interest = Interest::READABLE | Interest::ERROR;
    loop {
        if let Err(error) = socket.socket.ready(interest).await {
            // Its runtime is ending; the next check opens another socket.
            tracing::debug!(%error, "ICMP socket closed");
            return;
        }
        // Clears the error readiness before the errors are read: errors that
        // arrive meanwhile set it again.
        let would_block = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = socket.socket.try_io(Interest::ERROR, would_block);
        socket.read_arrivals();
        tokio::task::yield_now().await;
    }
}

/// Opens a datagram socket, which needs no privilege, or else a raw one.
fn open(family: Family) -> io::Result<(Socket, SocketKind)> {
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    if let Ok(socket) = Socket::new(domain, Type::DGRAM, Some(protocol)) {
        return Ok((socket, SocketKind::Datagram));
    }
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    let mut identifier = [0; 2];
    if apmon_tls::provider().secure_random.fill(&mut identifier).is_err() {
        // Weaker, but good enough: the nonce is what protects.
        identifier = (std::process::id() as u16).to_be_bytes();
    }
    let identifier = u16::from_be_bytes(identifier);
    Ok((socket, SocketKind::Raw { identifier }))
}

/// The failure to open a socket.
pub(super) fn open_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            FailureClass::Permission,
            "ping: no permission to open an ICMP socket; run \
             sysctl -w net.ipv4.ping_group_range=\"0 2147483647\", or setcap cap_net_raw+ep on the apmon binary",
        ),
        _ => errno::failure("open", error),
    }
}
