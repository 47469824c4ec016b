//! The sockets that all QUIC checks of a process share, one for each family.
//!
//! quinn ignores the ICMP errors about its datagrams: a closed port and a missing
//! route would both seem like silence. So the socket is our own, and reports them
//! to the checks that wait. It also keeps the datagrams of strangers and of floods away
//! from quinn.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
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
    task::AbortHandle,
};

use super::peers::{Peers, Subscription};
use crate::{
    budget::{DATAGRAMS_AT_ONCE, pause},
    by_source::BySource,
    errqueue::{self, Reported},
};

/// Room for what arrives in one burst (a handshake is some ten datagrams for each
/// check), and for what waits for neighbours that do not answer.
const BUFFER: usize = 4 * 1024 * 1024;

/// The work after which the reader of the socket pauses, that of a datagram, and that of
/// one that QUIC does not get to read.
const TURN: u64 = 4 * DATAGRAMS_AT_ONCE;
const DATAGRAM: u64 = 4;
const DROPPED: u64 = 1;

/// How often a datagram is sent before an error is taken to be its own.
const SENDS: usize = 8;

/// The endpoints of a process, each opened when it is first needed.
#[derive(Default)]
pub(crate) struct Endpoints {
    v4: Mutex<Option<Shared>>,
    v6: Mutex<Option<Shared>>,
    /// Those of checks that are made from a certain address.
    bound: BySource<Shared>,
}

/// An endpoint, and the peers of the checks that use it.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) endpoint: quinn::Endpoint,
    peers: Arc<Peers>,
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
            return self.bound.of(source, Shared::is_alive, || Shared::open(source));
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
        let peers = Arc::new(Peers::default());
        let socket = Arc::new(QuicSocket::new(UdpSocket::from_std(socket.into())?, &peers));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            Arc::clone(&socket) as _,
            Arc::new(TokioRuntime),
        )?;
        let reader = QueueReader(tokio::spawn(read_queue(socket)).abort_handle());
        Ok(Self {
            endpoint,
            peers,
            reader: Arc::new(reader),
        })
    }

    /// Subscribes to what happens to datagrams to `to`.
    pub(crate) fn subscribe(&self, to: SocketAddr) -> Subscription {
        self.peers.subscribe(to)
    }
}

/// Reports the errors in the queue; returns whether there were any.
fn drain(socket: &UdpSocket, peers: &Peers) -> bool {
    let mut some = false;
    while let Ok(reported) = errqueue::take(socket) {
        some = true;
        if let Some(reported) = reported
            && let Some(failure) = failure(&reported)
        {
            peers.notify(reported.to, &failure);
        }
    }
    some
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
        let drained = || match drain(&socket.socket, &socket.peers) {
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
    peers: Arc<Peers>,
    /// The work since the last pause.
    turn: AtomicU64,
}

impl QuicSocket {
    fn new(socket: UdpSocket, peers: &Arc<Peers>) -> Self {
        Self {
            socket,
            peers: Arc::clone(peers),
            turn: AtomicU64::new(0),
        }
    }

    /// Whether the reader must pause now. The task is woken once timers have fired.
    fn pauses(&self, context: &mut Context<'_>) -> bool {
        let is_over = self.turn.load(Ordering::Relaxed) >= TURN;
        if is_over {
            self.turn.store(0, Ordering::Relaxed);
            pause(context);
        }
        is_over
    }
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
                self.peers.held_back(to);
                return Ok(());
            }
            // The error is this datagram's own only if none came from elsewhere.
            if !drain(&self.socket, &self.peers) && error.kind() != io::ErrorKind::ConnectionRefused {
                self.peers.notify(to, &errno::failure("send", &error));
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
            if self.pauses(context) {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(buffer);
            match ready!(self.socket.poll_recv_from(context, &mut read)) {
                Ok(from) if !self.peers.admits(from, read.filled()) => {
                    self.turn.fetch_add(DROPPED, Ordering::Relaxed);
                }
                Ok(from) => {
                    self.turn.fetch_add(DATAGRAM, Ordering::Relaxed);
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
                    drain(&self.socket, &self.peers);
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Reads a datagram. Returns its length, where it comes from, and how often the reader
    /// paused before it.
    async fn next(socket: &QuicSocket) -> (usize, SocketAddr, usize) {
        let mut pauses = 0;
        poll_fn(|context| {
            let (mut bytes, mut metas) = ([0; 1500], [RecvMeta::default()]);
            let polled = socket.poll_recv(context, &mut [IoSliceMut::new(&mut bytes)], &mut metas);
            pauses += usize::from(polled.is_pending());
            polled.map(|received| {
                assert_eq!(received.unwrap(), 1);
                (metas[0].len, metas[0].addr, pauses)
            })
        })
        .await
    }

    async fn socket() -> (QuicSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (QuicSocket::new(socket, &Arc::default()), address)
    }

    #[tokio::test]
    async fn datagrams_of_strangers_are_dropped_before_quic_and_leave_time_for_others() {
        let (ours, address) = socket().await;
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _check = ours.peers.subscribe(peer.local_addr().unwrap());
        for _ in 0..200 {
            stranger.send_to(&[0xc0; 20], address).unwrap();
        }
        peer.send_to(b"an answer", address).unwrap();
        let (length, from, pauses) = next(&ours).await;
        assert_eq!((length, from), (9, peer.local_addr().unwrap()));
        assert!(pauses >= 200 / 64, "{pauses}");
    }

    #[tokio::test]
    async fn a_peer_that_sends_much_leaves_time_for_others() {
        let (ours, address) = socket().await;
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _check = ours.peers.subscribe(peer.local_addr().unwrap());
        for _ in 0..200 {
            peer.send_to(&[0xc0; 20], address).unwrap();
        }
        let mut paused = 0;
        for _ in 0..200 {
            paused += next(&ours).await.2;
        }
        assert!(paused >= 199 / 16, "{paused}");
    }
}
