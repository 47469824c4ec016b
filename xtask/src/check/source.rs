//! File sizes, and what must not stay in a file.

use std::{path::Path, process::Command};

use super::Breach;
use crate::{fault::Fault, process};

const QUESTIONED: usize = 500;
const SPLIT: usize = 800;

/// Written in two parts, so that this file does not break the rule itself.
const LEFT_OVER: &[(&str, &str)] = &[
    (concat!("to", "do!("), "do it, or write it down as an issue"),
    (
        concat!("unimple", "mented!("),
        "do it, or write it down as an issue",
    ),
    (
        concat!("#[ign", "ore"),
        "a test that does not run proves nothing: mend it, or take it out",
    ),
];

/// All Rust files that git knows or would take.
pub(super) fn files(root: &Path) -> Result<Vec<String>, Fault> {
    let listed = process::output(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]))?;
    let mut files: Vec<String> = listed
        .lines()
        .filter(|file| root.join(file).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

pub(super) fn check(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = text.lines().count();
    if lines > SPLIT {
        let text = format!("{lines} lines; at {SPLIT} a file is split along its nouns");
        breaches.push(Breach::new(file, lines, text));
    } else if lines > QUESTIONED {
        let text = format!("{lines} lines; above {QUESTIONED}, ask whether this is one thing");
        breaches.push(Breach::warning(file, lines, text));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or(line);
        for (word, advice) in LEFT_OVER {
            if code.contains(word) {
                let text = format!("{} must not stay: {advice}", word.trim_matches(['#', '[', '(']));
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
    fn long_files_are_questioned_and_then_refused() {
        let lines = |n| "x\n".repeat(n);
        assert!(check("a.rs", &lines(QUESTIONED)).is_empty());
        assert!(check("a.rs", &lines(SPLIT))[0].warning);
        assert!(!check("a.rs", &lines(SPLIT + 1))[0].warning);
    }
}
