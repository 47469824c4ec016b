//! The thread that owns the child: it starts it, talks with it, and replaces it.

use std::{
    io::{self, PipeReader},
    os::fd::AsFd as _,
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags},
    sys::signal::{SigSet, Signal},
};

use crate::{
    child::{Child, Gone},
    clock,
    error::{Death, WorkerError},
    inbox::Closing,
    pipe,
    queue::{Queue, Request},
    restart::{Restart, RestartPolicy},
    shared::Shared,
};

/// How long a child without work may take to end when its worker is dropped.
const IDLE_END: Duration = Duration::from_secs(2);
/// How long answers gather while the child has enough to do, so that a turn serves several.
const GATHERING: Duration = Duration::from_micros(500);
/// Open requests from which on answers may gather.
const MANY: usize = 32;

/// The sole owner of the child and of all requests that it may have received.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    /// Readable when the inbox has changed.
    wake: PipeReader,
    queue: Queue,
    child: Option<Child>,
    restart: RestartPolicy,
    pause: Option<Pause>,
}

/// The time after a death in which no child is started.
struct Pause {
    /// `None` is for ever.
    until: Option<Instant>,
    /// Meanwhile, requests fail with this; without it they wait.
    error: Option<WorkerError>,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, wake: PipeReader) -> Self {
        Self {
            shared,
            wake,
            queue: Queue::default(),
            child: None,
            restart: RestartPolicy::default(),
            pause: None,
        }
    }

    /// Serves requests until the worker is closed; returns those that were not answered.
    pub(crate) fn run(mut self) -> Vec<Vec<u8>> {
        // A program may have chosen to die of a broken pipe; the death of a child must not be one.
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGPIPE);
        let _ = signals.thread_block();
        loop {
            let now = clock::now();
            let can_send = self.queue.can_send(self.shared.limits.open);
            let closing = self.shared.inbox.take(&mut self.queue, can_send);
            self.observe_pause(now);
            if let Some(Closing { deadline }) = closing
                && (self.queue.is_empty() || deadline.is_some_and(|deadline| deadline <= now))
            {
                return self.close(deadline, now);
            }
            if self.child.is_none() && self.pause.is_none() && !self.queue.is_empty() {
                self.start(now);
            }
            self.turn(closing.and_then(|closing| closing.deadline), now);
        }
    }

    /// Ends a pause that has passed, and fails the requests that arrive in a suspension.
    fn observe_pause(&mut self, now: Instant) {
        let Some(Pause { until, error }) = &self.pause else {
            return;
        };
        if until.is_some_and(|until| until <= now) {
            self.pause = None;
        } else if let Some(error) = error.clone() {
            self.fail_all(&error);
        }
    }

    fn start(&mut self, now: Instant) {
        let Shared {
            command,
            name,
            limits,
            ..
        } = &*self.shared;
        let mut command = command.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match Child::start(&mut command, now) {
            Ok(child) => return self.child = Some(child),
            Err(error) => error,
        };
        drop(command);
        // Another error may pass, such as too many processes.
        let is_lasting = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
        );
        let restart = if is_lasting {
            Restart::Suspended(self.restart.cannot_start(limits))
        } else {
            self.restart.died(limits)
        };
        let command = Arc::clone(name);
        let error = Arc::new(error);
        self.pause(restart, now, |_, pause| WorkerError::CannotStart {
            command,
            error,
            pause,
        });
    }

    /// Sends what can be sent, sleeps until something happens, and takes what has arrived.
    fn turn(&mut self, deadline: Option<Instant>, now: Instant) {
        let Some(child) = &mut self.child else {
            let until = self.pause.as_ref().filter(|_| !self.queue.is_empty());
            let until = until.and_then(|pause| pause.until);
            pipe::sleep(
                &mut [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)],
                clock::earliest(deadline, until),
            );
            pipe::read(&mut self.wake, &mut [0; 16]);
            return;
        };
        let limits = &self.shared.limits;
        let sent = child.send(&mut self.queue, limits.open, now);
        let overdue_at = child.overdue_at(self.queue.open() > 0, limits);
        let received =
            sent.and_then(|()| child.receive(&mut self.wake, clock::earliest(deadline, overdue_at)));
        let now = clock::now();
        match (self.take_answers(now), received) {
            (Err(death), _) => self.bury(Some(death)),
            (Ok(_), Err(Gone)) => self.bury(None),
            // After what has arrived was read: this process may have been stopped meanwhile.
            (Ok(answered), Ok(())) => match self.overdue(now) {
                Some(death) => self.bury(Some(death)),
                None => self.gather(answered),
            },
        }
    }

    /// Lets answers gather for a moment if only few have come, of many that are open: a turn for
    /// each would cost more than the child's own writing.
    fn gather(&self, answered: usize) {
        let open = self.queue.open();
        if answered > 0 && open >= MANY && answered <= open / 8 {
            thread::sleep(GATHERING);
        }
    }

    /// Whether the child has taken too long.
    fn overdue(&self, now: Instant) -> Option<Death> {
        let child = self.child.as_ref()?;
        let limits = &self.shared.limits;
        let overdue_at = child.overdue_at(self.queue.open() > 0, limits)?;
        let death = if child.is_ready() {
            Death::TimedOut(limits.request_time)
        } else {
            Death::NotReady(limits.start_time)
        };
        (overdue_at <= now).then_some(death)
    }

    /// Answers requests with what has arrived, until the child breaks the rules. Returns how
    /// many.
    fn take_answers(&mut self, now: Instant) -> Result<usize, Death> {
        let Some(child) = &mut self.child else {
            return Ok(0);
        };
        let mut answered = Vec::new();
        let end = loop {
            match child.next_answer(now) {
                Ok(Some(answer)) => match self.queue.answered() {
                    Some(request) => answered.push((request, answer)),
                    None => break Err(Death::UnexpectedAnswer),
                },
                Ok(None) => break Ok(answered.len()),
                Err(death) => break Err(death),
            }
        };
        if !answered.is_empty() {
            self.restart.answered();
            let bytes = answered.iter().map(|(request, _)| request.bytes.len()).sum();
            self.shared.inbox.release(answered.len(), bytes);
            for (request, answer) in answered {
                request.answer.send(Ok(answer));
            }
        }
        end
    }

    /// Ends the child, and decides what follows from its death.
    fn bury(&mut self, cause: Option<Death>) {
        let Some(child) = &mut self.child else { return };
        let (death, stderr) = child.end(cause);
        let now = clock::now();
        // Answers count until the last moment. The blame then falls on the request after them,
        // which the child had begun, or had begun to read.
        let _ = self.take_answers(now);
        let child = self.child.take();
        let unread = match death {
            // The time of a request is limited, whatever the child does meanwhile.
            Death::TimedOut(_) => 0,
            _ => child.map_or(0, |child| child.unread()),
        };
        let blamed = self.queue.child_died(unread);
        let restart = self.restart.died(&self.shared.limits);
        let command = Arc::clone(&self.shared.name);
        let stderr: Arc<str> = stderr.into();
        if let Some(request) = blamed {
            let error = WorkerError::Died {
                command: Arc::clone(&command),
                death,
                stderr: Arc::clone(&stderr),
            };
            self.fail(request, error);
        }
        self.pause(restart, now, |deaths, pause| WorkerError::KeepsDying {
            command,
            deaths,
            death,
            stderr,
            pause,
        });
    }

    /// Begins a pause. In a suspension all requests fail with `error`.
    fn pause(&mut self, restart: Restart, now: Instant, error: impl FnOnce(u32, Duration) -> WorkerError) {
        let (pause, error) = match restart {
            Restart::After(pause) => (pause, None),
            Restart::Suspended(pause) => (pause, Some(error(self.restart.deaths(), pause))),
        };
        if let Some(error) = &error {
            self.fail_all(error);
        }
        let until = clock::after(now, pause);
        self.pause = Some(Pause { until, error });
    }

    fn fail_all(&mut self, error: &WorkerError) {
        for request in self.queue.take_all() {
            self.fail(request, error.clone());
        }
    }

    fn fail(&self, request: Request, error: WorkerError) {
        self.shared.inbox.release(1, request.bytes.len());
        request.answer.send(Err(error));
    }

    /// Ends the child, and returns the requests that it did not answer.
    fn close(mut self, deadline: Option<Instant>, now: Instant) -> Vec<Vec<u8>> {
        if self.queue.open() > 0
            && let Some(child) = &mut self.child
        {
            // At once, or it would go on with requests that are returned as not answered.
            child.kill();
            let _ = self.take_answers(clock::now());
        } else if let Some(child) = self.child.take() {
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
            child.finish(left.max(IDLE_END));
        }
        let left = self.queue.take_all().into_iter();
        left.map(|request| {
            request.answer.send(Err(WorkerError::Stopped));
            request.bytes
        })
        .collect()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Only a panic leaves anything here. No reply may wait for ever.
        drop(self.shared.inbox.abandon());
    }
}

#[cfg(test)]
mod tests;
