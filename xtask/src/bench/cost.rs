//! What processes used, from /proc.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use crate::{
    fault::{During, Fault},
    process::{self, Running},
};

/// CPU seconds of a running process so far.
pub(super) fn cpu_of(id: u32) -> Result<f64, Fault> {
    let fields = stat(&format!("/proc/{id}/stat"))?;
    Ok(ticks(&fields, 11) + ticks(&fields, 12))
}

/// CPU seconds of our own children that have ended.
pub(super) fn cpu_of_ended_children() -> Result<f64, Fault> {
    let fields = stat("/proc/self/stat")?;
    Ok(ticks(&fields, 13) + ticks(&fields, 14))
}

/// The fields behind the process's name.
fn stat(path: &str) -> Result<Vec<String>, Fault> {
    let text = fs::read_to_string(path).during(path)?;
    let rest = text.rsplit(')').next().unwrap_or("");
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Linux counts in hundredths of a second, whatever the kernel's own clock.
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

/// A daemon that was watched for a while.
pub(super) struct Watched {
    /// CPU seconds within the window.
    pub(super) cpu: f64,
    /// Peak memory in kB.
    pub(super) peak: f64,
    /// What it said of itself when it ended.
    pub(super) last_words: String,
}

/// Runs apmon on a site file: warms up, then measures for `window`.
pub(super) fn watch(site: &Path, warm_up: Duration, window: Duration) -> Result<Watched, Fault> {
    watch_with(site, warm_up, window, |_| {})
}

/// The same, with a change of the command.
pub(super) fn watch_with(
    site: &Path,
    warm_up: Duration,
    window: Duration,
    change: impl FnOnce(&mut Command),
) -> Result<Watched, Fault> {
    let log = site.with_extension("log");
    let errors = fs::File::create(&log).during(format!("write {}", log.display()))?;
    let mut apmon = Running::start("apmon", super::apmon(), |command| {
        super::daemon(command, site);
        change(command);
        command.stdout(std::process::Stdio::null()).stderr(errors)
    })?;
    thread::sleep(warm_up);
    let before = cpu_of(apmon.id())?;
    thread::sleep(window);
    let cpu = cpu_of(apmon.id())? - before;
    let peak = memory_of(apmon.id(), "VmHWM")?;
    apmon.stop(Duration::from_secs(5))?;
    let text = fs::read_to_string(&log).during(format!("read {}", log.display()))?;
    let last_words = text
        .lines()
        .rev()
        .find(|line| line.contains("started late"))
        .unwrap_or("")
        .to_owned();
    Ok(Watched {
        cpu,
        peak,
        last_words,
    })
}

/// `p99 1.60 ms` of the last words, as a number.
pub(super) fn quantile(last_words: &str, name: &str) -> f64 {
    let mut words = last_words.split_whitespace().map(|word| word.trim_matches(','));
    words.find(|word| *word == name);
    words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(f64::NAN)
}

/// CPU seconds that a command takes to its end.
pub(super) fn cpu_to_end(command: &mut Command) -> Result<f64, Fault> {
    let before = cpu_of_ended_children()?;
    process::works(command);
    Ok(cpu_of_ended_children()? - before)
}
