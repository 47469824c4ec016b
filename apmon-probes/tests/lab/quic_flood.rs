//! Servers that answer the first datagram of a client with others without end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{
    Side, SupportedCipherSuite,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{DirectionalKeys, Version},
};
use tokio::{net::UdpSocket, task::AbortHandle};

/// What a server sends without end.
#[derive(Clone, Copy)]
pub struct DatagramFlood {
    pub name: &'static str,
    /// The datagram of this number.
    datagram: fn(&FirstPacket, u64) -> Vec<u8>,
    /// What the reason of `quic` contains.
    pub reason: &'static str,
}

const DATAGRAMS: &str =
    "quic: the server has sent more than 10000 datagrams before the handshake was complete";
const BYTES: &str = "quic: the server has sent more than 1048576 bytes without an answer";

/// Types of packets with a long header (RFC 9000 section 17.2).
const INITIAL: u8 = 0xc3;
const HANDSHAKE: u8 = 0xe3;
const RETRY: u8 = 0xf0;

const PING: &[u8] = &[1];
/// The acknowledgement of the client's first packet.
const ACK: &[u8] = &[2, 0, 0, 0, 0];
/// A byte of the TLS handshake at offset 1000, long after the first.
const CRYPTO: &[u8] = &[6, 0x43, 0xe8, 1, b'x'];

const fn flood(
    name: &'static str,
    datagram: fn(&FirstPacket, u64) -> Vec<u8>,
    reason: &'static str,
) -> DatagramFlood {
    DatagramFlood {
        name,
        datagram,
        reason,
    }
}

pub const FLOODS: &[DatagramFlood] = &[
    flood("noise", |_, _| vec![0x5a; 40], DATAGRAMS),
    flood("long noise", |_, _| vec![0x5a; 1_200], BYTES),
    flood("datagrams of nothing", |_, _| Vec::new(), DATAGRAMS),
    flood(
        "Initial packets of noise",
        |first, _| first.long(INITIAL, &[0; 40]),
        DATAGRAMS,
    ),
    flood(
        "long Initial packets",
        |first, _| first.long(INITIAL, &[0; 1_200]),
        BYTES,
    ),
    flood(
        "Handshake packets of noise",
        |first, _| first.long(HANDSHAKE, &[0; 40]),
        DATAGRAMS,
    ),
    flood("Retry packets", |first, _| first.long(RETRY, &[7; 40]), DATAGRAMS),
    flood(
        "Version Negotiation packets",
        |first, _| first.versions(),
        DATAGRAMS,
    ),
    flood("pings", |first, number| first.sealed(PING, number), DATAGRAMS),
    flood(
        "acknowledgements",
        |first, number| first.sealed(ACK, number),
        DATAGRAMS,
    ),
    flood(
        "pieces of a handshake",
        |first, number| first.sealed(CRYPTO, number),
        DATAGRAMS,
    ),
    flood(
        "many pings in a packet",
        |first, number| first.sealed(&PING.repeat(1_100), number),
        BYTES,
    ),
];

/// The first packet of a client.
struct FirstPacket {
    /// The connection IDs; empty if the packet is not of QUIC.
    to: Vec<u8>,
    from: Vec<u8>,
    keys: DirectionalKeys,
}

impl FirstPacket {
    fn read(packet: &[u8]) -> Self {
        let id = |at: usize| -> Option<&[u8]> {
            let length = usize::from(*packet.get(at)?);
            packet.get(at + 1..at + 1 + length)
        };
        let to = id(5).unwrap_or_default().to_vec();
        let from = id(6 + to.len()).unwrap_or_default().to_vec();
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
            unreachable!("a suite of TLS 1.3")
        };
        let suite = suite.quic_suite().unwrap();
        let keys = suite.keys(&to, Side::Server, Version::V1).local;
        Self { to, from, keys }
    }

    /// The beginning of a long header.
    fn header(&self, kind: u8, version: u8) -> Vec<u8> {
        let mut header = vec![kind, 0, 0, 0, version, self.from.len() as u8];
        header.extend_from_slice(&self.from);
        header.extend_from_slice(b"\x08the lab!");
        header
    }

    /// A packet that nobody has sealed.
    fn long(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = self.header(kind, 1);
        if kind == INITIAL {
            packet.push(0); // no token
        }
        if kind != RETRY {
            packet.extend_from_slice(&(0x4000 | payload.len() as u16).to_be_bytes());
        }
        packet.extend_from_slice(payload);
        packet
    }

    /// An offer of the version that the client has chosen, which it must ignore (RFC 9000
    /// section 6.2).
    fn versions(&self) -> Vec<u8> {
        let mut packet = self.header(0x80, 0);
        packet.truncate(6 + self.from.len());
        packet.push(self.to.len() as u8);
        packet.extend_from_slice(&self.to);
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet
    }

    /// An Initial packet as a server sends it (RFC 9001 section 5).
    fn sealed(&self, frames: &[u8], number: u64) -> Vec<u8> {
        const NUMBER: usize = 4;
        const TAG: usize = 16;
        let mut packet = self.header(INITIAL, 1);
        packet.push(0);
        let length = NUMBER + frames.len() + TAG;
        packet.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
        let at = packet.len();
        packet.extend_from_slice(&(number as u32).to_be_bytes());
        let mut payload = frames.to_vec();
        let tag = self.keys.packet.encrypt_in_place(number, &packet, &mut payload);
        packet.extend_from_slice(&payload);
        packet.extend_from_slice(tag.unwrap().as_ref());
        let sample = packet[at + NUMBER..][..TAG].to_vec();
        let (first, rest) = packet.split_at_mut(1);
        let number = &mut rest[at - 1..][..NUMBER];
        self.keys
            .header
            .encrypt_in_place(&sample, &mut first[0], number)
            .unwrap();
        packet
    }
}

/// A server of a flood, until it is dropped.
pub struct FloodServer {
    pub address: SocketAddr,
    sent: Arc<AtomicU64>,
    task: AbortHandle,
}

impl FloodServer {
    /// Starts a server that floods the first sender of a datagram.
    pub async fn start(flood: DatagramFlood) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let (length, to) = socket.recv_from(&mut buffer).await.unwrap();
            let first = FirstPacket::read(&buffer[..length]);
            loop {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(&(flood.datagram)(&first, number), to).await;
                if number % 16 == 15 {
                    tokio::task::yield_now().await;
                }
            }
        });
        Self {
            address,
            sent,
            task: task.abort_handle(),
        }
    }

    /// The number of datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for FloodServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
