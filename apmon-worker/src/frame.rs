//! Frames on a pipe: a length of four bytes, most significant first, then as many bytes.
//!
//! The first frame of a child is the [`GREETING`]; then it sends one frame per request, in the
//! order of the requests. There are no ids: the child has one thread, so order is enough.

use std::io::{self, Read};

/// The most bytes of a request or an answer.
pub const MAX_FRAME: usize = 16 << 20;

/// The first frame of a child, with the version of this protocol: it shows that the program is
/// a worker, and separates a failed start from the failure of a request.
pub(crate) const GREETING: &[u8] = b"apmon-worker 1";

const PREFIX: usize = 4;
/// The memory that a buffer keeps between two frames.
const KEPT: usize = 1 << 20;

/// The length of a frame that exceeds [`MAX_FRAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// Appends a frame to `out`, unless it is too long.
pub(crate) fn append(out: &mut Vec<u8>, body: &[u8]) -> Result<(), TooLong> {
    let length = u32::try_from(body.len()).map_err(|_| TooLong(body.len()))?;
    if body.len() > MAX_FRAME {
        return Err(TooLong(body.len()));
    }
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// The length of the frame of this body.
pub(crate) fn length_of(body: &[u8]) -> usize {
    PREFIX + body.len()
}

/// Empties a buffer, and gives back the memory of a long frame.
pub(crate) fn reset(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}

fn length(prefix: [u8; PREFIX]) -> Result<usize, TooLong> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(TooLong(length));
    }
    Ok(length)
}

/// Reads the next frame into `body`; `false` at the end of the input, also within a frame: the
/// other side has gone.
pub(crate) fn read(input: &mut impl Read, body: &mut Vec<u8>) -> io::Result<bool> {
    reset(body);
    let mut prefix = [0; PREFIX];
    match input.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        result => result?,
    }
    let length = length(prefix).map_err(|TooLong(length)| {
        let text = format!("a request of {length} bytes is longer than {MAX_FRAME} bytes");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    // Memory grows with what arrives, not with what is announced.
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    Ok(input.by_ref().take(wanted).read_to_end(body)? == length)
}

/// Cuts received bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// The frames before this have been taken.
    taken: usize,
}

impl Decoder {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.taken == self.buffer.len() {
            reset(&mut self.buffer);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next frame, if it is complete. The length is checked before the frame has
    /// arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = &self.buffer[self.taken..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = length(*prefix)?;
        let Some(body) = rest.get(..length) else {
            // Bytes that were taken do not pile up behind a long frame.
            self.buffer.drain(..std::mem::take(&mut self.taken));
            return Ok(None);
        };
        let body = body.to_vec();
        self.taken += PREFIX + length;
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Option<TooLong>) {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for chunk in bytes.chunks(chunk) {
            decoder.push(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
        (frames, None)
    }

    proptest! {
        #[test]
        fn frames_arrive_as_they_were_sent(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            chunk in 1_usize..700,
        ) {
            let mut sent = Vec::new();
            for body in &bodies {
                append(&mut sent, body).unwrap();
            }
            prop_assert_eq!(decode(&sent, chunk), (bodies.clone(), None));
            let mut input = sent.as_slice();
            let mut body = Vec::new();
            for expected in &bodies {
                prop_assert!(read(&mut input, &mut body).unwrap());
                prop_assert_eq!(&body, expected);
            }
            prop_assert!(!read(&mut input, &mut body).unwrap());
        }

        #[test]
        fn any_bytes_give_the_same_frames_in_any_pieces(
            mut bytes in prop::collection::vec(any::<u8>(), 0..2_000),
            chunk in 1_usize..700,
            short in any::<bool>(),
        ) {
            if short && let Some(high) = bytes.first_chunk_mut::<3>() {
                *high = [0; 3];
            }
            prop_assert_eq!(decode(&bytes, chunk), decode(&bytes, usize::MAX));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length_alone() {
        let longest = u32::try_from(MAX_FRAME).unwrap();
        assert_eq!(decode(&longest.to_be_bytes(), 4), (vec![], None));
        let too_long = (longest + 1).to_be_bytes();
        assert_eq!(decode(&too_long, 1), (vec![], Some(TooLong(MAX_FRAME + 1))));
        let error = read(&mut too_long.as_slice(), &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a request of 16777217 bytes is longer than 16777216 bytes"
        );
        let mut out = Vec::new();
        assert_eq!(
            append(&mut out, &vec![0; MAX_FRAME + 1]),
            Err(TooLong(MAX_FRAME + 1))
        );
        assert_eq!(out, []);
    }

    #[test]
    fn input_that_ends_within_a_frame_is_its_end() {
        for bytes in [&[][..], &[0, 0], &[0, 0, 0, 2, 7]] {
            assert!(!read(&mut &bytes[..], &mut Vec::new()).unwrap(), "{bytes:?}");
        }
    }
}
