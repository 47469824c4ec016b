//! Whether an answer or a failure allows another attempt.

use std::{borrow::Cow, io, time::Duration};

use apmon_core::{
    Clock, DeliveryError, Mask, SystemClock,
    config::StatusRange,
    text::{excerpt, printable},
};
use hyper::{
    Method, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::{cause::cause, resolve::ResolveError, tls::HandshakeError};

/// The longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// The longest wait for a date that can only be compared with our own clock,
/// which may be wrong.
const MAX_BY_OUR_CLOCK: Duration = Duration::from_secs(1_800);

/// How much of an answer's body is read, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How many bytes of an answer that refuses a notification are shown.
const MAX_SHOWN: usize = 200;

/// The most redirects of a GET that are followed.
pub(crate) const MAX_REDIRECTS: usize = 10;

/// A redirect that is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Redirect {
    #[error("redirects more than {MAX_REDIRECTS} times")]
    TooMany,
    #[error("redirects from https to http")]
    Downgrade,
    #[error("redirects to another host or port, to which its \"headers\" must not be sent")]
    Elsewhere,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the URL cannot be requested over HTTP")]
    Url,
    #[error("the host has no valid name for a certificate")]
    Name,
    #[error("redirected")]
    Redirect(#[from] Redirect),
    #[error("not resolved")]
    Resolve(#[from] ResolveError),
    #[error("not connected")]
    Connection(#[source] io::Error),
    #[error(transparent)]
    Handshake(HandshakeError),
    #[error("no answer")]
    Http(#[source] hyper::Error),
}

/// An answer, as far as it was received.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body was read to its end.
    pub(crate) is_complete: bool,
    /// The time by the receiver's clock, to the second.
    pub(crate) date: Option<Timestamp>,
}

/// Reads from an answer's body how long to wait before the next attempt.
pub(crate) type RetryAfter = dyn Fn(&[u8]) -> Option<Duration> + Send + Sync;

/// Reads from an answer's body whether the service took the notification.
pub(crate) type Accepts = dyn Fn(&[u8]) -> bool + Send + Sync;

/// The conditions under which an answer means that the notification is delivered.
#[derive(Default)]
pub(crate) struct SuccessCriteria<'a> {
    /// The accepted statuses; empty for any 2xx.
    pub(crate) statuses: &'a [StatusRange],
    /// A text that the body must contain.
    pub(crate) text: Option<&'a str>,
    /// Reads from the answer's body when to come again.
    pub(crate) retry_after: Option<&'a RetryAfter>,
    /// Reads from the answer's whole body whether a good status is meant.
    pub(crate) accepts: Option<&'a Accepts>,
    /// The secrets that a receiver may repeat.
    pub(crate) mask: Option<&'a Mask>,
}

impl SuccessCriteria<'_> {
    fn is_status(&self, status: StatusCode) -> bool {
        match self.statuses {
            [] => status.is_success(),
            ranges => ranges.iter().any(|range| range.has(status.as_u16())),
        }
    }

    /// Whether the body decides.
    pub(crate) fn needs_body(&self, status: StatusCode) -> bool {
        (self.text.is_some() || self.accepts.is_some()) && self.is_status(status)
    }

    fn contains_text(&self, body: &[u8]) -> bool {
        self.has_text(body, 0)
    }

    /// Whether the required text ends after the first `searched` bytes of the body, which were
    /// searched before; the rest is not needed then, unless the whole body decides. A body of many
    /// small chunks is thus searched once, not once for each chunk.
    pub(crate) fn completes_text(&self, body: &[u8], searched: usize) -> bool {
        self.accepts.is_none() && self.has_text(body, searched)
    }

    fn has_text(&self, body: &[u8], searched: usize) -> bool {
        let Some(text) = self.text.map(str::as_bytes).filter(|text| !text.is_empty()) else {
            return false;
        };
        // The text may have begun in the part that was searched.
        let from = searched.saturating_sub(text.len() - 1);
        body.get(from..)
            .is_some_and(|rest| rest.windows(text.len()).any(|window| window == text))
    }

    /// Judges an answer. 408, 429 and 5xx may be temporary, and so may a gateway's
    /// error with a good status; any other answer is a refusal.
    pub(crate) fn judge(
        &self,
        origin: &str,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        answer: &Answer,
    ) -> Result<(), DeliveryError> {
        let body = &answer.body;
        let mut reason = format!("{origin}: answered {status}");
        if self.is_status(status) {
            // What says that it is an error may be what is missing.
            let breaks_off = !answer.is_complete && body.len() < MAX_BODY;
            let is_accepted = self.accepts.is_none_or(|accepts| !breaks_off && accepts(body));
            if is_accepted && (self.text.is_none() || self.contains_text(body)) {
                return Ok(());
            }
            reason.push_str(match is_accepted {
                true => " without the text of success_body",
                false if breaks_off => ", but the answer breaks off",
                false => ", but did not take the notification",
            });
            reason.push_str(&self.shown(answer));
            return Err(DeliveryError::Retryable {
                reason,
                retry_after: self.retry_after(headers, body),
            });
        }
        if status.is_redirection() && *method != Method::GET {
            reason.push_str(&format!("; redirects of a {method} are not followed"));
        } else if status.is_success() {
            reason.push_str(&format!(", not {}", StatusRange::list(self.statuses)));
        }
        reason.push_str(&self.shown(answer));
        let is_temporary = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        ) || status.is_server_error();
        Err(if is_temporary {
            DeliveryError::Retryable {
                reason,
                retry_after: self.retry_after(headers, body),
            }
        } else {
            DeliveryError::Permanent { reason }
        })
    }

    /// The beginning of an answer that explains a refusal: ` (answer: no such channel)`.
    fn shown(&self, answer: &Answer) -> String {
        // Masked before it is cut: half a secret would not be recognised.
        let body = String::from_utf8_lossy(&answer.body);
        let body = match (self.mask, answer.is_complete) {
            (None, _) => body,
            (Some(mask), true) => mask.hide(&body),
            (Some(mask), false) => mask.hide_cut(&body),
        };
        let words: Vec<_> = body.split_whitespace().collect();
        let words = words.join(" ");
        let end = words.floor_char_boundary(MAX_SHOWN);
        let ellipsis = if end < words.len() { "..." } else { "" };
        match &words[..end] {
            "" => String::new(),
            shown => format!(" (answer: {}{ellipsis})", printable(shown)),
        }
    }

    fn retry_after(&self, headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
        let in_body = || self.retry_after?(body);
        retry_after(headers, SystemClock::new().now().wall).or_else(in_body)
    }
}

/// The wait that `Retry-After` asks for, in seconds or as a date (RFC 9110, section
/// 10.2.3). A date is compared with the `Date` of the answer, so that the clocks
/// need not agree, or with `now` if there is none.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(RETRY_AFTER)?;
    let wait = if !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit()) {
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let parser = DateTimeParser::new();
        let then = parser.parse_timestamp(value).ok()?;
        let theirs = text(DATE).and_then(|date| parser.parse_timestamp(date).ok());
        let wait = then.duration_since(theirs.unwrap_or(now));
        let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
        match theirs {
            Some(_) => wait,
            None => wait.min(MAX_BY_OUR_CLOCK),
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Judges `bytes` as an answer, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, body) = bytes.split_at(end.unwrap_or(bytes.len()));
    let mut headers = HeaderMap::new();
    if let Ok(value) = hyper::header::HeaderValue::from_bytes(line) {
        headers.insert(RETRY_AFTER, value);
    }
    let mut mask = Mask::default();
    mask.add(FUZZED_SECRET);
    for is_complete in [true, false] {
        let answer = Answer {
            body: body.to_vec(),
            is_complete,
            ..Answer::default()
        };
        let criteria = SuccessCriteria {
            text: Some("taken"),
            mask: Some(&mask),
            ..SuccessCriteria::default()
        };
        for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
            let judged = criteria.judge("h", &Method::POST, status, &headers, &answer);
            if let Err(error) = judged {
                assert!(!error.to_string().contains(FUZZED_SECRET), "{error}");
            }
        }
    }
}

/// A secret that a fuzzed answer may repeat.
const FUZZED_SECRET: &str = "s3cr3t-key";

/// The error of a request that got no answer.
pub(crate) fn failed(origin: &str, error: &RequestError, without_roots: Option<&str>) -> DeliveryError {
    let is_final = matches!(error, RequestError::Redirect(_) | RequestError::Url);
    let cause = match error {
        // Only its own part is from elsewhere, and was cut.
        RequestError::Handshake(error) => error.to_string(),
        error => cause(error),
    };
    let mut reason = format!("{origin}: {cause}");
    if let Some(missing) = without_roots {
        reason.push_str(&format!(" ({})", excerpt(missing, 200)));
    }
    if is_final {
        DeliveryError::permanent(reason)
    } else {
        DeliveryError::retryable(reason)
    }
}

/// `text` encoded for a header value.
pub(crate) fn header_text(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, CONTROLS).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after_text: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after_text.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, "2026-10-21T07:28:50Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_parsed_as_seconds_or_as_a_date() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(wait("120", None), secs(120));
        assert_eq!(wait("0", None), secs(0));
        assert_eq!(wait("Wed, 21 Oct 2026 07:29:30 GMT", date), secs(90));
        assert_eq!(wait("Wed, 21 Oct 2026 07:00:00 GMT", date), secs(0));
        assert_eq!(wait("Wed, 21 Oct 2026 07:29:30 GMT", None), secs(40));
        assert_eq!(wait("Wed, 21 Oct 2026 07:29:30 GMT", Some("today")), secs(40));
        assert_eq!(wait("Wed, 21 Oct 2026 07:00:00 GMT", None), secs(0));
        assert_eq!(wait("Wed, 21 Oct 2026 17:00:00 GMT", None), secs(1_800));
        assert_eq!(wait("soon", date), None);
        assert_eq!(wait("-5", date), None);
        assert_eq!(wait("", date), None);
    }

    /// What is missing may be the error.
    #[test]
    fn a_good_status_whose_body_breaks_off_is_tried_again_if_the_body_decides() {
        let accepts = |body: &[u8]| !body.starts_with(b"error");
        let judge = |accepts: Option<&Accepts>, is_complete| {
            let criteria = SuccessCriteria {
                accepts,
                ..SuccessCriteria::default()
            };
            let answer = Answer {
                is_complete,
                ..Answer::default()
            };
            criteria.judge("o", &Method::POST, StatusCode::OK, &HeaderMap::new(), &answer)
        };
        assert!(judge(Some(&accepts), true).is_ok());
        assert!(judge(None, false).is_ok());
        let Err(DeliveryError::Retryable { reason, .. }) = judge(Some(&accepts), false) else {
            panic!("it is not tried again");
        };
        assert!(reason.contains(", but the answer breaks off"), "{reason}");
    }

    #[test]
    fn a_wait_is_limited_to_a_day() {
        for text in ["86401", "99999999999999999999999999"] {
            assert_eq!(wait(text, None), Some(MAX_RETRY_AFTER));
        }
    }

    #[test]
    fn a_text_is_found_wherever_chunks_divide_it() {
        let criteria = |text| SuccessCriteria {
            text: Some(text),
            ..SuccessCriteria::default()
        };
        let body = b"{\"status\":\"ok\"}";
        for size in 1..=body.len() {
            let found = (0..body.len()).step_by(size).find(|searched| {
                let end = body.len().min(searched + size);
                criteria("\"ok\"").completes_text(&body[..end], *searched)
            });
            let text_end = body.len() - 1;
            assert_eq!(found, Some((text_end - 1) / size * size), "chunks of {size}");
        }
        assert!(!criteria("").completes_text(body, 0));
    }

    #[test]
    fn only_the_new_part_of_a_body_and_the_beginning_of_the_text_before_it_are_searched() {
        let criteria = SuccessCriteria {
            text: Some("done"),
            ..SuccessCriteria::default()
        };
        assert!(criteria.completes_text(b"is done", 6));
        assert!(criteria.completes_text(b"is done", 4));
        assert!(!criteria.completes_text(b"is done!", 7), "it was found before");
    }

    #[test]
    fn any_key_fits_into_a_header() {
        assert_eq!(header_text("7f-webhook:host#2"), "7f-webhook:host#2");
        assert_eq!(header_text("a\r\nb ü"), "a%0D%0Ab %C3%BC");
    }
}
