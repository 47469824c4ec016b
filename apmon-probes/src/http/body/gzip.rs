//! Decompresses gzip (RFC 1952), within a budget: what holds no data costs work
//! too.

use std::io::{self, Write};

use flate2::write::GzDecoder;

use crate::budget::MAX_EMPTY;

/// How much is fed at once. It stands for at most a quarter of a megabyte.
pub(super) const SLICE: usize = 256;

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

/// Why a body is not decompressed any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum GzipError {
    #[error("the body is not valid gzip: {0}")]
    Io(#[from] io::Error),
    #[error("the body consists of more than {MAX_EMPTY} gzip members")]
    Members,
    #[error("the body has more than {MAX_IDLE} bytes of gzip that hold no data")]
    Idle,
}

/// A decompressor of members that follow each other.
#[derive(Debug)]
pub(super) struct Gunzip {
    member: GzDecoder<Vec<u8>>,
    members: u64,
    fed: u64,
    data: u64,
    /// The work since the last pause.
    turn: u64,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            member: GzDecoder::new(Vec::new()),
            members: 1,
            fed: 0,
            data: 0,
            turn: 0,
        }
    }

    /// Decompresses the next slice into `sink`.
    pub(super) fn feed(&mut self, slice: &[u8], sink: &mut impl Write) -> Result<(), GzipError> {
        self.fed += slice.len() as u64;
        self.turn += slice.len() as u64 * COMPRESSED_BYTE;
        let result = self.decompress(slice, sink);
        // What came before an error may be all that is searched for.
        self.pass_on(sink)?;
        result?;
        if self.fed > MAX_IDLE + PER_BYTE * self.data {
            return Err(GzipError::Idle);
        }
        Ok(())
    }

    fn decompress(&mut self, mut slice: &[u8], sink: &mut impl Write) -> Result<(), GzipError> {
        while !slice.is_empty() {
            match self.member.write(slice)? {
                // The member is complete, and the rest belongs to the next one.
                0 => {
                    self.end(sink)?;
                    self.members += 1;
                    self.turn += MEMBER;
                    if self.members > MAX_EMPTY {
                        return Err(GzipError::Members);
                    }
                    self.member = GzDecoder::new(Vec::new());
                }
                taken => slice = &slice[taken..],
            }
        }
        Ok(self.member.flush()?)
    }

    /// Nothing more of this member follows: it must be complete.
    pub(super) fn end(&mut self, sink: &mut impl Write) -> Result<(), GzipError> {
        let finished = self.member.try_finish();
        self.pass_on(sink)?;
        Ok(finished?)
    }

    fn pass_on(&mut self, sink: &mut impl Write) -> io::Result<()> {
        let data = self.member.get_mut();
        self.data += data.len() as u64;
        self.turn += data.len() as u64 * DATA_BYTE;
        let passed = sink.write_all(data);
        data.clear();
        passed
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

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn member(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Feeds until the end or an error; returns the data, the error and the number of pauses.
    fn gunzip(bytes: &[u8]) -> (Vec<u8>, Option<String>, usize) {
        let (mut gunzip, mut data, mut pauses) = (Gunzip::new(), Vec::new(), 0);
        for slice in bytes.chunks(SLICE) {
            if let Err(error) = gunzip.feed(slice, &mut data) {
                return (data, Some(error.to_string()), pauses);
            }
            pauses += usize::from(gunzip.pauses());
        }
        let end = gunzip.end(&mut data).err().map(|error| error.to_string());
        (data, end, pauses)
    }

    #[test]
    fn members_that_follow_each_other_are_one_body() {
        let bytes = [member(b"hay"), member(b""), member(b" and needle")].concat();
        for cut in 1..bytes.len() {
            let (mut gunzip, mut data) = (Gunzip::new(), Vec::new());
            gunzip.feed(&bytes[..cut], &mut data).unwrap();
            gunzip.feed(&bytes[cut..], &mut data).unwrap();
            gunzip.end(&mut data).unwrap();
            assert_eq!(data, b"hay and needle", "cut at {cut}");
        }
    }

    #[test]
    fn ten_thousand_members_are_read_and_no_more() {
        let empty = member(b"");
        let (_, error, pauses) = gunzip(&empty.repeat(MAX_EMPTY as usize));
        assert_eq!(error, None);
        assert!(pauses >= MAX_EMPTY as usize / 50, "{pauses}");
        let (_, error, _) = gunzip(&empty.repeat(MAX_EMPTY as usize + 1));
        let expected = "the body consists of more than 10000 gzip members";
        assert_eq!(error.as_deref(), Some(expected));
    }

    /// Stored blocks of no bytes (RFC 1951 section 3.2.4).
    #[test]
    fn a_member_that_never_holds_data_ends_the_check() {
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        let header = bytes.len();
        bytes.extend([0, 0, 0, 0xff, 0xff].repeat((MAX_IDLE as usize - header) / 5));
        let (_, error, pauses) = gunzip(&bytes);
        assert!(error.is_some_and(|error| error.starts_with("the body is not valid gzip: ")));
        assert!(pauses > 400, "{pauses}");
        bytes.extend([0, 0, 0, 0xff, 0xff].repeat(SLICE));
        let (_, error, _) = gunzip(&bytes);
        let expected = "the body has more than 1048576 bytes of gzip that hold no data";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn a_page_that_is_flushed_after_each_letter_is_read() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for letter in b"letter by letter ".iter().cycle().take(500_000) {
            encoder.write_all(&[*letter]).unwrap();
            encoder.flush().unwrap();
        }
        let (data, error, _) = gunzip(&encoder.finish().unwrap());
        assert_eq!((data.len(), error), (500_000, None));
    }

    #[test]
    fn much_data_of_few_bytes_pauses_often() {
        let (data, error, pauses) = gunzip(&member(&vec![b'x'; 4 << 20]));
        assert_eq!((data.len(), error), (4 << 20, None));
        assert!(pauses >= 8, "{pauses}");
    }
}
