//! One request and its answer over one connection, in HTTP/1.1 or HTTP/2.

use std::{
    error::Error as _,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use apmon_core::{Check, Failure, FailureClass, Warning, WarningClass, text::excerpt};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    body::{BodyError, Pieces},
    judge::{ExpectedAnswer, HttpAnswer},
    lenient::{Lenient, MAX_HEAD, MAX_HEADERS, Oddities, Unreadable},
};
use crate::{
    budget::{Meter, Metered},
    recorder::CheckRecorder,
    tls,
};

/// What a head may grow by when it is written anew: a carriage return and a blank for each
/// line, and the length.
const MAX_GROWTH: usize = 4 * 1024;

/// Sends `request` over `stream` and judges the answer, in HTTP/1.1.
pub(crate) async fn by_http1(
    stream: Metered<impl AsyncRead + AsyncWrite + Unpin + Send>,
    request: Request<Full<Bytes>>,
    expected: ExpectedAnswer<'_>,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<HttpAnswer, Failure> {
    let meter = stream.meter().clone();
    let stream = Lenient::new(stream);
    let oddities = stream.oddities();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD + MAX_GROWTH)
        .max_headers(MAX_HEADERS + 1)
        // Some devices know no names in lower case.
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error, &meter))?;
    let connection = pin!(connection);
    let connection = DrivenConnection::new(connection, Tasks::default(), meter);
    converse(
        connection,
        // Boxed: it would lie in the check twice, here and where it is awaited.
        Box::pin(sender.send_request(request)),
        &oddities,
        expected,
        check,
        recorder,
    )
    .await
}

/// Sends `request` over `stream` and judges the answer, in HTTP/2.
pub(crate) async fn by_http2(
    stream: Metered<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    request: Request<Full<Bytes>>,
    expected: ExpectedAnswer<'_>,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<HttpAnswer, Failure> {
    let (tasks, meter) = (Tasks::default(), stream.meter().clone());
    let handshake = http2::Builder::new(tasks.clone())
        .max_header_list_size(MAX_HEAD as u32)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = check
        .within("request", handshake)
        .await?
        .map_err(|error| failure(&error, &meter))?;
    let connection = pin!(connection);
    let connection = DrivenConnection::new(connection, tasks, meter);
    converse(
        connection,
        sender.send_request(request),
        &Oddities::default(),
        expected,
        check,
        recorder,
    )
    .await
}

async fn converse<C: Future + Send>(
    mut connection: DrivenConnection<'_, C>,
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
    oddities: &Oddities,
    expected: ExpectedAnswer<'_>,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<HttpAnswer, Failure> {
    let answer = match check.within("request", connection.beside(answer)).await? {
        Ok(answer) => answer,
        Err(error) if wants_http1(&error) => return Ok(HttpAnswer::WantsHttp1),
        Err(error) => return Err(failure(&error, &connection.meter)),
    };
    connection.meter.answer_begins();
    let odd = oddities.words();
    if !odd.is_empty() {
        check.step("answer", || format!("not strictly HTTP: {}", odd.join(", ")));
    }
    if oddities.head_breaks_off() {
        let note = "the head of the answer breaks off: connection closed by the peer";
        recorder.warn(Warning::note(WarningClass::Incomplete, note));
    }
    let (head, body) = answer.into_parts();
    let mut frames = Frames { connection, body };
    expected
        .judge(head.status, &head.headers, &mut frames, check, recorder)
        .await
}

/// The body's frames, read while the connection is driven.
struct Frames<'a, C> {
    connection: DrivenConnection<'a, C>,
    body: Incoming,
}

impl<C: Future + Send> Pieces for Frames<'_, C> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.connection.beside(self.body.frame()).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(error)) if is_end(&error) => return Err(BodyError::Closed),
                Some(Err(error)) => {
                    return Err(BodyError::Failed(failure(&error, &self.connection.meter)));
                }
            }
        }
    }
}

/// A task of hyper's.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks hyper would spawn. They run within the check instead.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = Box::pin(async {
            future.await;
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

impl Tasks {
    fn poll(&self, running: &mut Vec<Task>, context: &mut Context<'_>) {
        loop {
            running.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
            running.retain_mut(|task| task.as_mut().poll(context).is_pending());
            // A task may have started another, which must be polled to be woken.
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
        }
    }
}

/// The connection, driven from within the check: a check that is dropped
/// leaves no task behind.
struct DrivenConnection<'a, C> {
    connection: Pin<&'a mut C>,
    open: bool,
    tasks: Tasks,
    running: Vec<Task>,
    meter: Meter,
}

impl<'a, C: Future> DrivenConnection<'a, C> {
    fn new(connection: Pin<&'a mut C>, tasks: Tasks, meter: Meter) -> Self {
        Self {
            connection,
            open: true,
            tasks,
            running: Vec::new(),
            meter,
        }
    }

    /// Runs `work` while the connection is driven.
    async fn beside<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            let mut again = false;
            if self.open && self.connection.as_mut().poll(context).is_ready() {
                self.open = false;
                again = true;
            }
            let before = self.running.len();
            self.tasks.poll(&mut self.running, context);
            again |= self.running.len() < before;
            match again {
                true => work.as_mut().poll(context),
                false => Poll::Pending,
            }
        })
        .await
    }
}

impl<C> Drop for DrivenConnection<'_, C> {
    fn drop(&mut self) {
        // A task holds the executor, which holds tasks: one that has not started
        // would keep itself alive.
        mem::take(&mut *self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The cause of type `E` behind an error.
fn cause<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(cause) = error.downcast_ref() {
            return Some(cause);
        }
        source = error.source();
    }
    None
}

fn io_of(error: &hyper::Error) -> Option<&io::Error> {
    cause(error).or_else(|| cause::<h2::Error>(error).and_then(h2::Error::get_io))
}

/// Whether the peer closed the connection in the middle.
fn is_end(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || io_of(error).is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Whether the server answers this request in HTTP/1.1 alone (RFC 9113 section 7).
fn wants_http1(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error).and_then(h2::Error::reason) == Some(h2::Reason::HTTP_1_1_REQUIRED)
}

/// The failure of a request. A flood is known to the meter alone: hyper's errors
/// lose it.
fn failure(error: &hyper::Error, meter: &Meter) -> Failure {
    if let Some(flood) = meter.flood() {
        return flood.failure("request");
    }
    let io = io_of(error);
    let unreadable = io
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref());
    if let Some(unreadable) = unreadable {
        return unreadable_failure(unreadable);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::new(
            FailureClass::Closed,
            "request: connection closed without an answer",
        );
    }
    if error.is_parse() {
        return Failure::new(
            FailureClass::Protocol,
            format!("request: the answer is not valid HTTP ({error})"),
        );
    }
    match io {
        Some(io) => tls::failure("request", io, meter),
        None => match cause::<h2::Error>(error) {
            Some(error) => of_http2(error),
            None => Failure::new(FailureClass::Protocol, format!("request: {error}")),
        },
    }
}

/// The name of an error code (RFC 9113 section 7), which h2 has only for debugging; else its number.
fn reason_name(reason: h2::Reason) -> String {
    let name = format!("{reason:?}");
    match name
        .chars()
        .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
    {
        true => name,
        false => format!("error {:#x}", u32::from(reason)),
    }
}

fn unreadable_failure(error: &Unreadable) -> Failure {
    let class = match error {
        Unreadable::CutStatusLine(_) => FailureClass::Closed,
        _ => FailureClass::Protocol,
    };
    Failure::new(class, format!("request: {error}"))
}

fn of_http2(error: &h2::Error) -> Failure {
    let code = error
        .reason()
        .map_or_else(|| excerpt(&error.to_string(), 80), reason_name);
    let (class, words) = match error {
        _ if error.is_remote() && error.is_go_away() => (
            FailureClass::Closed,
            format!("the server closed the connection ({code})"),
        ),
        _ if error.is_remote() => (
            FailureClass::Closed,
            format!("stream reset by the server ({code})"),
        ),
        // h2 has limits of its own.
        _ if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) => (
            FailureClass::Protocol,
            format!("the server has sent too many frames ({code})"),
        ),
        _ => (
            FailureClass::Protocol,
            format!("the answer is not valid HTTP/2 ({code})"),
        ),
    };
    Failure::new(class, format!("request: {words}"))
}
