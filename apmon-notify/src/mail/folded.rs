//! Replies of several lines: a secret that a server repeats may begin in one line and end in the
//! next.

/// What separates the lines of a reply until its secrets are masked.
pub(super) const FOLD: char = '\n';

/// The enhanced status code that a line begins with (RFC 2034, section 4).
pub(super) fn enhanced_code(line: &str) -> Option<&str> {
    let word = line.split(' ').next().unwrap_or_default();
    let mut parts = word.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    (parts.clone().count() == 3 && parts.all(is_number)).then_some(word)
}

/// `text` as it is shown, in one line.
pub(super) fn unfolded(text: &str) -> String {
    text.replace(FOLD, " ")
}

/// `text` with `***` wherever it has `secret`, in one line or over several.
pub(super) fn masked(text: &str, secret: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match after(rest, secret) {
            Some(after) => {
                shown.push_str("***");
                rest = after;
            }
            None => {
                shown.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    shown
}

/// What follows `secret` in a text that begins with it.
fn after<'t>(text: &'t str, secret: &str) -> Option<&'t str> {
    let mut rest = text;
    let mut is_first = true;
    for c in secret.chars() {
        if !is_first && !rest.starts_with(c) {
            rest = next_line(rest)?;
            // The line ended instead of the blank.
            if c == ' ' {
                continue;
            }
        }
        rest = rest.strip_prefix(c)?;
        is_first = false;
    }
    (!is_first).then_some(rest)
}

/// The text of the next line, if the present one has only blanks left.
fn next_line(rest: &str) -> Option<&str> {
    let line = rest.trim_start_matches(' ').strip_prefix(FOLD)?;
    let line = line.trim_start_matches(' ');
    let bare = enhanced_code(line).and_then(|code| line[code.len()..].strip_prefix(' '));
    Some(bare.unwrap_or(line).trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_also_where_a_line_ends_in_it() {
        for (text, shown) in [
            ("it is s3cret!", "it is ***!"),
            ("s3crets3cret", "******"),
            ("s3c\nret", "***"),
            ("s\n3\nc\nr\ne\nt", "***"),
            ("got s3c \n  ret\nbye", "got ***\nbye"),
            ("5.7.8 s3c\n5.7.8 ret", "5.7.8 ***"),
            ("s3c\n4.2 ret", "s3c\n4.2 ret"),
            ("s3c ret", "s3c ret"),
            ("s3s3cret", "s3***"),
            ("s3c\n", "s3c\n"),
            ("", ""),
        ] {
            assert_eq!(masked(text, "s3cret"), shown, "{text:?}");
        }
        // What is like a code may be the secret, and it may have blanks.
        assert_eq!(masked("a1\n.2.3 b", "a1.2.3 b"), "***");
        assert_eq!(masked("two \nwords", "two words"), "***");
        assert_eq!(masked("two\nwords", "two words"), "***");
        assert_eq!(masked("pä\nß", "päß"), "***");
        assert_eq!(masked("x\ny", ""), "x\ny");
    }
}
