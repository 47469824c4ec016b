//! The product's sources: for tests of the words that the harness searches for in apmon's output.

use std::{fs, path::Path};

use crate::workspace;

/// Whether a source file of the product contains `text`. The harness, which searches for it, is
/// not a part of the product.
pub(crate) fn has(text: &str) -> bool {
    let crates = fs::read_dir(workspace::root()).into_iter().flatten().flatten();
    crates
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("apmon-") && name != "apmon-harness"
        })
        .any(|entry| is_in(&entry.path().join("src"), text))
}

fn is_in(path: &Path, text: &str) -> bool {
    let name = path.file_stem().unwrap_or_default();
    match fs::read_dir(path) {
        _ if name == "tests" => false,
        Ok(entries) => entries.flatten().any(|entry| is_in(&entry.path(), text)),
        Err(_) => fs::read_to_string(path).is_ok_and(|source| source.contains(text)),
    }
}
