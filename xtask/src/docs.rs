//! `cargo xtask docs`: the site file reference, generated from the options' own
//! doc comments.

use crate::{fault::Fault, process, workspace};

const PAGES: &[(&str, &str)] = &[
    ("markdown", "docs/reference/site-file.md"),
    ("schema", "docs/reference/site-file.schema.json"),
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let check = match arguments[..] {
        [] => false,
        ["--check"] => true,
        _ => return Err(Fault::new("takes --check or nothing")),
    };
    let mut stale = Vec::new();
    for (format, page) in PAGES {
        let file = workspace::root().join(page);
        let fresh = generate(format)?;
        if !check {
            workspace::write(&file, &fresh)?;
            println!("wrote {page}");
            continue;
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some(difference) = first_difference(&kept, &fresh) {
            println!("{page}:{difference}");
            stale.push(*page);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{} out of date: run `cargo xtask docs` and check `git diff docs/reference`",
        stale.join(" and ")
    )))
}

fn generate(format: &str) -> Result<String, Fault> {
    process::output(process::cargo().args([
        "run",
        "--quiet",
        "--package",
        "apmon-cli",
        "--all-features",
        "--",
        "reference",
        format,
    ]))
}

/// The first different line, with its number.
fn first_difference(kept: &str, fresh: &str) -> Option<String> {
    if kept == fresh {
        return None;
    }
    let (mut kept, mut fresh) = (kept.lines(), fresh.lines());
    for number in 1.. {
        match (kept.next(), fresh.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                let shown = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
                return Some(format!("{number}:\n  - {}\n  + {}", shown(old), shown(new)));
            }
        }
    }
    Some("1: line endings differ".into())
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_different_line_is_shown() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n").unwrap(), "2:\n  - b\n  + c");
        assert_eq!(
            first_difference("", "a\n").unwrap(),
            "1:\n  - (end of file)\n  + a"
        );
        assert_eq!(
            first_difference("a\r\n", "a\n").unwrap(),
            "1: line endings differ"
        );
    }
}
