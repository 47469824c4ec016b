//! `cargo xtask new-probe NAME`: a kind that compiles, is listed, and is under
//! contract tests at once.

mod listing;

use std::{fs, path::Path, process::Command};

use crate::{
    fault::{During, Fault},
    process, workspace,
};

const SKELETON: &str = include_str!("new_probe/skeleton.rs.in");

/// Words that cannot name a module, or whose type the skeleton itself uses.
const RESERVED: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "main",
    "lib",
    "test",
    "tests",
    "std",
    "core",
    "arc",
    "blueprint",
    "course",
    "deserialize",
    "endpoint",
    "failure",
    "json_schema",
    "kind",
    "look",
    "option",
    "outcome",
    "probe",
    "resolver",
    "result",
    "section",
    "serialize",
    "some",
    "tokio",
    "serde",
    "schemars",
    "async_trait",
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let [name] = arguments else {
        return Err(Fault::new("takes one argument, the name of the new kind"));
    };
    check_name(name)?;
    let root = workspace::root();
    check_new(&root, name)?;
    let source = root.join("apmon-probes/src");
    let lib = source.join("lib.rs");
    let kind = source.join(format!("{name}.rs"));
    // All is thought out before anything is written.
    let listed = listing::list(&workspace::read(&lib)?, name, &type_name(name))?;
    workspace::write(&kind, &skeleton(name))?;
    workspace::write(&lib, &listed)?;
    process::run(
        Command::new("rustfmt")
            .current_dir(&root)
            .args(["--edition", "2024"])
            .args([&kind, &lib]),
    )?;
    println!(
        "wrote {}; listed it in {}

next:
  1. say in {0} what it looks for, and look for it (tcp.rs and udp.rs are the models)
  2. cargo test -p apmon-probes {name}     (its own test; the contract tests know it already)
  3. cargo xtask docs                      (its options, for the reference)
  4. cargo xtask test, and a line in CHANGELOG.md",
        workspace::shown(&kind),
        workspace::shown(&lib)
    );
    Ok(())
}

fn check_name(name: &str) -> Result<(), Fault> {
    let wrong = |why: &str| Err(Fault::new(format!("\"{name}\" cannot name a kind: {why}")));
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return wrong("it must begin with a small letter, a to z");
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        || name.ends_with('_')
        || name.contains("__")
    {
        return wrong("small letters, digits and single inner underscores only");
    }
    if name.len() > 32 {
        return wrong("it has more than 32 letters");
    }
    if RESERVED.contains(&name) {
        return wrong("the word is taken by Rust or by the skeleton");
    }
    Ok(())
}

/// A kind's name is unique over all crates; so is, here, its module's.
fn check_new(root: &Path, name: &str) -> Result<(), Fault> {
    let entries = fs::read_dir(root).during("list the workspace")?;
    for entry in entries.flatten() {
        let directory = entry.file_name().to_string_lossy().into_owned();
        if !directory.starts_with("apmon-") {
            continue;
        }
        let module = entry.path().join("src").join(name);
        if module.is_dir() || module.with_extension("rs").is_file() {
            return Err(Fault::new(format!("{directory} has a module {name} already")));
        }
    }
    Ok(())
}

/// `door_bell` is the type `DoorBell`.
fn type_name(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

fn skeleton(name: &str) -> String {
    // A URL's scheme has no underscore (RFC 3986 section 3.1).
    SKELETON
        .replace("@name@", name)
        .replace("@Name@", &type_name(name))
        .replace("@scheme@", &name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_rust_and_people_can_read() {
        for good in ["echo", "ntp4", "door_bell"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Echo",
            "4g",
            "a-b",
            "a_",
            "a__b",
            "_a",
            "type",
            "probe",
            "../x",
            "é",
            &"x".repeat(33),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_the_pattern_is_left_in_a_skeleton() {
        let text = skeleton("door_bell");
        assert!(!text.contains('@'), "{text}");
        for part in ["pub struct DoorBell;", "\"door_bell\"", "door-bell://host:port"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
