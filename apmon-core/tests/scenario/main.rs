//! Scenario files: what happens to a target on the left, what people hear on
//! the right, in virtual time. A bug report becomes a file and no Rust.
//!
//! ```text
//! check 60 retries 3 retry 20 notify 600 after 1
//! 00:00:00 up                   |
//! 00:05:00 down refused         |
//! 00:06:23                      | NEW OUTAGE: web in HomeLab new outage: refused (...)
//! ```
//!
//! A file begins with a line of options, or with a whole site file that `---`
//! ends. README.md beside the files has the language, and what APMonitor's
//! documentation promises, with the file that holds us to it.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod play;
mod receiver;
mod script;
mod site;
#[path = "../support/mod.rs"]
mod support;

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
async fn every_scenario_is_told_as_its_file_says() {
    let mut wrong = Vec::new();
    for file in files() {
        let script = script::parse(&fs::read_to_string(folder().join(&file)).unwrap());
        let heard = play::play(&script).await;
        for (who, expected) in script.expected(&heard) {
            let heard = heard.get(&who).cloned().unwrap_or_default();
            if heard != expected {
                let (heard, expected) = (heard.join("\n  "), expected.join("\n  "));
                wrong.push(format!("{file}: {who} heard\n  {heard}\nexpected\n  {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_table_names_every_scenario_and_no_other() {
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
        "the table names files that are not there: {missing:?}"
    );
    assert!(
        unnamed.is_empty(),
        "files that the table does not name: {unnamed:?}"
    );
}

#[test]
fn every_row_of_the_tables_names_what_holds_us_to_it() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("## What APMonitor"));
    let rows = rows.filter(|line| line.starts_with("| ") && !line.contains("| held to by |"));
    let empty: Vec<_> = rows.filter(|row| !row.contains(".txt`")).collect();
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}
