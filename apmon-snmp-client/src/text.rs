//! Making the texts of an agent safe to display on a terminal.

use std::borrow::Cow;

/// Escapes every character that could drive a terminal or hide other text (`\n`, `\u{1b}`,
/// `\u{202e}`): control characters of both sets, line and paragraph separators, direction
/// marks and other invisible characters.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_unprintable(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns the beginning of `text`, printable, at most `max` displayed characters. An
/// escape is shown whole or not at all.
pub(crate) fn excerpt(text: &str, max: usize) -> String {
    let (mut shown, mut room) = (String::new(), max);
    for c in text.chars() {
        let before = shown.len();
        let length = match is_unprintable(c) {
            true => {
                shown.extend(c.escape_default());
                shown.len() - before // it is ASCII
            }
            false => {
                shown.push(c);
                1
            }
        };
        if length > room {
            shown.truncate(before);
            shown.push_str("...");
            break;
        }
        room -= length;
    }
    shown
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_drive_a_terminal_are_written_out() {
        assert_eq!(printable("web"), "web");
        assert_eq!(
            printable("a\x1b[2Jb\nc\u{202e}d\u{9b}"),
            "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}"
        );
        assert_eq!(
            printable("a\u{ad}\u{61c}\u{3164}\u{e0041}b"),
            "a\\u{ad}\\u{61c}\\u{3164}\\u{e0041}b"
        );
    }

    #[test]
    fn an_excerpt_is_cut_by_characters() {
        assert_eq!(excerpt("äöü", 2), "äö...");
        assert_eq!(excerpt("ab", 2), "ab");
        // An escape counts with all of its characters.
        assert_eq!(excerpt("a\nb", 3), "a\\n...");
        assert_eq!(excerpt("a\u{202e}b", 8), "a...");
        assert_eq!(excerpt("a\u{202e}b", 10), "a\\u{202e}b");
    }
}
