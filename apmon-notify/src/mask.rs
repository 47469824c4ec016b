//! Masks secrets in the answers of receivers, in every encoding.

use std::cmp::Reverse;

use base64::{Engine, engine::general_purpose};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::http_url::RESERVED;

/// The shortest secret that is masked; a shorter one would match by chance.
const MIN_LENGTH: usize = 4;

/// The characters that `encodeURIComponent` encodes.
const SCRIPT: &AsciiSet = &RESERVED
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// The secrets that must not be shown, in all their forms.
#[derive(Clone, Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// Adds a secret, and each of its words.
    pub(crate) fn add(&mut self, secret: &str) {
        self.add_whole(secret);
        let is_end = |c: char| c.is_whitespace() || "&=:;,\"'{}".contains(c);
        for word in secret.split(is_end) {
            self.add_whole(word);
        }
    }

    /// Adds a URL, its path segments, the words of its query, its user name and
    /// password.
    pub(crate) fn add_url(&mut self, text: &str) {
        self.add_whole(text);
        let Ok(url) = Url::parse(text) else { return };
        let segments = url.path().split('/');
        let words = url.query().into_iter().flat_map(|query| query.split(['&', '=']));
        let (name, password) = (url.username(), url.password().unwrap_or_default());
        for part in segments.chain(words).chain([name, password]) {
            self.add_whole(part);
        }
        if !name.is_empty() || !password.is_empty() {
            // The form that `Authorization: Basic` carries in Base64.
            self.add_whole(&decoded(&format!("{name}:{password}")));
        }
    }

    fn add_whole(&mut self, secret: &str) {
        if secret.len() < MIN_LENGTH {
            return;
        }
        let plain = decoded(secret);
        self.0.extend(forms(secret));
        if plain != secret && plain.len() >= MIN_LENGTH {
            self.0.extend(forms(&plain));
        }
        // The longest first: one may be a part of another.
        self.0
            .sort_unstable_by(|a, b| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
        self.0.dedup();
    }

    /// Replaces every secret in `text` by `***`.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hidden = |text: String, secret: &String| match text.contains(secret) {
            true => text.replace(secret, "***"),
            false => text,
        };
        self.0.iter().fold(text.to_owned(), hidden)
    }

    /// Replaces every secret in a text that was cut and may end in part of one.
    pub(crate) fn hide_cut(&self, text: &str) -> String {
        let text = self.hide(text);
        // The remains of a character that was cut.
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let longest = self.0.iter().filter_map(|secret| tail(text, secret)).max();
        match longest {
            Some(length) => format!("{}***", &text[..text.len() - length]),
            None => text.to_owned(),
        }
    }
}

/// How many bytes at the end of `text` are the beginning of `secret`.
fn tail(text: &str, secret: &str) -> Option<usize> {
    let longest = secret.len().min(text.len());
    (MIN_LENGTH..=longest)
        .rev()
        .filter(|length| secret.is_char_boundary(*length))
        .find(|length| text.ends_with(&secret[..*length]))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The forms in which `secret` may come back.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
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
    forms.extend(base64(secret.as_bytes()));
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
pub(crate) fn base64(bytes: &[u8]) -> [String; 2] {
    [
        general_purpose::STANDARD_NO_PAD.encode(bytes),
        general_purpose::URL_SAFE_NO_PAD.encode(bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secret: &str) -> Mask {
        let mut mask = Mask::default();
        mask.add(secret);
        mask
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let mask = mask("a/b \"ü\"%+x?");
        for (form, shown) in [
            ("a/b \"ü\"%+x?", "***"),
            ("<a%2Fb%20%22%C3%BC%22%25%2Bx%3F>", "<***>"),
            ("a%2fb%20%22%c3%bc%22%25%2bx%3f", "***"),
            ("a%2Fb+%22%C3%BC%22%25%2Bx%3F", "***"),
            (r#"{"got":"a/b \"ü\"%+x?"}"#, r#"{"got":"***"}"#),
            (r#"a\/b \"\u00fc\"%+x?"#, "***"),
            ("YS9iICLDvCIlK3g/", "***"),
            ("YS9iICLDvCIlK3g_", "***"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(mask.hide(form), shown, "{form}");
        }
    }

    #[test]
    fn the_words_of_a_secret_are_masked() {
        let mask = mask("token=t0ken1&user:us3r;Bearer b34r {\"k\":\"jsonk3y\"} n");
        for word in ["t0ken1", "us3r", "b34r", "jsonk3y"] {
            assert_eq!(mask.hide(&format!("no {word} n")), "no *** n");
        }
    }

    #[test]
    fn the_parts_of_a_url_are_masked() {
        let mut mask = Mask::default();
        mask.add_url("https://us%65r:p%40ss@h.example/hook/s3cret?key=k3yk3y");
        for part in [
            "user",
            "p@ss",
            "p%40ss",
            "hook",
            "s3cret",
            "k3yk3y",
            "dXNlcjpwQHNz",
        ] {
            assert_eq!(
                mask.hide(&format!("h.example <{part}>")),
                "h.example <***>",
                "{part}"
            );
        }
    }

    #[test]
    fn part_of_a_secret_at_the_end_of_a_cut_text_is_masked() {
        let mask = mask("s3crét-key");
        for (cut, shown) in [
            ("no s3crét-ke", "no ***"),
            ("no s3cr\u{fffd}", "no ***"),
            ("no s3c", "no s3c"),
            ("s3cr is it", "s3cr is it"),
            ("", ""),
        ] {
            assert_eq!(mask.hide_cut(cut), shown);
        }
        assert_eq!(mask.hide("no s3crét-ke"), "no s3crét-ke");
    }
}
