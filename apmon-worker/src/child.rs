//! One child with its pipes: requests go out, answers come in, and its death is explained.

use std::{
    io::{self, PipeReader, Write as _},
    os::fd::AsFd as _,
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags};

use crate::{
    clock,
    error::Death,
    frame::{self, Decoder, TooLong},
    limits::WorkerLimits,
    pipe::{self, Input},
    process::{Pipes, Process},
    queue::Queue,
    tail::Tail,
};

/// How much is written by one call, so that small requests share it, and read by one call.
const CHUNK: usize = 64 << 10;
/// How many chunks are read of a pipe whose writer is dead; no pipe holds more.
const LEFT: usize = 32;
/// How long a child that closed its pipes may take to end. It usually has ended already, and
/// its status says more than that it was killed.
const ENDING: Duration = Duration::from_secs(2);

/// The child has closed a pipe: it ends, or has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// A running child. Its pipes never block the parent.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    /// Closed to let the child end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// Frames on their way, of which the first `written` bytes are written.
    out: Vec<u8>,
    written: usize,
    received: Decoder,
    tail: Tail,
    /// Whether the greeting has arrived.
    is_ready: bool,
    /// When the child began what it does now: its start, or the first open request.
    since: Instant,
    buffer: Box<[u8]>,
}

impl Child {
    /// Starts `command`.
    pub(crate) fn start(command: &mut Command, now: Instant) -> io::Result<Self> {
        let (
            process,
            Pipes {
                stdin,
                stdout,
                stderr,
            },
        ) = Process::start(command)?;
        for pipe in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            pipe::never_block(pipe)?;
        }
        Ok(Self {
            process,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            out: Vec::new(),
            written: 0,
            received: Decoder::default(),
            tail: Tail::default(),
            is_ready: false,
            since: now,
            buffer: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    /// Sends requests of `queue`, as many as may be open and fit into the pipe. Nothing is sent
    /// before the greeting: a program that is not a worker must not get requests.
    pub(crate) fn send(&mut self, queue: &mut Queue, open: usize, now: Instant) -> Result<(), Gone> {
        if !self.is_ready {
            return Ok(());
        }
        if queue.open() == 0 {
            self.since = now;
        }
        loop {
            while self.out.len() < CHUNK
                && let Some(request) = queue.next_to_send(open)
            {
                // Its length was checked when it was accepted.
                let _ = frame::append(&mut self.out, request);
            }
            if self.out.is_empty() {
                return Ok(());
            }
            let Some(stdin) = &mut self.stdin else {
                return Ok(());
            };
            match stdin.write(&self.out[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
            if self.written == self.out.len() {
                frame::reset(&mut self.out);
                self.written = 0;
            }
        }
    }

    /// When the child is overdue with what it does now; `None` if it has nothing to do.
    pub(crate) fn overdue_at(&self, is_open: bool, limits: &WorkerLimits) -> Option<Instant> {
        match (self.is_ready, is_open) {
            (false, _) => clock::after(self.since, limits.start_time),
            (true, true) => clock::after(self.since, limits.request_time),
            (true, false) => None,
        }
    }

    /// Sleeps until the child or `wake` is ready, or until `until`; then reads what the child
    /// wrote.
    pub(crate) fn receive(&mut self, wake: &mut PipeReader, until: Option<Instant>) -> Result<(), Gone> {
        let stderr = self.stderr.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN));
        let is_sending = !self.out.is_empty();
        let stdin = self.stdin.as_ref().filter(|_| is_sending);
        let stdin = stdin.map(|pipe| (pipe.as_fd(), PollFlags::POLLOUT));
        let polled = [
            Some((wake.as_fd(), PollFlags::POLLIN)),
            Some((self.stdout.as_fd(), PollFlags::POLLIN)),
            stderr,
            stdin,
        ];
        // A place that is not needed is that of the inbox again, without an event.
        let nothing = (wake.as_fd(), PollFlags::empty());
        let mut polled = polled
            .map(|it| it.unwrap_or(nothing))
            .map(|(fd, events)| PollFd::new(fd, events));
        pipe::sleep(&mut polled, until);
        let [is_woken, has_output, has_error_output, _] = polled.map(|it| it.any() == Some(true));
        if is_woken {
            pipe::read(wake, &mut self.buffer);
        }
        if has_error_output {
            drain(&mut self.stderr, &mut self.tail, &mut self.buffer);
        }
        if !has_output {
            return Ok(());
        }
        match pipe::read(&mut self.stdout, &mut self.buffer) {
            Input::Bytes(n) => self.received.push(&self.buffer[..n]),
            Input::Nothing => {}
            Input::End => return Err(Gone),
        }
        Ok(())
    }

    /// The next answer that has arrived.
    pub(crate) fn next_answer(&mut self, now: Instant) -> Result<Option<Vec<u8>>, Death> {
        loop {
            let frame = match self.received.next() {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame,
                Err(_) if !self.is_ready => return Err(Death::NotAWorker),
                Err(TooLong(length)) => return Err(Death::AnswerTooLong(length)),
            };
            // The child now begins the next request.
            self.since = now;
            if self.is_ready {
                return Ok(Some(frame));
            }
            if frame != frame::GREETING {
                return Err(Death::NotAWorker);
            }
            self.is_ready = true;
        }
    }

    /// Whether the greeting has arrived.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Ends the child and returns how it died, with the end of its standard error. `cause` is
    /// why it must be killed, `None` if it seems to have ended by itself.
    pub(crate) fn end(&mut self, cause: Option<Death>) -> (Death, String) {
        let death = cause.or_else(|| self.wait(ENDING)).unwrap_or(Death::ClosedPipes);
        self.kill();
        (death, self.tail.text())
    }

    /// Kills the child. Answers that it sent before can still be taken.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        // A process that the child started may keep the pipes open, so they are read until they
        // are empty, not until they end.
        for _ in 0..LEFT {
            let Input::Bytes(n) = pipe::read(&mut self.stdout, &mut self.buffer) else {
                break;
            };
            self.received.push(&self.buffer[..n]);
        }
        drain(&mut self.stderr, &mut self.tail, &mut self.buffer);
    }

    /// How many bytes of the requests that were sent the child has not read: those that did not
    /// fit into the pipe, and those that are still in it. Where the system does not say what is
    /// in a pipe, this is nothing.
    pub(crate) fn unread(&self) -> usize {
        let in_pipe = self.stdin.as_ref().map(rustix::io::ioctl_fionread);
        let in_pipe = in_pipe.and_then(Result::ok).unwrap_or(0);
        let in_pipe = usize::try_from(in_pipe).unwrap_or(usize::MAX);
        (self.out.len() - self.written).saturating_add(in_pipe)
    }

    /// Lets a child that has nothing to do end by itself within `patience`, and kills it then.
    pub(crate) fn finish(mut self, patience: Duration) {
        self.stdin = None;
        self.wait(patience);
        self.process.kill();
    }

    fn wait(&mut self, patience: Duration) -> Option<Death> {
        let Self {
            process,
            stderr,
            tail,
            buffer,
            ..
        } = self;
        process.wait(patience, || drain(stderr, tail, buffer))
    }
}

/// Keeps the end of what a child has written to its standard error.
fn drain(stderr: &mut Option<ChildStderr>, tail: &mut Tail, buffer: &mut [u8]) {
    for _ in 0..LEFT {
        let Some(pipe) = stderr else { return };
        match pipe::read(pipe, buffer) {
            Input::Bytes(n) => tail.push(&buffer[..n]),
            Input::Nothing => return,
            Input::End => *stderr = None,
        }
    }
}
