//! A request in flight.

use std::time::Duration;

use tokio::time::Instant;

use crate::{message::PduKind, operation::Request};

/// How often an agent may ask for something to be sent again (its clock, its
/// engine) before it is taken to do so forever.
const MOST_RESENDS: u32 = 3;

/// A request in flight.
#[derive(Debug)]
pub(super) struct PendingRequest {
    /// Which of the session's operations made it.
    pub(super) operation: usize,
    pub(super) request: Request,
    /// The ids under which it was sent, and when.
    tries: Vec<(i32, Instant)>,
    began: Instant,
    last_sent: Instant,
    /// How long to wait for an answer.
    wait: Duration,
    /// How often it was sent again because no answer came.
    retries: u32,
    /// How often it was sent again because the agent wanted it so.
    resends: u32,
}

impl PendingRequest {
    pub(super) fn new(operation: usize, request: Request, wait: Duration) -> Self {
        let now = Instant::now();
        Self {
            operation,
            request,
            tries: Vec::with_capacity(1),
            began: now,
            last_sent: now,
            wait,
            retries: 0,
            resends: 0,
        }
    }

    /// Notes that it is sent under this id now.
    pub(super) fn sent_as(&mut self, id: i32) {
        self.last_sent = Instant::now();
        self.tries.push((id, self.last_sent));
    }

    /// When it was sent under this id.
    pub(super) fn sent(&self, id: i32) -> Option<Instant> {
        let own = self.tries.iter().find(|(own, _)| *own == id);
        own.map(|(_, sent)| *sent)
    }

    pub(super) fn first_sent(&self) -> Instant {
        self.began
    }

    pub(super) fn expires(&self) -> Instant {
        self.last_sent + self.wait
    }

    /// Prepares another try: no answer came in time. The size of the answer may
    /// be why, so from the second retry on the request asks for less.
    pub(super) fn retry(&mut self, longest_wait: Duration) {
        self.retries += 1;
        self.wait = (self.wait * 2).min(longest_wait);
        if self.retries >= 2 {
            self.request.halve();
        }
    }

    /// Whether it asks for less than at first.
    pub(super) fn was_halved(&self) -> bool {
        self.retries >= 2 && self.request.kind == PduKind::GetBulk
    }

    /// Prepares to send it again because the agent named what was missing;
    /// answers to earlier tries no longer matter. False if the agent has done
    /// so too often.
    pub(super) fn resend(&mut self) -> bool {
        self.resends += 1;
        self.tries.clear();
        self.resends <= MOST_RESENDS
    }
}
