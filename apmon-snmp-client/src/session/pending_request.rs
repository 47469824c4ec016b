//! A request in flight, and its retries.

use std::time::Duration;

use tokio::time::Instant;

use crate::{message::PduKind, operation::Request};

/// The number of times that an agent may demand that a request be resent, with its clock or
/// engine corrected, before the session gives up.
const MOST_RESENDS: u32 = 3;

/// A request in flight.
#[derive(Debug)]
pub(super) struct PendingRequest {
    /// The position of the operation that made the request.
    pub(super) operation: usize,
    pub(super) request: Request,
    /// The IDs with which it was sent, and when.
    tries: Vec<(i32, Instant)>,
    began: Instant,
    last_sent: Instant,
    /// The wait for an answer.
    wait: Duration,
    /// The number of times it was sent again because no answer came.
    retries: u32,
    /// The number of times it was sent again because the agent demanded it.
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

    /// Records that the request is now sent with this ID.
    pub(super) fn sent_as(&mut self, id: i32) {
        self.last_sent = Instant::now();
        self.tries.push((id, self.last_sent));
    }

    /// The time at which the request was sent with this ID, if it was.
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

    /// Prepares a retry, as no answer came in time. The size of the answer may be the cause, so
    /// from the second retry on the request asks for less.
    pub(super) fn retry(&mut self, longest_wait: Duration) {
        self.retries += 1;
        self.wait = (self.wait * 2).min(longest_wait);
        if self.retries >= 2 {
            self.request.halve();
        }
    }

    /// Whether the request asks for less than at first.
    pub(super) fn was_halved(&self) -> bool {
        self.retries >= 2 && self.request.kind == PduKind::GetBulk
    }

    /// Prepares to resend the request because the agent reported what was wrong with it.
    /// Answers to earlier tries no longer count. Returns false if the agent has demanded this
    /// too often.
    pub(super) fn resend(&mut self) -> bool {
        self.resends += 1;
        self.tries.clear();
        self.resends <= MOST_RESENDS
    }
}
