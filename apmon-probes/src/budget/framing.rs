//! Counts frames in a stream of bytes that is cut anywhere. It parses no more than
//! it must to find where frames end: what they mean is for their library.

use super::Passed;

/// How a stream is divided.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Not at all.
    Plain,
    /// TLS records (RFC 8446 section 5.1).
    Tls(Frames<5>),
    /// Heads of HTTP/1.1 (RFC 9112 section 2), until the answer's own.
    Http1(Heads),
    /// Frames of HTTP/2 (RFC 9113 section 4.1).
    Http2 {
        frames: Frames<9>,
        /// Heads after which the stream goes on. The last one is the answer's own.
        heads: u64,
    },
    /// Frames of HTTP/3 (RFC 9114 section 7.1).
    #[cfg(feature = "quic")]
    Http3(Varints),
}

impl Framing {
    pub(crate) fn tls() -> Self {
        Self::Tls(Frames::default())
    }

    pub(crate) fn http1() -> Self {
        Self::Http1(Heads::default())
    }

    pub(crate) fn http2() -> Self {
        let frames = Frames::default();
        Self::Http2 { frames, heads: 0 }
    }

    /// A stream of HTTP/3 that carries an answer.
    #[cfg(feature = "quic")]
    pub(crate) fn http3() -> Self {
        Self::Http3(Varints::new(Expected::Type))
    }

    /// A stream of HTTP/3 that begins with its type (RFC 9114 section 6.2).
    #[cfg(feature = "quic")]
    pub(crate) fn http3_one_way() -> Self {
        Self::Http3(Varints::new(Expected::StreamType))
    }

    /// Reads the next bytes, and returns what begins in them.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Passed {
        let mut passed = Passed::default();
        match self {
            Self::Plain => {}
            Self::Tls(frames) => frames.read(bytes, |header| {
                passed.records += 1;
                usize::from(u16::from_be_bytes([header[3], header[4]]))
            }),
            Self::Http1(heads) => passed.interim = heads.read(bytes),
            Self::Http2 { frames, heads } => frames.read(bytes, |header| {
                const DATA: u8 = 0;
                const HEADERS: u8 = 1;
                const END_STREAM: u8 = 1;
                const PADDED: u8 = 8;
                // So much of it may be padding, with its length.
                const MAX_PADDING: usize = 256;
                let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                let (kind, flags) = (header[3], header[4]);
                passed.frames += 1;
                let overhead = if flags & PADDED != 0 { MAX_PADDING } else { 0 };
                passed.empty += u64::from(kind != DATA || length <= overhead);
                if kind == HEADERS && flags & END_STREAM == 0 {
                    passed.interim += u64::from(*heads > 0);
                    *heads += 1;
                }
                length
            }),
            #[cfg(feature = "quic")]
            Self::Http3(varints) => varints.read(bytes, &mut passed),
        }
        passed
    }
}

/// Frames with a header of `N` bytes, which holds their length.
#[derive(Debug)]
pub(crate) struct Frames<const N: usize> {
    header: [u8; N],
    filled: usize,
    /// What is left of the payload.
    left: usize,
}

impl<const N: usize> Default for Frames<N> {
    fn default() -> Self {
        Self {
            header: [0; N],
            filled: 0,
            left: 0,
        }
    }
}

impl<const N: usize> Frames<N> {
    /// Reads the next bytes. `begins` gets each header and returns the length of
    /// what follows it.
    fn read(&mut self, mut bytes: &[u8], mut begins: impl FnMut(&[u8; N]) -> usize) {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (N - self.filled).min(bytes.len());
            self.header[self.filled..][..taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == N {
                self.filled = 0;
                self.left = begins(&self.header);
            }
        }
    }
}

/// The beginning of a status line: `HTTP/1.1 100`.
const STATUS: usize = 12;

/// The heads of HTTP/1.1 up to the answer's own.
#[derive(Debug)]
pub(crate) struct Heads {
    status: [u8; STATUS],
    /// The number of bytes read of `status`.
    filled: usize,
    /// Whether the line has no bytes so far.
    line_is_empty: bool,
    is_done: bool,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            status: [0; STATUS],
            filled: 0,
            line_is_empty: true,
            is_done: false,
        }
    }
}

impl Heads {
    /// Reads the next bytes, and returns how many interim heads begin in them.
    fn read(&mut self, bytes: &[u8]) -> u64 {
        let mut interim = 0;
        for byte in bytes {
            if self.is_done {
                break;
            }
            if self.filled < STATUS {
                // Parsers skip empty lines before a head.
                if self.filled == 0 && matches!(byte, b'\r' | b'\n') {
                    continue;
                }
                self.status[self.filled] = *byte;
                self.filled += 1;
                if self.filled == STATUS {
                    let is_interim = self.status.starts_with(b"HTTP/1.") && self.status[9] == b'1';
                    // 101 ends HTTP.
                    self.is_done = !is_interim || self.status.ends_with(b"101");
                    interim += u64::from(!self.is_done);
                    self.line_is_empty = false;
                }
                continue;
            }
            match byte {
                b'\r' => {}
                b'\n' if self.line_is_empty => self.filled = 0,
                b'\n' => self.line_is_empty = true,
                _ => self.line_is_empty = false,
            }
        }
        interim
    }
}

/// Frames whose type and length are integers of variable length (RFC 9000 section
/// 16).
#[cfg(feature = "quic")]
#[derive(Debug)]
pub(crate) struct Varints {
    expected: Expected,
    value: u64,
    /// What is left of the integer.
    digits: u32,
    /// What is left of the payload.
    left: u64,
}

/// What the next integer is.
#[cfg(feature = "quic")]
#[derive(Clone, Copy, Debug)]
enum Expected {
    StreamType,
    Type,
    /// The length of a frame of this type.
    Length(u64),
    /// There are no frames in this stream.
    Nothing,
}

#[cfg(feature = "quic")]
impl Varints {
    fn new(expected: Expected) -> Self {
        Self {
            expected,
            value: 0,
            digits: 0,
            left: 0,
        }
    }

    fn read(&mut self, mut bytes: &[u8], passed: &mut Passed) {
        const CONTROL: u64 = 0;
        const DATA: u64 = 0;
        loop {
            let skipped = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            if matches!(self.expected, Expected::Nothing) {
                return;
            }
            bytes = rest;
            if self.digits == 0 {
                self.digits = 1 << (byte >> 6);
                self.value = u64::from(byte & 0x3f);
            } else {
                self.value = self.value << 8 | u64::from(*byte);
            }
            self.digits -= 1;
            if self.digits > 0 {
                continue;
            }
            self.expected = match self.expected {
                Expected::StreamType if self.value == CONTROL => Expected::Type,
                Expected::StreamType | Expected::Nothing => Expected::Nothing,
                Expected::Type => Expected::Length(self.value),
                Expected::Length(kind) => {
                    passed.frames += 1;
                    passed.empty += u64::from(kind != DATA || self.value == 0);
                    self.left = self.value;
                    Expected::Type
                }
            };
        }
    }
}
