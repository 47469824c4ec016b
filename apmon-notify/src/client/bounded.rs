//! A stream of which a receiver can use only so much: interim answers, a head and a
//! body without end must not occupy this process.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that are read after a request: more than the head and the part of
/// the body that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// The most bytes that are passed on at once.
const MAX_READ: usize = 4 * 1024;

/// The number of bytes after which other tasks have a turn.
const TURN: usize = 16 * 1024;

/// A stream that fails after too long an answer.
pub(super) struct Bounded<S> {
    stream: S,
    /// Bytes read since the last write.
    received: usize,
    /// Bytes read since other tasks had a turn.
    turn: usize,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            received: 0,
            turn: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.received > MAX_ANSWER {
            let words = format!("the answer is longer than {MAX_ANSWER} bytes");
            return Poll::Ready(Err(io::Error::other(words)));
        }
        if this.turn >= TURN {
            this.turn = 0;
            // Its first poll asks the runtime to wake this task after the others.
            let _ = pin!(tokio::task::yield_now()).poll(context);
            return Poll::Pending;
        }
        let room = buffer.remaining().min(MAX_READ);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        let length = piece.filled().len();
        buffer.advance(length);
        this.received += length;
        this.turn += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.received = 0;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.received = 0;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, join, repeat, sink};

    use super::*;

    #[tokio::test]
    async fn an_answer_without_end_ends_the_connection() {
        let mut stream = Bounded::new(join(repeat(b'x'), sink()));
        for _ in 0..2 {
            stream.write_all(b"request").await.unwrap();
            let mut answer = Vec::new();
            let error = stream.read_to_end(&mut answer).await.unwrap_err();
            assert_eq!(error.to_string(), "the answer is longer than 1048576 bytes");
            assert!(answer.len() <= MAX_ANSWER + MAX_READ, "{}", answer.len());
        }
    }
}
