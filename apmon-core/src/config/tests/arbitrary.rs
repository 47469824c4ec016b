//! Any text is either a site or an error, and always the same.

use proptest::{collection::vec, prelude::*};

use super::{kind::SEED, read_as};

const VALID: &str = include_str!("../../../tests/site/complete.yaml");

/// Pieces that have a meaning in a site file.
const PIECES: &[&str] = &[
    "site:",
    "monitors:",
    "name",
    "type: ",
    "ping",
    "tcp",
    "port",
    "address: ",
    "- ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "\r\n",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\"",
    "'",
    "|",
    ">",
    "&a ",
    "*a",
    "<<: ",
    "${A}",
    "${B}",
    "$${",
    "!!str ",
    "# ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    "null",
    "? ",
    "x-",
    "yes",
    "0123",
    "1e9",
    "-1",
    "\\u",
    "\\ud83d",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "ä",
    "😀",
    "\u{1b}",
    "@",
    "`",
    "apmon",
    "mac: ",
    "email_server: ",
    "outage_emails: ",
];

/// Reads a text and formats the result, so that two results can be compared.
fn reading(text: &str) -> String {
    match read_as(text, SEED, &[("A", "a: [b]")]) {
        Ok(file) => {
            let sums: Vec<_> = file
                .monitors
                .iter()
                .map(|monitor| monitor.checksum.as_str())
                .collect();
            format!("{file:?} {sums:?}")
        }
        Err(lines) => {
            for line in &lines {
                assert!(line.starts_with("lab.yaml:"), "{line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            lines.join("\n")
        }
    }
}

fn assert_same_result(text: &str) {
    assert_eq!(reading(text), reading(text));
}

/// A change to a text: its position, the number of characters removed there, and the
/// text inserted instead.
fn mutation() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let insert = prop_oneof![
        prop::sample::select(PIECES).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        Just(String::new()),
    ];
    (any::<prop::sample::Index>(), 0..40_usize, insert)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        assert_same_result(&text);
    }

    #[test]
    fn pieces_of_site_files_are_read_or_refused(pieces in vec(prop::sample::select(PIECES), 0..60)) {
        assert_same_result(&pieces.concat());
    }

    #[test]
    fn a_changed_site_file_is_read_or_refused(changes in vec(mutation(), 1..4)) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (index, removed, new) in changes {
            let from = index.index(text.len());
            let to = (from + removed).min(text.len());
            text.splice(from..to, new.chars());
            if text.is_empty() {
                text.push('a');
            }
        }
        assert_same_result(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_truncated_site_file_is_read_or_refused(end in any::<prop::sample::Index>()) {
        let text: Vec<char> = VALID.chars().collect();
        assert_same_result(&text[..end.index(text.len())].iter().collect::<String>());
    }
}
