//! The pending requests of a socket, and the checks that wait for their replies.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::packet::{Echo, IcmpError, Nonce};

/// How many arrivals that decide nothing a check keeps: they only explain.
const MAX_INFORMATIONAL: usize = 16;

/// The pending requests of one socket, by address and sequence number.
#[derive(Default)]
pub(super) struct RequestTable {
    pending: Mutex<HashMap<(IpAddr, u16), PendingRequest>>,
    /// The last sequence number given out; one counter for all hosts.
    last: AtomicU16,
}

struct PendingRequest {
    sent: Instant,
    nonce: Nonce,
    /// Which packet of its check it is, from 0.
    index: u8,
    inbox: Arc<Inbox>,
}

/// Replies and errors that arrived for one check.
#[derive(Default)]
pub(super) struct Inbox {
    arrived: Mutex<Vec<Arrival>>,
    notify: Notify,
}

/// A reply or an error that arrived for the packet `index`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub(super) index: u8,
    pub(super) answer: IcmpAnswer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IcmpAnswer {
    /// The reply, with the time since the request.
    Reply(Duration),
    /// A reply with other bytes than were sent, as long as this. Anybody could have made it up,
    /// so it does not count.
    Altered { length: usize },
    /// An ICMP error about the request, reported by `from`.
    Error { error: IcmpError, from: IpAddr },
}

impl Inbox {
    /// Waits until something has arrived since the last call.
    pub(super) async fn arrived(&self) {
        self.notify.notified().await;
    }

    /// Takes what has arrived.
    pub(super) fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.arrived))
    }

    fn push(&self, index: u8, answer: IcmpAnswer) {
        lock(&self.arrived).push(Arrival { index, answer });
        self.notify.notify_one();
    }

    /// Adds what decides nothing, as long as there is little of it.
    fn push_informational(&self, index: u8, answer: IcmpAnswer) {
        if lock(&self.arrived).len() < MAX_INFORMATIONAL {
            self.push(index, answer);
        }
    }
}

impl RequestTable {
    /// Adds a request to `to` that is about to be sent and returns its sequence
    /// number; `None` if all 65536 numbers of this host are pending.
    pub(super) fn insert(&self, to: IpAddr, nonce: &Nonce, index: u8, inbox: &Arc<Inbox>) -> Option<u16> {
        let mut pending = lock(&self.pending);
        for _ in 0..=u16::MAX {
            let sequence = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if let Entry::Vacant(free) = pending.entry((to, sequence)) {
                free.insert(PendingRequest {
                    sent: Instant::now(),
                    nonce: *nonce,
                    index,
                    inbox: Arc::clone(inbox),
                });
                return Some(sequence);
            }
        }
        None
    }

    /// Measures the round trip from now on instead of from the insertion.
    pub(super) fn reset_sent(&self, to: IpAddr, sequence: u16) {
        if let Some(pending) = lock(&self.pending).get_mut(&(to, sequence)) {
            pending.sent = Instant::now();
        }
    }

    /// Removes the request of the check that owns `inbox`. A number that has been
    /// answered may belong to another check by now.
    pub(super) fn remove(&self, to: IpAddr, sequence: u16, inbox: &Arc<Inbox>) {
        if let Entry::Occupied(entry) = lock(&self.pending).entry((to, sequence))
            && Arc::ptr_eq(&entry.get().inbox, inbox)
        {
            entry.remove();
        }
    }

    /// Delivers a reply from `from`. It counts if its request is pending and it
    /// returns what was sent; a forged, late or repeated reply does not.
    pub(super) fn reply(&self, from: IpAddr, echo: &Echo<'_>) {
        let now = Instant::now();
        let mut pending = lock(&self.pending);
        let Entry::Occupied(entry) = pending.entry((from, echo.sequence)) else {
            return;
        };
        if entry.get().nonce == *echo.payload {
            let PendingRequest {
                sent, index, inbox, ..
            } = entry.remove();
            inbox.push(index, IcmpAnswer::Reply(now.saturating_duration_since(sent)));
        } else {
            let PendingRequest { index, inbox, .. } = entry.get();
            let length = echo.payload.len();
            inbox.push_informational(*index, IcmpAnswer::Altered { length });
        }
    }

    /// Delivers an error that `from` reports about the request to `to`. It may
    /// quote any part of the request.
    pub(super) fn error(&self, to: IpAddr, echo: &Echo<'_>, error: IcmpError, from: IpAddr) {
        let mut pending = lock(&self.pending);
        if let Entry::Occupied(entry) = pending.entry((to, echo.sequence))
            && is_start(echo.payload, &entry.get().nonce)
        {
            let answer = IcmpAnswer::Error { error, from };
            if error.is_informational() {
                let PendingRequest { index, inbox, .. } = entry.get();
                inbox.push_informational(*index, answer);
            } else {
                let PendingRequest { index, inbox, .. } = entry.remove();
                inbox.push(index, answer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.pending).len()
    }
}

/// Whether `quote` and `nonce` agree up to the shorter of the two: a quote may
/// be cut short, and padding does not make it a forgery.
fn is_start(quote: &[u8], nonce: &Nonce) -> bool {
    quote.iter().zip(nonce).all(|(a, b)| a == b)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::packet::Family;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const NONCE: Nonce = *b"twenty-four random bytes";

    fn echo(sequence: u16, payload: &[u8]) -> Echo<'_> {
        Echo {
            identifier: 1,
            sequence,
            payload,
        }
    }

    fn replies(inbox: &Inbox) -> usize {
        let arrived = inbox.take();
        let is_reply = |arrival: &&Arrival| matches!(arrival.answer, IcmpAnswer::Reply(_));
        arrived.iter().filter(is_reply).count()
    }

    #[test]
    fn only_a_matching_reply_counts_and_only_once() {
        let (table, inbox) = (RequestTable::default(), Arc::default());
        let sequence = table.insert(HOST, &NONCE, 3, &inbox).unwrap();
        let mut forged = NONCE;
        forged[23] ^= 1;
        table.reply(OTHER, &echo(sequence, &NONCE));
        table.reply(HOST, &echo(sequence.wrapping_add(1), &NONCE));
        table.reply(HOST, &echo(sequence, &forged));
        table.reply(HOST, &echo(sequence, &NONCE[..23]));
        table.reply(HOST, &echo(sequence, &[NONCE.as_slice(), b"x"].concat()));
        let altered: Vec<_> = inbox.take().iter().map(|arrival| arrival.answer).collect();
        assert_eq!(altered, [24, 23, 25].map(|length| IcmpAnswer::Altered { length }));
        table.reply(HOST, &echo(sequence, &NONCE));
        table.reply(HOST, &echo(sequence, &NONCE));
        let arrived = inbox.take();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].index, 3);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn two_checks_of_one_host_each_get_their_own_reply() {
        let table = RequestTable::default();
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        let nonces = [[1; 24], [2; 24]];
        let sequences = [0, 1].map(|n| table.insert(HOST, &nonces[n], 0, &inboxes[n]).unwrap());
        assert_ne!(sequences[0], sequences[1]);
        table.reply(HOST, &echo(sequences[1], &nonces[1]));
        assert_eq!(replies(&inboxes[0]), 0);
        assert_eq!(replies(&inboxes[1]), 1);
    }

    #[test]
    fn a_pending_sequence_number_is_not_reused_and_the_numbers_run_out() {
        let (table, inbox) = (RequestTable::default(), Arc::default());
        let mut seen = vec![false; 65_536];
        for _ in 0..65_536 {
            let sequence = table.insert(HOST, &NONCE, 0, &inbox).unwrap();
            assert!(!std::mem::replace(&mut seen[usize::from(sequence)], true));
        }
        assert_eq!(table.insert(HOST, &NONCE, 0, &inbox), None);
        assert!(table.insert(OTHER, &NONCE, 0, &inbox).is_some());
    }

    #[test]
    fn a_check_removes_only_its_own_requests() {
        let table = RequestTable::default();
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        let sequence = table.insert(HOST, &NONCE, 0, &inboxes[0]).unwrap();
        table.remove(HOST, sequence, &inboxes[1]);
        assert_eq!(table.len(), 1);
        table.remove(HOST, sequence, &inboxes[0]);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn an_error_settles_a_request_and_an_informational_one_does_not() {
        let error = |kind, code| IcmpError {
            family: Family::V4,
            kind,
            code,
        };
        let (table, inbox) = (RequestTable::default(), Arc::<Inbox>::default());
        let sequence = table.insert(HOST, &NONCE, 0, &inbox).unwrap();
        table.error(HOST, &echo(sequence, b"forged"), error(3, 1), OTHER);
        table.error(OTHER, &echo(sequence, &NONCE), error(3, 1), OTHER);
        assert_eq!(inbox.take(), []);
        for _ in 0..100 {
            table.error(HOST, &echo(sequence, &[]), error(5, 1), OTHER);
        }
        assert_eq!(inbox.take().len(), MAX_INFORMATIONAL);
        table.error(HOST, &echo(sequence, &NONCE[..4]), error(3, 1), OTHER);
        table.reply(HOST, &echo(sequence, &NONCE));
        let expected = IcmpAnswer::Error {
            error: error(3, 1),
            from: OTHER,
        };
        let arrived = inbox.take();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].answer, expected);
    }
}
