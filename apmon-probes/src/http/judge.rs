//! What makes an answer right, whatever carried it.

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

/// So long `--explain` waits for a body that decides nothing.
const LINGER: Duration = Duration::from_millis(250);

/// What an answer must be.
#[derive(Clone, Copy)]
pub(crate) struct ExpectedAnswer<'a> {
    pub(crate) expect: Option<&'a Expect>,
    /// Empty where the option is not given.
    pub(crate) statuses: &'a [StatusRange],
}

/// What came of a request.
pub(crate) enum Answer {
    /// It is as it should be.
    Right,
    /// It is elsewhere.
    Moved { status: StatusCode, location: String },
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
    ) -> Result<Answer, Failure> {
        recorder.done(Phase::FirstByte);
        check.step("answer", || head(status, headers));
        let listed = self.statuses.iter().any(|range| range.has(status.as_u16()));
        // A redirect that is asked for is an answer.
        if !listed && let Some(location) = moved(status, headers) {
            return Ok(Answer::Moved { status, location });
        }
        let mut search = Search::new(self.expect, check);
        let wrong = self.wrong(status, listed);
        if self.expect.is_some() && wrong.is_none() {
            let result = body::receive(pieces, headers, status, &mut search, check).await;
            recorder.done(Phase::Transfer);
            search.explain(check, "body");
            return result.map(|()| Answer::Right);
        }
        recorder.stop();
        if check.is_explained() {
            // What comes now decides nothing, nor does how it ends.
            let rest = body::receive(pieces, headers, status, &mut search, check);
            let _ = tokio::time::timeout(LINGER, rest).await;
            search.explain(check, "body");
        }
        wrong.map_or(Ok(Answer::Right), Err)
    }

    /// What is wrong with a status.
    fn wrong(self, status: StatusCode, listed: bool) -> Option<Failure> {
        let text = match (self.statuses, self.expect) {
            ([], None) if status != StatusCode::OK => format!("status {status}"),
            // The body decides.
            ([], _) => return None,
            _ if listed => return None,
            (wanted, _) => format!("status {status}, not {}", StatusRange::list(wanted)),
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
