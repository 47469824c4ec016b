//! The forms in which a secret may come back.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::text::printable;

/// All characters except the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The characters that `encodeURIComponent` encodes.
const SCRIPT: &AsciiSet = &RESERVED
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// The longest secret whose encodings are masked too: a longer one is a document.
const MAX_ENCODED: usize = 4096;

/// The forms in which `secret` may come back as a text: itself, and with some of its characters
/// escaped.
pub(super) fn texts(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    if secret.len() > MAX_ENCODED {
        return forms;
    }
    for set in [NON_ALPHANUMERIC, RESERVED, SCRIPT] {
        let encoded = utf8_percent_encode(secret, set).to_string();
        forms.extend([lower_hex(&encoded), encoded.replace("%20", "+"), encoded]);
    }
    forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    let quoted = json(secret);
    forms.extend([
        ascii(&quoted),
        quoted.replace('/', "\\/"),
        ascii(&quoted.replace('/', "\\/")),
        quoted,
    ]);
    forms.extend([
        printable(secret).into_owned(),
        secret.escape_default().to_string(),
        secret.escape_debug().to_string(),
        html(secret, "&#39;"),
        html(secret, "&#x27;"),
        html(secret, "&apos;"),
    ]);
    forms
}

/// The forms in which `secret` may come back if all its bytes are encoded, by themselves or in a
/// longer text.
pub(super) fn encodings(secret: &str) -> Vec<String> {
    if secret.len() > MAX_ENCODED {
        return Vec::new();
    }
    let hex = crate::secret::hex(secret.as_bytes());
    let mut forms = vec![hex.to_ascii_uppercase(), hex];
    forms.extend(base64(secret.as_bytes()));
    forms.extend(base64_inside(secret.as_bytes()));
    forms
}

/// `text` as it appears inside the quotes of a JSON string.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A JSON string with everything outside ASCII escaped, as some encoders write it.
fn ascii(quoted: &str) -> String {
    let mut written = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        match c.is_ascii() {
            true => written.push(c),
            false => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written
}

/// Text in an HTML page; `apostrophe` has several forms.
fn html(text: &str, apostrophe: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', apostrophe)
}

/// Percent-encoding in lower case: `%2f` instead of `%2F`.
fn lower_hex(encoded: &str) -> String {
    let (mut written, mut in_hex) = (String::with_capacity(encoded.len()), 0);
    for c in encoded.chars() {
        written.push(if in_hex > 0 { c.to_ascii_lowercase() } else { c });
        in_hex = if c == '%' {
            2
        } else {
            u8::saturating_sub(in_hex, 1)
        };
    }
    written
}

/// `bytes` in both alphabets of Base64, without padding, which is optional.
#[must_use]
pub fn base64(bytes: &[u8]) -> [String; 2] {
    [
        general_purpose::STANDARD_NO_PAD.encode(bytes),
        general_purpose::URL_SAFE_NO_PAD.encode(bytes),
    ]
}

/// The part of the Base64 of a longer text that depends on `bytes` alone, for each place in
/// which they may stand there.
fn base64_inside(bytes: &[u8]) -> Vec<String> {
    /// Fewer characters would match by chance.
    const MIN: usize = 6;
    let mut parts = Vec::new();
    for before in 0..3 {
        let mut padded = vec![0; before];
        padded.extend_from_slice(bytes);
        // A character carries six bits: the first ones and the last one may carry others too.
        let first = [0, 2, 3][before];
        let last = padded.len() * 8 / 6;
        for encoded in base64(&padded) {
            parts.extend(
                encoded
                    .get(first..last)
                    .filter(|part| part.len() >= MIN)
                    .map(str::to_owned),
            );
        }
    }
    parts
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &::base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The text that `text` encodes in hex or Base64, as options for bytes do.
pub(super) fn decoded_payload(text: &str) -> Option<String> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits: Option<Vec<u8>> = dense
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let hex = digits
        .filter(|digits| digits.len().is_multiple_of(2))
        .map(|digits| {
            digits
                .chunks_exact(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect()
        });
    let bytes: Vec<u8> = hex.or_else(|| LENIENT.decode(&dense).ok())?;
    let is_text = |c: char| !c.is_control() || c.is_ascii_whitespace();
    String::from_utf8(bytes)
        .ok()
        .filter(|text| text.chars().all(is_text))
}
