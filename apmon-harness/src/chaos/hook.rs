//! A webhook receiver that can fail in every way.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    daemon::Handle,
    message::{MessageKind, read_sentence},
    plan::{Failure, Moment},
    record::Receipt,
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    request::{self, Request},
    stopwatch::Stopwatch,
};

const CHECK_EVERY: Duration = Duration::from_millis(2);
/// Longer than apmon's own timeout.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Every attempt that reached a webhook receiver.
pub(super) type Receipts = Arc<Mutex<Vec<Receipt>>>;

pub(super) struct Hook(Arc<Shared>);

struct Shared {
    channel: usize,
    id: String,
    address: (Ipv4Addr, u16),
    listener: Mutex<Option<TcpListener>>,
    failure: Mutex<Option<Failure>>,
    receipts: Receipts,
    handle: Arc<Handle>,
    clock: Stopwatch,
}

impl Hook {
    pub(super) fn open(
        (channel, of): (usize, &Channel),
        address: (Ipv4Addr, u16),
        receipts: Receipts,
        handle: Arc<Handle>,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let shared = Arc::new(Shared {
            channel,
            id: of.id.clone(),
            address,
            listener: Mutex::new(Some(listen(address)?)),
            failure: Mutex::default(),
            receipts,
            handle,
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

    pub(super) fn set(&self, failure: Option<Failure>) -> Result<(), Fault> {
        *lock(&self.0.failure) = failure;
        let mut listener = lock(&self.0.listener);
        match (failure == Some(Failure::Down), listener.is_some()) {
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
        let _ = stream.set_read_timeout(Some(READ_TIMEOUT));
        if self.failure() == Some(Failure::Hang) {
            // Until apmon gives up.
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        let Some(request) = request::read(&stream) else {
            return;
        };
        let failure = self.failure();
        let accepted = matches!(failure, None | Some(Failure::Cut | Failure::Late(_)));
        let receipt = self.receipt(&request, accepted);
        lock(&self.receipts).push(receipt);
        self.handle.reached(Moment::Request(self.channel));
        let status = match failure {
            None => "200 OK\r\n".to_owned(),
            Some(Failure::Late(by)) => {
                thread::sleep(by);
                "200 OK\r\n".to_owned()
            }
            Some(Failure::PutOff) => "503 Service Unavailable\r\n".to_owned(),
            Some(Failure::Busy(secs)) => format!("429 Too Many Requests\r\nRetry-After: {secs}\r\n"),
            Some(Failure::Cut) => {
                let _ = stream.write_all(b"HTTP/1.1 20");
                return;
            }
            Some(Failure::Down | Failure::Hang | Failure::Drop) => return,
        };
        let answer = format!("HTTP/1.1 {status}Content-Length: 0\r\nConnection: close\r\n\r\n");
        if stream.write_all(answer.as_bytes()).is_ok() {
            self.handle.reached(Moment::Answer(self.channel));
        }
    }

    fn failure(&self) -> Option<Failure> {
        *lock(&self.failure)
    }

    fn receipt(&self, request: &Request, accepted: bool) -> Receipt {
        let id = request.key.clone().unwrap_or_default();
        let text = message_of(request).unwrap_or_default();
        let message = id.strip_suffix(&format!("-{}", self.id)).unwrap_or_default();
        let (incident, place) = message.split_once('-').unwrap_or_default();
        let (monitor, kind) = match read_sentence(&text) {
            None => (String::new(), None),
            Some((monitor, kind)) => (monitor.to_owned(), kind_at(kind, place)),
        };
        Receipt {
            at: self.clock.elapsed(),
            channel: self.channel,
            incident: incident.to_owned(),
            kind,
            monitor,
            text,
            accepted,
            id,
        }
    }
}

/// The kind with its number, if `kind` fits the message's place in its
/// incident: `1` is the outage, `N-end` the recovery, any other number a reminder.
fn kind_at(kind: MessageKind, place: &str) -> Option<MessageKind> {
    let (number, is_end) = match place.strip_suffix("-end") {
        Some(number) => (number, true),
        None => (place, false),
    };
    match (kind, number.parse::<u32>().ok()?, is_end) {
        (MessageKind::Outage, 1, false) => Some(kind),
        (MessageKind::Reminder(_), number @ 2.., false) => Some(MessageKind::Reminder(number - 1)),
        (MessageKind::Recovery, 2.., true) => Some(kind),
        _ => None,
    }
}

/// The message's text, decoded as the site file encodes it.
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

/// The decoded text; `None` if the encoding is not valid.
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
    fn a_message_needs_an_id_that_fits_its_sentence() {
        assert_eq!(kind_at(MessageKind::Outage, "1"), Some(MessageKind::Outage));
        assert_eq!(
            kind_at(MessageKind::Reminder(0), "3"),
            Some(MessageKind::Reminder(2))
        );
        assert_eq!(
            kind_at(MessageKind::Recovery, "4-end"),
            Some(MessageKind::Recovery)
        );
        for (kind, place) in [
            (MessageKind::Outage, "2"),
            (MessageKind::Reminder(0), "1"),
            (MessageKind::Recovery, "4"),
        ] {
            assert_eq!(kind_at(kind, place), None);
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
