//! The two sockets all pings of a process share.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use apmon_core::{Failure, FailureClass};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

use super::buffer;
use crate::{errno, pace::Pace, tls};

/// 100 packets a millisecond: replies must not come faster than they are read.
const PACE: Duration = Duration::from_micros(10);

/// Hosts whose last number is remembered.
const MAX_HOSTS: usize = 100_000;

const PAYLOAD: usize = 24;
const ECHO_HEADER: usize = 8;

/// The sockets, each opened when it is first needed.
pub(super) struct Sockets {
    v4: Mutex<Option<Client>>,
    v6: Mutex<Option<Client>>,
    pace: Pace,
    /// The last sequence number of each host.
    sequences: Mutex<HashMap<IpAddr, u16>>,
    identity: OnceLock<Identity>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            v4: Mutex::default(),
            v6: Mutex::default(),
            pace: Pace::every(PACE),
            sequences: Mutex::default(),
            identity: OnceLock::new(),
        }
    }
}

/// What tells our packets from those of others.
struct Identity {
    identifier: PingIdentifier,
    first_sequence: u16,
    payload: [u8; PAYLOAD],
}

/// What came back.
pub(super) enum Reply {
    Echo,
    /// A router or our own kernel says that it cannot be reached.
    Unreachable(String),
    /// Something else about our packet, which says nothing about the host.
    Remark(String),
}

impl Sockets {
    /// The socket for the family of `to`.
    pub(super) fn client(&self, to: IpAddr) -> Result<Client, Failure> {
        let (slot, kind) = match to {
            IpAddr::V4(_) => (&self.v4, ICMP::V4),
            IpAddr::V6(_) => (&self.v6, ICMP::V6),
        };
        let mut slot = lock(slot);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        // Datagram first, raw second: the crate's own order.
        let client = Client::new(&Config::builder().kind(kind).build()).map_err(|error| closed(&error))?;
        buffer::enlarge(&client);
        Ok(slot.insert(client).clone())
    }

    /// Sends one echo request in its turn and waits for what comes back.
    pub(super) async fn echo(
        &self,
        client: &Client,
        to: IpAddr,
        timeout: Duration,
    ) -> Result<Reply, SurgeError> {
        let identity = self.identity.get_or_init(Identity::random);
        let sequence = self.sequence(to, identity);
        self.pace.turn().await;
        let mut pinger = client.pinger(to, identity.identifier).await;
        // The look has a deadline of its own, which comes first.
        pinger.timeout(timeout);
        let (packet, _) = pinger.ping(PingSequence(sequence), &identity.payload).await?;
        Ok(read(&packet))
    }

    fn sequence(&self, to: IpAddr, identity: &Identity) -> u16 {
        let mut sequences = lock(&self.sequences);
        if sequences.len() >= MAX_HOSTS && !sequences.contains_key(&to) {
            sequences.clear();
        }
        let sequence = sequences.entry(to).or_insert(identity.first_sequence);
        *sequence = sequence.wrapping_add(1);
        *sequence
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Identity {
    fn random() -> Self {
        let mut payload = [0; PAYLOAD];
        if tls::provider().secure_random.fill(&mut payload).is_err() {
            // Weaker, and good enough to tell two processes apart.
            let id = std::process::id().to_be_bytes();
            payload[..id.len()].copy_from_slice(&id);
        }
        let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        Self {
            identifier: PingIdentifier(word(0)),
            first_sequence: word(2),
            payload,
        }
    }
}

/// Types of RFC 792 and RFC 4443. surge-ping gives the length of a reply, not
/// its content.
fn read(packet: &IcmpPacket) -> Reply {
    let (kind, code, size, from) = match packet {
        IcmpPacket::V4(packet) => (
            packet.get_icmp_type().0,
            packet.get_icmp_code().0,
            packet.get_size(),
            IpAddr::V4(packet.get_source()),
        ),
        IcmpPacket::V6(packet) => (
            packet.get_icmpv6_type().0,
            packet.get_icmpv6_code().0,
            packet.get_size(),
            IpAddr::V6(packet.get_source()),
        ),
    };
    match (packet, kind) {
        (IcmpPacket::V4(_), 0) | (IcmpPacket::V6(_), 129) if size == ECHO_HEADER + PAYLOAD => Reply::Echo,
        (IcmpPacket::V4(_), 3) | (IcmpPacket::V6(_), 1) => {
            Reply::Unreachable(format!("host unreachable, says {from} (code {code})"))
        }
        (IcmpPacket::V4(_), 11) | (IcmpPacket::V6(_), 3) => {
            Reply::Unreachable(format!("time to live exceeded, says {from}: a routing loop?"))
        }
        _ => Reply::Remark(format!("ICMP type {kind} code {code}, {size} bytes, from {from}")),
    }
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
