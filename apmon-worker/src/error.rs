//! What can go wrong, in an operator's words.

use std::{fmt, io, sync::Arc, time::Duration};

use nix::sys::signal::Signal;

use crate::frame::MAX_FRAME;

/// A request that was not accepted. Each variant gives it back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Too many requests are unanswered.
    #[error("the queue is full (unanswered requests: {unanswered}, bytes: {bytes}); wait for a reply")]
    QueueFull {
        /// The request.
        request: Vec<u8>,
        /// The number of unanswered requests.
        unanswered: usize,
        /// Their length in bytes.
        bytes: usize,
    },
    /// The request is longer than [`MAX_FRAME`].
    #[error("the request has {} bytes, more than {MAX_FRAME}; split it", request.len())]
    TooLong {
        /// The request.
        request: Vec<u8>,
    },
    /// The worker was finished, and accepts nothing more.
    #[error("the worker is finished and accepts no more requests")]
    Finished {
        /// The request.
        request: Vec<u8>,
    },
    /// The system has no thread or no pipe left for the worker. The next request tries again.
    #[error("cannot start the thread that supervises the worker")]
    NoThread {
        /// The request.
        request: Vec<u8>,
        /// The cause.
        source: io::Error,
    },
}

impl RequestError {
    /// The request that was not accepted.
    #[must_use]
    pub fn into_request(self) -> Vec<u8> {
        match self {
            Self::QueueFull { request, .. }
            | Self::TooLong { request }
            | Self::Finished { request }
            | Self::NoThread { request, .. } => request,
        }
    }
}

/// A request that was accepted and got no answer.
// Shown in logs without its source, so an error of the system is part of the text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The child died while this was its oldest unanswered request, which is therefore the
    /// likely cause. It may have been carried out in part or as a whole; it is not sent again. A
    /// request of which the child had read nothing is sent to the next child instead.
    #[error("the worker `{command}` {death} during this request{}", shown(.stderr))]
    Died {
        /// The program and its arguments.
        command: Arc<str>,
        /// How the child died.
        death: Death,
        /// The end of its standard error, at most 4,096 bytes of output.
        stderr: Arc<str>,
    },
    /// The command cannot be started. This request was not sent.
    #[error(
        "cannot start the worker `{command}`: {error}; {}. It is not tried again for {pause:?}",
        remedy(.error)
    )]
    CannotStart {
        /// The program and its arguments.
        command: Arc<str>,
        /// The error of the system.
        error: Arc<io::Error>,
        /// Until this has passed since the failure, requests fail at once.
        pause: Duration,
    },
    /// The children died one after the other before they answered anything. This request was
    /// not carried out.
    #[error(
        "the worker `{command}` died {} before it answered a request; the last time it {death}{}. \
         Correct the cause; it is not started again for {pause:?}",
        times(*.deaths), shown(.stderr)
    )]
    KeepsDying {
        /// The program and its arguments.
        command: Arc<str>,
        /// Deaths since the last answer.
        deaths: u32,
        /// How the last child died.
        death: Death,
        /// The end of its standard error, at most 4,096 bytes of output.
        stderr: Arc<str>,
        /// Until this has passed since the last death, requests fail at once.
        pause: Duration,
    },
    /// The worker was finished or dropped before this request was answered.
    #[error("the worker was stopped before it answered this request")]
    Stopped,
}

/// The way a child died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// It ended by itself, with this exit status.
    Exited(i32),
    /// It was killed by this signal.
    Signalled(i32),
    /// It was killed because a request took longer than this.
    TimedOut(Duration),
    /// It was killed because it did not call [`serve`](crate::serve()) within this time.
    NotReady(Duration),
    /// It was killed because its first output was not that of [`serve`](crate::serve()).
    NotAWorker,
    /// It was killed because it announced an answer of this length, more than [`MAX_FRAME`].
    AnswerTooLong(usize),
    /// It was killed because it sent an answer that no request had asked for.
    UnexpectedAnswer,
    /// It was killed because it closed its pipes and did not end.
    ClosedPipes,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signalled(signal) => match Signal::try_from(signal) {
                Ok(name) => write!(f, "was killed by {name}"),
                Err(_) => write!(f, "was killed by signal {signal}"),
            },
            Self::TimedOut(limit) => write!(f, "was killed because it took longer than {limit:?}"),
            Self::NotReady(limit) => write!(f, "was killed because it was not ready within {limit:?}"),
            Self::NotAWorker => f.write_str("was killed because its output is not that of a worker"),
            Self::AnswerTooLong(length) => write!(
                f,
                "was killed because it announced an answer of {length} bytes, more than {MAX_FRAME},"
            ),
            Self::UnexpectedAnswer => {
                f.write_str("was killed because it sent an answer that no request had asked for")
            }
            Self::ClosedPipes => f.write_str("was killed because it closed its pipes and did not end"),
        }
    }
}

/// The output of a child on one line.
fn shown(stderr: &str) -> String {
    if stderr.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = stderr.lines().map(str::trim).collect();
    format!("; its last output: {}", lines.join(" | "))
}

fn times(deaths: u32) -> String {
    match deaths {
        1 => "once".to_owned(),
        _ => format!("{deaths} times in a row"),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "install it, or correct its path",
        io::ErrorKind::PermissionDenied => "check that this user may execute it",
        _ => "check the limits on processes, open files and memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_reported_with_its_command_and_its_last_output() {
        let died = |death, stderr: &str| {
            let (command, stderr) = ("apmon rrd".into(), stderr.into());
            WorkerError::Died {
                command,
                death,
                stderr,
            }
            .to_string()
        };
        assert_eq!(
            died(Death::Signalled(7), "mapping a.rrd\nreading "),
            "the worker `apmon rrd` was killed by SIGBUS during this request; its last output: mapping a.rrd | reading"
        );
        assert_eq!(
            died(Death::Exited(101), ""),
            "the worker `apmon rrd` exited with status 101 during this request"
        );
        assert_eq!(
            died(Death::TimedOut(Duration::from_millis(1500)), ""),
            "the worker `apmon rrd` was killed because it took longer than 1.5s during this request"
        );
        assert_eq!(
            died(Death::AnswerTooLong(16_777_217), ""),
            "the worker `apmon rrd` was killed because it announced an answer of 16777217 bytes, \
             more than 16777216, during this request"
        );
    }

    #[test]
    fn a_signal_without_a_name_is_reported_by_its_number() {
        assert_eq!(Death::Signalled(40).to_string(), "was killed by signal 40");
    }

    #[test]
    fn a_worker_that_keeps_dying_is_reported_with_its_last_death() {
        let error = |deaths| WorkerError::KeepsDying {
            command: "apmon rrd".into(),
            deaths,
            death: Death::Exited(127),
            stderr: "librrd.so.8: cannot open shared object file".into(),
            pause: Duration::from_secs(30),
        };
        assert_eq!(
            error(5).to_string(),
            "the worker `apmon rrd` died 5 times in a row before it answered a request; the last time it exited with \
             status 127; its last output: librrd.so.8: cannot open shared object file. Correct the cause; it is not \
             started again for 30s"
        );
        assert!(
            error(1)
                .to_string()
                .starts_with("the worker `apmon rrd` died once before it answered a request; ")
        );
    }

    #[test]
    fn a_command_that_cannot_be_started_is_reported_with_a_remedy() {
        let text = |kind: io::ErrorKind| {
            let (command, error) = ("rrd-worker".into(), Arc::new(kind.into()));
            let pause = Duration::from_secs(30);
            WorkerError::CannotStart {
                command,
                error,
                pause,
            }
            .to_string()
        };
        assert_eq!(
            text(io::ErrorKind::NotFound),
            "cannot start the worker `rrd-worker`: entity not found; install it, or correct its path. It is not tried \
             again for 30s"
        );
        assert!(text(io::ErrorKind::PermissionDenied).contains("; check that this user may execute it."));
        assert!(
            text(io::ErrorKind::OutOfMemory)
                .contains("; check the limits on processes, open files and memory.")
        );
    }

    #[test]
    fn a_refused_request_is_given_back() {
        let request = || b"abc".to_vec();
        let full = RequestError::QueueFull {
            request: request(),
            unanswered: 2,
            bytes: 7,
        };
        assert_eq!(
            full.to_string(),
            "the queue is full (unanswered requests: 2, bytes: 7); wait for a reply"
        );
        let source = io::ErrorKind::WouldBlock.into();
        for error in [
            full,
            RequestError::TooLong { request: request() },
            RequestError::Finished { request: request() },
            RequestError::NoThread {
                request: request(),
                source,
            },
        ] {
            assert_eq!(error.into_request(), b"abc");
        }
    }
}
