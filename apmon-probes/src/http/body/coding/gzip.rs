//! gzip (RFC 1952): members that follow each other.

use std::io::{self, Write as _};

use flate2::write::GzDecoder;

use super::Step;

#[derive(Debug)]
pub(super) struct Gunzip {
    member: GzDecoder<Vec<u8>>,
    members: u64,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self {
            member: GzDecoder::new(Vec::new()),
            members: 1,
        }
    }
}

impl Gunzip {
    pub(super) fn members(&self) -> u64 {
        self.members
    }

    /// Decompresses the beginning of `input`, at most up to the end of a member.
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<Step> {
        let result = self.member.write(input);
        let result = result.and_then(|taken| match taken {
            // The member is complete, and the rest belongs to the next one.
            0 if !input.is_empty() => {
                self.member.try_finish()?;
                Ok(None)
            }
            taken => self.member.flush().map(|()| Some(taken)),
        });
        out.append(self.member.get_mut());
        let step = |taken, more| Step { taken, more };
        Ok(match result? {
            Some(taken) => step(taken, false),
            None => {
                self.members += 1;
                self.member = GzDecoder::new(Vec::new());
                step(0, true)
            }
        })
    }

    /// Nothing more of this member follows: it must be complete.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let finished = self.member.try_finish();
        out.append(self.member.get_mut());
        finished
    }
}
