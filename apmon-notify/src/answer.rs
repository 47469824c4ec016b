//! What an answer or a failure means for another try.

use std::{borrow::Cow, error::Error, time::Duration};

use apmon_core::{DeliveryError, text::excerpt};
use jiff::fmt::rfc2822::DateTimeParser;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use crate::client::MAX_REDIRECTS;

/// Whoever asks us to come back later than this is asked again after it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// Redirects that are not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Redirect {
    #[error("redirects more than {MAX_REDIRECTS} times")]
    TooMany,
    #[error("redirects from https to http")]
    Downgrade,
}

/// Any 2xx is success; 408, 429 and 5xx may pass by themselves.
pub(crate) fn judge(origin: &str, response: &Response, post: bool) -> Result<(), DeliveryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let mut reason = format!("{origin}: answered {status}");
    if status.is_redirection() && post {
        reason.push_str("; a POST follows no redirect");
    }
    let passing = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error();
    Err(if passing {
        DeliveryError::Retryable {
            reason,
            retry_after: retry_after(response.headers()),
        }
    } else {
        DeliveryError::Permanent { reason }
    })
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). A date is
/// taken against the answer's own `Date`, so that no clock of ours is asked
/// and the two need not agree.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    let wait = if !wanted.is_empty() && wanted.bytes().all(|digit| digit.is_ascii_digit()) {
        wanted.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let parser = DateTimeParser::new();
        let then = parser.parse_timestamp(wanted).ok()?;
        let now = parser.parse_timestamp(text(DATE)?).ok()?;
        Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
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
pub(crate) fn cause(error: &dyn Error) -> String {
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
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(wait("120", None), secs(120));
        assert_eq!(wait("0", None), secs(0));
        assert_eq!(wait("Wed, 21 Oct 2026 07:29:30 GMT", date), secs(90));
        assert_eq!(wait("Wed, 21 Oct 2026 07:00:00 GMT", date), secs(0));
        assert_eq!(wait("Wed, 21 Oct 2026 07:29:30 GMT", None), None);
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
