//! The requests on their way from any thread to the supervisor.

use std::{
    collections::VecDeque,
    io::{PipeWriter, Write as _},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use crate::{
    error::RequestError,
    limits::WorkerLimits,
    queue::{Queue, Request},
    reply::{Reply, reply},
};

/// The place where requests wait for the supervisor. It also counts those that the supervisor
/// has taken, so that the limits hold for all that are unanswered.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// The end of the pipe on which the supervisor sleeps.
    wake: OnceLock<PipeWriter>,
}

#[derive(Debug, Default)]
struct State {
    arrived: VecDeque<Request>,
    /// The number of unanswered requests, and their bytes.
    unanswered: usize,
    bytes: usize,
    /// Whether the supervisor must be woken for a request.
    is_asleep: bool,
    closing: Option<Closing>,
}

/// The end of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    /// When what is left is given up; `None` is never.
    pub(crate) deadline: Option<Instant>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The supervisor will sleep on the other end of `pipe`.
    pub(crate) fn wake_through(&self, pipe: PipeWriter) {
        // Set once: the supervisor is started once.
        let _ = self.wake.set(pipe);
    }

    fn wake(&self) {
        if let Some(mut pipe) = self.wake.get() {
            // A full pipe wakes as well.
            let _ = pipe.write(&[0]);
        }
    }

    /// Accepts a request, or gives it back.
    pub(crate) fn offer(&self, request: Vec<u8>, limits: &WorkerLimits) -> Result<Reply, RequestError> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(RequestError::Finished { request });
        }
        let bytes = state.bytes.saturating_add(request.len());
        let is_alone = state.unanswered == 0;
        if state.unanswered >= limits.queue.max(1) || (bytes > limits.queue_bytes && !is_alone) {
            return Err(RequestError::QueueFull {
                request,
                unanswered: state.unanswered,
                bytes: state.bytes,
            });
        }
        let (answer, reply) = reply();
        state.unanswered += 1;
        state.bytes = bytes;
        state.arrived.push_back(Request {
            bytes: request,
            answer,
        });
        let wakes = std::mem::take(&mut state.is_asleep);
        drop(state);
        if wakes {
            self.wake();
        }
        Ok(reply)
    }

    /// Moves what has arrived into the supervisor's queue. The next request wakes it, unless
    /// it can send no more.
    pub(crate) fn take(&self, queue: &mut Queue, can_send: bool) -> Option<Closing> {
        let mut state = self.lock();
        queue.append(&mut state.arrived);
        state.is_asleep = can_send;
        state.closing
    }

    /// Makes room: `count` requests of `bytes` bytes are answered. This comes before the
    /// replies, so that who waits for one finds the room.
    pub(crate) fn release(&self, count: usize, bytes: usize) {
        let mut state = self.lock();
        state.unanswered = state.unanswered.saturating_sub(count);
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Accepts no more requests, and gives up at the deadline.
    pub(crate) fn close(&self, deadline: Option<Instant>) {
        self.lock().closing = Some(Closing { deadline });
        self.wake();
    }

    /// Accepts no more requests, and takes those that nobody will answer.
    pub(crate) fn abandon(&self) -> VecDeque<Request> {
        let mut state = self.lock();
        state.closing = Some(Closing { deadline: None });
        std::mem::take(&mut state.arrived)
    }
}
