//! The CPU time and memory of processes, from /proc.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    fault::{During, Fault},
    process::{self, Running},
    stopwatch::Stopwatch,
};

/// The words before a site's lateness in the daemon's log.
const LATENESS: &str = "started late by";

/// CPU seconds of a running process so far.
pub(super) fn cpu_of(id: u32) -> Result<f64, Fault> {
    let fields = stat(&format!("/proc/{id}/stat"))?;
    Ok(ticks(&fields, 11) + ticks(&fields, 12))
}

/// CPU seconds of this process's children that have ended.
pub(super) fn cpu_of_ended_children() -> Result<f64, Fault> {
    let fields = stat("/proc/self/stat")?;
    Ok(ticks(&fields, 13) + ticks(&fields, 14))
}

/// The fields after the process's name.
fn stat(path: &str) -> Result<Vec<String>, Fault> {
    let text = fs::read_to_string(path).during(path)?;
    let rest = text.rsplit(')').next().unwrap_or("");
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Linux counts in hundredths of a second, independent of the kernel's own clock.
fn ticks(fields: &[String], at: usize) -> f64 {
    fields
        .get(at)
        .and_then(|field| field.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 100.0
}

/// A value in kB of /proc/ID/status.
pub(super) fn memory_of(id: u32, field: &str) -> Result<f64, Fault> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).during(&path)?;
    let line = text.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Fault::new(format!("{path} has no {field}")))
}

/// The figures of a daemon within a window of time.
pub(super) struct Measured {
    /// CPU seconds within the window.
    pub(super) cpu: f64,
    /// Peak memory in kB.
    pub(super) peak: f64,
    /// The time from SIGTERM to the end of the process.
    pub(super) stop: Duration,
    log: String,
}

impl Measured {
    /// Fails unless every check succeeded: a refused connection would be cheap.
    pub(super) fn must_be_up(&self) -> Result<(), Fault> {
        let wrong = |line: &&str| line.contains(": Down") || line.contains(": Unknown");
        match self.log.lines().find(wrong) {
            None => Ok(()),
            Some(line) => Err(Fault::new(format!("a measured check failed: {line}"))),
        }
    }

    /// The lateness of its checks at a quantile; of one site if there are several.
    pub(super) fn lateness(&self, site: &str, quantile: &str) -> Result<f64, Fault> {
        let mut lines = self.log.lines().filter(|line| line.contains(LATENESS));
        let several = lines.clone().count() > 1;
        lines
            .find(|line| !several || line.contains(&format!("{site}.yaml")))
            .and_then(|line| number_after(line, quantile))
            .ok_or_else(|| {
                Fault::new(format!(
                    "the daemon did not log the lateness of {site}:\n{}",
                    self.log
                ))
            })
    }
}

/// Runs apmon on site files, warms up, then measures for `window`.
pub(super) fn measure(sites: &[&Path], warm_up: Duration, window: Duration) -> Result<Measured, Fault> {
    measure_by(super::apmon(), &[], sites, warm_up, window)
}

/// Like [`measure`], in a network namespace.
pub(super) fn measure_in(
    space: &str,
    sites: &[&Path],
    warm_up: Duration,
    window: Duration,
) -> Result<Measured, Fault> {
    let apmon = super::apmon();
    let before: [&OsStr; 4] = [
        "netns".as_ref(),
        "exec".as_ref(),
        space.as_ref(),
        apmon.as_os_str(),
    ];
    measure_by("ip".into(), &before, sites, warm_up, window)
}

fn measure_by(
    program: PathBuf,
    before: &[&OsStr],
    sites: &[&Path],
    warm_up: Duration,
    window: Duration,
) -> Result<Measured, Fault> {
    let first = sites
        .first()
        .ok_or_else(|| Fault::new("no site file to measure"))?;
    let log = first.with_extension("log");
    let states = first.with_extension("states");
    let errors = fs::File::create(&log).during(format!("write {}", log.display()))?;
    let _ = fs::remove_dir_all(&states);
    let mut apmon = Running::start("apmon", program, |command| {
        command.args(before).args(["run", "-v"]).args(sites);
        command.env("STATE_DIRECTORY", states);
        command.env("APMON_REGISTRY", first.with_extension("run"));
        command.stdout(std::process::Stdio::null()).stderr(errors)
    })?;
    thread::sleep(warm_up);
    let before = cpu_of(apmon.id())?;
    thread::sleep(window);
    let cpu = cpu_of(apmon.id())? - before;
    let peak = memory_of(apmon.id(), "VmHWM")?;
    let watch = Stopwatch::start();
    apmon.stop(Duration::from_secs(5))?;
    let stop = watch.elapsed();
    let log = fs::read_to_string(&log).during(format!("read {}", log.display()))?;
    Ok(Measured { cpu, peak, stop, log })
}

/// The number after a name: 1.60 of `p99 1.60 ms`.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let mut words = text.split_whitespace().map(|word| word.trim_matches(','));
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// The CPU seconds of a whole run of a command.
pub(super) fn cpu_to_end(command: &mut Command) -> Result<f64, Fault> {
    let before = cpu_of_ended_children()?;
    process::works(command);
    Ok(cpu_of_ended_children()? - before)
}

#[cfg(test)]
mod tests {
    #[test]
    fn apmon_logs_the_words_that_are_searched_for() {
        assert!(crate::product::has(super::LATENESS));
        assert!(crate::product::has("peak memory {"));
    }
}
