//! The bytes of a webhook.
//!
//! p and s are prefix and suffix, as the operator wrote them.
//!
//! | encoding | the message |
//! |---|---|
//! | URL | percent-encoded but for `A-Z a-z 0-9 - . _ ~` (RFC 3986, section 2.3) |
//! | HTML | `& < > " '` as `&amp; &lt; &gt; &quot; &#39;` |
//! | CSVQUOTED | between double quotes, those inside doubled (RFC 4180, section 2.7) |
//! | JSON | p + text + s inside the string of `{"message": ...}` |
//!
//! With POST this is the body. With GET it goes into a URL, where it has to
//! arrive as one value: an `&` or `;` of an entity would end the parameter, its
//! `#` would begin a fragment that is never sent, a `+` would be read as a
//! blank, a `/` or `?` would be structure. So everything but the unreserved
//! characters is percent-encoded there, whatever the encoding; the receiver
//! undoes that before it sees the HTML or CSV. What the operator wrote keeps
//! its structure (`& = / ? ; % + ...`): of endpoint, prefix and suffix only
//! what no URL can hold is percent-encoded, and `#`, which can only be meant
//! as text.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::options::RequestEncoding;
use crate::http_url::RESERVED;

/// What stands in no URL unencoded (RFC 3986, appendix A), and `#`.
const FOREIGN: &AsciiSet = &CONTROLS
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

/// The body of a POST.
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

/// The content type of a POST.
pub(crate) fn content_type(encoding: RequestEncoding) -> &'static str {
    match encoding {
        RequestEncoding::Url => "application/x-www-form-urlencoded",
        RequestEncoding::Html => "text/html; charset=utf-8",
        RequestEncoding::Csvquoted => "text/plain; charset=utf-8",
        RequestEncoding::Json => "application/json",
    }
}

/// The URL of a GET. JSON has none (the site file refuses it); it is read as
/// URL.
pub(crate) fn url(
    endpoint: &str,
    encoding: RequestEncoding,
    prefix: &str,
    text: &str,
    suffix: &str,
) -> String {
    let message = match encoding {
        RequestEncoding::Url | RequestEncoding::Json => percent(text),
        RequestEncoding::Html => percent(&html(text)),
        RequestEncoding::Csvquoted => percent(&csv(text)),
    };
    let head = format!("{}{}", written(endpoint), written(prefix));
    // Without a path what follows would become part of the host's name.
    let authority = endpoint.find("://").map_or(0, |at| at + 3);
    let end = endpoint.len();
    let slash =
        if !endpoint[authority..].contains(['/', '?', '#', '\\']) && !head[end..].starts_with(['/', '?']) {
            "/"
        } else {
            ""
        };
    format!(
        "{}{slash}{}{message}{}",
        &head[..end],
        &head[end..],
        written(suffix)
    )
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// What the operator wrote, as a URL can hold it. A `%` is kept where two hex
/// digits follow.
fn written(text: &str) -> String {
    let mut fitted = String::with_capacity(text.len());
    let mut pieces = text.split('%');
    fitted.extend(
        pieces
            .next()
            .map(|piece| utf8_percent_encode(piece, FOREIGN).to_string()),
    );
    for piece in pieces {
        let bytes = piece.as_bytes();
        let triplet = bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit);
        fitted.push_str(if triplet { "%" } else { "%25" });
        fitted.extend(utf8_percent_encode(piece, FOREIGN));
    }
    fitted
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
