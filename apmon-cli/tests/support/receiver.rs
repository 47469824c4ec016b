//! A web server that records the requests it receives.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::wait_until;

/// How long to wait for one request too many.
const GRACE: Duration = Duration::from_millis(150);

/// What the receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    Answer(u16),
    /// Answers with this status, and repeats the request in the headers and the body.
    Echo(u16),
    /// Answers 200 once a group of this many requests is in progress, and [`GRACE`] has
    /// passed in which no other may arrive.
    Together(usize),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// A request received.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// What the receiver did with it.
    pub behaviour: Behaviour,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(found.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub fn key(&self) -> &str {
        self.header("idempotency-key")
    }
}

impl Request {
    /// Headers and a body that repeat the request.
    fn repeated(&self) -> (String, String) {
        let all = self.headers.iter();
        let lines: Vec<_> = all.map(|(name, value)| format!("{name}: {value}")).collect();
        let text = format!("{} {} {} {}", self.method, self.path, self.body, lines.join(" "));
        (format!("Server: {text}\r\nContent-Type: {text}\r\n"), text)
    }
}

pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    behaviours: Mutex<(VecDeque<Behaviour>, Behaviour)>,
    requests: Mutex<Vec<Request>>,
    in_progress: AtomicUsize,
    max_concurrent: AtomicUsize,
    closed: AtomicBool,
}

impl Receiver {
    pub fn new(behaviour: Behaviour) -> Self {
        Self::scripted(&[], behaviour)
    }

    /// A receiver with a behaviour for each of the first requests, and one for all
    /// others.
    pub fn scripted(first: &[Behaviour], others: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            behaviours: Mutex::new((first.iter().copied().collect(), others)),
            requests: Mutex::default(),
            in_progress: AtomicUsize::new(0),
            max_concurrent: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let receiving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if receiving.closed.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&receiving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { port, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sets the behaviour for all further requests.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviours.lock().unwrap() = (VecDeque::new(), behaviour);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits for `count` requests, and returns all received.
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests"), || {
            Some(self.requests()).filter(|requests| requests.len() >= count)
        })
    }

    /// The number of requests not answered yet.
    pub fn in_progress(&self) -> usize {
        self.shared.in_progress.load(Ordering::SeqCst)
    }

    /// The highest number of requests in progress at the same time.
    pub fn max_concurrent(&self) -> usize {
        self.shared.max_concurrent.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the listener
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(mut request) = read(&mut reader) {
            let behaviour = {
                let mut behaviours = self.behaviours.lock().unwrap();
                let (first, others) = &mut *behaviours;
                first.pop_front().unwrap_or(*others)
            };
            request.behaviour = behaviour;
            let count = self.in_progress.fetch_add(1, Ordering::SeqCst) + 1;
            self.max_concurrent.fetch_max(count, Ordering::SeqCst);
            let position = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request);
                requests.len()
            };
            let echo = match behaviour {
                Behaviour::Echo(_) => self.requests.lock().unwrap()[position - 1].repeated(),
                _ => (String::new(), "ok".to_owned()),
            };
            let status = match behaviour {
                Behaviour::Answer(status) | Behaviour::Echo(status) => Some(status),
                Behaviour::Together(size) => {
                    let group_ends = position.div_ceil(size) * size;
                    wait_until("the rest of the group", || {
                        (self.requests.lock().unwrap().len() >= group_ends).then_some(())
                    });
                    thread::sleep(GRACE);
                    Some(200)
                }
                Behaviour::Hang => {
                    let _ = reader.read(&mut [0]); // until the client gives up
                    None
                }
                Behaviour::Close => None,
            };
            self.in_progress.fetch_sub(1, Ordering::SeqCst);
            let Some(status) = status else { return };
            let (headers, body) = echo;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Reads a request; `None` at the end of the connection.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
        behaviour: Behaviour::Hang,
    })
}
