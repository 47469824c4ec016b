//! Reads the request of a webhook.

use std::io::{BufRead, BufReader, Read};

/// More than any message needs.
const MOST_BYTES: u64 = 64 * 1024;

/// The parts of a request that a webhook receiver needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
}

/// Reads a request from a connection.
pub(crate) fn read(stream: impl Read) -> Option<Request> {
    read_from(&mut BufReader::new(stream.take(MOST_BYTES)))
}

/// Reads one HTTP/1.1 request with a `Content-Length`.
fn read_from(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut key, mut length) = (None, 0);
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("idempotency-key") {
            key = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).ok()?;
    if (body.len() as u64) < length {
        return None;
    }
    Some(Request {
        method,
        path,
        key,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_key_and_body() {
        let bytes =
            b"POST /hook HTTP/1.1\r\nHost: x\r\nidempotency-key: k1\r\nContent-Length: 4\r\n\r\nbodyrest";
        let request = read_from(&mut &bytes[..]).unwrap();
        assert_eq!((&*request.method, &*request.path), ("POST", "/hook"));
        assert_eq!((request.key.as_deref(), &*request.body), (Some("k1"), "body"));
    }

    #[test]
    fn an_incomplete_request_is_not_returned() {
        assert_eq!(read_from(&mut &b""[..]), None);
        assert_eq!(
            read_from(&mut &b"POST /hook HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"[..]),
            None
        );
    }
}
