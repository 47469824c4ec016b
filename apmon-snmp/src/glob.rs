//! Names by a pattern.

/// Whether `text` is as `pattern` says: `*` stands for any characters or none,
/// also for `/`; `?` for one; all others for themselves, in the same case.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // The last `*`, and the first character that it does not stand for yet:
    // one of them is enough to go back to, so that no pattern takes long.
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    at = back + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_says() {
        for (pattern, text, is) in [
            ("/var", "/var", true),
            ("/var", "/var/log", false),
            ("/var", "/Var", false),
            ("/var*", "/var/log", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "ü", true),
            ("/snap/*", "/snap/core/1", true),
            ("/snap/*", "/snapshot", false),
            ("*/log", "/var/log", true),
            ("*/log", "/var/log/log", true),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("C:\\", "C:\\", true),
            ("sd?", "sda", true),
            ("sd?", "sda1", false),
            ("a[b]", "a[b]", true),
            ("**x**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_takes_no_time() {
        let text = "a".repeat(2_000);
        assert!(!matches(&"*a".repeat(50).replace("a*", "a*b*"), &text));
        assert!(matches(&"*a".repeat(50), &text));
    }
}
