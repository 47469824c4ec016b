//! Decompresses a body, within a budget: what holds no data costs work too.

mod brotli;
mod deflate;
mod gzip;

use std::io::{self, Write};

use hyper::{HeaderMap, header};

use self::{brotli::Brotli, deflate::Deflate, gzip::Gunzip};
use crate::budget::MAX_EMPTY;

/// How much is fed at once.
const SLICE: usize = 256;

/// How many compressed bytes may mean nothing. Beyond that, there may be eight for
/// each byte of data: a server that flushes each letter needs less.
const MAX_IDLE: u64 = 1024 * 1024;
const PER_BYTE: u64 = 8;

/// The work after which the other checks have a turn, in nanoseconds or so. In a
/// compressed byte as many tables may begin as fit.
const TURN: u64 = 500_000;
const MEMBER: u64 = 10_000;
const COMPRESSED_BYTE: u64 = 200;
const DATA_BYTE: u64 = 4;

/// How a body is compressed (RFC 9110 section 8.4.1, RFC 7932).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// What a Content-Encoding says.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Encoded {
    /// Nothing, or something that means nothing, such as `none`.
    Plain,
    As(Coding),
    /// Something unknown, or several codings.
    Unknown(String),
}

impl Encoded {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CONTENT_ENCODING);
        let mut codings: Vec<String> = values
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|coding| String::from_utf8_lossy(coding.trim_ascii()).to_ascii_lowercase())
            .collect();
        codings.retain(|coding| !matches!(coding.as_str(), "" | "identity" | "none"));
        match codings.as_slice() {
            [] => Self::Plain,
            [one] => match one.as_str() {
                "gzip" | "x-gzip" => Self::As(Coding::Gzip),
                "deflate" => Self::As(Coding::Deflate),
                "br" => Self::As(Coding::Brotli),
                _ => Self::Unknown(one.clone()),
            },
            several => Self::Unknown(several.join(", ")),
        }
    }
}

impl Coding {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }
}

/// Why a body is not decompressed any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodingError {
    #[error("the body is not valid {}: {error}", .coding.as_str())]
    Invalid { coding: Coding, error: io::Error },
    #[error("the body consists of more than {MAX_EMPTY} gzip members")]
    Members,
    #[error("the body has more than {MAX_IDLE} bytes of {} that hold no data", .0.as_str())]
    Idle(Coding),
    #[error(transparent)]
    Sink(io::Error),
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// How many bytes were read.
    pub(super) taken: usize,
    /// Whether there is more data even if no more bytes come.
    pub(super) more: bool,
}

enum Stream {
    Gzip(Box<Gunzip>),
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
}

/// A decompressor. It does a little at a time.
pub(super) struct Decoder {
    coding: Coding,
    stream: Stream,
    buffer: Vec<u8>,
    fed: u64,
    data: u64,
    /// The work since the last pause.
    turn: u64,
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            stream: match coding {
                Coding::Gzip => Stream::Gzip(Box::default()),
                Coding::Deflate => Stream::Deflate(Box::default()),
                Coding::Brotli => Stream::Brotli(Box::default()),
            },
            buffer: Vec::new(),
            fed: 0,
            data: 0,
            turn: 0,
        }
    }

    pub(super) fn coding(&self) -> Coding {
        self.coding
    }

    /// The number of compressed bytes so far.
    pub(super) fn fed(&self) -> u64 {
        self.fed
    }

    /// Decompresses the beginning of `input` into `sink`.
    pub(super) fn step(&mut self, input: &[u8], sink: &mut impl Write) -> Result<Step, CodingError> {
        let input = &input[..input.len().min(SLICE)];
        let before = self.members();
        let result = match &mut self.stream {
            Stream::Gzip(gzip) => gzip.step(input, &mut self.buffer),
            Stream::Deflate(deflate) => deflate.step(input, &mut self.buffer),
            Stream::Brotli(brotli) => brotli.step(input, &mut self.buffer),
        };
        let taken = result.as_ref().map_or(input.len(), |step| step.taken);
        self.fed += taken as u64;
        self.turn += taken as u64 * COMPRESSED_BYTE + (self.members() - before) * MEMBER;
        // What came before an error may be all that is searched for.
        self.pass_on(sink)?;
        let step = result.map_err(|error| self.invalid(error))?;
        if self.members() > MAX_EMPTY {
            return Err(CodingError::Members);
        }
        if self.fed > MAX_IDLE + PER_BYTE * self.data {
            return Err(CodingError::Idle(self.coding));
        }
        Ok(step)
    }

    /// Nothing more follows: the body must be complete.
    pub(super) fn end(&mut self, sink: &mut impl Write) -> Result<(), CodingError> {
        let result = match &mut self.stream {
            Stream::Gzip(gzip) => gzip.end(&mut self.buffer),
            Stream::Deflate(deflate) => deflate.end(),
            Stream::Brotli(brotli) => brotli.end(),
        };
        self.pass_on(sink)?;
        result.map_err(|error| self.invalid(error))
    }

    fn invalid(&self, error: io::Error) -> CodingError {
        CodingError::Invalid {
            coding: self.coding,
            error,
        }
    }

    fn members(&self) -> u64 {
        match &self.stream {
            Stream::Gzip(gzip) => gzip.members(),
            Stream::Deflate(_) | Stream::Brotli(_) => 1,
        }
    }

    fn pass_on(&mut self, sink: &mut impl Write) -> Result<(), CodingError> {
        self.data += self.buffer.len() as u64;
        self.turn += self.buffer.len() as u64 * DATA_BYTE;
        let passed = sink.write_all(&self.buffer);
        self.buffer.clear();
        passed.map_err(CodingError::Sink)
    }

    /// Whether the other checks must have a turn now.
    pub(super) fn pauses(&mut self) -> bool {
        let is_over = self.turn >= TURN;
        if is_over {
            self.turn = 0;
        }
        is_over
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it breaks off")
}

/// Decompresses `bytes` in every coding, for the fuzz target.
pub(super) fn fuzz(bytes: &[u8]) {
    struct Nowhere(usize);
    impl Write for Nowhere {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0 += piece.len();
            assert!(self.0 <= super::MAX_BODY + 1024 * SLICE, "more than is read");
            if self.0 > super::MAX_BODY {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(piece.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
        let (mut decoder, mut nowhere) = (Decoder::new(coding), Nowhere(0));
        let (mut rest, mut more) = (bytes, false);
        let result = loop {
            if rest.is_empty() && !more {
                break Ok(());
            }
            match decoder.step(rest, &mut nowhere) {
                Ok(step) => {
                    assert!(step.taken > 0 || step.more || rest.is_empty(), "it stands still");
                    rest = &rest[step.taken..];
                    more = step.more;
                }
                Err(error) => break Err(error),
            }
        };
        let _ = result.and_then(|()| decoder.end(&mut nowhere));
    }
}

#[cfg(test)]
mod tests;
