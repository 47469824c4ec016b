//! One request and its answer over one connection.

use std::{
    error::Error as _,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use apmon_core::{
    Failure, FailureClass, Look, Phase,
    text::{excerpt, without_userinfo},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderMap},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    course::Course,
    errno,
    expect::{Expect, Search},
    tls,
};

/// So much of a body is searched.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// So long may a head be.
const MAX_HEAD: usize = 64 * 1024;

/// So long `--explain` waits for a body that decides nothing.
const LINGER: Duration = Duration::from_millis(250);

/// What came of a request.
pub(crate) enum Answer {
    /// It is as it should be.
    Right,
    /// It is elsewhere.
    Moved { status: StatusCode, location: String },
}

/// Sends `request` over `stream` and judges the answer.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Full<Bytes>>,
    expect: Option<&Expect>,
    look: &Look,
    course: &mut Course,
) -> Result<Answer, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let mut wire = Wire {
        connection: pin!(connection),
        open: true,
    };
    let answer = look
        .within("request", wire.beside(sender.send_request(request)))
        .await?
        .map_err(|error| failure(&error))?;
    course.done(Phase::FirstByte);
    let status = answer.status();
    look.step("answer", || head(status, answer.headers()));
    if let Some(location) = moved(&answer) {
        return Ok(Answer::Moved { status, location });
    }
    let mut body = answer.into_body();
    let mut search = Search::new(expect, look);
    if expect.is_some() {
        let result = receive(&mut wire, &mut body, status, &mut search, look).await;
        course.done(Phase::Transfer);
        search.explain(look, "body");
        return result.map(|()| Answer::Right);
    }
    course.stop();
    if look.is_explained() {
        // What comes now decides nothing, nor does how it ends.
        let _ = tokio::time::timeout(LINGER, receive(&mut wire, &mut body, status, &mut search, look)).await;
        search.explain(look, "body");
    }
    match status {
        StatusCode::OK => Ok(Answer::Right),
        _ => Err(Failure::new(FailureClass::Status, format!("status {status}"))),
    }
}

/// Reads the body until what is expected has come.
async fn receive<C: Future>(
    wire: &mut Wire<'_, C>,
    body: &mut Incoming,
    status: StatusCode,
    search: &mut Search<'_>,
    look: &Look,
) -> Result<(), Failure> {
    let of_status = |failure: Failure| {
        let Failure { class, reason } = failure;
        Failure::new(class, format!("{reason} (status {})", status.as_u16()))
    };
    loop {
        let Ok(frame) = tokio::time::timeout_at(look.deadline(), wire.beside(body.frame())).await else {
            return Err(of_status(search.late(look)));
        };
        match frame {
            None => return Err(of_status(search.missing())),
            // The rest did not come: cut off, garbled, or closed without a word.
            Some(Err(error)) if is_end(&error) => return Err(of_status(search.closed())),
            Some(Err(error)) => return Err(failure(&error)),
            Some(Ok(frame)) => {
                let Some(piece) = frame.data_ref() else {
                    continue;
                };
                let room = piece.len().min(MAX_BODY - search.seen());
                if search.feed(&piece[..room]) {
                    return Ok(());
                }
                if search.seen() >= MAX_BODY {
                    return Err(of_status(search.too_long()));
                }
            }
        }
    }
}

/// The connection, driven from within the check: a check that is dropped
/// leaves no task behind.
struct Wire<'a, C> {
    connection: Pin<&'a mut C>,
    open: bool,
}

impl<C: Future> Wire<'_, C> {
    /// Runs `work` while the connection moves.
    async fn beside<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            if self.open && self.connection.as_mut().poll(context).is_ready() {
                self.open = false;
                return work.as_mut().poll(context);
            }
            Poll::Pending
        })
        .await
    }
}

fn moved(answer: &Response<Incoming>) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(header::LOCATION)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn head(status: StatusCode, headers: &HeaderMap) -> String {
    let mut text = status.to_string();
    for name in [
        header::SERVER,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::LOCATION,
    ] {
        if let Some(value) = headers.get(&name) {
            let value = without_userinfo(&String::from_utf8_lossy(value.as_bytes()));
            let value = excerpt(&value, 120);
            text.push_str(&format!(", {name}: {value}"));
        }
    }
    text
}

fn io_of(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

/// Whether the peer has just stopped.
fn is_end(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || io_of(error).is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

fn failure(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::new(FailureClass::Closed, "request: closed without an answer");
    }
    if error.is_parse() {
        return Failure::new(
            FailureClass::Protocol,
            format!("request: the answer is no HTTP ({error})"),
        );
    }
    match io_of(error) {
        Some(io) if io.raw_os_error().is_some() => errno::failure("request", io),
        Some(io) => tls::failure("request", io),
        None => Failure::new(FailureClass::Protocol, format!("request: {error}")),
    }
}
