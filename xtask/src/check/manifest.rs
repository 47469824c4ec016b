//! Arrows between crates, and versions in one place only.
//!
//! A manifest is read line by line: members keep to `name.workspace = true`
//! and `name = { workspace = true, ... }`, and what is written otherwise is a
//! breach anyway.

use super::Breach;

/// One line of a dependency table.
struct Dependency<'a> {
    line: usize,
    name: &'a str,
    /// The package's name where the key is another one.
    package: &'a str,
    inherited: bool,
}

pub(super) fn check(file: &str, manifest: &str) -> Vec<Breach> {
    let own = file.split('/').next().unwrap_or(file);
    let mut breaches = Vec::new();
    for dependency in dependencies(manifest) {
        let Dependency {
            line,
            name,
            package,
            inherited,
        } = dependency;
        if !inherited {
            breaches.push(Breach::new(
                file,
                line,
                format!("versions and paths stand in the top Cargo.toml only: write {name}.workspace = true"),
            ));
        }
        if let Some(text) = forbidden(own, package) {
            breaches.push(Breach::new(file, line, text));
        }
    }
    breaches
}

/// Why `own` must not depend on `other`, if so.
fn forbidden(own: &str, other: &str) -> Option<String> {
    if own == "xtask" {
        return Some(format!(
            "xtask has no dependencies, so that it is built in seconds; {other} is one"
        ));
    }
    if !other.starts_with("apmon-") && other != "xtask" {
        return None;
    }
    match (own, other) {
        (_, "xtask") => Some("nothing depends on xtask".into()),
        (_, "apmon-cli") => Some("nothing depends on apmon-cli: it is where all is put together".into()),
        ("apmon-core", _) => Some(format!("arrows point at apmon-core, so it must not know {other}")),
        (_, "apmon-core") | ("apmon-cli", _) => None,
        _ => Some(format!(
            "siblings do not know each other: {own} must not depend on {other} (put the seam into apmon-core, the wiring into apmon-cli)"
        )),
    }
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut in_table = false;
    // Brackets still open: a value that goes on over several lines.
    let mut open = 0_usize;
    for (line, text) in (1..).zip(manifest.lines()) {
        let text = text.split('#').next().unwrap_or("").trim();
        if open == 0 && text.starts_with('[') {
            let table = text.trim_start_matches('[').trim_end_matches(']');
            in_table = table.ends_with("dependencies");
            // `[dependencies.name]`: the name is the dependency.
            if !in_table && let Some((_, name)) = table.rsplit_once("dependencies.") {
                found.push(Dependency {
                    line,
                    name,
                    package: name,
                    inherited: false,
                });
            }
            continue;
        }
        if in_table
            && open == 0
            && let Some((key, value)) = text.split_once('=')
        {
            found.push(dependency(line, key.trim(), value.trim()));
        }
        if in_table {
            let count = |bracket: [char; 2]| text.matches(bracket).count();
            open = (open + count(['[', '{'])).saturating_sub(count([']', '}']));
        }
    }
    found
}

fn dependency<'a>(line: usize, key: &'a str, value: &'a str) -> Dependency<'a> {
    let (name, dotted) = match key.split_once('.') {
        Some((name, rest)) => (name, rest.trim() == "workspace" && value == "true"),
        None => (key, false),
    };
    let name = name.trim_matches('"');
    let package = value
        .split_once("package")
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .unwrap_or(name);
    let inherited = dotted || value.replace(' ', "").contains("workspace=true");
    Dependency {
        line,
        name,
        package,
        inherited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(own: &str, manifest: &str) -> Vec<String> {
        check(&format!("{own}/Cargo.toml"), manifest)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_member_that_keeps_the_rules_has_no_breach() {
        let manifest = "[package]\nname = \"apmon-x\"\n[dependencies]\napmon-core.workspace = true\n\
                        tokio = { workspace = true, features = [\n  \"net\",\n] }\n# c = \"1\"\n[features]\ndefault = []\n";
        assert_eq!(breaches("apmon-x", manifest), Vec::<String>::new());
        assert_eq!(
            breaches("apmon-cli", "[dependencies]\napmon-x.workspace = true\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn versions_outside_the_workspace_table_are_named() {
        for manifest in [
            "[dependencies]\nserde = \"1\"\n",
            "[dev-dependencies]\nserde = { version = \"1\" }\n",
            "[dependencies.serde]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nserde.version = \"1\"\n",
        ] {
            let found = breaches("apmon-x", manifest);
            assert_eq!(found.len(), 1, "{manifest}: {found:?}");
            assert!(found[0].contains("write serde.workspace = true"), "{found:?}");
        }
        assert!(
            breaches("apmon-x", "\n[dependencies]\na = \"1\"\n")[0].starts_with("apmon-x/Cargo.toml:3: ")
        );
    }

    #[test]
    fn arrows_point_at_core() {
        let arrow = |own, other: &str| {
            let manifest = format!("[dev-dependencies]\n{other}.workspace = true\n");
            breaches(own, &manifest).len()
        };
        assert_eq!(arrow("apmon-snmp", "apmon-core"), 0);
        assert_eq!(arrow("apmon-snmp", "apmon-probes"), 1);
        assert_eq!(arrow("apmon-core", "apmon-probes"), 1);
        assert_eq!(arrow("apmon-core", "apmon-cli"), 1);
        assert_eq!(arrow("apmon-cli", "xtask"), 1);
        assert_eq!(arrow("xtask", "anyhow"), 1);
    }

    #[test]
    fn another_name_hides_no_arrow() {
        let manifest = "[dependencies]\nwire = { workspace = true, package = \"apmon-probes\" }\n";
        assert_eq!(breaches("apmon-snmp", manifest).len(), 1);
    }
}
