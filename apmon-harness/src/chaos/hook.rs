//! A webhook receiver that can fail in every way.

use std::{
    io::{self, Write as _},
    net::{self, Ipv4Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::RETRY_AFTER, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    daemon::Handle,
    notification::{NotificationKind, read_sentence},
    plan::{Failure, Moment},
    record::{Receipt, Receipts},
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    stopwatch::Stopwatch,
};

const CHECK_EVERY: Duration = Duration::from_millis(2);
/// Longer than apmon's own timeout.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Hook(Arc<Shared>);

struct Shared {
    channel: usize,
    id: String,
    address: (Ipv4Addr, u16),
    listener: Mutex<Option<net::TcpListener>>,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.during("start a webhook receiver")?;
        let weak = Arc::downgrade(&shared);
        thread::spawn(move || {
            runtime.block_on(async {
                while let Some(shared) = weak.upgrade() {
                    Shared::accept(&shared);
                    drop(shared);
                    sleep(CHECK_EVERY).await;
                }
            });
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
        while let Some(Ok((stream, _))) = listener.as_ref().map(net::TcpListener::accept) {
            tokio::spawn(Arc::clone(shared).serve(stream));
        }
    }

    async fn serve(self: Arc<Self>, stream: net::TcpStream) {
        // The second handle writes what hyper would not: an answer that breaks off.
        let Ok(raw) = stream.set_nonblocking(true).and_then(|()| stream.try_clone()) else {
            return;
        };
        let Ok(mut stream) = TcpStream::from_std(stream) else {
            return;
        };
        if self.failure() == Some(Failure::Hang) {
            // Until apmon gives up.
            let _ = timeout(READ_TIMEOUT, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
            return;
        }
        let answered = AtomicBool::new(false);
        let service = service_fn(|request| self.answer(request, &raw, &answered));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(READ_TIMEOUT)
            .keep_alive(false)
            // A request counts even if apmon is killed as soon as it has sent it.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if served.is_ok() && answered.load(Ordering::SeqCst) {
            self.handle.reached(Moment::Answer(self.channel));
        }
    }

    /// Records a request and answers it. An error closes the connection without an answer.
    async fn answer(
        &self,
        request: Request<Incoming>,
        mut raw: &net::TcpStream,
        answered: &AtomicBool,
    ) -> io::Result<Response<Empty<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = timeout(READ_TIMEOUT, body.collect()).await?;
        let body = body.map_err(io::Error::other)?.to_bytes();
        let key = head.headers.get("idempotency-key");
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
        let text = notification_of(&head.method, head.uri.query(), &body);
        let failure = self.failure();
        let accepted = matches!(failure, None | Some(Failure::Cut | Failure::Late(_)));
        let receipt = self.receipt(key, text, accepted);
        lock(&self.receipts).push(receipt);
        self.handle.reached(Moment::Request(self.channel));
        let mut response = Response::builder();
        match failure {
            None => {}
            Some(Failure::Late(by)) => sleep(by).await,
            Some(Failure::PutOff) => response = response.status(StatusCode::SERVICE_UNAVAILABLE),
            Some(Failure::Busy(secs)) => {
                response = response.status(StatusCode::TOO_MANY_REQUESTS);
                response = response.header(RETRY_AFTER, secs);
            }
            Some(Failure::Cut) => {
                let _ = raw.write_all(b"HTTP/1.1 20");
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Failure::Down | Failure::Hang | Failure::Drop) => {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        answered.store(true, Ordering::SeqCst);
        response.body(Empty::new()).map_err(io::Error::other)
    }

    fn failure(&self) -> Option<Failure> {
        *lock(&self.failure)
    }

    fn receipt(&self, id: &str, text: Option<String>, accepted: bool) -> Receipt {
        let text = text.unwrap_or_default();
        let notification = id.strip_suffix(&format!("-{}", self.id)).unwrap_or_default();
        let (incident, place) = notification.split_once('-').unwrap_or_default();
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
            id: id.to_owned(),
        }
    }
}

/// The kind with its number, if `kind` fits the notification's place in its
/// incident: `1` is the outage, `N-end` the recovery, any other number a reminder.
fn kind_at(kind: NotificationKind, place: &str) -> Option<NotificationKind> {
    let (number, is_end) = match place.strip_suffix("-end") {
        Some(number) => (number, true),
        None => (place, false),
    };
    match (kind, number.parse::<u32>().ok()?, is_end) {
        (NotificationKind::Outage, 1, false) => Some(kind),
        (NotificationKind::Reminder(_), number @ 2.., false) => Some(NotificationKind::Reminder(number - 1)),
        (NotificationKind::Recovery, 2.., true) => Some(kind),
        _ => None,
    }
}

/// The body of a webhook with the encoding `JSON`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    message: String,
}

/// The notification's text, decoded as the site file encodes it; `None` if the encoding is not valid.
fn notification_of(method: &Method, query: Option<&str>, body: &[u8]) -> Option<String> {
    if method == Method::POST {
        return serde_json::from_slice(body).ok().map(|Body { message }| message);
    }
    let text = percent_decode_str(query?).decode_utf8().ok()?;
    // No notification here contains a percent sign, so one that is left is half an escape.
    (!text.contains('%')).then(|| text.into_owned())
}

fn listen(address: (Ipv4Addr, u16)) -> Result<net::TcpListener, Fault> {
    let what = || format!("listen on {}:{}", address.0, address.1);
    let listener = net::TcpListener::bind(address).during(what())?;
    listener.set_nonblocking(true).during(what())?;
    Ok(listener)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _};

    use super::*;
    use crate::chaos::site::Site;

    #[test]
    fn a_receiver_fails_as_it_is_set() {
        const SENTENCE: &str = "m01 in Chaos is UP (x)";
        let (site, clock) = (Site::new(), Stopwatch::start());
        let log = File::options().write(true).open("/dev/null").unwrap();
        let handle = Arc::new(Handle::new(log, clock));
        let receipts = Receipts::default();
        let of = (0, &site.channels[0]);
        let hook = Hook::open(of, site.hook(0), Arc::clone(&receipts), handle, clock).unwrap();
        let ask = |failure| {
            hook.set(failure).unwrap();
            let mut stream = net::TcpStream::connect(site.hook(0)).ok()?;
            let body = format!("{{\"message\":\"{SENTENCE}\"}}");
            let (key, length) = (&site.channels[0].id, body.len());
            let head = format!(
                "POST /json HTTP/1.1\r\nhost: x\r\nidempotency-key: i-2-end-{key}\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            Some(answer)
        };
        let late = Failure::Late(Duration::from_millis(20));
        for (failure, start, accepted) in [
            (None, "HTTP/1.1 200 OK\r\n", true),
            (
                Some(Failure::PutOff),
                "HTTP/1.1 503 Service Unavailable\r\n",
                false,
            ),
            (
                Some(Failure::Busy(3)),
                "HTTP/1.1 429 Too Many Requests\r\n",
                false,
            ),
            (Some(late), "HTTP/1.1 200 OK\r\n", true),
        ] {
            let answer = ask(failure).unwrap();
            assert!(answer.starts_with(start), "{failure:?}: {answer}");
            assert_eq!(answer.contains("retry-after: 3\r\n"), answer.contains(" 429 "));
            let receipt = lock(&receipts).pop().unwrap();
            assert_eq!((receipt.accepted, &*receipt.text), (accepted, SENTENCE));
            assert_eq!(
                (receipt.kind, &*receipt.incident),
                (Some(NotificationKind::Recovery), "i")
            );
        }
        assert_eq!(ask(Some(Failure::Cut)).as_deref(), Some("HTTP/1.1 20"));
        assert_eq!(ask(Some(Failure::Drop)).as_deref(), Some(""));
        let accepted: Vec<bool> = lock(&receipts).drain(..).map(|it| it.accepted).collect();
        assert_eq!(accepted, [true, false]);
        assert_eq!(ask(Some(Failure::Down)), None);
        assert!(ask(None).is_some());
    }

    #[test]
    fn a_notification_needs_an_id_that_fits_its_sentence() {
        assert_eq!(
            kind_at(NotificationKind::Outage, "1"),
            Some(NotificationKind::Outage)
        );
        assert_eq!(
            kind_at(NotificationKind::Reminder(0), "3"),
            Some(NotificationKind::Reminder(2))
        );
        assert_eq!(
            kind_at(NotificationKind::Recovery, "4-end"),
            Some(NotificationKind::Recovery)
        );
        for (kind, place) in [
            (NotificationKind::Outage, "2"),
            (NotificationKind::Reminder(0), "1"),
            (NotificationKind::Recovery, "4"),
        ] {
            assert_eq!(kind_at(kind, place), None);
        }
    }

    #[test]
    fn notifications_are_decoded() {
        let json = |body: &str| notification_of(&Method::POST, None, body.as_bytes());
        assert_eq!(
            json(r#"{"message":"without \"up\""}"#).as_deref(),
            Some("without \"up\"")
        );
        assert_eq!(json(r#"{"message":"x","more":1}"#), None);
        assert_eq!(json("x"), None);
        let url = |query| notification_of(&Method::GET, query, b"");
        assert_eq!(url(Some("a%20%22b%22")).as_deref(), Some("a \"b\""));
        assert_eq!(
            (url(Some("a%2")), url(Some("%ff")), url(None)),
            (None, None, None)
        );
    }
}
