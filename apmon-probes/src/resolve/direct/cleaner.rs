//! `/etc/resolv.conf` and `/etc/hosts` as the C library reads them: a line that
//! makes no sense is ignored. A strict parser would refuse the whole file for it,
//! and every name with it, so such lines are taken out first.

use std::net::IpAddr;

/// A file that a strict parser accepts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Cleaned {
    /// The file's text, without what is ignored.
    pub(super) text: String,
    /// The numbers, from 1, of the lines of which something is ignored.
    pub(super) ignored: Vec<usize>,
}

/// Keeps the lines of a resolv.conf that `accepts` takes, each by itself, and of
/// a line of options the words that it takes.
pub(super) fn resolv_conf(bytes: &[u8], accepts: impl Fn(&str) -> bool) -> Cleaned {
    clean(bytes, |line| {
        if accepts(line) {
            return (line.to_owned(), true);
        }
        let mut words = line.split_whitespace();
        let mut kept = String::new();
        if words.next() == Some("options") {
            for word in words {
                let option = format!("options {word}\n");
                if accepts(option.trim_end()) {
                    kept.push_str(&option);
                }
            }
        }
        (kept, false)
    })
}

/// Keeps the lines of a hosts file that begin with an address, without the names
/// that are not UTF-8.
pub(super) fn hosts(bytes: &[u8]) -> Cleaned {
    clean(bytes, |line| {
        let line = line.trim_start_matches('\u{feff}');
        let entry = line.split('#').next().unwrap_or_default();
        let mut words = entry.split_whitespace();
        match words.next().map(|word| (word, word.parse::<IpAddr>().is_ok())) {
            None => (String::new(), true),
            Some((_, false)) => (String::new(), false),
            Some((address, true)) => {
                let is_text = |word: &str| !word.contains(char::REPLACEMENT_CHARACTER);
                let (names, others): (Vec<_>, Vec<_>) = words.partition(|word| is_text(word));
                (format!("{address} {}", names.join(" ")), others.is_empty())
            }
        }
    })
}

/// Passes each line through `filter`, which returns what is kept of it and
/// whether that is all of it.
fn clean(bytes: &[u8], filter: impl Fn(&str) -> (String, bool)) -> Cleaned {
    let mut cleaned = Cleaned::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let (text, is_whole) = filter(&String::from_utf8_lossy(line));
        cleaned.text.push_str(&text);
        cleaned.text.push('\n');
        if !is_whole {
            cleaned.ignored.push(number);
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(line: &str) -> bool {
        let known = ["nameserver ", "options ndots:", "options edns0", "#"];
        line.is_empty()
            || known
                .iter()
                .any(|start| line.starts_with(start) && line != "options ")
    }

    #[test]
    fn lines_of_resolv_conf_that_make_no_sense_are_ignored() {
        let file = b"# r\xe9seau\nnameserver 10.0.0.1\ndomain\noptions foo ndots:2\nfamily inet4\n";
        let cleaned = resolv_conf(file, accepts);
        assert_eq!(cleaned.ignored, [3, 4, 5]);
        let lines: Vec<&str> = cleaned.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            ["# r\u{fffd}seau", "nameserver 10.0.0.1", "options ndots:2"]
        );
    }

    #[test]
    fn a_byte_of_the_hosts_file_that_is_not_utf_8_costs_one_name() {
        let file = b"127.0.0.1 localhost # h\xf4te\n10.0.0.2 nas n\xe4s store\nnas 10.0.0.3\n";
        let cleaned = hosts(file);
        assert_eq!(cleaned.ignored, [2, 3]);
        let lines: Vec<&str> = cleaned.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["127.0.0.1 localhost", "10.0.0.2 nas store"]);
    }
}
