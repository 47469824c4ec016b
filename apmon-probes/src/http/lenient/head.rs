//! The head of an answer: the status line and the header lines.

use std::{borrow::Cow, collections::VecDeque};

use apmon_core::text::excerpt;

use super::{MAX_HEAD, MAX_HEADERS, Oddities, Oddity, Unreadable};

/// How an answer begins.
const BEGIN: &[u8] = b"HTTP/";

/// How many bytes of an answer that is not HTTP are shown.
const SHOWN: usize = 60;

/// A head that is arriving.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Whether the line has no bytes so far, except a carriage return.
    line_has_bytes: bool,
}

/// Where the body of an answer ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is none.
    None,
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// A head that was read.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// HTTP/1.0 or HTTP/1.1.
    minor: u8,
    code: u16,
    reason: Cow<'a, [u8]>,
    headers: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    pub(super) framing: Framing,
}

impl Head {
    /// Reads the next bytes. Returns how many of them belong to the head if it ends in them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unreadable> {
        for (at, byte) in bytes.iter().enumerate() {
            // Empty lines before a head are skipped (RFC 9112 section 2.2).
            if self.bytes.is_empty() && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            if self.bytes.len() == MAX_HEAD {
                return Err(Unreadable::HeadTooLong);
            }
            self.bytes.push(*byte);
            if self.bytes.len() <= BEGIN.len() && !self.begins_well() {
                return Err(self.no_http(&bytes[at + 1..]));
            }
            match byte {
                b'\n' if !self.line_has_bytes => return Ok(Some(at + 1)),
                b'\n' => self.line_has_bytes = false,
                b'\r' => {}
                _ => self.line_has_bytes = true,
            }
        }
        Ok(None)
    }

    /// The connection has ended. Returns whether what has come is a head: at least a status line.
    /// A line that was cut is left out, as curl does: half a value is another one.
    pub(super) fn end(&mut self) -> Result<bool, Unreadable> {
        match self.bytes.len() {
            0 => return Ok(false),
            length if length < BEGIN.len() => return Err(self.no_http(b"")),
            _ => {}
        }
        let Some(end) = self.bytes.iter().rposition(|byte| *byte == b'\n') else {
            let shown = excerpt(&String::from_utf8_lossy(&self.bytes), SHOWN);
            return Err(Unreadable::CutStatusLine(shown));
        };
        self.bytes.truncate(end + 1);
        Ok(true)
    }

    fn begins_well(&self) -> bool {
        self.bytes.eq_ignore_ascii_case(&BEGIN[..self.bytes.len()])
    }

    fn no_http(&self, rest: &[u8]) -> Unreadable {
        let rest = &rest[..rest.len().min(SHOWN)];
        let bytes = [&*self.bytes, rest].concat();
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().unwrap_or_default();
        Unreadable::NotHttp(excerpt(line, SHOWN))
    }

    /// Reads the head, which is complete.
    pub(super) fn parse(&self, oddities: &Oddities) -> Result<Message<'_>, Unreadable> {
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| {
            let end = line
                .iter()
                .rposition(|byte| *byte != b'\r')
                .map_or(0, |at| at + 1);
            if end == line.len() {
                oddities.add(Oddity::LineEnd);
            }
            &line[..end]
        });
        let first = lines.next().unwrap_or_default();
        let (minor, code, reason) = status_line(first, oddities)?;
        let mut headers = Vec::new();
        let mut is_dropped = false;
        for line in lines {
            if line.contains(&0) {
                return Err(Unreadable::Nul);
            }
            let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
            if is_folded && (is_dropped || !headers.is_empty()) {
                oddities.add(Oddity::Folded);
                if let Some((_, value)) = headers.last_mut().filter(|_| !is_dropped) {
                    unfold(value, line, oddities);
                }
                continue;
            }
            match header(line, oddities) {
                Some(header) => {
                    headers.push(header);
                    is_dropped = false;
                }
                None => is_dropped = true,
            }
        }
        let framing = framing(code, &headers, oddities)?;
        headers.retain(|(name, _)| !decides_framing(name));
        if headers.len() > MAX_HEADERS {
            oddities.add(Oddity::TooMany);
            headers.truncate(MAX_HEADERS);
        }
        if framing == Framing::Chunked && minor == 0 {
            oddities.add(Oddity::Version);
        }
        Ok(Message {
            minor,
            code,
            reason,
            headers,
            framing,
        })
    }
}

/// Reads `HTTP/1.1 200 OK`: the minor version, the status, the reason.
fn status_line<'a>(line: &'a [u8], oddities: &Oddities) -> Result<(u8, u16, Cow<'a, [u8]>), Unreadable> {
    let wrong = || Unreadable::StatusLine(excerpt(&String::from_utf8_lossy(line), SHOWN));
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let at = line.iter().position(blank).ok_or_else(wrong)?;
    let version = &line[..at];
    let rest = line[at..].trim_ascii_start();
    let (code, reason) = rest.split_at_checked(3).ok_or_else(wrong)?;
    if !code.iter().all(u8::is_ascii_digit)
        || code[0] == b'0'
        || reason.first().is_some_and(u8::is_ascii_digit)
    {
        return Err(wrong());
    }
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => {
            oddities.add(Oddity::StatusLine);
            u8::from(!version.to_ascii_uppercase().starts_with(b"HTTP/1.0"))
        }
    };
    if line[at..].len() != rest.len() + 1 || reason.first().is_some_and(|byte| *byte != b' ') {
        oddities.add(Oddity::StatusLine);
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let reason = reason.strip_prefix(b" ").unwrap_or(reason);
    Ok((minor, code, clean(reason, oddities)))
}

/// Reads `Name: value`; `None` if it is not a header.
fn header<'a>(line: &'a [u8], oddities: &Oddities) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
    if line.is_empty() {
        return None; // the end, or nothing at all
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let name = colon.map(|colon| line[..colon].trim_ascii());
    match (colon, name) {
        (Some(colon), Some(name)) if is_token(name) => {
            if name.len() < colon {
                oddities.add(Oddity::BlankBeforeColon);
            }
            let value = clean(&line[colon + 1..], oddities);
            Some((name, trimmed(value)))
        }
        _ => {
            oddities.add(Oddity::NoHeader);
            None
        }
    }
}

/// Whether it is a name that HTTP knows (RFC 9110 section 5.6.2).
fn is_token(name: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token)
}

/// The bytes with a blank for each control character.
fn clean<'a>(bytes: &'a [u8], oddities: &Oddities) -> Cow<'a, [u8]> {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if !bytes.iter().any(is_control) {
        return Cow::Borrowed(bytes);
    }
    oddities.add(Oddity::Control);
    let mut bytes = bytes.to_vec();
    for byte in &mut bytes {
        if is_control(byte) {
            *byte = b' ';
        }
    }
    Cow::Owned(bytes)
}

fn trimmed(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match value {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.trim_ascii()),
        Cow::Owned(bytes) => Cow::Owned(bytes.trim_ascii().to_vec()),
    }
}

/// Adds a folded line to a value (RFC 9112 section 5.2).
fn unfold(value: &mut Cow<'_, [u8]>, line: &[u8], oddities: &Oddities) {
    let more = clean(line, oddities);
    let more = more.trim_ascii();
    if !more.is_empty() {
        let value = value.to_mut();
        if !value.is_empty() {
            value.push(b' ');
        }
        value.extend_from_slice(more);
    }
}

fn decides_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Finds out where the body ends.
fn framing(
    code: u16,
    headers: &[(&[u8], Cow<'_, [u8]>)],
    oddities: &Oddities,
) -> Result<Framing, Unreadable> {
    if matches!(code, 100..=199 | 204 | 304) {
        return Ok(Framing::None);
    }
    let values = |wanted: &'static [u8]| {
        headers
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
            .flat_map(|(_, value)| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    };
    // `identity` changes nothing.
    let mut codings = values(b"transfer-encoding")
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    if let Some(first) = codings.next() {
        let last = codings.next_back().unwrap_or(first);
        return Ok(match last.eq_ignore_ascii_case(b"chunked") {
            true => Framing::Chunked,
            false => Framing::Close,
        });
    }
    let mut length = None;
    for value in values(b"content-length") {
        let found = content_length(value, oddities)?;
        match length {
            None => length = Some(found),
            Some(length) if length == found => {}
            // They contradict each other: the end of the connection decides.
            Some(_) => {
                oddities.add(Oddity::Length);
                return Ok(Framing::Close);
            }
        }
    }
    Ok(length.flatten().map_or(Framing::Close, Framing::Length))
}

/// Reads a length; `None` if no body is that long.
fn content_length(value: &[u8], oddities: &Oddities) -> Result<Option<u64>, Unreadable> {
    let text = value.strip_prefix(b"+").unwrap_or(value);
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    if end == 0 {
        let shown = excerpt(&String::from_utf8_lossy(value), 40);
        return Err(Unreadable::Length(shown));
    }
    if end < value.len() {
        oddities.add(Oddity::Length);
    }
    let length = text[..end].iter().try_fold(0_u64, |length, digit| {
        length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    // hyper takes the largest numbers for something else.
    let length = length.filter(|length| *length < u64::MAX - 2);
    if length.is_none() {
        oddities.add(Oddity::Length);
    }
    Ok(length)
}

impl Message<'_> {
    /// Whether another head follows (RFC 9110 section 15.2). 101 ends HTTP.
    pub(super) fn is_interim(&self) -> bool {
        matches!(self.code, 100 | 102..=199)
    }

    /// Writes the head anew.
    pub(super) fn write(&self, to: &mut VecDeque<u8>) {
        let minor = match self.framing {
            Framing::Chunked => 1,
            _ => self.minor,
        };
        to.extend(format!("HTTP/1.{minor} {} ", self.code).as_bytes());
        to.extend(self.reason.iter());
        for (name, value) in &self.headers {
            to.extend(b"\r\n");
            to.extend(*name);
            to.extend(b": ");
            to.extend(value.iter());
        }
        match self.framing {
            Framing::Length(length) => to.extend(format!("\r\nContent-Length: {length}").as_bytes()),
            Framing::Chunked => to.extend(b"\r\nTransfer-Encoding: chunked"),
            Framing::None | Framing::Close => {}
        }
        to.extend(b"\r\n\r\n");
    }
}
