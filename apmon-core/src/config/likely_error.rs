//! Where the error behind a syntax error is: a parser reports it where it can no longer go on,
//! which may be many lines later, and names what it missed.

/// A likely error: its line and column, from 1, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LikelyError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

/// How many lines before the error are searched for a missing space.
const NEAR: usize = 3;
/// A longer text is not searched.
const MOST_LINES: usize = 100_000;

/// The likely error in `text`, if the parser failed at `line`. `is_second_colon` says whether
/// it failed at a colon that it did not expect.
pub(super) fn find(text: &str, line: usize, is_second_colon: bool) -> Option<LikelyError> {
    let lines: Vec<&str> = text.lines().take(line.min(MOST_LINES)).collect();
    let last = *lines.get(line.checked_sub(1)?)?;
    let found = variable(last).map(|(column, text)| (line, column, text));
    let found = found.or_else(|| {
        let near = lines.iter().enumerate().rev().take(NEAR);
        near.filter_map(|(at, line)| no_space(line).map(|(column, text)| (at + 1, column, text)))
            .next()
    });
    let found = found.or_else(|| quote(&lines));
    let found = found.or_else(|| {
        let (column, text) = is_second_colon.then(|| deeper(last)).flatten()?;
        Some((line, column, text))
    });
    found.map(|(line, column, text)| LikelyError { line, column, text })
}

/// `{url: ${NAME}}`: within braces a value cannot contain one.
fn variable(line: &str) -> Option<(usize, String)> {
    let at = line.find("${")?;
    let before = line[..at].trim_end();
    let is_value = before.ends_with([':', ',', '[', '{', '-']);
    if !is_value || !before.contains(['{', '[']) {
        return None;
    }
    let end = line[at..].find('}').map_or(line.len(), |end| at + end + 1);
    let name = &line[at..end];
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_${}".contains(c);
    let shown = match name.chars().all(is_name) && name.len() <= 60 {
        true => name,
        false => "${...}",
    };
    Some((
        column(line, at),
        format!("{shown} must be in quotes within {{ }} or [ ]: \"{shown}\""),
    ))
}

/// `- type:ping`: without a space after the colon it is a single text.
fn no_space(line: &str) -> Option<(usize, String)> {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let (key, rest) = line[start..].split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_text = rest.starts_with(|c: char| c.is_alphanumeric() || "\"'$".contains(c));
    (is_key && is_text).then(|| {
        (
            column(line, start + key.len() + 1),
            format!("write a space after the colon: \"{key}: ...\""),
        )
    })
}

/// The first quote that is closed on another line, where more follows: the closing one belongs
/// to another value.
fn quote(lines: &[&str]) -> Option<(usize, usize, String)> {
    let mut open: Option<(usize, usize, char)> = None;
    for (at, line) in lines.iter().enumerate() {
        let mut rest = match open {
            None => 0,
            Some((opened, column, quote)) => {
                let Some(end) = closing(line, 0, quote) else {
                    continue;
                };
                let after = line[end..].trim_start();
                if !(after.is_empty() || after.starts_with(['#', ',', '}', ']'])) {
                    return Some((opened, column, not_closed(quote)));
                }
                open = None;
                end
            }
        };
        while let Some((start, quote)) = opening(line, rest) {
            match closing(line, start + 1, quote) {
                Some(end) => rest = end,
                None => {
                    open = Some((at + 1, column(line, start), quote));
                    break;
                }
            }
        }
    }
    // The parser reached the end within it.
    open.map(|(line, column, quote)| (line, column, not_closed(quote)))
}

fn not_closed(quote: char) -> String {
    format!("the quote {quote} that begins here is not closed")
}

/// The next quote that begins a value or a key, from byte `from`.
fn opening(line: &str, from: usize) -> Option<(usize, char)> {
    let is_quote = |c: char| matches!(c, '"' | '\'');
    line[from..]
        .char_indices()
        .map(|(at, c)| (from + at, c))
        // A comment.
        .take_while(|(at, c)| *c != '#' || !line[..*at].ends_with([' ', '\t']))
        .find(|(at, c)| {
            let before = line[..*at].trim_end_matches(' ');
            let is_spaced = before.len() < *at;
            let begins = before.is_empty()
                || before.ends_with([',', '[', '{'])
                || (is_spaced && before.ends_with([':', '-']));
            is_quote(*c) && begins
        })
}

/// The byte after the quote that closes, from byte `from`.
fn closing(line: &str, from: usize, quote: char) -> Option<usize> {
    let mut chars = line[from..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => {
                chars.next();
            }
            // Doubled, it is part of the text.
            _ if c == quote && quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
            }
            _ if c == quote => return Some(from + at + 1),
            _ => {}
        }
    }
    None
}

/// A line with a single colon that the parser took for the continuation of the value above.
fn deeper(line: &str) -> Option<(usize, String)> {
    let start = line.len() - line.trim_start().len();
    let colons = line[start..].matches(": ").count() + usize::from(line.trim_end().ends_with(':'));
    (start > 0 && colons == 1 && !line[start..].starts_with("- ")).then(|| {
        (
            column(line, start),
            "this line is indented deeper than the one above, which has a value already; indent both alike"
                .to_owned(),
        )
    })
}

fn column(line: &str, byte: usize) -> usize {
    line[..byte].chars().count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, line: usize) -> String {
        let found = find(text, line, true);
        found.map_or(String::new(), |found| {
            format!("{}:{}: {}", found.line, found.column, found.text)
        })
    }

    #[test]
    fn an_error_is_found_where_it_was_made() {
        let unclosed = "- name: web\n  address: \"http://h/\n- name: nas\n  address: \"http://n/\"\n";
        for (text, line, expected) in [
            (
                "- {url: ${SLACK_URL}}\n",
                1,
                "1:9: ${SLACK_URL} must be in quotes within { } or [ ]: \"${SLACK_URL}\"",
            ),
            (
                "- type:ping\n  name: gw\n",
                2,
                "1:8: write a space after the colon: \"type: ...\"",
            ),
            (unclosed, 4, "2:12: the quote \" that begins here is not closed"),
            (
                "a: 'it''s'\nb: 'x\nc: 'y'\n",
                3,
                "2:4: the quote ' that begins here is not closed",
            ),
            (
                "a: \"x # y\" # it's\nb: \"\n",
                2,
                "2:4: the quote \" that begins here is not closed",
            ),
            (
                "- type: ping\n     name: gw\n",
                2,
                "2:6: this line is indented deeper than the one above, which has a value already; indent both alike",
            ),
        ] {
            assert_eq!(found(text, line), expected, "{text}");
        }
    }

    #[test]
    fn what_is_right_is_not_blamed() {
        for (text, line) in [
            ("a: \"x\n  y\"\nb: c: d\n", 3),
            ("a: it's\nb: c: d\n", 2),
            ("- http://h/\n- http://n/: x: y\n", 2),
            ("a: [\"b\", 'c']\n}\n", 2),
            ("", 1),
            ("a", 9),
        ] {
            assert_eq!(found(text, line), "", "{text}");
        }
    }
}
