//! Text for display: safe for terminals, and without secrets.

use std::borrow::Cow;

/// Escapes everything that could drive a terminal or hide other text (`\n`, `\u{1b}`,
/// `\u{202e}`): control characters of both sets, line and paragraph separators, direction marks
/// and other invisible characters. The variation selectors of an emoji stay.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    let mut before = None;
    for c in text.chars() {
        if is_hidden(before, c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        before = Some(c);
    }
    Cow::Owned(shown)
}

/// Controls, separators that break lines, and what Unicode calls "default ignorable": characters
/// that are invisible where they are supported.
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

/// Whether `c` is escaped after the character `before`.
fn is_hidden(before: Option<char>, c: char) -> bool {
    /// Text or emoji: these two choose the picture of the symbol before them.
    const STYLES: std::ops::RangeInclusive<char> = '\u{fe0e}'..='\u{fe0f}';
    let is_symbol = |c: char| {
        matches!(c, '#' | '*' | '0'..='9' | '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
            && !is_unprintable(c)
    };
    is_unprintable(c) && !(STYLES.contains(&c) && before.is_some_and(is_symbol))
}

/// The beginning of `text`, printable, at most `max` displayed characters.
#[must_use]
pub fn excerpt(text: &str, max: usize) -> String {
    let (mut shown, mut room) = (String::new(), max);
    let mut last = None;
    for c in text.chars() {
        let before = shown.len();
        let length = match is_hidden(last, c) {
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
        last = Some(c);
    }
    shown
}

/// Passwords that say nothing: where one of them follows, the key is the user name.
const NO_PASSWORDS: &[&str] = &["", "x", "X", "none", "api_token", "api-token", "x-oauth-basic"];

/// An address for display: the part before the `@` of a URL's authority may be a password, a key
/// or an SNMP community, so only a user name beside a password is left of it. Without a scheme,
/// everything before the last `@` is masked.
#[must_use]
pub fn without_userinfo(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return match address.rfind('@') {
            Some(at) => format!("***{}", &address[at..]),
            None => address.to_owned(),
        };
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        None => address.to_owned(),
        Some((userinfo, host)) => match userinfo.split_once(':') {
            Some((user, password)) if !NO_PASSWORDS.contains(&password) => {
                format!("{scheme}://{user}:***@{host}{path}")
            }
            _ => format!("{scheme}://***@{host}{path}"),
        },
    }
}

/// A text of several words, such as an error of the command line, in which everything that looks
/// like a login before an `@` is masked. Mail addresses and paths stay.
#[must_use]
pub fn without_logins(text: &str) -> Cow<'_, str> {
    let is_end = |c: char| c.is_whitespace() || "'\"`<>".contains(c);
    let has_login = |word: &str| {
        word.rsplit_once('@')
            .is_some_and(|(before, _)| before.contains(':'))
    };
    if !text.split(is_end).any(has_login) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(is_end) {
        let bare = word.trim_end_matches(is_end);
        match bare.rsplit_once('@') {
            Some((before, host)) if has_login(bare) => {
                let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
                shown.push_str(&format!("{scheme}***@{host}{}", &word[bare.len()..]));
            }
            _ => shown.push_str(word),
        }
    }
    Cow::Owned(shown)
}

/// The words with digits that names of options and headers have.
const WORDS_WITH_DIGITS: &[&str] = &[
    "ipv4", "ipv6", "http1", "http2", "http3", "sha1", "sha224", "sha256", "sha384", "sha512", "md5",
    "base64", "x509", "utf8", "oauth2", "tls1", "pop3", "aes128", "aes192", "aes256", "v1", "v2", "v3",
    "2xx", "3xx", "4xx", "5xx",
];

/// The name of an option or a header as an error may show it, at most `max` characters. A name
/// that is none (`password:hunter2`, `X-Token: hunter2`) is masked from its first wrong character
/// on, and one with digits, which may be a secret itself, as a whole.
#[must_use]
pub fn shown_name(name: &str, max: usize) -> String {
    let inner = name.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if inner.is_some_and(|inner| inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        return excerpt(name, max);
    }
    // HTTP/2 has names such as `:authority`.
    let start = name.starts_with(':').into();
    let end = name[start..].find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    let (word, rest) = name.split_at(end.map_or(name.len(), |end| start + end));
    let without_known = |word: &str| {
        let known = WORDS_WITH_DIGITS.iter();
        known.fold(word.to_ascii_lowercase(), |text, known| text.replace(known, ""))
    };
    let has_digit = |word: &str| word.contains(char::is_numeric);
    // As long as the shortest secret that is masked elsewhere.
    let mut words = rest.split(|c: char| !c.is_alphanumeric());
    let hides_nothing = words.all(|word| word.len() < 4);
    match (has_digit(word) && has_digit(&without_known(word)), hides_nothing) {
        (true, _) => "***".to_owned(),
        (false, true) => excerpt(name, max),
        (false, false) => format!("{}***", excerpt(word, max)),
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
    fn direction_marks_and_invisible_characters_are_escaped() {
        for c in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206a}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e01ef}',
            '\0',
            '\u{7f}',
            '\u{85}',
        ] {
            let shown = printable(&format!("a{c}b")).into_owned();
            assert_eq!(shown, format!("a{}b", c.escape_default()));
            assert_eq!(excerpt(&format!("a{c}b"), 20), shown);
        }
    }

    #[test]
    fn the_style_of_an_emoji_stays() {
        for name in ["⚠\u{fe0f} router", "❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "🖥\u{fe0f}"] {
            assert_eq!(printable(name), name);
            assert_eq!(excerpt(name, 20), name);
        }
        assert_eq!(printable("⚠\u{fe0f}\u{fe0f}"), "⚠\u{fe0f}\\u{fe0f}");
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
        assert_eq!(without_userinfo("http://KEY:@h/x"), "http://***@h/x");
        assert_eq!(without_userinfo("http://KEY@h/x"), "http://***@h/x");
        assert_eq!(without_userinfo("http://KEY:x-oauth-basic@h/"), "http://***@h/");
        assert_eq!(without_userinfo("http://:p@h/x"), "http://:***@h/x");
        assert_eq!(without_userinfo("u:p@h:443"), "***@h:443");
        assert_eq!(without_userinfo("u:p@q@h"), "***@h");
        assert_eq!(without_userinfo("https:/u:p@h/x"), "***@h/x");
    }

    #[test]
    fn logins_are_masked_in_any_text() {
        for (text, shown) in [
            (
                "unexpected argument 'http://u:p@h/' found",
                "unexpected argument 'http://***@h/' found",
            ),
            ("u:p@h.yaml: no", "***@h.yaml: no"),
            ("http://h/u/p@x", "http://***@x"),
            ("to ops@example.com\nnext", "to ops@example.com\nnext"),
            ("<ops@example.com>", "<ops@example.com>"),
            ("/etc/apmon/me@home.yaml: no", "/etc/apmon/me@home.yaml: no"),
            ("", ""),
        ] {
            assert_eq!(without_logins(text), shown);
        }
    }

    #[test]
    fn a_name_that_contains_a_secret_is_masked() {
        for (name, shown) in [
            ("smtp_pasword", "smtp_pasword"),
            ("X-Token", "X-Token"),
            ("a: b", "a: b"),
            (":authority", ":authority"),
            (": hunter2", ":***"),
            ("ipv6_only", "ipv6_only"),
            ("X-Api-V2: hunter2", "X-Api-V2***"),
            ("Schlüssel", "Schlüssel"),
            ("${A}", "${A}"),
            ("X-Token: hunter2", "X-Token***"),
            ("smtp_password:hunter2", "smtp_password***"),
            ("password=hunter2", "password***"),
            ("token hunter2", "token***"),
            ("hunter2", "***"),
            ("2hunter", "***"),
            ("${A} hunter2}", "***"),
        ] {
            assert_eq!(shown_name(name, 60), shown);
        }
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
