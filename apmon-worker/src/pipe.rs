//! Pipes that never block.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollTimeout, poll},
};

use crate::clock;

/// The result of reading from a pipe.
pub(crate) enum Input {
    /// This number of bytes has been read.
    Bytes(usize),
    /// The pipe is empty.
    Nothing,
    /// The pipe is empty, and no writer is left.
    End,
}

/// Makes this end of a pipe non-blocking. The other end is not affected.
pub(crate) fn never_block(pipe: impl AsFd) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Reads what is there, by one call.
pub(crate) fn read(pipe: &mut impl Read, buffer: &mut [u8]) -> Input {
    match pipe.read(buffer) {
        Ok(0) => Input::End,
        Ok(n) => Input::Bytes(n),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Input::Nothing
        }
        Err(_) => Input::End,
    }
}

/// Sleeps until one of `polled` is ready or `until` has come; `None` is never.
pub(crate) fn sleep(polled: &mut [PollFd<'_>], until: Option<Instant>) {
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(until) => {
            let left = until.saturating_duration_since(clock::now());
            // Rounded up, or the last millisecond would be spent in turns without a sleep.
            let left = left.saturating_add(Duration::from_nanos(999_999));
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
    };
    if let Err(error) = poll(polled, timeout)
        && error != Errno::EINTR
    {
        // The system has no memory for it; without a pause the thread would not rest.
        std::thread::sleep(Duration::from_millis(10));
    }
}
