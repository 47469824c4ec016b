//! An HTTP server that records requests and answers as configured.

#![allow(dead_code)] // not every test file uses everything

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A request that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub request_line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }
}

pub struct Server {
    pub port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

/// How the server treats a connection.
#[derive(Clone)]
pub enum Behaviour {
    /// Sends this text once the request has arrived.
    Answers(String),
    /// Sends this text and then never stops.
    Endless(String),
    /// Sends this text for each request of the connection.
    AnswersAll(String),
    /// Sends this text over and over.
    Repeats(String),
    /// Reads the request and sends nothing.
    Silent,
    /// Closes after the request.
    Closes,
}

impl Server {
    /// Starts a server that treats each connection with the next of `behaviours`, and
    /// all further ones with the last.
    pub fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (stream, log) = (stream.unwrap(), Arc::clone(&log));
                let behaviour = behaviours[n.min(behaviours.len() - 1)].clone();
                thread::spawn(move || serve(stream, &behaviour, &log));
            }
        });
        Self { port, received }
    }

    pub fn answering(status: &str) -> Self {
        Self::start(vec![answer(status, "")])
    }

    pub fn url(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}{rest}", self.port)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// A port on which nothing listens, as long as the socket is held.
pub fn unused_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// An answer without a body; each of `headers` ends in CRLF.
pub fn answer(status: &str, headers: &str) -> Behaviour {
    Behaviour::Answers(format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n"
    ))
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour, log: &Mutex<Vec<Received>>) {
    let Some(received) = read(&mut stream) else { return };
    log.lock().unwrap().push(received);
    match behaviour {
        Behaviour::Answers(text) => {
            let _ = stream.write_all(text.as_bytes());
        }
        Behaviour::Endless(head) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
        Behaviour::AnswersAll(text) => {
            while stream.write_all(text.as_bytes()).is_ok()
                && let Some(received) = read(&mut stream)
            {
                log.lock().unwrap().push(received);
            }
        }
        Behaviour::Repeats(text) => {
            let text = text.repeat(1000);
            while stream.write_all(text.as_bytes()).is_ok() {}
        }
        Behaviour::Silent => thread::sleep(Duration::from_secs(60)),
        Behaviour::Closes => {}
    }
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let request_line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    let length: usize = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => body.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
    Some(Received {
        request_line,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
