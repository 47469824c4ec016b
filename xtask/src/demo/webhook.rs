//! A webhook receiver that prints and keeps its requests.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::lab::{loopback, taken};
use crate::{
    fault::Fault,
    request::{self, Request},
};

const PORT: u16 = 18090;

/// A receiver that listens until the process ends.
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

    /// All requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Request>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let request = request::read(&stream);
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

/// Text from outside without control characters, for the terminal.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
