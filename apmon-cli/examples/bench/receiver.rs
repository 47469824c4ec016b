//! A receiver of webhooks and heartbeats: 200 to everything, and when it came.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use apmon_core::Stopwatch;

/// Path and moment of each request, since `start`.
type Seen = Arc<Mutex<Vec<(String, Duration)>>>;

pub(crate) struct Receiver {
    address: SocketAddr,
    seen: Seen,
}

impl Receiver {
    /// Listens on loopback, on threads of its own.
    pub(crate) fn start(watch: Stopwatch) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Seen::default();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                thread::spawn(move || serve(stream, watch, &seen));
            }
        });
        Ok(Self { address, seen })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<(String, Duration)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Request after request of one connection, until it ends.
fn serve(mut stream: TcpStream, watch: Stopwatch, seen: &Seen) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let at = watch.elapsed();
        let path = line.split(' ').nth(1)?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((path, at));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .ok()?;
    }
}
