//! One run of one libFuzzer program. A run without coverage counts as failed.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    fault::{During, Fault},
    workspace,
};

/// The largest input; the targets truncate longer ones.
const MOST_BYTES: &str = "65536";
/// Seconds for one input; ten times what a site file of 64 KiB may take.
const SLOWEST: &str = "10";
/// With fewer counters, the program was built without coverage.
const LEAST_COVERAGE: u64 = 50;

pub(super) struct Run {
    pub(super) target: String,
    pub(super) program: PathBuf,
    pub(super) seconds: Option<u64>,
    pub(super) runs: Option<u64>,
}

/// The figures in the program's output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    coverage: u64,
    blind: bool,
    artifact: Option<String>,
}

impl Figures {
    fn note(&mut self, line: &str) {
        let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
        if line.starts_with('#')
            && let Some(coverage) = line.split_once(" cov: ").and_then(|(_, rest)| number(rest))
        {
            self.coverage = self.coverage.max(coverage);
        }
        self.blind |= line.contains("no interesting inputs were found");
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.artifact = Some(path.trim().to_owned());
        }
    }
}

impl Run {
    pub(super) fn go(&self) -> Result<(), Fault> {
        let fuzz = workspace::root().join("fuzz");
        let artifacts = fuzz.join("artifacts").join(&self.target);
        // New inputs stay below target: the corpus in the repository is small,
        // selected, and has readable names.
        let grown = workspace::target().join("fuzz/corpus").join(&self.target);
        for directory in [&artifacts, &grown] {
            fs::create_dir_all(directory).during(format!("make {}", workspace::shown(directory)))?;
        }
        let mut command = Command::new(&self.program);
        command.current_dir(workspace::root());
        command.arg(&grown).arg(fuzz.join("corpus").join(&self.target));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.args([format!("-max_len={MOST_BYTES}"), format!("-timeout={SLOWEST}")]);
        command.arg("-print_funcs=0"); // without symbols it prints addresses, not names
        let words = fuzz.join("words").join(format!("{}.txt", self.target));
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        if let Some(seconds) = self.seconds {
            command.arg(format!("-max_total_time={seconds}"));
        }
        if let Some(runs) = self.runs {
            command.arg(format!("-runs={runs}"));
        }
        self.judge(&mut command)
    }

    fn judge(&self, command: &mut Command) -> Result<(), Fault> {
        println!("== fuzzing {}", self.target);
        let shown = workspace::shown(&self.program);
        let mut child = command.stderr(Stdio::piped()).spawn().during(&shown)?;
        let mut figures = Figures::default();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                figures.note(&line);
                if is_notable(&line) {
                    println!("{line}");
                }
            }
        }
        let status = child.wait().during(&shown)?;
        if !status.success() {
            let Some(artifact) = figures.artifact else {
                return Err(Fault::new(format!("{shown} failed ({status})")));
            };
            let artifact = workspace::shown(Path::new(&artifact));
            return Err(Fault::new(format!(
                "found {artifact}\n   to repeat: {shown} {artifact}"
            )));
        }
        if figures.blind || figures.coverage < LEAST_COVERAGE {
            return Err(Fault::new(format!(
                "{} coverage counters were hit: the target is built without coverage",
                figures.coverage
            )));
        }
        Ok(())
    }
}

/// Whether a line is worth printing: not each new input, nor suggested
/// dictionary words, nor a missing sanitizer (none is needed).
fn is_notable(line: &str) -> bool {
    let each_input = line.starts_with('#') && ["\tNEW ", "\tREDUCE "].iter().any(|word| line.contains(word));
    let dictionary = line.starts_with('"') || line.starts_with("######");
    let sanitizer = line.starts_with("WARNING: Failed to find function");
    !(each_input || dictionary || sanitizer || line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_libfuzzers_lines() {
        let mut figures = Figures::default();
        for line in [
            "INFO: seed corpus: files: 3",
            "#4\tINITED cov: 2089 ft: 4010 corp: 3/5Kb exec/s: 0 rss: 50Mb",
            "#977\tDONE   cov: 2101 ft: 4100 corp: 9/5Kb lim: 4096 exec/s: 97 rss: 60Mb",
        ] {
            figures.note(line);
        }
        assert_eq!(
            figures,
            Figures {
                coverage: 2101,
                ..Figures::default()
            }
        );
        figures.note("artifact_prefix='a/'; Test unit written to a/crash-0a");
        figures.note("ERROR: no interesting inputs were found. Is the code instrumented?");
        assert_eq!(figures.artifact.as_deref(), Some("a/crash-0a"));
        assert!(figures.blind);
    }
}
