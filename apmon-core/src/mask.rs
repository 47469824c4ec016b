//! Masks secrets in foreign text (an answer, the output of a program), in every encoding in
//! which they may come back.

mod form;
mod pattern;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
};

use percent_encoding::percent_decode_str;
use url::Url;

pub use self::form::base64;
use self::{
    form::decoded_payload,
    pattern::{MASKED, MIN_LENGTH, Pattern},
};
use crate::{
    notification::DeliveryError,
    outcome::{Failure, Outcome},
};

/// Communities that every device has in its factory configuration. Everybody knows them, and the
/// names of ports contain these words.
const KNOWN_TO_ALL: &[&str] = &["public", "private"];

/// The secrets of a monitor or a channel, which must not be shown. A clone shares them. The
/// default has none.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<Secrets>>);

#[derive(Clone, Default)]
struct Secrets {
    all: BTreeSet<Box<str>>,
    /// What is searched for, made at the first search: it takes much longer than the search.
    patterns: OnceLock<Vec<Pattern>>,
}

impl Secrets {
    fn extend(&mut self, more: impl IntoIterator<Item = Box<str>>) {
        self.patterns.take();
        self.all.extend(more);
    }

    fn patterns(&self) -> &[Pattern] {
        self.patterns
            .get_or_init(|| Pattern::of(self.all.iter().map(|secret| &**secret)))
    }
}

impl Mask {
    /// Adds a secret: the whole of it, the words in it except the names of fields, and what it
    /// encodes in hex or Base64. A URL is added as [`add_url`](Self::add_url) does.
    pub fn add(&mut self, secret: &str) {
        if secret.contains("://") && Url::parse(secret).is_ok_and(|url| url.has_host()) {
            self.add_url(secret);
            return;
        }
        self.add_words(secret);
        if let Some(payload) = decoded_payload(secret) {
            self.add_words(&payload);
        }
    }

    fn add_words(&mut self, secret: &str) {
        /// A document has more words, and few of them are secret.
        const MAX_WORDS: usize = 1000;
        self.add_whole(secret);
        // The words of a phrase are common ones, which our own texts contain too. `Bearer TOKEN`
        // is none.
        let is_phrase =
            !secret.contains(['=', ':', '&', '{', '"', '<']) && secret.split_whitespace().nth(2).is_some();
        let is_end = |c: char| c.is_whitespace() || "&=:;,\"'{}<>()[]".contains(c);
        let mut rest = secret;
        for _ in 0..MAX_WORDS {
            let Some(at) = rest.find(|c| !is_end(c)) else {
                break;
            };
            let word = &rest[at..];
            let end = word.find(is_end).unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            rest = after;
            // `user=...`, `"user": ...`: the field's name says what follows.
            let is_field = after
                .trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(['=', ':'])
                && !word.contains(|c: char| c.is_ascii_digit());
            let may_be_secret = !is_phrase || is_uncommon(word);
            if !is_field && may_be_secret {
                self.add_whole(word);
            }
        }
    }

    /// Adds a URL that is secret as a whole: its path segments, the values of its query, its user
    /// name and password.
    pub fn add_url(&mut self, text: &str) {
        // Scheme, host and port are shown wherever something is sent, and there may be no more.
        let is_origin = |url: Url| url.origin().ascii_serialization() == text.trim_end_matches('/');
        if !Url::parse(text).is_ok_and(is_origin) {
            self.add_whole(text);
        }
        self.add_url_parts(text);
    }

    /// The same for a URL whose host may be shown.
    pub(crate) fn add_url_parts(&mut self, text: &str) {
        let Ok(url) = Url::parse(text) else { return };
        let segments = url.path().split('/');
        let fields = url.query().into_iter().flat_map(|query| query.split('&'));
        for part in segments
            .chain(fields.flat_map(query_values))
            .chain([url.username()])
        {
            self.add_whole(part);
        }
        self.add_login(text);
    }

    /// Adds the user name and password of a URL that is no secret itself. A user name beside a
    /// password is none either, but both together are what `Authorization: Basic` carries.
    pub(crate) fn add_login(&mut self, text: &str) {
        let Ok(url) = Url::parse(text) else { return };
        let (name, password) = (url.username(), url.password().unwrap_or_default());
        if name.is_empty() && password.is_empty() {
            return;
        }
        // The same words as for the address that is shown.
        if !crate::text::without_userinfo(text).contains(&format!("{name}:{MASKED}@")) {
            self.add_whole(name);
        }
        self.add_whole(password);
        self.add_whole(&decoded(&format!("{name}:{password}")));
    }

    fn add_whole(&mut self, secret: &str) {
        if secret.len() < MIN_LENGTH || KNOWN_TO_ALL.contains(&secret) {
            return;
        }
        let plain = decoded(secret);
        let plain = (plain.len() >= MIN_LENGTH).then(|| plain.into());
        let secrets = Arc::make_mut(self.0.get_or_insert_default());
        secrets.extend([secret.into()].into_iter().chain(plain));
    }

    /// Adds all secrets of another mask.
    pub(crate) fn extend(&mut self, other: &Self) {
        let Some(other) = &other.0 else { return };
        match &mut self.0 {
            Some(own) => Arc::make_mut(own).extend(other.all.iter().cloned()),
            None => self.0 = Some(Arc::clone(other)),
        }
    }

    /// Whether it has no secrets, so that it changes nothing.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn patterns(&self) -> &[Pattern] {
        self.0.as_deref().map_or(&[], Secrets::patterns)
    }

    /// Replaces every secret in `text` by `***`, and the beginning of one that `...` cuts off.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() || text.len() < MIN_LENGTH {
            return Cow::Borrowed(text);
        }
        Cow::Owned(hide_patterns(self.patterns(), text))
    }

    /// Replaces every secret in a text that was cut and may end in part of one.
    #[must_use]
    pub fn hide_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        let patterns = self.patterns();
        let text = hide_patterns(patterns, text);
        // The remains of a character that was cut.
        let end = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        Cow::Owned(match longest_tail(patterns, end) {
            Some(length) => format!("{}{MASKED}", &end[..end.len() - length]),
            None => end.to_owned(),
        })
    }

    pub(crate) fn hide_in(&self, text: &mut String) {
        if let Cow::Owned(hidden) = self.hide(text) {
            *text = hidden;
        }
    }

    /// The failure with every secret in its reason replaced.
    #[must_use]
    pub(crate) fn hide_failure(&self, mut failure: Failure) -> Failure {
        self.hide_in(&mut failure.reason);
        failure
    }

    /// Replaces every secret in the texts of an outcome.
    pub(crate) fn hide_outcome(&self, outcome: &mut Outcome) {
        if self.is_empty() {
            return;
        }
        outcome.map_failure(|failure| self.hide_failure(failure));
        for warning in &mut outcome.warnings {
            self.hide_in(&mut warning.text);
        }
    }

    /// Replaces every secret in an error.
    pub(crate) fn hide_error(&self, mut error: DeliveryError) -> DeliveryError {
        let (DeliveryError::Retryable { reason, .. } | DeliveryError::Permanent { reason }) = &mut error;
        self.hide_in(reason);
        error
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

fn hide_patterns(patterns: &[Pattern], text: &str) -> String {
    let text = patterns
        .iter()
        .fold(text.to_owned(), |text, pattern| pattern.hide_in(text));
    let Some(_) = text.find("...") else { return text };
    // An excerpt: what is before the dots may be part of a secret.
    let mut parts = text.split("...");
    let mut shown = String::with_capacity(text.len());
    let mut part = parts.next().unwrap_or_default();
    for next in parts {
        match longest_tail(patterns, part) {
            Some(length) => {
                shown.push_str(&part[..part.len() - length]);
                shown.push_str(MASKED);
            }
            None => shown.push_str(part),
        }
        shown.push_str("...");
        part = next;
    }
    shown.push_str(part);
    shown
}

/// How many bytes at the end of `text` are the beginning of one of the secrets.
fn longest_tail(patterns: &[Pattern], text: &str) -> Option<usize> {
    patterns.iter().filter_map(|pattern| pattern.tail(text)).max()
}

/// Whether a word is not a common one: it has a digit, or a capital letter after a small one.
fn is_uncommon(word: &str) -> bool {
    let is_mixed = || {
        let rest = word.trim_start_matches(|c: char| !c.is_lowercase());
        rest.contains(char::is_uppercase)
    };
    word.contains(|c: char| c.is_ascii_digit()) || is_mixed()
}

/// The parts of a query's field that may be secret. What is before `=` is a name, and our own
/// texts have such words (`status=up`), unless nothing follows: then the `=` may be the padding of
/// a token.
fn query_values(field: &str) -> impl Iterator<Item = &str> {
    let (name, value) = field.split_once('=').unwrap_or(("", field));
    let is_token = value.chars().all(|c| c == '=') && is_uncommon(name);
    let name = is_token.then_some(name);
    value.split('=').chain(name)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
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
    fn a_url_that_is_only_an_origin_is_shown() {
        for (url, shown) in [
            ("https://gotify.lan:8443", "https://gotify.lan:8443: refused"),
            ("https://gotify.lan:8443/", "https://gotify.lan:8443: refused"),
            (
                "https://k3yk3y@gotify.lan:8443",
                "https://gotify.lan:8443: refused",
            ),
        ] {
            let mut mask = Mask::default();
            mask.add_url(url);
            assert_eq!(mask.hide("https://gotify.lan:8443: refused"), shown);
            assert!(!mask.hide("k3yk3y").contains("k3yk3y") || !url.contains("k3yk3y"));
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

    #[test]
    fn common_words_are_not_masked() {
        for (secret, text) in [
            ("a privacy pass phrase", "the privacy password"),
            ("the lab's authentication", "the authentication password"),
            ("public", "port public-wifi"),
            ("{\"status\": \"up\"}", "status 503"),
            ("abc", "abcdef"),
        ] {
            assert_eq!(mask(secret).hide(text), text);
        }
        assert_eq!(
            mask("a privacy pass phrase").hide("<a privacy pass phrase>"),
            "<***>"
        );
    }

    #[test]
    fn a_secret_is_masked_inside_longer_base64_and_as_what_it_encodes() {
        let secret = mask("hunter2hunter2");
        for text in ["x:hunter2hunter2", "xy:hunter2hunter2:z", "hunter2hunter2 z"] {
            for encoded in base64(text.as_bytes()) {
                let shown = secret.hide(&encoded).into_owned();
                assert!(shown.contains("***") && shown.len() < 12, "{text}: {shown}");
            }
        }
        assert_eq!(mask("aHVudGVyMg==").hide("got hunter2"), "got ***");
        assert_eq!(mask("68 75 6e 74 65 72 32").hide("got hunter2"), "got ***");
    }

    #[test]
    fn the_beginning_of_a_secret_that_an_excerpt_cuts_is_masked() {
        assert_eq!(
            mask("s3cret-key").hide("got s3cre... (1 byte)"),
            "got ***... (1 byte)"
        );
        assert_eq!(mask("s3cret-key").hide("waiting..."), "waiting...");
    }

    #[test]
    fn the_names_of_a_querys_fields_are_not_masked() {
        let mut mask = Mask::default();
        mask.add_url("https://h.example/?status=up&token=k3y=k3yk3y&message=&dG9rZW4x==&plain");
        assert_eq!(
            mask.hide("status 503, token k3yk3y, message dG9rZW4x plain"),
            "status 503, token ***, message *** ***"
        );
    }

    #[test]
    fn a_short_secret_is_masked_only_as_a_word() {
        for (text, shown) in [
            ("up since reading", "*** since reading"),
            ("updated up-link up2", "updated ***-link up2"),
            ("got upé, (up)_up%22", "got upé, (***)_***%22"),
            (
                "%22up%22 \\nup \\u0022up \\x22up",
                "%22***%22 \\n*** \\u0022*** \\x22***",
            ),
            ("cupdone...", "cupdone..."),
        ] {
            let text = text.replace("up", "pass1");
            let shown = shown.replace("up", "pass1");
            assert_eq!(mask("pass1").hide(&text), shown);
        }
        assert_eq!(mask("a-a-a").hide("xa-a-a-a"), "xa-***");
        assert_eq!(mask("-abc-").hide("x-abc-y"), "x***y");
        assert_eq!(mask("pass1").hide("pass... xpass..."), "***... xpass...");
        assert_eq!(mask("pass1word").hide("xpass1wordy"), "x***y");
        for encoded in base64(b"x:pass1:y") {
            assert!(mask("pass1").hide(&encoded).contains("***"));
        }
    }

    #[test]
    fn a_secret_added_after_a_search_is_masked_and_clones_keep_their_own() {
        let mut first = mask("hunter2hunter2");
        assert_eq!(first.hide("hunter2hunter2 s3cret-key"), "*** s3cret-key");
        let before = first.clone();
        first.add("s3cret-key");
        assert_eq!(first.hide("hunter2hunter2 s3cret-key"), "*** ***");
        assert_eq!(before.hide("hunter2hunter2 s3cret-key"), "*** s3cret-key");
        let mut second = mask("other-key");
        assert_eq!(second.hide("other-key s3cret-key"), "*** s3cret-key");
        second.extend(&first);
        assert_eq!(second.hide("other-key s3cret-key"), "*** ***");
        assert_eq!(format!("{second:?}"), "Mask");
    }

    #[test]
    fn what_is_searched_for_is_made_once() {
        let mask = mask("hunter2hunter2");
        let first = mask.patterns().as_ptr();
        assert_eq!(mask.hide("hunter2hunter2"), "***");
        assert_eq!(mask.clone().patterns().as_ptr(), first);
    }

    #[test]
    fn the_login_of_an_address_is_masked_but_not_its_user() {
        let mut mask = Mask::default();
        mask.add_login("http://staff:s3cret@h/page");
        assert_eq!(
            mask.hide("staff s3cret c3RhZmY6czNjcmV0 page"),
            "staff *** *** page"
        );
        let mut mask = Mask::default();
        mask.add_login("http://k3yk3y:@h/");
        assert_eq!(mask.hide("k3yk3y azN5azN5Og"), "*** ***");
    }
}
