//! The lock file: no unwanted crate, and no crate in two versions.

use super::Breach;

/// TLS and C libraries other than ring are slow to build and to audit. OpenSSL is for one
/// helper, which the check of manifests sees to; its sources are never built.
const UNWANTED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl-src"];

/// Crates that may be locked in more than one version, because two dependencies
/// need different ones. Remove a line as soon as it is not needed.
const TOLERATED: &[&str] = &[
    "base64",       // 0.23: hyper-util; 0.22: ours
    "cpufeatures",  // 0.3: chacha20 under rand 0.10; 0.2: sha2
    "getrandom",    // 0.2: ring; 0.3: rand 0.9; 0.4: tempfile, uuid, rand 0.10
    "nom",          // 8: lettre; 7: x509-parser
    "r-efi",        // used by two of the getrandoms, on UEFI only
    "rand",         // 0.8: num-bigint-dig; 0.9: hickory-resolver; 0.10: proptest
    "rand_chacha",  // as rand 0.8 (num-bigint-dig under rsa) and 0.9
    "rand_core",    // as rand, and 0.6: p256 and others
    "syn",          // 2: tracing, x509-parser; 3: serde, tokio and most others (at build time only)
    "synstructure", // as syn
    "windows-sys",  // 0.52: ring, on Windows only
];

pub(super) struct Lock {
    pub(super) breaches: Vec<Breach>,
    pub(super) packages: usize,
    /// `name 1.0.0 + 2.0.0` for each crate that is tolerated in several versions.
    pub(super) tolerated: Vec<String>,
}

struct Package<'a> {
    line: usize,
    name: &'a str,
    version: &'a str,
}

pub(super) fn check(file: &str, lock: &str) -> Lock {
    check_with(file, lock, TOLERATED)
}

fn check_with(file: &str, lock: &str, tolerated_twice: &[&str]) -> Lock {
    let packages = packages(lock);
    let mut breaches = Vec::new();
    let mut tolerated = Vec::new();
    for package in &packages {
        if UNWANTED.contains(&package.name) {
            let name = package.name;
            breaches.push(Breach::new(
                file,
                package.line,
                format!("{name}: TLS is rustls on ring and nothing else (cargo tree -i {name})"),
            ));
        }
    }
    for same in packages.chunk_by(|a, b| a.name == b.name) {
        let [first, _, ..] = same else { continue };
        let versions: Vec<&str> = same.iter().map(|package| package.version).collect();
        let (name, versions) = (first.name, versions.join(" + "));
        if tolerated_twice.contains(&name) {
            tolerated.push(format!("{name} {versions}"));
        } else {
            breaches.push(Breach::new(
                file,
                first.line,
                format!("{name} is locked more than once: {versions} (cargo tree -d); unify them, or add {name} to TOLERATED in xtask/src/check/lock.rs"),
            ));
        }
    }
    for name in tolerated_twice {
        if !tolerated
            .iter()
            .any(|shown| shown.split(' ').next() == Some(name))
        {
            breaches.push(Breach::warning(
                file,
                1,
                format!(
                    "{name} is locked only once now: remove it from TOLERATED in xtask/src/check/lock.rs"
                ),
            ));
        }
    }
    Lock {
        breaches,
        packages: packages.len(),
        tolerated,
    }
}

/// The packages, sorted by name.
fn packages(lock: &str) -> Vec<Package<'_>> {
    let mut packages = Vec::new();
    let mut name = None;
    for (line, text) in (1..).zip(lock.lines()) {
        if let Some(value) = text.strip_prefix("name = ") {
            name = Some((line, value.trim_matches('"')));
        } else if let Some(value) = text.strip_prefix("version = ")
            && let Some((line, name)) = name.take()
        {
            let version = value.trim_matches('"');
            packages.push(Package { line, name, version });
        }
    }
    packages.sort_by_key(|package| package.name);
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\n\
                        version = \"2.0.0\"\n\n[[package]]\nname = \"openssl-src\"\nversion = \"0.9.0\"\n";

    fn shown(lock: &Lock) -> Vec<String> {
        lock.breaches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unwanted_and_repeated_crates_are_named() {
        let lock = check_with("Cargo.lock", LOCK, &[]);
        assert_eq!(lock.packages, 3);
        let shown = shown(&lock);
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].starts_with("Cargo.lock:12: openssl-src"), "{shown:?}");
        assert!(
            shown[1].starts_with("Cargo.lock:4: a is locked more than once: 1.0.0 + 2.0.0"),
            "{shown:?}"
        );
    }

    #[test]
    fn tolerated_crates_are_listed_and_unneeded_lines_are_questioned() {
        let lock = check_with("Cargo.lock", LOCK, &["a", "b"]);
        assert_eq!(lock.tolerated, ["a 1.0.0 + 2.0.0"]);
        assert!(
            shown(&lock)[1].contains("warning: b is locked only once"),
            "{:?}",
            shown(&lock)
        );
    }
}
