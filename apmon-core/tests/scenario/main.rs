//! Scenario files: what happens on the left, which notifications are sent on the
//! right, in virtual time. A bug report becomes a file, without any Rust.
//!
//! ```text
//! check 60 retries 3 retry 20 notify 600 after 1
//! 00:00:00 up                   |
//! 00:05:00 down refused         |
//! 00:06:23                      | NEW OUTAGE: web in HomeLab new outage: refused (...)
//! ```
//!
//! A file begins with a line of options, or with a whole site file that ends with
//! `---`. README.md in the same directory explains the language, and lists what
//! APMonitor's documentation promises with the scenario that ensures it.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod play;
mod receiver;
mod script;
mod site;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario")
}

/// The names of all scenario files.
fn files() -> BTreeSet<String> {
    let names = fs::read_dir(folder()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".txt")).collect()
}

#[tokio::test(start_paused = true)]
async fn every_scenario_sends_what_its_file_says() {
    let mut wrong = Vec::new();
    for file in files() {
        let script = script::parse(&fs::read_to_string(folder().join(&file)).unwrap());
        let actual = play::play(&script).await;
        for (receiver, expected) in script.expected(&actual) {
            let actual = actual.get(&receiver).cloned().unwrap_or_default();
            if actual != expected {
                let (actual, expected) = (actual.join("\n  "), expected.join("\n  "));
                wrong.push(format!(
                    "{file}: {receiver} received\n  {actual}\nexpected\n  {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_readme_names_every_scenario_and_no_other() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with('|'));
    let words = rows.flat_map(|row| row.split('`'));
    let named: BTreeSet<String> = words
        .filter(|word| word.ends_with(".txt"))
        .map(str::to_owned)
        .collect();
    let files = files();
    let missing: Vec<_> = named.difference(&files).collect();
    let unnamed: Vec<_> = files.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "the README names files that do not exist: {missing:?}"
    );
    assert!(
        unnamed.is_empty(),
        "files that the README does not name: {unnamed:?}"
    );
}

#[test]
fn every_promise_in_the_readme_names_a_scenario() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("## What APMonitor"));
    let rows = rows.filter(|line| line.starts_with("| ") && !line.contains("| ensured by |"));
    let empty: Vec<_> = rows.filter(|row| !row.contains(".txt`")).collect();
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}
