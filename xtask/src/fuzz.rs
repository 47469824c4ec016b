//! `cargo xtask fuzz`: the fuzz targets, on the stable toolchain.
//!
//! `cargo fuzz` needs a nightly toolchain for its sanitizer. Coverage finds our
//! bugs, and its flags are stable: this builds the same targets with them.

mod libfuzzer;

use std::{path::PathBuf, process::Command};

use self::libfuzzer::Run;
use crate::{
    fault::{During, Fault},
    package::{self, CXX},
    process::{self, cargo},
    workspace,
};

/// Default seconds for all targets together.
const SECONDS: u64 = 60;

/// The coverage flags of cargo-fuzz. With debug assertions an overflow is a
/// crash instead of a wrong number.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
];

/// The options of the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    target: Option<String>,
    seconds: Option<u64>,
    runs: Option<u64>,
}

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let options = parse(arguments)?;
    let targets = targets()?;
    let chosen = match &options.target {
        None => targets,
        Some(target) if targets.contains(target) => vec![target.clone()],
        Some(target) => {
            let known = targets.join(", ");
            return Err(Fault::new(format!(
                "unknown target \"{target}\"; known are {known}"
            )));
        }
    };
    package::install(&[CXX])?;
    let host = host()?;
    build(&chosen, &host)?;
    let count = u64::try_from(chosen.len()).unwrap_or(1).max(1);
    let seconds = match (options.seconds, options.runs) {
        (Some(seconds), _) => Some(seconds),
        (None, Some(_)) => None,
        (None, None) => Some(SECONDS),
    }
    .map(|seconds| (seconds / count).max(1));
    let mut found = Vec::new();
    for target in chosen {
        let run = Run {
            program: directory().join(&host).join("release").join(&target),
            target,
            seconds,
            runs: options.runs,
        };
        if let Err(fault) = run.go() {
            println!("== {}: {fault}", run.target);
            found.push(run.target);
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!("failed: {}", found.join(", "))))
}

fn parse(arguments: &[String]) -> Result<Options, Fault> {
    let mut options = Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let mut number = || -> Result<Option<u64>, Fault> {
            let value = value.or_else(|| arguments.next().map(String::as_str));
            let value = value.ok_or_else(|| Fault::new(format!("{name} needs a number")))?;
            value.parse().map(Some).during(format!("{name} {value}"))
        };
        match name {
            "--seconds" => options.seconds = number()?,
            "--runs" => options.runs = number()?,
            _ if name.starts_with('-') => {
                return Err(Fault::new(format!(
                    "unknown option {name}; known are --seconds and --runs"
                )));
            }
            _ if options.target.is_some() => return Err(Fault::new("takes one target, or none for all")),
            _ => options.target = Some(argument.clone()),
        }
    }
    Ok(options)
}

/// The targets, from the names of their files.
fn targets() -> Result<Vec<String>, Fault> {
    let directory = workspace::root().join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(directory).during("list fuzz/fuzz_targets")?;
    let mut targets: Vec<String> = files
        .flatten()
        .filter_map(|file| file.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort();
    Ok(targets)
}

/// A target directory of its own, because other builds do not use these flags.
fn directory() -> PathBuf {
    workspace::target().join("fuzz")
}

/// This machine's target triple. Naming it in the build keeps the flags away
/// from build scripts.
fn host() -> Result<String, Fault> {
    let version = process::output(Command::new("rustc").arg("-vV").current_dir(workspace::root()))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Fault::new("rustc -vV names no host"))
}

fn build(targets: &[String], host: &str) -> Result<(), Fault> {
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    build.args(["--target", host, "--target-dir"]).arg(directory());
    for target in targets {
        build.args(["--bin", target]);
    }
    build.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    process::run(&mut build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_in_both_forms() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            super::parse(&words)
        };
        let options = parse("site_file --seconds 5 --runs=7").unwrap();
        assert_eq!(options.target.as_deref(), Some("site_file"));
        assert_eq!((options.seconds, options.runs), (Some(5), Some(7)));
        assert_eq!(parse("").unwrap(), Options::default());
        for wrong in ["a b", "--seconds", "--seconds x", "--forever"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_target_is_declared_and_has_seeds() {
        let fuzz = workspace::root().join("fuzz");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target} has no [[bin]]"
            );
            // libFuzzer ends at once if there is no such directory.
            let seeds = std::fs::read_dir(fuzz.join("corpus").join(&target));
            assert!(
                seeds.is_ok_and(|mut seeds| seeds.next().is_some()),
                "{target} has no seeds"
            );
        }
    }
}
