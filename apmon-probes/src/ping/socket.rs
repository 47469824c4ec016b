//! The two sockets all pings of a process share.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Check, Failure, FailureClass, errno};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, task::JoinHandle};

use super::{
    packet::{self, Family, Message, Nonce, Notice},
    table::{Arrival, Inbox, Table, lock},
};
use crate::{
    errqueue::{self, Reported},
    pace::Pace,
};

/// 100 packets a millisecond: replies must not come faster than they are read.
const PACE: Duration = Duration::from_micros(10);

/// The default receive buffer loses 372 of 500 replies that come together, and
/// each would be told as an outage. In the send buffer a packet stays until ARP
/// has found its host, 3 s for one that is gone.
const BUFFER: usize = 4 * 1024 * 1024;

/// So many packets in a row are read before others get their turn.
const BATCH: usize = 256;

/// Sending where the buffer is full is tried again after so long. (Readiness
/// cannot be waited for: tokio takes an error queue for a closed socket, and
/// a closed one is always ready.)
const FULL: Duration = Duration::from_millis(1);

/// The largest part of a packet that matters: IP, ICMP, and the same quoted,
/// with all options there can be.
const ENOUGH: usize = 512;

/// The sockets, each opened when it is first needed.
pub(super) struct Sockets {
    v4: Mutex<Option<Open>>,
    v6: Mutex<Option<Open>>,
    pace: Pace,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            v4: Mutex::default(),
            v6: Mutex::default(),
            pace: Pace::every(PACE),
        }
    }
}

/// A socket and the task that reads it, which ends with it.
struct Open {
    line: Arc<Line>,
    receiver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

/// One socket, and who waits for what on it.
pub(super) struct Line {
    socket: UdpSocket,
    family: Family,
    kind: SocketKind,
    pub(super) table: Table,
    /// An error the kernel holds for the socket is taken by whoever calls next.
    /// This is held while sending and while reading the errors, so that a send
    /// that fails knows whether the error was its own.
    errors: Mutex<()>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SocketKind {
    /// The kernel sets the identifier and sorts replies by it; ICMP errors come
    /// by the error queue.
    Datagram,
    /// Everything comes to everybody, as packets.
    Raw { identifier: u16 },
}

impl Sockets {
    /// A place to ask `to` from.
    pub(super) fn echoes(&self, to: IpAddr) -> Result<Echoes<'_>, Failure> {
        Ok(Echoes {
            pace: &self.pace,
            line: self.line(Family::of(to))?,
            to,
            inbox: Arc::default(),
            sequences: Vec::new(),
        })
    }

    pub(super) fn line(&self, family: Family) -> Result<Arc<Line>, Failure> {
        let slot = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let mut slot = lock(slot);
        if let Some(open) = &*slot
            // It ends with its runtime, and the socket with it.
            && !open.receiver.is_finished()
        {
            return Ok(Arc::clone(&open.line));
        }
        let line = Arc::new(Line::open(family)?);
        let receiver = tokio::spawn(receive(Arc::clone(&line)));
        *slot = Some(Open {
            line: Arc::clone(&line),
            receiver,
        });
        Ok(line)
    }
}

/// The requests of one look. What is unanswered is forgotten with it.
pub(super) struct Echoes<'a> {
    pace: &'a Pace,
    line: Arc<Line>,
    to: IpAddr,
    inbox: Arc<Inbox>,
    sequences: Vec<u16>,
}

impl Drop for Echoes<'_> {
    fn drop(&mut self) {
        for sequence in &self.sequences {
            self.line.table.leave(self.to, *sequence, &self.inbox);
        }
    }
}

impl Echoes<'_> {
    /// Sends a request in its turn. Whether its turn came before the deadline.
    pub(super) async fn send(&mut self, check: &Check) -> Result<bool, Failure> {
        match tokio::time::timeout_at(check.deadline(), self.send_in_turn()).await {
            Ok(sent) => sent.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn send_in_turn(&mut self) -> Result<(), Failure> {
        self.pace.turn().await;
        let nonce = nonce()?;
        let place = u8::try_from(self.sequences.len()).unwrap_or(u8::MAX);
        let Some(sequence) = self.line.table.enter(self.to, &nonce, place, &self.inbox) else {
            let text = "send: this host has 65536 requests under way already";
            return Err(Failure::new(FailureClass::Resources, text));
        };
        self.sequences.push(sequence);
        loop {
            match self.line.send(self.to, sequence, &nonce) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(FULL).await;
                    self.line.table.restart(self.to, sequence);
                }
                Err(error) => return Err(errno::failure("send", &error)),
            }
        }
    }

    /// Waits until something has arrived.
    pub(super) async fn arrived(&self) {
        self.inbox.arrived().await;
    }

    /// What has arrived.
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
            "the system has no random bytes",
        )),
    }
}

impl Line {
    fn open(family: Family) -> Result<Self, Failure> {
        let (socket, kind) = open(family).map_err(|error| closed(&error))?;
        let line = Self::adopt(socket, family, kind).map_err(|error| errno::failure("open", &error))?;
        tracing::debug!(?family, ?kind, "ICMP socket opened");
        Ok(line)
    }

    fn adopt(socket: Socket, family: Family, kind: SocketKind) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if kind == SocketKind::Datagram {
            // On a raw socket the errors come as packets anyway.
            errqueue::enable(&socket, family == Family::V4)?;
        }
        // Beyond net.core.rmem_max takes CAP_NET_ADMIN; without it as far as allowed.
        let enlarged = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER))
            .and_then(|()| {
                setsockopt(&socket, sockopt::SndBufForce, &BUFFER)
                    .or_else(|_| setsockopt(&socket, sockopt::SndBuf, &BUFFER))
            });
        if let Err(error) = enlarged {
            tracing::debug!(%error, "the buffers for pings stay small");
        }
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            family,
            kind,
            table: Table::default(),
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
        let mut alone = false;
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
            // It may be of another host, whose error the kernel held ready. It is
            // our own if it comes twice with none in the queue: once is not enough,
            // for the kernel queues an error a moment before it holds it ready.
            let drained = self.drain();
            if drained == 0 && alone {
                return Err(error);
            }
            alone = drained == 0;
        }
    }

    /// Takes what has arrived.
    fn take(&self) {
        {
            let _errors = lock(&self.errors);
            self.drain();
        }
        let mut buffer = [0; ENOUGH];
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => self.sort(&buffer[..length.min(ENOUGH)], from.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Of another host: the queue, read above or next, says whose.
                Err(_) => {}
            }
        }
    }

    /// Hands a packet to who waits for it.
    fn sort(&self, bytes: &[u8], from: IpAddr) {
        let (message, identifier) = match self.kind {
            SocketKind::Datagram => (packet::message(self.family, bytes), None),
            SocketKind::Raw { identifier } => (packet::raw(self.family, bytes), Some(identifier)),
        };
        let is_ours = |its| identifier.is_none_or(|ours| ours == its);
        match message {
            Some(Message::Reply(echo)) if is_ours(echo.identifier) => self.table.reply(from, &echo),
            Some(Message::About { notice, to, echo }) if is_ours(echo.identifier) => {
                self.table.notice(to, &echo, notice, from);
            }
            _ => {}
        }
    }

    /// Reads the error queue and hands each error to who it is for; how many
    /// there were.
    fn drain(&self) -> usize {
        if self.kind != SocketKind::Datagram {
            return 0;
        }
        let mut drained = 0;
        loop {
            match errqueue::take(&self.socket) {
                Ok(reported) => {
                    drained += 1;
                    if let Some(reported) = reported {
                        self.hand_on(&reported);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return drained,
            }
        }
    }

    /// The datagram is what is quoted of the packet, from its ICMP header on.
    fn hand_on(&self, reported: &Reported) {
        let (Some((kind, code)), Some(from)) = (reported.icmp, reported.by) else {
            return;
        };
        let notice = Notice {
            family: self.family,
            kind,
            code,
        };
        if let Some(echo) = packet::quoted(self.family, &reported.datagram) {
            self.table.notice(reported.to.ip(), &echo, notice, from);
        }
    }
}

/// Reads for as long as the socket is there.
async fn receive(line: Arc<Line>) {
    let interest = Interest::READABLE | Interest::ERROR;
    loop {
        if let Err(error) = line.socket.ready(interest).await {
            // Its runtime ends; the next look opens another.
            tracing::debug!(%error, "ICMP socket closed");
            return;
        }
        // Forgets that there were errors, before they are read: those that come
        // meanwhile make it ready again.
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = line.socket.try_io(Interest::ERROR, nothing);
        line.take();
        tokio::task::yield_now().await;
    }
}

/// Datagram first, which takes no privilege; raw second.
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
        // Weaker, and good enough: what counts is the nonce.
        identifier = (std::process::id() as u16).to_be_bytes();
    }
    let identifier = u16::from_be_bytes(identifier);
    Ok((socket, SocketKind::Raw { identifier }))
}

/// The failure of opening a socket.
pub(super) fn closed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            FailureClass::Permission,
            "ping: no permission to open an ICMP socket; either \
             sysctl -w net.ipv4.ping_group_range=\"0 2147483647\" or setcap cap_net_raw+ep on the apmon binary",
        ),
        _ => errno::failure("open", error),
    }
}
