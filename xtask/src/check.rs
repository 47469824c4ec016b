//! `cargo xtask check`: the house rules that no compiler knows.

mod circle;
mod features;
mod import;
mod lock;
mod manifest;
mod prose;
mod scope;
mod source;
mod surface;
mod token;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
    process::Command,
};

use self::surface::Surface;
use crate::{
    fault::{During, Fault, counted},
    process, workspace,
};

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    text: String,
    /// Printed, but no failure.
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
    let files = files(&root)?;
    let crates = crates(&files);
    let (sources, documents): (BTreeMap<_, _>, _) = files
        .into_iter()
        .filter(|(file, _)| is_ours(file))
        .partition(|(file, _)| file.ends_with(".rs"));

    // The longest list comes first, so that the others stay in view.
    let mut breaches = Vec::new();
    for (file, text) in sources.iter().chain(&documents) {
        breaches.extend(words::check(file, text));
    }
    let by_place = count_by_place(&breaches);
    for name in &crates {
        let file = format!("{name}/Cargo.toml");
        breaches.extend(manifest::check(&file, &documents[&file]));
    }
    for (file, text) in &sources {
        breaches.extend(source::check(file, text));
    }
    let lock = lock::check("Cargo.lock", &workspace::read(&root.join("Cargo.lock"))?);
    breaches.extend(lock.breaches);
    for name in &crates {
        let roots = ["lib.rs", "main.rs"].map(|file| format!("{name}/src/{file}"));
        for root in roots.iter().filter(|root| sources.contains_key(*root)) {
            breaches.extend(circle::check(root, &sources));
        }
    }
    let surface = Surface::count(&sources);
    breaches.extend(surface.check());

    for breach in &breaches {
        println!("{breach}");
    }
    println!(
        "checked {} crates, {} Rust files, {} other files, {} locked packages; tolerated in several versions: {}",
        crates.len(),
        sources.len(),
        documents.len(),
        lock.packages,
        listed(&lock.tolerated)
    );
    println!("{}", surface.shown());
    println!("retired words: {}", listed(&by_place));
    match breaches.iter().filter(|breach| !breach.warning).count() {
        0 => features::check(),
        n => Err(Fault::new(format!("{} found", counted(n, "violation")))),
    }
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => "none".to_owned(),
        parts => parts.join(", "),
    }
}

/// How many breaches each crate has, and each directory beside the crates.
fn count_by_place(breaches: &[Breach]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for breach in breaches {
        let place = breach.file.split_once('/').map_or("top", |(place, _)| place);
        *counts.entry(place).or_default() += 1;
    }
    counts
        .iter()
        .map(|(place, count)| format!("{place} {count}"))
        .collect()
}

/// The text files that git tracks or would add, by path.
fn files(root: &Path) -> Result<BTreeMap<String, String>, Fault> {
    let listed = process::output(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let endings = [
        "rs",
        "rs.in",
        "md",
        "toml",
        "yaml",
        "py",
        "sh",
        "snap",
        "schema.json",
    ];
    let is_text = |file: &&str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        name.split_once('.')
            .is_some_and(|(_, ending)| endings.contains(&ending))
    };
    let names: BTreeSet<&str> = listed.lines().filter(is_text).collect();
    let mut files = BTreeMap::new();
    for name in names.into_iter().filter(|name| root.join(name).is_file()) {
        let text = fs::read(root.join(name)).during(format!("read {name}"))?;
        files.insert(name.to_owned(), String::from_utf8_lossy(&text).into_owned());
    }
    Ok(files)
}

/// Whether a file is written in our own words: data of tests and fuzz targets is not.
fn is_ours(file: &str) -> bool {
    let is_data = file.contains("/tests/") || file.starts_with("fuzz/corpus/");
    // The output of the command is ours; recorded devices have their own words.
    let is_output = file.starts_with("apmon-cli/") && file.ends_with(".snap");
    !is_data || is_output || [".rs", ".md"].iter().any(|ending| file.ends_with(ending))
}

/// The workspace's crates: the top directories with a manifest, except the fuzz
/// targets, which are a workspace of their own.
fn crates(files: &BTreeMap<String, String>) -> Vec<String> {
    let manifests = files.keys().filter_map(|file| file.strip_suffix("/Cargo.toml"));
    let names = manifests.filter(|name| !name.contains('/') && *name != "fuzz");
    names.map(str::to_owned).collect()
}
