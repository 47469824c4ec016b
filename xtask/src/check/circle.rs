//! Circles: files of one crate that import each other in a ring.
//!
//! A module and its own submodules may import each other. In any other ring no
//! file can be understood, tested or moved without the rest.

use std::collections::BTreeMap;

use super::{
    Breach,
    import::{Crate, Names, in_order},
};

/// The breaches of one crate, read from its sources by path.
pub(super) fn check(root: &str, sources: &BTreeMap<String, String>) -> Vec<Breach> {
    let krate = Crate::read(root, sources);
    let mut breaches: Vec<Breach> = unread(&krate, root, sources)
        .map(|file| {
            let text = "no declaration of this module was found: its imports cannot be checked";
            Breach::new(file, 1, text)
        })
        .collect();
    let mut imports = krate.imports();
    imports.retain(|(from, to), _| !krate.is_family(*from, *to));
    let circles = circles(krate.files.len(), &imports);
    breaches.extend(circles.iter().map(|circle| breach(&krate, &imports, circle)));
    breaches
}

/// The files beside the root that are not reached although no `mod name;` declares them for
/// tests alone: a macro must declare them.
fn unread<'a>(
    krate: &'a Crate<'_>,
    root: &str,
    sources: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a str> {
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned() + "/";
    let is_declared = |file: &str| {
        let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let name = path.rsplit('/').next().unwrap_or(path);
        let declaration = format!("mod {name};");
        sources.values().any(|text| text.contains(&declaration))
    };
    let files = sources.keys().map(String::as_str);
    files.filter(move |file| {
        let is_root = file.ends_with("/lib.rs") || file.ends_with("/main.rs");
        file.starts_with(&folder) && !is_root && !krate.files.contains(file) && !is_declared(file)
    })
}

/// The groups of more than one file in which each file reaches each other one.
fn circles(files: usize, imports: &BTreeMap<(usize, usize), Names>) -> Vec<Vec<usize>> {
    let reached: Vec<Vec<bool>> = (0..files)
        .map(|file| reached_from(file, files, imports))
        .collect();
    let mut circles = Vec::new();
    let mut is_placed = vec![false; files];
    for file in 0..files {
        let circle: Vec<usize> = (0..files)
            .filter(|other| reached[file][*other] && reached[*other][file])
            .collect();
        if circle.len() > 1 && !is_placed[file] {
            for member in &circle {
                is_placed[*member] = true;
            }
            circles.push(circle);
        }
    }
    circles
}

fn reached_from(start: usize, files: usize, imports: &BTreeMap<(usize, usize), Names>) -> Vec<bool> {
    let mut reached = vec![false; files];
    let mut waiting = vec![start];
    while let Some(file) = waiting.pop() {
        for ((_, to), _) in imports.range((file, 0)..(file + 1, 0)) {
            if !reached[*to] {
                reached[*to] = true;
                waiting.push(*to);
            }
        }
    }
    reached
}

/// One line for the circle and one for each import in it.
fn breach(krate: &Crate<'_>, imports: &BTreeMap<(usize, usize), Names>, circle: &[usize]) -> Breach {
    let mut text = format!("{} files import each other in a circle:", circle.len());
    let mut line = 0;
    for ((from, to), names) in imports {
        if !(circle.contains(from) && circle.contains(to)) {
            continue;
        }
        let names = in_order(names);
        let first = names.first().map_or(1, |(_, line)| *line);
        if line == 0 {
            line = first;
        }
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let (from, to) = (krate.files[*from], krate.files[*to]);
        text.push_str(&format!("\n    {from}:{first} -> {to} ({})", names.join(", ")));
    }
    Breach::new(krate.files[circle[0]], line, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: BTreeMap<String, String> = files
            .iter()
            .map(|(file, text)| (format!("x/src/{file}"), (*text).to_owned()))
            .collect();
        let breaches = check("x/src/lib.rs", &sources);
        breaches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_shown_with_its_files_lines_and_names() {
        assert_eq!(
            found(&[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "\nuse crate::b::{B, C};"),
                (
                    "b.rs",
                    "pub struct B; pub struct C; fn f() {\n\n super::c::run() }"
                ),
                ("c.rs", "use super::a; pub fn run() { a::A::new() }"),
                ("d.rs", "use crate::a::A;"),
            ]),
            ["x/src/a.rs:2: 3 files import each other in a circle:\n    \
              x/src/a.rs:2 -> x/src/b.rs (b::B, b::C)\n    \
              x/src/b.rs:3 -> x/src/c.rs (c::run)\n    \
              x/src/c.rs:1 -> x/src/a.rs (a::A::new)"]
        );
    }

    #[test]
    fn imports_in_one_direction_are_allowed() {
        assert!(
            found(&[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use crate::{b::B, c::C};"),
                ("b.rs", "use crate::c::C; pub struct B;"),
                ("c.rs", "pub struct C;"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_module_and_its_submodules_may_import_each_other() {
        assert!(
            found(&[
                ("lib.rs", "mod a; pub use a::A;"),
                ("a.rs", "mod b; use b::B; pub struct A;"),
                ("a/b.rs", "mod c; use super::A; pub struct B;"),
                ("a/b/c.rs", "use crate::a::A; use super::super::b::B;"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn submodules_of_one_module_may_not_form_a_circle() {
        let found = found(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; mod c; use b::B; use c::C;"),
            ("a/b.rs", "use super::C; pub struct B;"),
            ("a/c.rs", "use super::b::B; pub struct C;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("x/src/a/b.rs:1 -> x/src/a/c.rs (C)"),
            "{found:?}"
        );
    }

    #[test]
    fn a_circle_through_re_exports_is_detected() {
        let found = found(&[
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
            ("a.rs", "use crate::B; pub struct A;"),
            ("b.rs", "use crate::A; pub struct B;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn imports_of_tests_do_not_count() {
        assert!(
            found(&[
                ("lib.rs", "mod a; mod b; #[cfg(test)] mod lab;"),
                ("a.rs", "use crate::b::B; pub struct A; #[cfg(test)] mod tests;"),
                ("a/tests.rs", "use crate::lab::Lab;"),
                (
                    "b.rs",
                    "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"
                ),
                ("lab.rs", "use crate::{a::A, b::B}; pub struct Lab;"),
            ])
            .is_empty()
        );
    }
}
