//! `cargo xtask check`: the house rules that no compiler knows.

mod lock;
mod manifest;
mod source;

use std::{fmt, fs, path::Path};

use crate::{
    fault::{During, Fault},
    workspace,
};

/// What breaks a rule, at its place.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    text: String,
    /// Said, but no failure.
    warning: bool,
}

impl Breach {
    fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            text: text.into(),
            warning: false,
        }
    }

    fn warning(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            warning: true,
            ..Self::new(file, line, text)
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.warning { "warning: " } else { "" };
        write!(f, "{}:{}: {level}{}", self.file, self.line, self.text)
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    let root = workspace::root();
    let mut breaches = Vec::new();

    let crates = crates(&root)?;
    for name in &crates {
        let file = format!("{name}/Cargo.toml");
        breaches.extend(manifest::check(&file, &workspace::read(&root.join(&file))?));
    }
    let sources = source::files(&root)?;
    for file in &sources {
        let text = fs::read(root.join(file)).during(format!("read {file}"))?;
        breaches.extend(source::check(file, &String::from_utf8_lossy(&text)));
    }
    let lock = lock::check("Cargo.lock", &workspace::read(&root.join("Cargo.lock"))?);
    breaches.extend(lock.breaches);

    for breach in &breaches {
        println!("{breach}");
    }
    println!(
        "checked {} crates, {} Rust files, {} locked packages; tolerated in several versions: {}",
        crates.len(),
        sources.len(),
        lock.packages,
        if lock.tolerated.is_empty() {
            "none".to_owned()
        } else {
            lock.tolerated.join(", ")
        }
    );
    match breaches.iter().filter(|breach| !breach.warning).count() {
        0 => Ok(()),
        1 => Err(Fault::new("one rule is broken")),
        n => Err(Fault::new(format!("{n} rules are broken"))),
    }
}

/// The workspace's crates: the directories at the top with a manifest, but for
/// the fuzz targets, which are a workspace of their own.
fn crates(root: &Path) -> Result<Vec<String>, Fault> {
    let entries = fs::read_dir(root).during("list the workspace")?;
    let mut crates: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "fuzz")
        .collect();
    crates.sort();
    Ok(crates)
}
