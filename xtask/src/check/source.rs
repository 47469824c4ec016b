//! File sizes, and macros and attributes that must not stay in a file.

use super::Breach;

/// The most lines of a file, tests included.
const MOST_LINES: usize = 500;

/// Written in two parts, so that this file does not break the rule itself.
const LEFT_OVER: &[(&str, &str)] = &[
    (concat!("to", "do!("), "do it, or write it down as an issue"),
    (
        concat!("unimple", "mented!("),
        "do it, or write it down as an issue",
    ),
    (
        concat!("#[ign", "ore"),
        "a test that does not run proves nothing: repair it or remove it",
    ),
];

pub(super) fn check(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        let text = format!("{lines} lines, more than {MOST_LINES}: split the file along its nouns");
        breaches.push(Breach::new(file, lines, text));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or(line);
        for (word, instead) in LEFT_OVER {
            if code.contains(word) {
                let text = format!("{} must not stay: {instead}", word.trim_matches(['#', '[', '(']));
                breaches.push(Breach::new(file, number, text));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_words_are_found_in_code_and_not_in_comments() {
        let text = format!("fn a() {{ {}) }}\n// {})\n", LEFT_OVER[0].0, LEFT_OVER[0].0);
        let found = check("a.rs", &text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 1);
        let text = format!("{}]\n#[test]\nfn a() {{}}\n", LEFT_OVER[2].0);
        assert_eq!(check("a.rs", &text).len(), 1);
    }

    #[test]
    fn long_files_are_refused() {
        let lines = |n| "x\n".repeat(n);
        assert_eq!(check("a.rs", &lines(MOST_LINES)), []);
        assert_eq!(check("a.rs", &lines(MOST_LINES + 1)).len(), 1);
    }
}
