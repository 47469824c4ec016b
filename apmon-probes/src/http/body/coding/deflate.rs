//! deflate: in its zlib form (RFC 1950), as HTTP defines it, or bare (RFC 1951), as
//! many servers send it.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Step, cut_off};

/// How much data a step yields.
const PIECE: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) enum Deflate {
    /// Nothing has come yet.
    #[default]
    Begin,
    /// The first byte has come.
    First(u8),
    Stream(Decompress),
    Ended,
}

impl Deflate {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<Step> {
        let step = |taken, more| Ok(Step { taken, more });
        match self {
            Self::Begin => {
                if let Some(first) = input.first() {
                    *self = Self::First(*first);
                }
                step(input.len().min(1), false)
            }
            Self::First(first) => {
                let Some(second) = input.first() else {
                    return step(0, false);
                };
                // CM, CINFO and FCHECK of RFC 1950 section 2.2.
                let header = u16::from_be_bytes([*first, *second]);
                let is_zlib = *first & 15 == 8 && *first >> 4 <= 7 && header.is_multiple_of(31);
                let mut stream = Decompress::new(is_zlib);
                let first = [*first];
                out.reserve(PIECE);
                stream.decompress_vec(&first, out, FlushDecompress::None)?;
                *self = Self::Stream(stream);
                step(0, true)
            }
            Self::Stream(stream) => {
                out.reserve(PIECE);
                let before = stream.total_in();
                let status = stream.decompress_vec(input, out, FlushDecompress::None)?;
                let taken = usize::try_from(stream.total_in() - before).unwrap_or(input.len());
                // It may hold back data that had no room, or that it had already found.
                let more = !out.is_empty();
                if status == Status::StreamEnd {
                    *self = Self::Ended;
                    return step(input.len(), false);
                }
                if taken == 0 && !more && !input.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it stands still"));
                }
                step(taken, more)
            }
            // What follows belongs to nothing.
            Self::Ended => step(input.len(), false),
        }
    }

    pub(super) fn end(&self) -> io::Result<()> {
        match self {
            Self::Begin | Self::Ended => Ok(()),
            Self::First(_) | Self::Stream(_) => Err(cut_off()),
        }
    }
}
