//! The smallest build: no Cargo feature may be needed by what remains without it. The
//! largest one, with all features, is the default, which every other step compiles.

use crate::{fault::Fault, process};

/// Checks that the command compiles without its features.
pub(super) fn check() -> Result<(), Fault> {
    let smallest = ["check", "--package", "apmon-cli", "--no-default-features"];
    process::run(process::cargo().args(smallest)).map_err(|fault| {
        Fault::new(format!(
            "apmon does not compile without its features (the items above need a `cfg` or belong in a module that has one): {fault}"
        ))
    })
}
