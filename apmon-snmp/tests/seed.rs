//! `seed.md` lists the tests behind each statement of APMonitor's documentation.
//! The tests here check that those tests exist.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{collections::BTreeMap, fs, path::Path};

/// The sections, each with the minimum number of its rows.
const SECTIONS: [(&str, usize); 4] = [
    ("The kind `ports`", 20),
    ("The kind `host`", 12),
    ("The kind `port`", 12),
    ("The figures", 10),
];

/// The rows of each section: the statement and its proof.
fn rows() -> BTreeMap<String, Vec<(String, String)>> {
    let mut sections: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut section = String::new();
    for line in include_str!("seed.md").lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", said, proof, ""] = cells[..]
            && said != "what it says"
            && !said.starts_with("---")
        {
            let rows = sections.entry(section.clone()).or_default();
            rows.push((said.to_owned(), proof.to_owned()));
        }
    }
    sections
}

/// The tests that a cell names, as file and name.
fn tests(proof: &str) -> Vec<(&str, &str)> {
    let words = proof.split('`').skip(1).step_by(2);
    words.filter_map(|word| word.split_once(".rs: ")).collect()
}

/// Whether the file contains a test of that name.
fn has_test(file: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().map(str::trim).scan("", |above, line| {
        let pair = (*above, line);
        *above = line;
        Some(pair)
    });
    let [plain, async_] = ["fn", "async fn"].map(|word| format!("{word} {name}()"));
    lines.any(|(above, line)| {
        above.starts_with("#[") && (line.starts_with(&plain) || line.starts_with(&async_))
    })
}

#[test]
fn every_named_test_exists() {
    let mut missing = Vec::new();
    for (said, proof) in rows().into_values().flatten() {
        for (file, name) in tests(&proof) {
            if !has_test(file, name) {
                missing.push(format!("{file}.rs has no test {name} (named for: {said})"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_statement_names_a_test_or_says_why_not() {
    let mut open = Vec::new();
    for (said, proof) in rows().into_values().flatten() {
        let is_proved = !tests(&proof).is_empty();
        let is_elsewhere = proof.starts_with("not here: ");
        if is_proved == is_elsewhere {
            open.push(said);
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn no_section_is_missing() {
    let rows = rows();
    assert_eq!(rows.len(), SECTIONS.len());
    for (section, least) in SECTIONS {
        assert!(rows[section].len() >= least, "{section}");
    }
}

#[test]
fn a_missing_test_is_noticed() {
    assert!(has_test("tests/seed", "a_missing_test_is_noticed"));
    assert!(!has_test("tests/seed", "has_test"), "a function, but not a test");
    assert!(!has_test("tests/seed", "a_test_that_nobody_wrote"));
    assert!(!has_test("tests/nowhere", "a_test_that_nobody_wrote"));
}
