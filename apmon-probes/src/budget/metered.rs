//! A stream whose bytes and frames are counted while they are read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Framing, Meter};
use crate::write_through::write_through;

/// The most bytes that are passed on at once: what they mean to the reader is work
/// that nothing interrupts.
const MAX_READ: usize = 4 * 1024;

/// A stream whose bytes and frames count towards a budget.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    /// Boxed, since the future of a check has room for the stream several times over.
    framing: Box<Framing>,
    /// Whether the bytes are those on the wire. Otherwise they are decrypted.
    is_wire: bool,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Measures a connection, with a budget of its own.
    pub(crate) fn wire(stream: S, framing: Framing) -> Self {
        Self {
            stream,
            framing: Box::new(framing),
            is_wire: true,
            meter: Meter::default(),
        }
    }

    /// Measures what TLS carries over a connection, with the budget of that one.
    pub(crate) fn decrypted(stream: S, framing: Framing, meter: Meter) -> Self {
        Self {
            stream,
            framing: Box::new(framing),
            is_wire: false,
            meter,
        }
    }

    /// The stream.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The budget.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(flood) = this.meter.flood() {
            return Poll::Ready(Err(io::Error::other(flood)));
        }
        if this.meter.pauses(context) {
            return Poll::Pending;
        }
        let room = buffer.remaining().min(MAX_READ);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        let bytes = piece.filled();
        let length = bytes.len();
        let mut passed = this.framing.read(bytes);
        let count = match this.is_wire {
            true => &mut passed.bytes,
            false => &mut passed.data,
        };
        *count = length as u64;
        buffer.advance(length);
        Poll::Ready(this.meter.add(passed).map_err(io::Error::other))
    }
}

write_through!(Metered);
