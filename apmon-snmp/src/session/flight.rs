//! A request under way.

use std::time::Duration;

use tokio::time::Instant;

use super::{engine, errand::Request};
use crate::message::PduKind;

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) errand: usize,
    pub(super) request: Request,
    /// The ids under which it was sent, and when.
    tries: Vec<(i32, Instant)>,
    began: Instant,
    /// When it was sent last.
    sent: Instant,
    /// How long it is waited for.
    wait: Duration,
    /// How often it was sent again as nothing came.
    retries: u32,
    /// The agent said so often that something is missing.
    asked_again: u32,
}

impl Flight {
    pub(super) fn new(errand: usize, request: Request, wait: Duration) -> Self {
        let now = Instant::now();
        Self {
            errand,
            request,
            tries: Vec::with_capacity(1),
            began: now,
            sent: now,
            wait,
            retries: 0,
            asked_again: 0,
        }
    }

    /// It is sent under this id now.
    pub(super) fn sent_as(&mut self, id: i32) {
        self.sent = Instant::now();
        self.tries.push((id, self.sent));
    }

    /// When it was sent under this id.
    pub(super) fn sent(&self, id: i32) -> Option<Instant> {
        let its = self.tries.iter().find(|(its, _)| *its == id);
        its.map(|(_, sent)| *sent)
    }

    pub(super) fn first_sent(&self) -> Instant {
        self.began
    }

    pub(super) fn expires(&self) -> Instant {
        self.sent + self.wait
    }

    /// Nothing came in time. Much that was asked for at once may be why: it is
    /// asked for less.
    pub(super) fn try_again(&mut self, longest: Duration) {
        self.retries += 1;
        self.wait = (self.wait * 2).min(longest);
        if self.retries >= 2 {
            self.request.lessen();
        }
    }

    /// It was asked for less than at first.
    pub(super) fn was_lessened(&self) -> bool {
        self.retries >= 2 && self.request.kind == PduKind::GetBulk
    }

    /// The agent said what was missing, so its other answers do not matter.
    /// False when it has said so too often.
    pub(super) fn ask_again(&mut self) -> bool {
        self.asked_again += 1;
        self.tries.clear();
        self.asked_again <= engine::PATIENCE
    }
}
