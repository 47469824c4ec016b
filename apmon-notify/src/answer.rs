//! What an answer or a failure means for another try.

use std::{borrow::Cow, error::Error, time::Duration};

use apmon_core::{Clock, DeliveryError, SystemClock, config::StatusRange, text::excerpt};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use reqwest::{
    Method, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use crate::{client::MAX_REDIRECTS, preset};

/// Whoever asks us to come back later than this is asked again after it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// The same of a date that only our own clock can be held against: it may be wrong.
const MAX_BY_OUR_CLOCK: Duration = Duration::from_secs(1_800);

/// Redirects that are not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Redirect {
    #[error("redirects more than {MAX_REDIRECTS} times")]
    TooMany,
    #[error("redirects from https to http")]
    Downgrade,
    #[error("redirects to another host or port, where its \"headers\" must not go")]
    Elsewhere,
}

/// What an answer must be to mean delivered.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// Empty: any 2xx.
    pub(crate) statuses: &'a [StatusRange],
    /// What must stand in it.
    pub(crate) text: Option<&'a str>,
    /// Where the answer's body may say when to come again.
    pub(crate) preset: Option<&'a preset::File>,
}

impl Wanted<'_> {
    fn is_status(&self, status: StatusCode) -> bool {
        match self.statuses {
            [] => status.is_success(),
            ranges => ranges.iter().any(|range| range.has(status.as_u16())),
        }
    }

    /// The body decides.
    pub(crate) fn needs_body(&self, status: StatusCode) -> bool {
        self.text.is_some() && self.is_status(status)
    }

    /// What must stand in the body stands there; no more of it is needed.
    pub(crate) fn is_found(&self, body: &[u8]) -> bool {
        self.text.is_some_and(|text| {
            let text = text.as_bytes();
            !text.is_empty() && body.windows(text.len()).any(|window| window == text)
        })
    }

    /// 408, 429 and 5xx may pass by themselves, and so may what a gateway says
    /// behind a good status; other answers are a refusal.
    pub(crate) fn judge(
        &self,
        origin: &str,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), DeliveryError> {
        let mut reason = format!("{origin}: answered {status}");
        if self.is_status(status) {
            if self.text.is_none() || self.is_found(body) {
                return Ok(());
            }
            reason.push_str(" without the text of success_body");
            return Err(DeliveryError::Retryable {
                reason,
                retry_after: self.retry_after(headers, body),
            });
        }
        if status.is_redirection() && *method != Method::GET {
            reason.push_str(&format!("; a {method} follows no redirect"));
        } else if status.is_success() {
            reason.push_str(&format!(", not {}", StatusRange::list(self.statuses)));
        }
        let passing = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        ) || status.is_server_error();
        Err(if passing {
            DeliveryError::Retryable {
                reason,
                retry_after: self.retry_after(headers, body),
            }
        } else {
            DeliveryError::Permanent { reason }
        })
    }

    fn retry_after(&self, headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
        let in_body = || self.preset?.retry_after(body);
        retry_after(headers, SystemClock::new().now().wall).or_else(in_body)
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). A date is
/// taken against the answer's own `Date`, so that our clock need not agree with
/// it; only where there is none is `now` asked.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    let wait = if !wanted.is_empty() && wanted.bytes().all(|digit| digit.is_ascii_digit()) {
        wanted.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let parser = DateTimeParser::new();
        let then = parser.parse_timestamp(wanted).ok()?;
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

/// A request that got no answer.
pub(crate) fn failed(origin: &str, error: reqwest::Error, without_roots: Option<&str>) -> DeliveryError {
    let final_word = error.is_redirect() || error.is_builder();
    let mut reason = format!("{origin}: {}", cause(&error.without_url()));
    if let Some(missing) = without_roots {
        reason.push_str(&format!(" ({})", excerpt(missing, 200)));
    }
    if final_word {
        DeliveryError::permanent(reason)
    } else {
        DeliveryError::retryable(reason)
    }
}

/// The innermost cause: what is around it only says that a request failed.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = apmon_tls::rustls_error(error) {
        return excerpt(&apmon_tls::explain(error).reason, 200);
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    excerpt(&innermost.to_string(), 200)
}

/// `text` as a header can hold it.
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
    fn retry_after_is_read_as_seconds_or_as_a_date() {
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

    #[test]
    fn nobody_is_kept_waiting_for_longer_than_a_day() {
        for text in ["86401", "99999999999999999999999999"] {
            assert_eq!(wait(text, None), Some(MAX_RETRY_AFTER));
        }
    }

    #[test]
    fn any_key_fits_into_a_header() {
        assert_eq!(header_text("7f-webhook:host#2"), "7f-webhook:host#2");
        assert_eq!(header_text("a\r\nb ü"), "a%0D%0Ab %C3%BC");
    }
}
