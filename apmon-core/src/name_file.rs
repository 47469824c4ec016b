//! `/etc/resolv.conf` and `/etc/hosts` as the C library reads them: a line that
//! makes no sense is passed over. A strict parser would take it as a reason to
//! know no names at all; these make the file such that it has none.

use std::net::IpAddr;

/// What a strict parser may be given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sound {
    /// The file's text, without what is passed over.
    pub text: String,
    /// The lines, from 1, of which something was passed over.
    pub passed_over: Vec<usize>,
}

/// The lines of a resolv.conf that `accepts` takes, each by itself. Of a line
/// of options those words stay that it takes.
#[must_use]
pub fn resolv_conf(bytes: &[u8], accepts: impl Fn(&str) -> bool) -> Sound {
    sound(bytes, |line| {
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

/// The lines of a hosts file that begin with an address, without the names
/// that are no text.
#[must_use]
pub fn hosts(bytes: &[u8]) -> Sound {
    sound(bytes, |line| {
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

/// Each line as `sift` leaves it, which also says whether it left it whole.
fn sound(bytes: &[u8], sift: impl Fn(&str) -> (String, bool)) -> Sound {
    let mut sound = Sound::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let (text, whole) = sift(&String::from_utf8_lossy(line));
        sound.text.push_str(&text);
        sound.text.push('\n');
        if !whole {
            sound.passed_over.push(number);
        }
    }
    sound
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
    fn lines_that_make_no_sense_are_passed_over() {
        let file = b"# r\xe9seau\nnameserver 10.0.0.1\ndomain\noptions foo ndots:2\nfamily inet4\n";
        let sound = resolv_conf(file, accepts);
        assert_eq!(sound.passed_over, [3, 4, 5]);
        let lines: Vec<&str> = sound.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            ["# r\u{fffd}seau", "nameserver 10.0.0.1", "options ndots:2"]
        );
    }

    #[test]
    fn one_byte_that_is_no_text_costs_one_name() {
        let file = b"127.0.0.1 localhost # h\xf4te\n10.0.0.2 nas n\xe4s store\nnas 10.0.0.3\n";
        let sound = hosts(file);
        assert_eq!(sound.passed_over, [2, 3]);
        let lines: Vec<&str> = sound.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["127.0.0.1 localhost", "10.0.0.2 nas store"]);
    }
}
