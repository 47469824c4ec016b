//! `cargo xtask new-probe NAME`: writes a kind that compiles, is listed, and is
//! covered by the contract tests immediately.

use std::{fs, path::Path, process::Command};

use crate::{
    fault::{During, Fault},
    listing, process, workspace,
};

/// A kind named `skeleton` with the scheme `scaffold`. The tests of apmon-probes
/// compile and run it.
const SKELETON: &str = include_str!("new_probe/skeleton.rs");

/// Names that Rust reserves for modules, or whose type the skeleton uses.
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
    "check",
    "check_recorder",
    "course",
    "deserialize",
    "endpoint",
    "failure",
    "json_schema",
    "kind",
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
    // Every error is found before anything is written.
    let listed = listing::probe(&workspace::read(&lib)?, name, &type_name(name))?;
    workspace::write(&kind, &skeleton(name))?;
    workspace::write(&lib, &listed)?;
    process::run(
        Command::new("rustfmt")
            .current_dir(&root)
            .args(["--edition", "2024"])
            .args([&kind, &lib]),
    )?;
    println!(
        "wrote {} and listed it in {}

next:
  1. describe the check in {0} and implement it (tcp.rs and udp.rs are examples)
  2. cargo test -p apmon-probes {name}     (its own test; the contract tests already cover it)
  3. cargo xtask docs                      (adds its options to the reference)
  4. cargo xtask test, and add a line to CHANGELOG.md",
        workspace::shown(&kind),
        workspace::shown(&lib)
    );
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let wrong = |why: &str| Err(Fault::new(format!("\"{name}\" cannot name a kind: {why}")));
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return wrong("it must begin with a lower-case letter, a to z");
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        || name.ends_with('_')
        || name.contains("__")
    {
        return wrong("use only lower-case letters, digits and single underscores between them");
    }
    if name.len() > 32 {
        return wrong("it has more than 32 characters");
    }
    if RESERVED.contains(&name) || name.contains("skeleton") || name.contains("scaffold") {
        return wrong("Rust or the skeleton uses this word");
    }
    Ok(())
}

/// Refuses a name that a module has already: the name of a kind is unique in all crates.
pub(crate) fn check_new(root: &Path, name: &str) -> Result<(), Fault> {
    let entries = fs::read_dir(root).during("list the workspace")?;
    for entry in entries.flatten() {
        let directory = entry.file_name().to_string_lossy().into_owned();
        if !directory.starts_with("apmon-") {
            continue;
        }
        let module = entry.path().join("src").join(name);
        if module.is_dir() || module.with_extension("rs").is_file() {
            return Err(Fault::new(format!("{directory} already has a module {name}")));
        }
    }
    Ok(())
}

/// The name of the type: `DoorBell` for `door_bell`.
pub(crate) fn type_name(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

fn skeleton(name: &str) -> String {
    // A URL's scheme cannot contain an underscore (RFC 3986 section 3.1).
    SKELETON
        .replace("scaffold", &name.replace('_', "-"))
        .replace("skeleton", name)
        .replace("Skeleton", &type_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_name_a_module_are_accepted() {
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
    fn a_skeleton_has_no_placeholder_left() {
        let text = skeleton("door_bell");
        for word in ["scaffold", "skeleton", "Skeleton"] {
            assert!(!text.contains(word), "{text}");
        }
        for part in ["pub struct DoorBell;", "\"door_bell\"", "door-bell://host:port"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
