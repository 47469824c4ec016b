//! A receiver for webhooks that shows and keeps what it gets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::lab::{loopback, taken};
use crate::fault::Fault;

const PORT: u16 = 18090;
/// More than any message has.
const MOST_BYTES: u64 = 64 * 1024;

/// One request, as far as the demo cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) key: Option<String>,
    pub(super) body: String,
}

/// Listens until the process ends.
pub(super) struct Receiver(Arc<Mutex<Vec<Request>>>);

impl Receiver {
    pub(super) fn start() -> Result<Self, Fault> {
        let listener = TcpListener::bind(loopback(PORT)).map_err(|error| taken(PORT, "tcp", &error))?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Ok(Self(requests))
    }

    /// What has come so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Request>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let request = read(&mut BufReader::new((&stream).take(MOST_BYTES)));
    let (status, request) = match request {
        Some(request) => ("200 OK", Some(request)),
        None => ("400 Bad Request", None),
    };
    if let Some(request) = request {
        println!(
            "webhook <- {} {} Idempotency-Key: {} {}",
            shown(&request.method),
            shown(&request.path),
            shown(request.key.as_deref().unwrap_or("(none)")),
            shown(&request.body)
        );
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes());
}

/// Reads one HTTP/1.1 request with a `Content-Length`.
fn read(stream: &mut impl BufRead) -> Option<Request> {
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

/// What came from outside drives no terminal.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_key_and_body() {
        let bytes =
            b"POST /hook HTTP/1.1\r\nHost: x\r\nidempotency-key: k1\r\nContent-Length: 4\r\n\r\nbodyrest";
        let request = read(&mut &bytes[..]).unwrap();
        assert_eq!((&*request.method, &*request.path), ("POST", "/hook"));
        assert_eq!((request.key.as_deref(), &*request.body), (Some("k1"), "body"));
    }

    #[test]
    fn half_a_request_is_none() {
        assert_eq!(read(&mut &b""[..]), None);
        assert_eq!(
            read(&mut &b"POST /hook HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"[..]),
            None
        );
    }
}
