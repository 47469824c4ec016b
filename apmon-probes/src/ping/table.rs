//! Who waits for which reply.

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

use super::packet::{Echo, Nonce, Notice};

/// So many remarks a look keeps: they are for `--explain` alone.
const MAX_REMARKS: usize = 16;

/// The requests under way on one socket, by address and sequence number.
#[derive(Default)]
pub(super) struct Table {
    waiting: Mutex<HashMap<(IpAddr, u16), Waiting>>,
    /// The last sequence number, one counter for all hosts.
    last: AtomicU16,
}

struct Waiting {
    sent: Instant,
    nonce: Nonce,
    /// Which packet of its look it is.
    place: u8,
    inbox: Arc<Inbox>,
}

/// What came back for one look.
#[derive(Default)]
pub(super) struct Inbox {
    arrived: Mutex<Vec<Arrival>>,
    notify: Notify,
}

/// Something that came back for the packet at `place`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub(super) place: u8,
    pub(super) answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The reply, so long after the request.
    Reply(Duration),
    /// What `from` says about it.
    Notice { notice: Notice, from: IpAddr },
}

impl Inbox {
    /// Waits until something has arrived since the last time.
    pub(super) async fn arrived(&self) {
        self.notify.notified().await;
    }

    /// What has arrived.
    pub(super) fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.arrived))
    }

    fn put(&self, place: u8, answer: Answer) {
        lock(&self.arrived).push(Arrival { place, answer });
        self.notify.notify_one();
    }
}

impl Table {
    /// Takes a sequence number for a request to `to` that is about to be sent;
    /// `None` where this host has all 65536 under way.
    pub(super) fn enter(&self, to: IpAddr, nonce: &Nonce, place: u8, inbox: &Arc<Inbox>) -> Option<u16> {
        let mut waiting = lock(&self.waiting);
        for _ in 0..=u16::MAX {
            let sequence = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if let Entry::Vacant(free) = waiting.entry((to, sequence)) {
                free.insert(Waiting {
                    sent: Instant::now(),
                    nonce: *nonce,
                    place,
                    inbox: Arc::clone(inbox),
                });
                return Some(sequence);
            }
        }
        None
    }

    /// The request goes out now, and not when it was entered.
    pub(super) fn restart(&self, to: IpAddr, sequence: u16) {
        if let Some(waiting) = lock(&self.waiting).get_mut(&(to, sequence)) {
            waiting.sent = Instant::now();
        }
    }

    /// Nobody waits any longer. A number that has been answered may belong to
    /// another look by now.
    pub(super) fn leave(&self, to: IpAddr, sequence: u16, inbox: &Arc<Inbox>) {
        if let Entry::Occupied(entry) = lock(&self.waiting).entry((to, sequence))
            && Arc::ptr_eq(&entry.get().inbox, inbox)
        {
            entry.remove();
        }
    }

    /// A reply from `from`. It counts where somebody waits for it and it brings
    /// back what was sent; a forged, late or repeated one does not.
    pub(super) fn reply(&self, from: IpAddr, echo: &Echo<'_>) {
        let now = Instant::now();
        let mut waiting = lock(&self.waiting);
        if let Entry::Occupied(entry) = waiting.entry((from, echo.sequence))
            && entry.get().nonce == *echo.payload
        {
            let Waiting {
                sent, place, inbox, ..
            } = entry.remove();
            inbox.put(place, Answer::Reply(now.saturating_duration_since(sent)));
        }
    }

    /// `from` says something about the request to `to`, of which it quotes as
    /// much as it likes.
    pub(super) fn notice(&self, to: IpAddr, echo: &Echo<'_>, notice: Notice, from: IpAddr) {
        let mut waiting = lock(&self.waiting);
        if let Entry::Occupied(entry) = waiting.entry((to, echo.sequence))
            && is_start(echo.payload, &entry.get().nonce)
        {
            let answer = Answer::Notice { notice, from };
            if notice.is_remark() {
                let Waiting { place, inbox, .. } = entry.get();
                if lock(&inbox.arrived).len() < MAX_REMARKS {
                    inbox.put(*place, answer);
                }
            } else {
                let Waiting { place, inbox, .. } = entry.remove();
                inbox.put(place, answer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).len()
    }
}

/// Whether `quote` and `nonce` agree as far as both go: a quote may be cut
/// short, and one that is padded is no forgery.
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
        let is_reply = |arrival: &&Arrival| matches!(arrival.answer, Answer::Reply(_));
        arrived.iter().filter(is_reply).count()
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer_and_only_once() {
        let (table, inbox) = (Table::default(), Arc::default());
        let sequence = table.enter(HOST, &NONCE, 3, &inbox).unwrap();
        let mut forged = NONCE;
        forged[23] ^= 1;
        table.reply(OTHER, &echo(sequence, &NONCE));
        table.reply(HOST, &echo(sequence.wrapping_add(1), &NONCE));
        table.reply(HOST, &echo(sequence, &forged));
        table.reply(HOST, &echo(sequence, &NONCE[..23]));
        table.reply(HOST, &echo(sequence, &[NONCE.as_slice(), b"x"].concat()));
        assert_eq!(replies(&inbox), 0);
        table.reply(HOST, &echo(sequence, &NONCE));
        table.reply(HOST, &echo(sequence, &NONCE));
        let arrived = inbox.take();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].place, 3);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn two_looks_at_one_host_get_each_their_own() {
        let table = Table::default();
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        let nonces = [[1; 24], [2; 24]];
        let sequences = [0, 1].map(|n| table.enter(HOST, &nonces[n], 0, &inboxes[n]).unwrap());
        assert_ne!(sequences[0], sequences[1]);
        table.reply(HOST, &echo(sequences[1], &nonces[1]));
        assert_eq!(replies(&inboxes[0]), 0);
        assert_eq!(replies(&inboxes[1]), 1);
    }

    #[test]
    fn a_number_that_is_taken_is_not_given_again_and_at_last_there_is_none() {
        let (table, inbox) = (Table::default(), Arc::default());
        let mut seen = vec![false; 65_536];
        for _ in 0..65_536 {
            let sequence = table.enter(HOST, &NONCE, 0, &inbox).unwrap();
            assert!(!std::mem::replace(&mut seen[usize::from(sequence)], true));
        }
        assert_eq!(table.enter(HOST, &NONCE, 0, &inbox), None);
        assert!(table.enter(OTHER, &NONCE, 0, &inbox).is_some());
    }

    #[test]
    fn who_leaves_takes_only_what_is_his() {
        let table = Table::default();
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        let sequence = table.enter(HOST, &NONCE, 0, &inboxes[0]).unwrap();
        table.leave(HOST, sequence, &inboxes[1]);
        assert_eq!(table.len(), 1);
        table.leave(HOST, sequence, &inboxes[0]);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_notice_settles_a_request_and_a_remark_does_not() {
        let notice = |kind, code| Notice {
            family: Family::V4,
            kind,
            code,
        };
        let (table, inbox) = (Table::default(), Arc::<Inbox>::default());
        let sequence = table.enter(HOST, &NONCE, 0, &inbox).unwrap();
        table.notice(HOST, &echo(sequence, b"forged"), notice(3, 1), OTHER);
        table.notice(OTHER, &echo(sequence, &NONCE), notice(3, 1), OTHER);
        assert_eq!(inbox.take(), []);
        for _ in 0..100 {
            table.notice(HOST, &echo(sequence, &[]), notice(5, 1), OTHER);
        }
        assert_eq!(inbox.take().len(), MAX_REMARKS);
        table.notice(HOST, &echo(sequence, &NONCE[..4]), notice(3, 1), OTHER);
        table.reply(HOST, &echo(sequence, &NONCE));
        let expected = Answer::Notice {
            notice: notice(3, 1),
            from: OTHER,
        };
        let arrived = inbox.take();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].answer, expected);
    }
}
