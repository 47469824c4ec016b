//! The verdict on an answer, whatever carried it.

use std::time::Duration;

use apmon_core::{
    Check, Failure, FailureClass, Phase, Warning, WarningClass,
    config::StatusRange,
    text::{excerpt, without_userinfo},
};
use hyper::{
    StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::{CONTROLS, percent_encode};

use super::body::{self, Pieces, Watched};
use crate::{
    expect::{Expect, Search},
    recorder::CheckRecorder,
};

/// How long `--explain` waits for a body that does not matter to the verdict.
const LINGER: Duration = Duration::from_millis(250);

/// What an answer must be.
#[derive(Clone, Copy)]
pub(crate) struct ExpectedAnswer<'a> {
    /// What the body must hold.
    pub(crate) body: Option<&'a Expect>,
    /// The accepted statuses; empty if the option is not given.
    pub(crate) statuses: &'a [StatusRange],
}

/// The outcome of a request that was answered.
pub(crate) enum HttpAnswer {
    /// The answer is as expected.
    Accepted,
    /// The server redirects to another address, and may set cookies.
    Redirect {
        status: StatusCode,
        location: String,
        cookies: Vec<HeaderValue>,
    },
    /// The server answers this request in HTTP/1.1 alone.
    WantsHttp1,
}

impl ExpectedAnswer<'_> {
    /// Judges an answer whose head has come.
    pub(crate) async fn judge(
        self,
        status: StatusCode,
        headers: &HeaderMap,
        pieces: &mut impl Pieces,
        check: &Check,
        recorder: &mut CheckRecorder,
    ) -> Result<HttpAnswer, Failure> {
        recorder.done(Phase::FirstByte);
        check.step("answer", || head(status, headers));
        let listed = self.statuses.iter().any(|range| range.has(status.as_u16()));
        // A redirect status that is expected is an answer.
        if !listed && let Some(location) = moved(status, headers) {
            let cookies = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
            return Ok(HttpAnswer::Redirect {
                status,
                location,
                cookies,
            });
        }
        let mut search = Search::of_page(self.body, body::charset(headers), check);
        let mut body = Watched {
            pieces,
            break_off: None,
        };
        let wrong = self.wrong(status, listed);
        if self.body.is_some() && wrong.is_none() {
            let result = body::receive(&mut body, headers, status, &mut search, check).await;
            recorder.done(Phase::Transfer);
            search.explain(check, "body");
            result?;
            recorder.stop();
        } else {
            recorder.stop();
            if check.is_traced() {
                // What comes now decides nothing, nor does how it ends.
                let rest = body::receive(&mut body, headers, status, &mut search, check);
                let _ = tokio::time::timeout(LINGER, rest).await;
                search.explain(check, "body");
            }
            if let Some(failure) = wrong {
                return Err(failure);
            }
        }
        if body.break_off.is_none() {
            body::rest(&mut body, check).await;
        }
        if let Some(note) = body.break_off {
            recorder.warn(Warning::note(WarningClass::Incomplete, note));
        }
        Ok(HttpAnswer::Accepted)
    }

    /// What is wrong with a status, if anything.
    fn wrong(self, status: StatusCode, listed: bool) -> Option<Failure> {
        let text = match (self.statuses, self.body) {
            ([], None) if status != StatusCode::OK => format!("status {status}"),
            // The body decides.
            ([], _) => return None,
            _ if listed => return None,
            (expected, _) => format!("status {status}, not {}", StatusRange::list(expected)),
        };
        Some(Failure::new(FailureClass::Status, text))
    }
}

fn moved(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get(header::LOCATION)?.as_bytes();
    // One that is empty leads nowhere.
    (!location.is_empty()).then(|| as_url(location))
}

/// A URL whose bytes may be in any encoding: the server gets back what it sent.
pub(crate) fn as_url(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => percent_encode(bytes, CONTROLS).to_string(),
    }
}

fn head(status: StatusCode, headers: &HeaderMap) -> String {
    let mut text = status.to_string();
    for name in [
        header::SERVER,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
    ] {
        if let Some(value) = headers.get(&name) {
            let value = without_userinfo(&String::from_utf8_lossy(value.as_bytes()));
            let value = excerpt(&value, 120);
            text.push_str(&format!(", {name}: {value}"));
        }
    }
    text
}
