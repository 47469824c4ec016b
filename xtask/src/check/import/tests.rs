use super::*;

/// The imports of a small crate, as `from -> to: names`.
fn imports(files: &[(&str, &str)]) -> Vec<String> {
    let sources: BTreeMap<String, String> = files
        .iter()
        .map(|(file, text)| (format!("src/{file}"), (*text).to_owned()))
        .collect();
    let krate = Crate::read("src/lib.rs", &sources);
    let name = |file: usize| krate.files[file].trim_start_matches("src/");
    krate
        .imports()
        .iter()
        .map(|((from, to), names)| {
            let names: Vec<&str> = in_order(names).into_iter().map(|(name, _)| name).collect();
            format!("{} -> {}: {}", name(*from), name(*to), names.join(", "))
        })
        .collect()
}

#[test]
fn a_re_export_leads_to_the_defining_file() {
    assert_eq!(
        imports(&[
            ("lib.rs", "mod a; mod b; pub use b::{B, c::C as D};"),
            ("a.rs", "use crate::{B, D};"),
            ("b.rs", "pub mod c; pub struct B;"),
            ("b/c.rs", "pub struct C;"),
        ]),
        [
            "lib.rs -> b.rs: b::B",
            "lib.rs -> b/c.rs: b::c::C",
            "a.rs -> b.rs: B",
            "a.rs -> b/c.rs: D"
        ]
    );
}

#[test]
fn an_imported_module_counts_as_the_items_used_through_it() {
    assert_eq!(
        imports(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b; fn f() { b::C::new(); b::g() }"),
            ("b.rs", "mod c; pub use c::C; pub fn g() {}"),
            ("b/c.rs", "pub struct C;"),
        ]),
        [
            "a.rs -> b.rs: b::g",
            "a.rs -> b/c.rs: b::C::new",
            "b.rs -> b/c.rs: c::C"
        ]
    );
}

#[test]
fn a_glob_counts_as_the_names_that_the_code_uses() {
    assert_eq!(
        imports(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::*; struct Own; fn f(c: C, own: Own) {}"),
            ("b.rs", "mod c; pub use c::C; pub struct B; pub struct Own;"),
            ("b/c.rs", "pub struct C;"),
        ]),
        ["a.rs -> b/c.rs: C", "b.rs -> b/c.rs: c::C"]
    );
}

#[test]
fn inline_modules_belong_to_their_file() {
    assert_eq!(
        imports(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "mod inner { use super::super::b::B; pub struct A; } use inner::A;"
            ),
            (
                "b.rs",
                "pub mod deep { pub mod deeper { pub struct C; } } pub struct B; use crate::a::inner::A;"
            ),
        ]),
        ["a.rs -> b.rs: b::B", "b.rs -> a.rs: a::inner::A"]
    );
}

#[test]
fn a_name_made_by_a_macro_belongs_to_the_file_of_its_module() {
    assert_eq!(
        imports(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::MADE;"),
            ("b.rs", "make! { MADE }"),
        ]),
        ["a.rs -> b.rs: b::MADE"]
    );
}

#[test]
fn other_crates_do_not_count() {
    assert!(
        imports(&[
            ("lib.rs", "mod a; mod b; use ::a::X;"),
            (
                "a.rs",
                "use tokio::{net::*, time}; use std::fmt; fn f() { time::sleep(); fmt::a() }"
            ),
            ("b.rs", ""),
        ])
        .is_empty()
    );
}

#[test]
fn what_is_built_in_place_of_a_module_is_read_too() {
    assert_eq!(
        imports(&[
            (
                "lib.rs",
                "#[cfg_attr(not(x), path = \"a/not_built.rs\")] mod a; mod b;"
            ),
            ("a.rs", "pub struct A;"),
            ("a/not_built.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B; fn f() { crate::a::A }"),
        ]),
        ["a/not_built.rs -> b.rs: b::B", "b.rs -> a.rs: a::A"]
    );
}
