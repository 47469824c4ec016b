//! What processes used, from /proc.

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
    log: String,
}

impl Watched {
    /// Its looks must have found their targets up: a refusal would be cheap.
    pub(super) fn must_be_up(&self) -> Result<(), Fault> {
        let wrong = |line: &&str| line.contains(": Down") || line.contains(": Unknown");
        match self.log.lines().find(wrong) {
            None => Ok(()),
            Some(line) => Err(Fault::new(format!("a look that is measured failed: {line}"))),
        }
    }

    /// How late its looks started; of a site's, where there are several.
    pub(super) fn lateness(&self, site: &str, quantile: &str) -> Result<f64, Fault> {
        let mut lines = self.log.lines().filter(|line| line.contains("started late by"));
        let several = lines.clone().count() > 1;
        lines
            .find(|line| !several || line.contains(&format!("{site}.yaml")))
            .and_then(|line| number_after(line, quantile))
            .ok_or_else(|| {
                Fault::new(format!(
                    "the daemon did not say the lateness of {site}:\n{}",
                    self.log
                ))
            })
    }
}

/// Runs apmon on site files: warms up, then measures for `window`.
pub(super) fn watch(sites: &[&Path], warm_up: Duration, window: Duration) -> Result<Watched, Fault> {
    watch_by(super::apmon(), &[], sites, warm_up, window)
}

/// The same in a network namespace.
pub(super) fn watch_in(
    space: &str,
    sites: &[&Path],
    warm_up: Duration,
    window: Duration,
) -> Result<Watched, Fault> {
    let apmon = super::apmon();
    let before: [&OsStr; 4] = [
        "netns".as_ref(),
        "exec".as_ref(),
        space.as_ref(),
        apmon.as_os_str(),
    ];
    watch_by("ip".into(), &before, sites, warm_up, window)
}

fn watch_by(
    program: PathBuf,
    before: &[&OsStr],
    sites: &[&Path],
    warm_up: Duration,
    window: Duration,
) -> Result<Watched, Fault> {
    let first = sites.first().ok_or_else(|| Fault::new("nothing to watch"))?;
    let log = first.with_extension("log");
    let states = first.with_extension("states");
    let errors = fs::File::create(&log).during(format!("write {}", log.display()))?;
    let _ = fs::remove_dir_all(&states);
    let mut apmon = Running::start("apmon", program, |command| {
        command.args(before).args(["run", "-v"]).args(sites);
        command.env("STATE_DIRECTORY", states);
        command.stdout(std::process::Stdio::null()).stderr(errors)
    })?;
    thread::sleep(warm_up);
    let before = cpu_of(apmon.id())?;
    thread::sleep(window);
    let cpu = cpu_of(apmon.id())? - before;
    let peak = memory_of(apmon.id(), "VmHWM")?;
    apmon.stop(Duration::from_secs(5))?;
    let log = fs::read_to_string(&log).during(format!("read {}", log.display()))?;
    Ok(Watched { cpu, peak, log })
}

/// `p99 1.60 ms` as a number.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let mut words = text.split_whitespace().map(|word| word.trim_matches(','));
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// CPU seconds that a command takes to its end.
pub(super) fn cpu_to_end(command: &mut Command) -> Result<f64, Fault> {
    let before = cpu_of_ended_children()?;
    process::works(command);
    Ok(cpu_of_ended_children()? - before)
}
