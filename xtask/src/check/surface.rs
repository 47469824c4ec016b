//! The public surface of apmon-core: the items that embedders see, and that
//! cannot change without breaking them.

use std::collections::BTreeMap;

use super::{
    Breach,
    import::Crate,
    token::{self, Kind},
};

/// The crate whose items are counted.
pub(super) const CRATE: &str = "apmon-core";
const ROOT: &str = "apmon-core/src/lib.rs";
/// The module that is not part of the surface.
const TESTING: &str = "apmon-core/src/testing";

/// The most public items. Lower it when the surface shrinks; raise it only with
/// a reason in the commit.
const CEILING: usize = 492;

/// The number of declarations of each kind.
pub(super) struct Surface(BTreeMap<&'static str, usize>);

const KINDS: &[(&str, &str)] = &[
    ("struct", "structs"),
    ("union", "structs"),
    ("enum", "enums"),
    ("trait", "traits"),
    ("fn", "functions and methods"),
    ("const", "constants"),
    ("static", "constants"),
    ("type", "types"),
    ("mod", "modules"),
];

impl Surface {
    /// Counts the declarations that begin with a bare `pub`, in `src` without
    /// test code and the module `testing`. Fields, variants, methods of traits
    /// and re-exports are not counted.
    pub(super) fn count(sources: &BTreeMap<String, String>) -> Self {
        let mut counts = BTreeMap::new();
        for file in Crate::read(ROOT, sources).files {
            if !file.starts_with(TESTING) {
                for kind in declared(&sources[file]) {
                    *counts.entry(kind).or_default() += 1;
                }
            }
        }
        Self(counts)
    }

    pub(super) fn total(&self) -> usize {
        self.0.values().sum()
    }

    pub(super) fn check(&self) -> Vec<Breach> {
        if self.total() <= CEILING {
            return Vec::new();
        }
        let text = format!(
            "{} public items, more than {CEILING}: make items that no other crate uses pub(crate)",
            self.total()
        );
        vec![Breach::new(ROOT, 1, text)]
    }

    /// One line for the summary.
    pub(super) fn shown(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        format!(
            "{CRATE} has {} public items without `testing`, of at most {CEILING}: {}",
            self.total(),
            parts.join(", ")
        )
    }
}

/// The kind of each declaration that begins with a bare `pub`.
fn declared(text: &str) -> Vec<&'static str> {
    let code = token::product_code(text);
    let mut kinds = Vec::new();
    for (at, _) in code.iter().enumerate().filter(|(_, token)| token.is_name("pub")) {
        let mut words = code[at + 1..].iter();
        // `pub const fn` and `pub unsafe extern "C" fn` are functions.
        let mut kind = None;
        for token in words.by_ref().take(5) {
            match KINDS.iter().find(|(word, _)| token.is_name(word)) {
                Some((_, name)) => kind = Some(*name),
                None if ["async", "unsafe", "extern"].contains(&token.text) => {}
                None if token.kind == Kind::Text => {}
                None => break,
            }
        }
        kinds.extend(kind);
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_with_a_bare_pub_are_counted() {
        let text =
            "pub struct A { pub field: u8 } pub(crate) fn b() {} pub const fn c() {} pub const D: u8 = 0;
                    pub mod e { pub(super) enum F {} } pub use g::H; impl A { pub async fn i() {} fn j() {} }
                    pub unsafe extern \"C\" fn k() {} pub type L = u8; pub trait M { fn n(); }
                    #[cfg(test)] pub fn o() {}";
        assert_eq!(
            declared(text),
            [
                "structs",
                "functions and methods",
                "constants",
                "modules",
                "functions and methods",
                "functions and methods",
                "types",
                "traits",
            ]
        );
    }

    #[test]
    fn testing_and_tests_do_not_count() {
        let files = [
            ("lib", "pub mod a; pub mod testing; #[cfg(test)] mod tests;"),
            ("a", "pub fn a() {}"),
            ("testing", "pub mod b; pub fn a() {}"),
            ("testing/b", "pub fn a() {}"),
            ("tests", "pub fn a() {}"),
        ];
        let sources = files.map(|(name, text)| (format!("{CRATE}/src/{name}.rs"), text.to_owned()));
        let surface = Surface::count(&BTreeMap::from(sources));
        assert_eq!(surface.total(), 3);
        assert!(
            surface.shown().ends_with("functions and methods 1, modules 2"),
            "{}",
            surface.shown()
        );
    }
}
