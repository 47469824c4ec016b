//! Encodes a notification as the body or the URL of a webhook request.
//!
//! p and s are the prefix and the suffix, as the operator wrote them.
//!
//! | encoding | the notification |
//! |---|---|
//! | URL | percent-encoded except `A-Z a-z 0-9 - . _ ~` (RFC 3986, section 2.3) |
//! | HTML | `& < > " '` as `&amp; &lt; &gt; &quot; &#39;` |
//! | CSVQUOTED | between double quotes, those inside doubled (RFC 4180, section 2.7) |
//! | JSON | p + text + s inside the string of `{"message": ...}` |
//!
//! With POST this is the body. With GET it is part of a URL and must arrive as
//! one value: the `&` or `;` of an entity would end the parameter, its `#` would
//! start a fragment, which is never sent, a `+` would be decoded as a space, and
//! a `/` or `?` would be structure. So everything except the unreserved
//! characters is percent-encoded in a URL, whatever the encoding; the receiver
//! decodes that before it sees the HTML or CSV. The operator's own text keeps its
//! structure (`& = / ? ; % + ...`): in endpoint, prefix and suffix only the
//! characters that no URL may contain are percent-encoded, and `#`, which can
//! only be meant as text.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::options::RequestEncoding;
use crate::http_url::RESERVED;

/// Characters that no URL contains unencoded (RFC 3986, appendix A), and `#`.
const NOT_IN_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The body of a POST request.
pub(crate) fn body(encoding: RequestEncoding, prefix: &str, text: &str, suffix: &str) -> String {
    match encoding {
        RequestEncoding::Json => {
            serde_json::json!({ "message": format!("{prefix}{text}{suffix}") }).to_string()
        }
        RequestEncoding::Url => format!("{prefix}{}{suffix}", percent(text)),
        RequestEncoding::Html => format!("{prefix}{}{suffix}", html(text)),
        RequestEncoding::Csvquoted => format!("{prefix}{}{suffix}", csv(text)),
    }
}

/// The content type of a POST request.
pub(crate) fn content_type(encoding: RequestEncoding) -> &'static str {
    match encoding {
        RequestEncoding::Url => "application/x-www-form-urlencoded",
        RequestEncoding::Html => "text/html; charset=utf-8",
        RequestEncoding::Csvquoted => "text/plain; charset=utf-8",
        RequestEncoding::Json => "application/json",
    }
}

/// The URL of a GET request. JSON, which the site file refuses here, is encoded like
/// URL.
pub(crate) fn url(
    endpoint: &str,
    encoding: RequestEncoding,
    prefix: &str,
    text: &str,
    suffix: &str,
) -> String {
    let notification = match encoding {
        RequestEncoding::Url | RequestEncoding::Json => percent(text),
        RequestEncoding::Html => percent(&html(text)),
        RequestEncoding::Csvquoted => percent(&csv(text)),
    };
    let head = format!("{}{}", fit_for_url(endpoint), fit_for_url(prefix));
    // Without a path, the text would become part of the host name.
    let authority = endpoint.find("://").map_or(0, |at| at + 3);
    let end = endpoint.len();
    let slash =
        if !endpoint[authority..].contains(['/', '?', '#', '\\']) && !head[end..].starts_with(['/', '?']) {
            "/"
        } else {
            ""
        };
    format!(
        "{}{slash}{}{notification}{}",
        &head[..end],
        &head[end..],
        fit_for_url(suffix)
    )
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Text of the operator, encoded as far as a URL requires. A `%` is kept if two hex
/// digits follow.
fn fit_for_url(text: &str) -> String {
    let mut fit = String::with_capacity(text.len());
    let mut pieces = text.split('%');
    fit.extend(
        pieces
            .next()
            .map(|piece| utf8_percent_encode(piece, NOT_IN_URL).to_string()),
    );
    for piece in pieces {
        let bytes = piece.as_bytes();
        let triplet = bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit);
        fit.push_str(if triplet { "%" } else { "%25" });
        fit.extend(utf8_percent_encode(piece, NOT_IN_URL));
    }
    fit
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn csv(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
