//! The sockets that all QUIC checks of a process share, one for each family.
//!
//! quinn ignores the ICMP errors about its datagrams: a closed port and a missing
//! route would both seem like silence. So the socket is our own, and reports them
//! to the checks that wait.

use std::{
    collections::HashMap,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use apmon_core::{Failure, FailureClass, errno};
use nix::sys::socket::{setsockopt, sockopt};
use quinn::{
    AsyncUdpSocket, EndpointConfig, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{Interest, ReadBuf},
    net::UdpSocket,
    sync::oneshot,
    task::AbortHandle,
};

use crate::errqueue::{self, Reported};

/// Room for what arrives in one burst (a handshake is some ten datagrams for each
/// check), and for what waits for neighbours that do not answer.
const BUFFER: usize = 4 * 1024 * 1024;

/// How often a datagram is sent before an error is taken to be its own.
const SENDS: usize = 8;

/// The endpoints of a process, each opened when it is first needed.
#[derive(Default)]
pub(crate) struct Endpoints {
    v4: Mutex<Option<Shared>>,
    v6: Mutex<Option<Shared>>,
    /// Those of checks that are made from a certain address.
    bound: Mutex<HashMap<IpAddr, Shared>>,
}

/// An endpoint, and the checks that wait for errors about its datagrams.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) endpoint: quinn::Endpoint,
    waiting: Arc<Waiting>,
    reader: Arc<QueueReader>,
}

/// The task that reads the error queue. It ends when the last user is dropped.
struct QueueReader(AbortHandle);

impl Drop for QueueReader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Endpoints {
    /// The endpoint for connections to `to`, from `source` if that is given.
    pub(crate) fn of(&self, to: SocketAddr, source: Option<IpAddr>) -> Result<Shared, Failure> {
        if let Some(source) = source {
            let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(shared) = bound.get(&source).filter(|shared| shared.is_alive()) {
                return Ok(shared.clone());
            }
            let shared = Shared::open(source)?;
            bound.insert(source, shared.clone());
            return Ok(shared);
        }
        let (open, any): (_, IpAddr) = match to {
            SocketAddr::V4(_) => (&self.v4, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (&self.v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.as_ref().filter(|shared| shared.is_alive()) {
            return Ok(shared.clone());
        }
        Ok(open.insert(Shared::open(any)?).clone())
    }
}

impl Shared {
    /// Whether its driver is running, which ends with the runtime in which it was opened.
    fn is_alive(&self) -> bool {
        !self.reader.0.is_finished()
    }

    /// Opens an endpoint at `local`.
    fn open(local: IpAddr) -> Result<Self, Failure> {
        Self::bound(local).map_err(|error| errno::failure("open", &error))
    }

    fn bound(local: IpAddr) -> io::Result<Self> {
        let is_v4 = local.is_ipv4();
        let domain = match is_v4 {
            true => Domain::IPV4,
            false => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if !is_v4 {
            socket.set_only_v6(true)?;
        }
        // As far as this process may. Many checks at once need it, and a datagram to
        // an absent neighbour stays in the buffer until ARP has given up.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER));
        let _ = setsockopt(&socket, sockopt::SndBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::SndBuf, &BUFFER));
        socket.bind(&SocketAddr::new(local, 0).into())?;
        errqueue::enable(&socket, is_v4)?;
        let waiting = Arc::new(Waiting::default());
        let socket = Arc::new(QuicSocket {
            socket: UdpSocket::from_std(socket.into())?,
            waiting: Arc::clone(&waiting),
        });
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            Arc::clone(&socket) as _,
            Arc::new(TokioRuntime),
        )?;
        let reader = QueueReader(tokio::spawn(read_queue(socket)).abort_handle());
        Ok(Self {
            endpoint,
            waiting,
            reader: Arc::new(reader),
        })
    }

    /// Subscribes to the errors about datagrams to `to`.
    pub(crate) fn subscribe(&self, to: SocketAddr) -> Subscription {
        let (sender, receiver) = oneshot::channel();
        let id = self.waiting.next.fetch_add(1, Ordering::Relaxed);
        let held_back = Arc::new(AtomicU64::new(0));
        let check = WaitingCheck {
            id,
            sender,
            held_back: Arc::clone(&held_back),
        };
        self.waiting.lock().entry(to).or_default().push(check);
        Subscription {
            to,
            id,
            receiver,
            held_back,
            waiting: Arc::clone(&self.waiting),
        }
    }
}

/// A check that waits.
#[derive(Debug)]
struct WaitingCheck {
    id: u64,
    sender: oneshot::Sender<Failure>,
    /// The number of its datagrams that found no room.
    held_back: Arc<AtomicU64>,
}

type Checks = HashMap<SocketAddr, Vec<WaitingCheck>>;

/// The checks that wait, by where they send.
#[derive(Default, Debug)]
struct Waiting {
    checks: Mutex<Checks>,
    next: AtomicU64,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A datagram to `to` found no room in the buffer.
    fn held_back(&self, to: SocketAddr) {
        for check in self.lock().get(&to).into_iter().flatten() {
            check.held_back.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn notify(&self, to: SocketAddr, failure: &Failure) {
        for check in self.lock().remove(&to).unwrap_or_default() {
            let _ = check.sender.send(failure.clone());
        }
    }

    /// Reports the errors in the queue; returns whether there were any.
    fn drain(&self, socket: &UdpSocket) -> bool {
        let mut some = false;
        while let Ok(reported) = errqueue::take(socket) {
            some = true;
            if let Some(reported) = reported
                && let Some(failure) = failure(&reported)
            {
                self.notify(reported.to, &failure);
            }
        }
        some
    }
}

/// A check's subscription to errors; it ends when this is dropped.
pub(crate) struct Subscription {
    to: SocketAddr,
    id: u64,
    receiver: oneshot::Receiver<Failure>,
    waiting: Arc<Waiting>,
    held_back: Arc<AtomicU64>,
}

impl Subscription {
    /// The number of datagrams that found no room in our own buffer.
    pub(crate) fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Waits for a failure.
    pub(crate) async fn failure(&mut self) -> Failure {
        match (&mut self.receiver).await {
            Ok(failure) => failure,
            // Only a later check of the same peer takes the place.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut checks = self.waiting.lock();
        if let Some(list) = checks.get_mut(&self.to) {
            list.retain(|check| check.id != self.id);
            if list.is_empty() {
                checks.remove(&self.to);
            }
        }
    }
}

/// What an ICMP error means for a check; `None` if QUIC copes by itself.
fn failure(reported: &Reported) -> Option<Failure> {
    if reported.error.raw_os_error() == Some(nix::libc::EMSGSIZE) {
        return None; // a smaller packet will do
    }
    let failure = errno::failure("connect", &reported.error);
    // A router without a route is not a fault of this machine.
    let words = match failure.class {
        FailureClass::NoRoute => "network unreachable",
        FailureClass::Permission => "forbidden",
        _ => return Some(failure),
    };
    Some(match reported.by {
        Some(by) => Failure::new(
            FailureClass::HostUnreachable,
            format!("connect: {words}, reported by {by}"),
        ),
        None => failure,
    })
}

/// Reads the error queue whenever there is something in it.
async fn read_queue(socket: Arc<QuicSocket>) {
    loop {
        let drained = || match socket.waiting.drain(&socket.socket) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        };
        let _ = socket.socket.async_io(Interest::ERROR, drained).await;
    }
}

/// The socket as quinn sees it.
#[derive(Debug)]
struct QuicSocket {
    socket: UdpSocket,
    waiting: Arc<Waiting>,
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Always)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let to = transmit.destination;
        // An error about another datagram is returned here once. With many checks at
        // once there may be several.
        for _ in 0..SENDS {
            // Past tokio, which would first have to learn that there is room, and
            // nothing here waits for that.
            let sent = SockRef::from(&self.socket).send_to(transmit.contents, &to.into());
            let error = match sent {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // Absent hosts fill the buffer. Nothing waits for them: the datagram
            // counts as lost, and QUIC sends it again.
            if error.kind() == io::ErrorKind::WouldBlock {
                self.waiting.held_back(to);
                return Ok(());
            }
            // The error is this datagram's own only if none came from elsewhere.
            if !self.waiting.drain(&self.socket) && error.kind() != io::ErrorKind::ConnectionRefused {
                self.waiting.notify(to, &errno::failure("send", &error));
                return Ok(()); // quinn would end all connections of the socket
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            let mut read = ReadBuf::new(buffer);
            match ready!(self.socket.poll_recv_from(context, &mut read)) {
                Ok(from) => {
                    let len = read.filled().len();
                    *meta = RecvMeta {
                        addr: from,
                        len,
                        stride: len,
                        ..RecvMeta::default()
                    };
                    return Poll::Ready(Ok(1));
                }
                // The errors are in the queue too, with their destination.
                Err(_) => {
                    self.waiting.drain(&self.socket);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Always ready: what cannot be sent is dropped, so nothing ever waits. (tokio
/// could not tell when to go on: it takes an error queue for a closed socket, and
/// a closed one is always ready.)
#[derive(Debug)]
struct Always;

impl UdpPoller for Always {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
