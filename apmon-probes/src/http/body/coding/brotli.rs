//! Brotli (RFC 7932).

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Step, cut_off};

/// How much data a step yields.
const PIECE: usize = 32 * 1024;

/// The largest window, as a power of two: it is held in memory, and no more of a
/// body is searched.
const MAX_WINDOW: u32 = 22;

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

#[derive(Default)]
pub(super) struct Brotli {
    /// `None` before the first byte.
    state: Option<State>,
    has_ended: bool,
}

impl Brotli {
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<Step> {
        let invalid = |words| io::Error::new(io::ErrorKind::InvalidData, words);
        if self.has_ended {
            // What follows belongs to nothing.
            return Ok(Step {
                taken: input.len(),
                more: false,
            });
        }
        let state = match &mut self.state {
            Some(state) => state,
            None => {
                let Some(first) = input.first() else {
                    return Ok(Step {
                        taken: 0,
                        more: false,
                    });
                };
                match window(*first) {
                    Some(..=MAX_WINDOW) => {}
                    Some(bits) => {
                        return Err(invalid(format!(
                            "its window of 2^{bits} bytes is larger than 2^{MAX_WINDOW}"
                        )));
                    }
                    None => return Err(invalid("its window is invalid".to_owned())),
                }
                let new = StandardAlloc::default;
                self.state.insert(BrotliState::new(new(), new(), new()))
            }
        };
        let (mut left, mut read) = (input.len(), 0);
        out.resize(PIECE, 0);
        let (mut room, mut written, mut total) = (PIECE, 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            out,
            &mut total,
            state,
        );
        out.truncate(written);
        let more = match result {
            BrotliResult::NeedsMoreInput => false,
            BrotliResult::NeedsMoreOutput => true,
            BrotliResult::ResultSuccess => {
                self.has_ended = true;
                self.state = None;
                read = input.len();
                false
            }
            BrotliResult::ResultFailure => return Err(invalid("invalid data".to_owned())),
        };
        Ok(Step { taken: read, more })
    }

    pub(super) fn end(&self) -> io::Result<()> {
        match self.has_ended || self.state.is_none() {
            true => Ok(()),
            false => Err(cut_off()),
        }
    }
}

/// The size of the window that the first byte announces, as a power of two (RFC 7932
/// section 9.1).
fn window(first: u8) -> Option<u32> {
    let (low, high) = (u32::from(first >> 1 & 7), u32::from(first >> 4 & 7));
    match (first & 1, low, high) {
        (0, ..) => Some(16),
        (_, 1.., _) => Some(17 + low),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, _) => Some(8 + high),
    }
}
