//! A receiver of webhooks that can have every trouble there is.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    daemon::Kin,
    plan::{Moment, Trouble},
    record::{Receipt, Told, read_sentence},
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    request::{self, Request},
    stopwatch::Stopwatch,
};

const CHECK_EVERY: Duration = Duration::from_millis(2);
/// Longer than apmon waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came to the receivers, each try.
pub(super) type Book = Arc<Mutex<Vec<Receipt>>>;

pub(super) struct Hook(Arc<Shared>);

struct Shared {
    channel: usize,
    id: String,
    address: (Ipv4Addr, u16),
    listener: Mutex<Option<TcpListener>>,
    trouble: Mutex<Option<Trouble>>,
    book: Book,
    kin: Arc<Kin>,
    clock: Stopwatch,
}

impl Hook {
    pub(super) fn open(
        (channel, of): (usize, &Channel),
        address: (Ipv4Addr, u16),
        book: Book,
        kin: Arc<Kin>,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let shared = Arc::new(Shared {
            channel,
            id: of.id.clone(),
            address,
            listener: Mutex::new(Some(listen(address)?)),
            trouble: Mutex::default(),
            book,
            kin,
            clock,
        });
        let weak = Arc::downgrade(&shared);
        thread::spawn(move || {
            while let Some(shared) = weak.upgrade() {
                Shared::accept(&shared);
                drop(shared);
                thread::sleep(CHECK_EVERY);
            }
        });
        Ok(Self(shared))
    }

    pub(super) fn set(&self, trouble: Option<Trouble>) -> Result<(), Fault> {
        *lock(&self.0.trouble) = trouble;
        let mut listener = lock(&self.0.listener);
        match (trouble == Some(Trouble::Down), listener.is_some()) {
            (true, _) => *listener = None,
            (false, false) => *listener = Some(listen(self.0.address)?),
            (false, true) => {}
        }
        Ok(())
    }
}

impl Shared {
    fn accept(shared: &Arc<Self>) {
        let listener = lock(&shared.listener);
        while let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) {
            let shared = Arc::clone(shared);
            thread::spawn(move || shared.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        if self.trouble() == Some(Trouble::Hang) {
            // Until they give up.
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        let Some(request) = request::read(&stream) else {
            return;
        };
        let trouble = self.trouble();
        let taken = matches!(trouble, None | Some(Trouble::Cut | Trouble::Late(_)));
        let receipt = self.receipt(&request, taken);
        lock(&self.book).push(receipt);
        self.kin.spring(Moment::Request(self.channel));
        let status = match trouble {
            None => "200 OK\r\n".to_owned(),
            Some(Trouble::Late(by)) => {
                thread::sleep(by);
                "200 OK\r\n".to_owned()
            }
            Some(Trouble::PutOff) => "503 Service Unavailable\r\n".to_owned(),
            Some(Trouble::Busy(secs)) => format!("429 Too Many Requests\r\nRetry-After: {secs}\r\n"),
            Some(Trouble::Cut) => {
                let _ = stream.write_all(b"HTTP/1.1 20");
                return;
            }
            Some(Trouble::Down | Trouble::Hang | Trouble::Drop) => return,
        };
        let answer = format!("HTTP/1.1 {status}Content-Length: 0\r\nConnection: close\r\n\r\n");
        if stream.write_all(answer.as_bytes()).is_ok() {
            self.kin.spring(Moment::Answer(self.channel));
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        *lock(&self.trouble)
    }

    fn receipt(&self, request: &Request, taken: bool) -> Receipt {
        let id = request.key.clone().unwrap_or_default();
        let text = message_of(request).unwrap_or_default();
        let message = id.strip_suffix(&format!("-{}", self.id)).unwrap_or_default();
        let (incident, place) = message.split_once('-').unwrap_or_default();
        let (monitor, told) = match read_sentence(&text) {
            None => (String::new(), None),
            Some((monitor, told)) => (monitor.to_owned(), placed_as(told, place)),
        };
        Receipt {
            at: self.clock.elapsed(),
            channel: self.channel,
            incident: incident.to_owned(),
            told,
            monitor,
            text,
            taken,
            id,
        }
    }
}

/// `place` in its incident is `1` of an outage, `N-end` of its end, and a number
/// between of a reminder.
fn placed_as(told: Told, place: &str) -> Option<Told> {
    let (number, is_end) = match place.strip_suffix("-end") {
        Some(number) => (number, true),
        None => (place, false),
    };
    match (told, number.parse::<u32>().ok()?, is_end) {
        (Told::Outage, 1, false) => Some(told),
        (Told::Reminder(_), number @ 2.., false) => Some(Told::Reminder(number - 1)),
        (Told::Recovery, 2.., true) => Some(told),
        _ => None,
    }
}

/// The text, as the site file says it is encoded.
fn message_of(request: &Request) -> Option<String> {
    if request.method == "POST" {
        let body = request.body.trim().strip_prefix("{\"message\":\"")?;
        return Some(
            body.strip_suffix("\"}")?
                .replace("\\\"", "\"")
                .replace("\\\\", "\\"),
        );
    }
    percent_decoded(request.path.split_once('?')?.1)
}

/// `None` where it is not encoded as it should be.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        bytes.push(match first {
            b'%' => {
                let (digits, others) = rest.split_at_checked(2)?;
                rest = others;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn listen(address: (Ipv4Addr, u16)) -> Result<TcpListener, Fault> {
    let what = || format!("listen on {}:{}", address.0, address.1);
    let listener = TcpListener::bind(address).during(what())?;
    listener.set_nonblocking(true).during(what())?;
    Ok(listener)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_and_the_sentence_must_agree() {
        assert_eq!(placed_as(Told::Outage, "1"), Some(Told::Outage));
        assert_eq!(placed_as(Told::Reminder(0), "3"), Some(Told::Reminder(2)));
        assert_eq!(placed_as(Told::Recovery, "4-end"), Some(Told::Recovery));
        for (told, place) in [
            (Told::Outage, "2"),
            (Told::Reminder(0), "1"),
            (Told::Recovery, "4"),
        ] {
            assert_eq!(placed_as(told, place), None);
        }
    }

    #[test]
    fn messages_are_decoded() {
        let request = |method: &str, path: &str, body: &str| Request {
            method: method.into(),
            path: path.into(),
            key: None,
            body: body.into(),
        };
        let json = request("POST", "/json", r#"{"message":"without \"up\""}"#);
        assert_eq!(message_of(&json).as_deref(), Some("without \"up\""));
        let url = request("GET", "/url?a%20%22b%22", "");
        assert_eq!(message_of(&url).as_deref(), Some("a \"b\""));
        assert_eq!(percent_decoded("a%2"), None);
    }
}
