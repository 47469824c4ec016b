//! Answers in HTTP/1 as devices send them. hyper is strict where browsers and curl
//! are not: folded header lines, blanks before a colon, control characters, line
//! feeds alone, odd lengths. [`Lenient`] stands between a connection and hyper. It
//! reads an answer with tolerance and writes it anew, so that hyper reads valid
//! HTTP with the same meaning (docs/decisions/0034).
//!
//! It decides where a message ends, and nothing else: which header counts, and what
//! a status means, is for those above. A carriage return alone never ends a line.

mod chunks;
mod head;

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use self::{
    chunks::Chunks,
    head::{Framing, Head},
};
use crate::{
    budget::{Flood, MAX_INTERIM},
    write_through::write_through,
};

/// The longest head of an answer, in bytes.
pub(crate) const MAX_HEAD: usize = 300 * 1024;

/// The most header lines that are passed on.
pub(crate) const MAX_HEADERS: usize = 1000;

/// How much is read at once, in bytes.
const PIECE: usize = 4 * 1024;

/// Why an answer cannot be read as HTTP.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the answer is not HTTP: it begins with \"{0}\"")]
    NotHttp(String),
    #[error("the answer is not valid HTTP: the status line is \"{0}\"")]
    StatusLine(String),
    #[error("the connection was closed in the middle of the status line \"{0}\"")]
    CutStatusLine(String),
    #[error("the answer is not valid HTTP: a header line contains a NUL byte")]
    Nul,
    #[error("the answer is not valid HTTP: Content-Length is \"{0}\"")]
    Length(String),
    #[error("the head of the answer is longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    #[error("the answer is not valid HTTP: the size of a chunk is missing")]
    NoChunkSize,
    #[error("the answer is not valid HTTP: the size of a chunk has more than 16 digits")]
    ChunkSize,
    #[error("the answer is not valid HTTP: a chunk is longer than its size")]
    ChunkEnd,
    #[error(transparent)]
    Flood(#[from] Flood),
}

/// What was odd about an answer that was read nevertheless.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(crate) enum Oddity {
    StatusLine,
    Folded,
    BlankBeforeColon,
    NoHeader,
    Control,
    TooMany,
    LineEnd,
    Length,
    Version,
    HeadEnd,
    Chunk,
}

const ODDITIES: &[(Oddity, &str)] = &[
    (Oddity::StatusLine, "the status line is malformed"),
    (Oddity::Folded, "header lines are folded"),
    (Oddity::BlankBeforeColon, "a blank before a colon"),
    (Oddity::NoHeader, "a line that is not a header"),
    (Oddity::Control, "control characters in a header"),
    (Oddity::TooMany, "more than 1000 header lines"),
    (Oddity::LineEnd, "lines end in LF alone"),
    (Oddity::Length, "an odd Content-Length"),
    (Oddity::Version, "chunks in HTTP/1.0"),
    (Oddity::HeadEnd, "the head does not end"),
    (Oddity::Chunk, "a malformed size of a chunk"),
];

/// What was odd about an answer. A clone is the same.
#[derive(Clone, Default, Debug)]
pub(crate) struct Oddities(Arc<AtomicU16>);

impl Oddities {
    fn add(&self, oddity: Oddity) {
        self.0.fetch_or(1 << oddity as u16, Ordering::Relaxed);
    }

    /// Whether the connection ended before the head did.
    pub(crate) fn head_breaks_off(&self) -> bool {
        self.has(Oddity::HeadEnd)
    }

    fn has(&self, oddity: Oddity) -> bool {
        self.0.load(Ordering::Relaxed) & 1 << oddity as u16 != 0
    }

    /// In words, for `--explain`.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        ODDITIES
            .iter()
            .filter(|(oddity, _)| self.has(*oddity))
            .map(|(_, words)| *words)
            .collect()
    }
}

/// Where in an answer the rewriter is.
#[derive(Debug)]
enum Part {
    Head(Head),
    /// A body that ends with the connection, or whose length hyper counts.
    Plain,
    Chunks(Chunks),
    /// There is no body, or it has ended.
    Nothing,
}

/// Rewrites an answer, which may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Rewriter {
    part: Part,
    interim: u64,
    written: VecDeque<u8>,
    oddities: Oddities,
}

impl Default for Rewriter {
    fn default() -> Self {
        Self {
            part: Part::Head(Head::default()),
            interim: 0,
            written: VecDeque::new(),
            oddities: Oddities::default(),
        }
    }
}

impl Rewriter {
    /// Reads the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Unreadable> {
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Head(head) => {
                    let Some(taken) = head.feed(bytes)? else {
                        return Ok(());
                    };
                    bytes = &bytes[taken..];
                    self.head_ends()?;
                }
                Part::Plain => {
                    self.written.extend(bytes);
                    return Ok(());
                }
                Part::Chunks(chunks) => {
                    if chunks.feed(bytes, &mut self.written, &self.oddities)? {
                        self.part = Part::Nothing;
                    }
                    return Ok(());
                }
                Part::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self) -> Result<(), Unreadable> {
        if let Part::Head(head) = &mut self.part
            && head.end()?
        {
            self.oddities.add(Oddity::HeadEnd);
            self.head_ends()?;
        }
        Ok(())
    }

    fn head_ends(&mut self) -> Result<(), Unreadable> {
        let Part::Head(head) = std::mem::replace(&mut self.part, Part::Nothing) else {
            return Ok(());
        };
        let message = head.parse(&self.oddities)?;
        if message.is_interim() {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Flood::Interim.into());
            }
            self.part = Part::Head(Head::default());
            return Ok(());
        }
        self.part = match message.framing {
            Framing::None => Part::Nothing,
            Framing::Length(_) | Framing::Close => Part::Plain,
            Framing::Chunked => Part::Chunks(Chunks::default()),
        };
        message.write(&mut self.written);
        Ok(())
    }
}

/// A connection whose answers hyper can read.
#[derive(Debug)]
pub(crate) struct Lenient<S> {
    stream: S,
    /// Boxed, since the future of a check has room for the stream several times over.
    reading: Box<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    rewriter: Rewriter,
    has_ended: bool,
    failure: Option<Unreadable>,
}

impl<S> Lenient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            reading: Box::default(),
        }
    }

    /// What is odd about the answer, as far as it was read.
    pub(crate) fn oddities(&self) -> Oddities {
        self.reading.rewriter.oddities.clone()
    }
}

/// Many servers end TLS without saying so. The length of the answer shows whether
/// something is missing.
fn or_end(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        result => result,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, reading } = &mut *self;
        let Reading {
            rewriter,
            has_ended,
            failure,
        } = &mut **reading;
        loop {
            let written = &mut rewriter.written;
            if !written.is_empty() {
                let (front, _) = written.as_slices();
                let count = front.len().min(buffer.remaining());
                buffer.put_slice(&front[..count]);
                written.drain(..count);
                return Poll::Ready(Ok(()));
            }
            // What came before an error may be all that is searched for.
            if let Some(error) = failure {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())));
            }
            if *has_ended {
                return Poll::Ready(Ok(()));
            }
            if matches!(rewriter.part, Part::Plain) {
                let result = ready!(Pin::new(&mut *stream).poll_read(context, buffer));
                return Poll::Ready(or_end(result));
            }
            let mut bytes = [0; PIECE];
            let mut piece = ReadBuf::new(&mut bytes);
            or_end(ready!(Pin::new(&mut *stream).poll_read(context, &mut piece)))?;
            let result = match piece.filled() {
                [] => {
                    *has_ended = true;
                    rewriter.end()
                }
                bytes => rewriter.feed(bytes),
            };
            *failure = result.err();
        }
    }
}

write_through!(Lenient);

/// Rewrites `bytes` whole and in pieces, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    let rewritten = |size: usize| {
        let mut rewriter = Rewriter::default();
        let result = bytes.chunks(size).try_for_each(|piece| rewriter.feed(piece));
        let result = result.and_then(|()| rewriter.end());
        (result.is_ok(), Vec::from(rewriter.written))
    };
    let (is_whole, whole) = rewritten(usize::MAX);
    assert!(whole.len() <= 4 * bytes.len() + 64, "it grows");
    let (is_cut, _) = rewritten(3);
    assert_eq!(is_whole, is_cut, "how it is cut matters");
}

#[cfg(test)]
mod tests;
