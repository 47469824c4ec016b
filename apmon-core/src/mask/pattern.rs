//! What is searched for in a text, and where it counts.

use super::form::{encodings, texts};

/// The shortest secret that is masked; a shorter one would match by chance.
pub(super) const MIN_LENGTH: usize = 4;

/// The shortest secret that is masked in the middle of a word too. A shorter one may be part of
/// a common word by chance.
const MIN_INSIDE: usize = 8;

/// What stands in place of a secret.
pub(super) const MASKED: &str = "***";

/// One form of a secret.
#[derive(Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    /// Whether it counts only where no letter or digit stands directly before or after it.
    is_word: bool,
}

impl Pattern {
    /// All forms of all secrets, the longest first: one may be a part of another.
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s str>) -> Vec<Self> {
        let mut all = Vec::new();
        for secret in secrets {
            let is_word = secret.len() < MIN_INSIDE;
            let pattern = |is_word| {
                move |text: String| Self {
                    text: text.into(),
                    is_word,
                }
            };
            all.extend(texts(secret).into_iter().map(pattern(is_word)));
            // Inside a longer encoded text, letters stand on both sides.
            all.extend(encodings(secret).into_iter().map(pattern(false)));
        }
        all.retain(|pattern| pattern.text.len() >= MIN_LENGTH);
        let key = |pattern: &Self| (std::cmp::Reverse(pattern.text.len()), pattern.is_word);
        all.sort_unstable_by(|a, b| a.text.cmp(&b.text).then(a.is_word.cmp(&b.is_word)));
        // The first of equal ones counts everywhere if any of them does.
        all.dedup_by(|next, first| next.text == first.text);
        all.sort_by_key(key);
        all.shrink_to_fit();
        all
    }

    /// `text` with `***` wherever it has this pattern.
    pub(super) fn hide_in(&self, text: String) -> String {
        let Some(mut place) = self.find(&text, 0) else {
            return text;
        };
        let (mut shown, mut done) = (String::with_capacity(text.len()), 0);
        loop {
            shown.push_str(&text[done..place]);
            shown.push_str(MASKED);
            done = place + self.text.len();
            match self.find(&text, done) {
                Some(next) => place = next,
                None => break,
            }
        }
        shown.push_str(&text[done..]);
        shown
    }

    /// The first place from `from` on where this pattern counts.
    fn find(&self, text: &str, mut from: usize) -> Option<usize> {
        loop {
            let at = from + text[from..].find(&*self.text)?;
            let (before, after) = (&text[..at], &text[at + self.text.len()..]);
            if !self.is_word || self.is_free_before(before) && self.is_free_after(after) {
                return Some(at);
            }
            from = at + text[at..].chars().next()?.len_utf8();
        }
    }

    /// How many bytes at the end of `text` are the beginning of this pattern.
    pub(super) fn tail(&self, text: &str) -> Option<usize> {
        let longest = self.text.len().min(text.len());
        (MIN_LENGTH..=longest)
            .rev()
            .filter(|length| self.text.is_char_boundary(*length))
            .find(|length| {
                text.strip_suffix(&self.text[..*length])
                    .is_some_and(|before| !self.is_word || self.is_free_before(before))
            })
    }

    /// Whether a word may begin with this pattern after `before`.
    fn is_free_before(&self, before: &str) -> bool {
        let joins = |c: char| c.is_alphanumeric();
        !self.text.starts_with(joins) || !before.ends_with(joins) || ends_in_escape(before)
    }

    /// Whether a word may end with this pattern before `after`.
    fn is_free_after(&self, after: &str) -> bool {
        let joins = |c: char| c.is_alphanumeric();
        !self.text.ends_with(joins) || !after.starts_with(joins)
    }
}

/// Whether the last letters or digits of `text` are not its own, but escape another character:
/// `%22`, `\n`, `\x1b`, `\u0022`.
fn ends_in_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_code = |lead: &str, digits: usize| {
        let end = bytes.len().checked_sub(digits).map(|at| bytes.split_at(at));
        end.is_some_and(|(before, code)| {
            before.ends_with(lead.as_bytes()) && code.iter().all(u8::is_ascii_hexdigit)
        })
    };
    matches!(bytes, [.., b'\\', c] if c.is_ascii_alphanumeric())
        || is_code("%", 2)
        || is_code("\\x", 2)
        || is_code("\\u", 4)
}
