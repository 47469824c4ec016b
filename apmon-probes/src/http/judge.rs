//! The verdict on an answer, whatever carried it.

use std::time::Duration;

use apmon_core::{
    Check, Failure, FailureClass, Phase,
    config::StatusRange,
    text::{excerpt, without_userinfo},
};
use hyper::{
    StatusCode,
    header::{self, HeaderMap},
};

use super::body::{self, Pieces};
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
    /// The server redirects to another address.
    Redirect { status: StatusCode, location: String },
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
            return Ok(HttpAnswer::Redirect { status, location });
        }
        let mut search = Search::new(self.body, check);
        let wrong = self.wrong(status, listed);
        if self.body.is_some() && wrong.is_none() {
            let result = body::receive(pieces, headers, status, &mut search, check).await;
            recorder.done(Phase::Transfer);
            search.explain(check, "body");
            return result.map(|()| HttpAnswer::Accepted);
        }
        recorder.stop();
        if check.is_traced() {
            // What comes now decides nothing, nor does how it ends.
            let rest = body::receive(pieces, headers, status, &mut search, check);
            let _ = tokio::time::timeout(LINGER, rest).await;
            search.explain(check, "body");
        }
        wrong.map_or(Ok(HttpAnswer::Accepted), Err)
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
    let location = headers.get(header::LOCATION)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
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
