//! A web server that writes down what it is sent.

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

use super::until;

/// In it one more request would come, if it could.
const MOMENT: Duration = Duration::from_millis(150);

/// How it treats a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Answer(u16),
    /// 200, a moment after as many as this are under way: requests come in
    /// groups of so many. One more that comes in that moment is one too many.
    Together(usize),
    /// Never an answer.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How it was treated.
    pub manner: Manner,
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

pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    manners: Mutex<(VecDeque<Manner>, Manner)>,
    requests: Mutex<Vec<Request>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
    closed: AtomicBool,
}

impl Receiver {
    pub fn new(manner: Manner) -> Self {
        Self::scripted(&[], manner)
    }

    /// The first requests are treated one way each, all others in another.
    pub fn scripted(first: &[Manner], others: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manners: Mutex::new((first.iter().copied().collect(), others)),
            requests: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
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

    /// From now on.
    pub fn set(&self, manner: Manner) {
        *self.shared.manners.lock().unwrap() = (VecDeque::new(), manner);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits for so many requests, and gives all there are.
    pub fn until(&self, count: usize) -> Vec<Request> {
        until(&format!("{count} requests"), || {
            Some(self.requests()).filter(|requests| requests.len() >= count)
        })
    }

    /// How many requests now have no answer yet.
    pub fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at one time.
    pub fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
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
            let manner = {
                let mut manners = self.manners.lock().unwrap();
                let (first, others) = &mut *manners;
                first.pop_front().unwrap_or(*others)
            };
            request.manner = manner;
            let count = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(count, Ordering::SeqCst);
            let position = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request);
                requests.len()
            };
            let status = match manner {
                Manner::Answer(status) => Some(status),
                Manner::Together(size) => {
                    let group_ends = position.div_ceil(size) * size;
                    until("the others of its group", || {
                        (self.requests.lock().unwrap().len() >= group_ends).then_some(())
                    });
                    thread::sleep(MOMENT);
                    Some(200)
                }
                Manner::Hang => {
                    let _ = reader.read(&mut [0]); // until the other side gives up
                    None
                }
                Manner::Close => None,
            };
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let Some(status) = status else { return };
            let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 2\r\n\r\nok");
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// `None` at the end of the connection.
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
        manner: Manner::Hang,
    })
}
