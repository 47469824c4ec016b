//! Text for display: safe for terminals, and without secrets.

use std::borrow::Cow;

/// Escapes everything that could drive a terminal or hide other text (`\n`, `\u{1b}`,
/// `\u{202e}`): control characters of both sets, line and paragraph separators, direction marks
/// and other invisible characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unprintable(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The beginning of `text`, printable, at most `max` displayed characters.
#[must_use]
pub fn excerpt(text: &str, max: usize) -> String {
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

/// An address for display: the part before the `@` of a URL's authority may be a password or an
/// SNMP community, so only a user name is left of it.
#[must_use]
pub fn without_userinfo(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        None => address.to_owned(),
        Some((userinfo, host)) => match userinfo.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{host}{path}"),
            None => format!("{scheme}://***@{host}{path}"),
        },
    }
}

/// The candidate nearest to `word`, if it is near enough to be a likely typo.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Number of edits (insert, delete, replace, swap neighbours) from `a` to `b`, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("web"), "web");
        assert_eq!(
            printable("a\x1b[2Jb\nc\u{202e}d\u{9b}"),
            "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}"
        );
        assert_eq!(printable("Zürich 東京"), "Zürich 東京");
    }

    #[test]
    fn passwords_and_communities_are_hidden() {
        assert_eq!(without_userinfo("http://u:p@h/x@y"), "http://u:***@h/x@y");
        assert_eq!(
            without_userinfo("http://u:p@q@h:80?a=b@c"),
            "http://u:***@h:80?a=b@c"
        );
        assert_eq!(without_userinfo("snmp://private@10.0.0.1"), "snmp://***@10.0.0.1");
        assert_eq!(without_userinfo("http://h/@x"), "http://h/@x");
        assert_eq!(without_userinfo("10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let words = ["expect", "send", "address", "check_every_n_secs"];
        assert_eq!(nearest("adress", words), Some("address"));
        assert_eq!(nearest("check_every_n_sec", words), Some("check_every_n_secs"));
        assert_eq!(nearest("exepct", words), Some("expect"));
        assert_eq!(nearest("zzz", words), None);
        assert_eq!(nearest("", words), None);
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
