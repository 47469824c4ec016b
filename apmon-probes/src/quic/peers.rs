//! The peers whose answers checks wait for, and what they have sent.
//!
//! quinn shows nothing of a handshake before its end, and says nothing about datagrams
//! that belong to no connection. So what arrives is counted where it arrives, before
//! quinn reads it. Datagrams of all others are dropped there.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use apmon_core::{Failure, FailureClass};
use tokio::sync::oneshot;

use crate::budget::{Flood, MAX_EMPTY, MAX_HEAD, MAX_STRAY};

/// The peers of the checks that run.
#[derive(Default, Debug)]
pub(super) struct Peers {
    peers: Mutex<HashMap<SocketAddr, Peer>>,
    next: AtomicU64,
}

/// A peer with at least one check.
#[derive(Default, Debug)]
struct Peer {
    checks: Vec<WaitingCheck>,
    /// The number of datagrams that have arrived, but for those of handshakes that are not
    /// complete.
    arrived: u64,
    /// The number of datagrams that connections have received. They report it after the
    /// fact.
    taken: u64,
    /// Whose turn it is to be charged for a datagram of a handshake.
    turn: usize,
}

/// A check that waits.
#[derive(Debug)]
struct WaitingCheck {
    id: u64,
    /// `None` once an error was reported.
    errors: Option<oneshot::Sender<Failure>>,
    /// `None` once a flood was reported.
    flood: Option<oneshot::Sender<Flood>>,
    /// The number of its datagrams that found no room.
    held_back: Arc<AtomicU64>,
    /// The datagrams and bytes of its handshake; `None` once it is complete.
    handshake: Option<Handshake>,
    /// The number of stray datagrams when it began.
    stray_before: u64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Handshake {
    datagrams: u64,
    bytes: u64,
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes a check to what happens to its datagrams to `to`, and lets the answers
    /// in.
    pub(super) fn subscribe(self: &Arc<Self>, to: SocketAddr) -> Subscription {
        let (error_sender, errors) = oneshot::channel();
        let (flood_sender, flood) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let held_back = Arc::new(AtomicU64::new(0));
        let mut peers = self.lock();
        let peer = peers.entry(to).or_default();
        peer.checks.push(WaitingCheck {
            id,
            errors: Some(error_sender),
            flood: Some(flood_sender),
            held_back: Arc::clone(&held_back),
            handshake: Some(Handshake::default()),
            stray_before: peer.stray(),
        });
        drop(peers);
        Subscription {
            to,
            id,
            errors,
            flood,
            taken: 0,
            peers: Arc::clone(self),
            held_back,
        }
    }

    /// Counts a datagram that has arrived. Returns whether QUIC may read it.
    pub(super) fn admits(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        match self.lock().get_mut(&from) {
            Some(peer) => peer.admits(datagram),
            None => false,
        }
    }

    /// A datagram to `to` found no room in the buffer.
    pub(super) fn held_back(&self, to: SocketAddr) {
        let peers = self.lock();
        for check in peers.get(&to).into_iter().flat_map(|peer| &peer.checks) {
            check.held_back.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reports a failure to the checks of `to`.
    pub(super) fn notify(&self, to: SocketAddr, failure: &Failure) {
        let mut peers = self.lock();
        let checks = peers.get_mut(&to).into_iter().flat_map(|peer| &mut peer.checks);
        for sender in checks.filter_map(|check| check.errors.take()) {
            let _ = sender.send(failure.clone());
        }
    }

    fn with(&self, subscription: &Subscription, act: impl FnOnce(&mut Peer, usize)) {
        let mut peers = self.lock();
        if let Some(peer) = peers.get_mut(&subscription.to)
            && let Some(at) = peer.checks.iter().position(|check| check.id == subscription.id)
        {
            act(peer, at);
            if peer.checks.is_empty() {
                peers.remove(&subscription.to);
            }
        }
    }
}

impl Peer {
    /// The number of datagrams that belong to no connection, as far as is known.
    fn stray(&self) -> u64 {
        self.arrived.saturating_sub(self.taken)
    }

    fn admits(&mut self, datagram: &[u8]) -> bool {
        let in_handshake = |check: &&mut WaitingCheck| check.handshake.is_some();
        let waiting = self.checks.iter_mut().filter(in_handshake).count();
        // Packets of a handshake have a long header (RFC 9000 section 17.2).
        let is_long = datagram.first().is_some_and(|first| first & 0x80 != 0);
        if waiting > 0 && (is_long || waiting == self.checks.len()) {
            // Only quinn could tell which of them it is for, so they take turns.
            self.turn = (self.turn + 1) % waiting;
            let check = self.checks.iter_mut().filter(in_handshake).nth(self.turn);
            return check.is_none_or(|check| check.charge(datagram.len()));
        }
        self.arrived += 1;
        let stray = self.stray();
        let mut is_flood = false;
        for check in &mut self.checks {
            if stray.saturating_sub(check.stray_before) > MAX_STRAY {
                check.floods(Flood::Strays);
                is_flood = true;
            }
        }
        !is_flood
    }
}

impl WaitingCheck {
    /// Counts a datagram of a handshake. Returns whether that is within the budget.
    fn charge(&mut self, length: usize) -> bool {
        let Some(handshake) = &mut self.handshake else {
            return true;
        };
        handshake.datagrams += 1;
        handshake.bytes += length as u64;
        let flood = match *handshake {
            Handshake { datagrams, .. } if datagrams > MAX_EMPTY => Flood::Datagrams,
            Handshake { bytes, .. } if bytes > MAX_HEAD => Flood::Head,
            Handshake { .. } => return true,
        };
        self.floods(flood);
        false
    }

    fn floods(&mut self, flood: Flood) {
        if let Some(sender) = self.flood.take() {
            let _ = sender.send(flood);
        }
    }
}

/// A check's subscription. It ends when this is dropped, and then answers are let in no
/// longer.
pub(crate) struct Subscription {
    to: SocketAddr,
    id: u64,
    errors: oneshot::Receiver<Failure>,
    flood: oneshot::Receiver<Flood>,
    /// The number of datagrams that the connection has reported.
    taken: u64,
    peers: Arc<Peers>,
    held_back: Arc<AtomicU64>,
}

impl Subscription {
    /// The number of datagrams that found no room in our own buffer.
    pub(crate) fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Waits for an error about a datagram, or a flood.
    pub(crate) async fn failure(&mut self) -> Failure {
        tokio::select! {
            Ok(failure) = &mut self.errors => failure,
            Ok(flood) = &mut self.flood => Failure::new(FailureClass::Protocol, flood.to_string()),
            // Both were reported before.
            else => std::future::pending().await,
        }
    }

    /// Waits for a flood.
    pub(crate) async fn flood(&mut self) -> Flood {
        match (&mut self.flood).await {
            Ok(flood) => flood,
            Err(_) => std::future::pending().await,
        }
    }

    /// The handshake is complete: what comes now is counted by the connection.
    pub(crate) fn connected(&self) {
        self.peers.with(self, |peer, at| {
            let handshake = peer.checks[at].handshake.take();
            peer.arrived += handshake.map_or(0, |handshake| handshake.datagrams);
        });
    }

    /// The connection has received this many datagrams so far.
    pub(crate) fn took(&mut self, datagrams: u64) {
        let more = datagrams.saturating_sub(self.taken);
        self.taken = datagrams;
        self.peers.with(self, |peer, _| peer.taken += more);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let peers = Arc::clone(&self.peers);
        peers.with(self, |peer, at| _ = peer.checks.remove(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of packets with a long and with a short header.
    const LONG: [u8; 100] = [0xc0; 100];
    const SHORT: [u8; 100] = [0x40; 100];

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn flood(subscription: &mut Subscription) -> Option<Flood> {
        subscription.flood.try_recv().ok()
    }

    #[test]
    fn only_the_peers_of_running_checks_are_let_in() {
        let peers = Arc::new(Peers::default());
        assert!(!peers.admits(at(1), &LONG));
        let one = peers.subscribe(at(1));
        let other = peers.subscribe(at(1));
        assert!(peers.admits(at(1), &LONG));
        assert!(!peers.admits(at(2), &LONG));
        drop(one);
        assert!(peers.admits(at(1), &LONG));
        drop(other);
        assert!(!peers.admits(at(1), &LONG));
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn a_handshake_is_bounded_by_datagrams_and_by_bytes() {
        for (datagram, budget, expected) in [
            (&SHORT[..1], 10_000, Flood::Datagrams),
            (&LONG[..0], 10_000, Flood::Datagrams),
            (&[0xc0; 1200], 873, Flood::Head),
        ] {
            let peers = Arc::new(Peers::default());
            let mut check = peers.subscribe(at(1));
            for _ in 0..budget {
                assert!(peers.admits(at(1), datagram));
            }
            assert_eq!(flood(&mut check), None);
            assert!(!peers.admits(at(1), datagram));
            assert_eq!(flood(&mut check), Some(expected));
            // It is final.
            assert!(!peers.admits(at(1), datagram));
        }
    }

    #[test]
    fn checks_of_one_peer_share_what_it_sends() {
        let peers = Arc::new(Peers::default());
        let mut checks: Vec<_> = (0..4).map(|_| peers.subscribe(at(1))).collect();
        for _ in 0..40_000 {
            assert!(peers.admits(at(1), &LONG[..1]));
        }
        assert!(checks.iter_mut().all(|check| flood(check).is_none()));
        for _ in 0..4 {
            assert!(!peers.admits(at(1), &LONG[..1]));
        }
        assert!(
            checks
                .iter_mut()
                .all(|check| flood(check) == Some(Flood::Datagrams))
        );
    }

    #[test]
    fn a_check_that_is_connected_pays_for_no_handshake() {
        let peers = Arc::new(Peers::default());
        let (mut connected, mut waiting) = (peers.subscribe(at(1)), peers.subscribe(at(1)));
        connected.connected();
        for _ in 0..10_000 {
            assert!(peers.admits(at(1), &LONG));
            // These are for the other one.
            assert!(peers.admits(at(1), &SHORT));
        }
        assert!(!peers.admits(at(1), &LONG));
        assert_eq!(flood(&mut waiting), Some(Flood::Datagrams));
        assert_eq!(flood(&mut connected), None);
    }

    #[test]
    fn datagrams_that_no_connection_takes_are_bounded() {
        let peers = Arc::new(Peers::default());
        let mut check = peers.subscribe(at(1));
        for _ in 0..10 {
            assert!(peers.admits(at(1), &LONG));
        }
        check.connected();
        // What the connection takes may be much, those of its handshake among it.
        for taken in 1..=3 {
            for _ in 0..90_000 {
                assert!(peers.admits(at(1), &SHORT));
            }
            check.took(10 + taken * 90_000);
        }
        for _ in 0..100_000 {
            assert!(peers.admits(at(1), &SHORT));
        }
        // A check that begins now has nothing to do with these.
        let mut later = peers.subscribe(at(1));
        later.connected();
        assert_eq!(flood(&mut check), None);
        assert!(!peers.admits(at(1), &SHORT));
        assert_eq!(flood(&mut check), Some(Flood::Strays));
        assert_eq!(flood(&mut later), None);
    }

    #[test]
    fn an_error_about_a_datagram_does_not_keep_answers_out() {
        let peers = Arc::new(Peers::default());
        let mut check = peers.subscribe(at(1));
        for _ in 0..2 {
            peers.notify(
                at(1),
                &Failure::new(FailureClass::HostUnreachable, "a router said so"),
            );
        }
        assert!(check.errors.try_recv().is_ok());
        assert!(peers.admits(at(1), &LONG));
    }
}
