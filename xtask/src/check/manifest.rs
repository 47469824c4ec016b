//! Dependencies between crates, and versions in one place only.
//!
//! A manifest is read line by line: members use `name.workspace = true` and
//! `name = { workspace = true, ... }`, and any other form is a breach anyway.

use super::Breach;

/// The layers of crates, from the bottom up: each may use those below its own.
const LAYERS: &[&[&str]] = &[
    &["apmon-core", "apmon-worker"],
    &["apmon-tls", "apmon-snmp-client"],
    &[
        "apmon-probes",
        "apmon-snmp",
        "apmon-notify",
        "apmon-store",
        "apmon-rrd",
        "apmon-web",
        "apmon-tls-legacy",
    ],
    &["apmon-cli", "apmon-harness"],
];

/// The only crate that may use the library of xtask, as a program around the workspace.
const HARNESS: &str = "apmon-harness";

/// The only crate that may use OpenSSL, a program that runs as a child.
const LEGACY: &str = "apmon-tls-legacy";

/// Crates that use no other crate of apmon, because they are of use without it.
const INDEPENDENT: &[&str] = &["apmon-snmp-client", "apmon-worker"];

/// One line of a dependency table.
struct Dependency<'a> {
    line: usize,
    name: &'a str,
    /// The package's name, which may differ from the key.
    package: &'a str,
    inherited: bool,
    /// For tests and examples only.
    dev: bool,
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
            dev,
        } = dependency;
        if !inherited {
            breaches.push(Breach::new(
                file,
                line,
                format!("versions and paths belong in the top Cargo.toml: write {name}.workspace = true"),
            ));
        }
        // An example or test of a lower layer may show it at work with the others.
        if let (false, Some(text)) = (dev, forbidden(own, package)) {
            breaches.push(Breach::new(file, line, text));
        }
    }
    breaches
}

/// Why `own` must not depend on `other`, if it must not.
fn forbidden(own: &str, other: &str) -> Option<String> {
    if own == "xtask" {
        return Some(format!(
            "xtask must not depend on {other}: without dependencies it is built in seconds"
        ));
    }
    if other.starts_with("openssl") || other == LEGACY {
        return (own != LEGACY)
            .then(|| format!("{own} must not depend on {other}: OpenSSL is for the helper {LEGACY} alone"));
    }
    if !other.starts_with("apmon-") && other != "xtask" {
        return None;
    }
    if other == "xtask" {
        return (own != HARNESS).then(|| format!("{own} must not depend on xtask: only {HARNESS} may"));
    }
    if INDEPENDENT.contains(&own) {
        return Some(format!(
            "{own} must not depend on {other}: it is of use without the rest of apmon"
        ));
    }
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let unknown = |name: &str| {
        Some(format!(
            "{name} is in no layer of crates: add it to LAYERS in xtask/src/check/manifest.rs"
        ))
    };
    match (layer(own), layer(other)) {
        (None, _) => unknown(own),
        (_, None) => unknown(other),
        (Some(own), Some(other)) if other < own => None,
        (Some(lower), Some(upper)) if lower == upper => Some(format!(
            "{own} must not depend on {other}, a crate of the same layer: put the seam into apmon-core and the wiring into apmon-cli"
        )),
        _ => Some(format!(
            "{own} must not depend on {other}, a crate of a higher layer"
        )),
    }
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut in_table = false;
    let mut dev = false;
    // Open brackets: a value may span several lines.
    let mut open = 0_usize;
    for (line, text) in (1..).zip(manifest.lines()) {
        let text = text.split('#').next().unwrap_or("").trim();
        if open == 0 && text.starts_with('[') {
            let table = text.trim_start_matches('[').trim_end_matches(']');
            in_table = table.ends_with("dependencies");
            dev = table.contains("dev-dependencies");
            // `[dependencies.name]`: the name is the dependency.
            if !in_table && let Some((_, name)) = table.rsplit_once("dependencies.") {
                found.push(Dependency {
                    line,
                    name,
                    package: name,
                    inherited: false,
                    dev,
                });
            }
            continue;
        }
        if in_table
            && open == 0
            && let Some((key, value)) = text.split_once('=')
        {
            found.push(Dependency {
                dev,
                ..dependency(line, key.trim(), value.trim())
            });
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
        dev: false,
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
    fn a_member_that_follows_the_rules_has_no_breach() {
        let manifest = "[package]\nname = \"apmon-probes\"\n[dependencies]\napmon-core.workspace = true\n\
                        tokio = { workspace = true, features = [\n  \"net\",\n] }\n# c = \"1\"\n[features]\ndefault = []\n";
        assert_eq!(breaches("apmon-probes", manifest), Vec::<String>::new());
        assert_eq!(
            breaches("apmon-cli", "[dependencies]\napmon-probes.workspace = true\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn versions_outside_the_workspace_table_are_refused() {
        for manifest in [
            "[dependencies]\nserde = \"1\"\n",
            "[dev-dependencies]\nserde = { version = \"1\" }\n",
            "[dependencies.serde]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nserde.version = \"1\"\n",
        ] {
            let found = breaches("apmon-probes", manifest);
            assert_eq!(found.len(), 1, "{manifest}: {found:?}");
            assert!(found[0].contains("write serde.workspace = true"), "{found:?}");
        }
        assert!(
            breaches("apmon-probes", "\n[dependencies]\na = \"1\"\n")[0]
                .starts_with("apmon-probes/Cargo.toml:3: ")
        );
    }

    #[test]
    fn tests_and_examples_may_use_higher_layers() {
        let of =
            |table: &str| breaches("apmon-core", &format!("[{table}]\napmon-cli.workspace = true\n")).len();
        assert_eq!((of("dev-dependencies"), of("dependencies")), (0, 1));
    }

    #[test]
    fn crates_depend_on_lower_layers_only() {
        let arrow = |own, other: &str| {
            let manifest = format!("[dependencies]\n{other}.workspace = true\n");
            breaches(own, &manifest).len()
        };
        for (own, other) in [
            ("apmon-snmp", "apmon-core"),
            ("apmon-snmp", "apmon-snmp-client"),
            ("apmon-rrd", "apmon-worker"),
            ("apmon-tls", "apmon-worker"),
            ("apmon-tls-legacy", "apmon-tls"),
            ("apmon-web", "apmon-tls"),
            ("apmon-tls", "apmon-core"),
            ("apmon-cli", "apmon-rrd"),
            ("apmon-harness", "apmon-store"),
            ("apmon-harness", "hyper"),
            ("apmon-harness", "xtask"),
        ] {
            assert_eq!(arrow(own, other), 0, "{own} -> {other}");
        }
        for (own, other) in [
            ("apmon-snmp-client", "apmon-core"),
            ("apmon-worker", "apmon-core"),
            ("apmon-core", "apmon-snmp-client"),
            ("apmon-snmp-client", "apmon-tls"),
            ("apmon-snmp", "apmon-probes"),
            ("apmon-core", "apmon-probes"),
            ("apmon-core", "apmon-tls"),
            ("apmon-tls", "apmon-snmp-client"),
            ("apmon-tls", "apmon-probes"),
            ("apmon-core", "apmon-worker"),
            ("apmon-probes", "apmon-tls-legacy"),
            ("apmon-cli", "openssl"),
            ("apmon-tls", "openssl"),
            ("apmon-web", "apmon-cli"),
            ("apmon-cli", "apmon-new"),
            ("apmon-new", "apmon-core"),
            ("apmon-cli", "xtask"),
            ("apmon-cli", "apmon-harness"),
            ("apmon-harness", "apmon-cli"),
            ("apmon-store", "apmon-harness"),
            ("xtask", "apmon-harness"),
            ("xtask", "anyhow"),
        ] {
            assert_eq!(arrow(own, other), 1, "{own} -> {other}");
        }
    }

    #[test]
    fn a_renamed_dependency_is_still_checked() {
        let manifest = "[dependencies]\nwire = { workspace = true, package = \"apmon-probes\" }\n";
        assert_eq!(breaches("apmon-snmp", manifest).len(), 1);
    }
}
