//! A body in chunks (RFC 9112 section 7.1).

use std::collections::VecDeque;

use super::{Oddities, Oddity, Unreadable};

/// The most digits of a size that count.
const MAX_DIGITS: u32 = 16;

/// A body that is arriving in chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    part: Part,
    size: u64,
    /// The number of digits of the size, without zeros before it.
    digits: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Before the first digit of a size.
    Begin,
    Size,
    /// What follows the size in its line.
    Extension,
    Data,
    /// The end of the line that the data ends with.
    DataEnd,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            part: Part::Begin,
            size: 0,
            digits: 0,
        }
    }
}

impl Chunks {
    /// Reads the next bytes and writes their data as one chunk. Returns whether the
    /// body has ended.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        to: &mut VecDeque<u8>,
        oddities: &Oddities,
    ) -> Result<bool, Unreadable> {
        let mut data = Vec::new();
        let result = self.read(bytes, &mut data, oddities);
        // What came before an error may be all that is searched for.
        if !data.is_empty() {
            to.extend(format!("{:x}\r\n", data.len()).as_bytes());
            to.extend(&data);
            to.extend(b"\r\n");
        }
        let has_ended = result?;
        if has_ended {
            to.extend(b"0\r\n\r\n");
        }
        Ok(has_ended)
    }

    fn read(
        &mut self,
        mut bytes: &[u8],
        data: &mut Vec<u8>,
        oddities: &Oddities,
    ) -> Result<bool, Unreadable> {
        while let Some((byte, rest)) = bytes.split_first() {
            match self.part {
                Part::Data => {
                    let length = usize::try_from(self.size).map_or(bytes.len(), |size| size.min(bytes.len()));
                    data.extend_from_slice(&bytes[..length]);
                    bytes = &bytes[length..];
                    self.size -= length as u64;
                    if self.size == 0 {
                        self.part = Part::DataEnd;
                    }
                    continue;
                }
                Part::Begin | Part::Size => match char::from(*byte).to_digit(16) {
                    Some(digit) => {
                        self.part = Part::Size;
                        self.size = self.size << 4 | u64::from(digit);
                        self.digits += u32::from(self.size > 0);
                        if self.digits > MAX_DIGITS {
                            return Err(Unreadable::ChunkSize);
                        }
                    }
                    None if self.part == Part::Begin => {
                        if !matches!(byte, b' ' | b'\t') {
                            return Err(Unreadable::NoChunkSize);
                        }
                        oddities.add(Oddity::Chunk);
                    }
                    None if *byte == b'\n' => {
                        oddities.add(Oddity::LineEnd);
                        self.line_ends();
                    }
                    None => self.part = Part::Extension,
                },
                Part::Extension if *byte == b'\n' => self.line_ends(),
                Part::Extension => {}
                Part::DataEnd => match byte {
                    b'\r' => {}
                    b'\n' => self.part = Part::Begin,
                    _ => return Err(Unreadable::ChunkEnd),
                },
            }
            // The trailer that may follow says nothing that matters.
            if self.part == Part::Data && self.size == 0 {
                return Ok(true);
            }
            bytes = rest;
        }
        Ok(false)
    }

    fn line_ends(&mut self) {
        self.part = Part::Data;
        self.digits = 0;
    }
}
