//! Limits of a host's load, memory and file systems.
//!
//! A figure is over its limit from the time it exceeds it until it is below 95 % of the
//! limit, so that a disk that wavers between 89.9 % and 90.1 % is reported once.

use std::{collections::BTreeSet, fmt};

use apmon_core::DeviceDisk;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::rule::pattern::Pattern;

/// The fraction of a limit below which a figure must fall to be within the limit again.
const CLEARS_AT: f64 = 0.95;

/// The most file systems that a reason names; the others are only counted. A host may
/// mount one disk in a hundred places.
const MAX_NAMED: usize = 8;

/// Limits of a host's load, all off unless given.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct ThresholdOptions {
    /// Highest acceptable processor load in percent, more than 0 and less than 100:
    /// the mean of all processors, as the device reports it at the check. With a
    /// higher load checks fail until it is back below 95 % of the limit.
    /// Default: no limit. (An addition.)
    pub max_cpu_pct: Option<LimitPct>,
    /// Highest acceptable memory use in percent, without buffers and cache, more
    /// than 0 and less than 100. With higher use, checks fail until it is back
    /// below 95 % of the limit. Default: no limit. (An addition.)
    pub max_memory_pct: Option<LimitPct>,
    /// Highest acceptable use of any file system in percent, more than 0 and less
    /// than 100. With higher use, checks fail until all file systems are back below
    /// 95 % of the limit. Default: no limit. (An addition.)
    pub max_disk_pct: Option<LimitPct>,
    /// File systems to which `max_disk_pct` does not apply, by mount point or
    /// drive: `[/snap/*, 'D:\*']`. `*` matches any text, including slashes, `?` one
    /// character; case is ignored. Read-only images, which are always full, belong
    /// here. Default: none. (An addition.)
    #[serde(default)]
    pub ignore_disks: Vec<Pattern>,
}

/// A limit in percent: more than 0 and less than 100.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LimitPct(#[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 100))] f64);

impl LimitPct {
    /// The limit as a number; `None` if it is out of range.
    #[must_use]
    pub fn new(pct: f64) -> Option<Self> {
        (pct > 0.0 && pct < 100.0).then_some(Self(pct))
    }

    /// Returns the limit as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The percentage below which a figure that was over the limit is within it again: 95 % of
    /// the limit.
    #[must_use]
    pub fn clears_below(self) -> f64 {
        self.0 * CLEARS_AT
    }
}

impl<'de> Deserialize<'de> for LimitPct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pct = f64::deserialize(deserializer)?;
        Self::new(pct).ok_or_else(|| {
            D::Error::custom(format!(
                "must be a percentage, more than 0 and less than 100, not {pct}"
            ))
        })
    }
}

/// The figures that are over their limits, remembered from one check to the next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Over {
    /// Whether the processor load is over its limit.
    pub cpu: bool,
    /// Whether the memory use is over its limit.
    pub memory: bool,
    /// The names of the file systems that are over their limit.
    pub disks: BTreeSet<String>,
}

/// A measured resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The processors.
    Cpu,
    /// The memory.
    Memory,
    /// The file system with this name.
    Disk(String),
}

/// A figure that is over its limit, or not yet back below 95 % of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Excess {
    /// The measured resource.
    pub subject: Subject,
    /// The measured value, in percent.
    pub pct: f64,
    /// The limit of the resource.
    pub limit: LimitPct,
}

/// Shows a reason: `cpu 97.3 % is over 90 %`, `file system /var is 95.1 % full, over 90 %`,
/// or `cpu 88.0 % is not yet back below 85.5 %`.
impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit.get();
        let is_over = self.pct > limit;
        // With a limit of 90, 90.04 is not shown as 90.0.
        let rounded = (self.pct * 10.0).round() / 10.0;
        let pct = match is_over && rounded <= limit {
            true => rounded + 0.1,
            false => rounded,
        };
        let (verb, comma) = match &self.subject {
            Subject::Cpu => (format!("cpu {pct:.1} % is"), ""),
            Subject::Memory => (format!("memory {pct:.1} % is"), ""),
            Subject::Disk(name) => (format!("file system {name} is {pct:.1} % full"), ","),
        };
        match is_over {
            true => write!(f, "{verb}{comma} over {limit} %"),
            false => {
                let clears_below = (self.limit.clears_below() * 100.0).round() / 100.0;
                write!(f, "{verb}{comma} not yet back below {clears_below} %")
            }
        }
    }
}

/// All figures that are over their limits at one check.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Excesses(pub Vec<Excess>);

impl Excesses {
    /// Whether no figure is over its limit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows the reasons, separated by `; `. Of many file systems the first eight are named and
/// the rest counted.
impl fmt::Display for Excesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_disk = |excess: &&Excess| matches!(excess.subject, Subject::Disk(_));
        let others = self.0.iter().filter(|excess| !is_disk(excess));
        let disks = self.0.iter().filter(is_disk);
        let unnamed = disks.clone().count().saturating_sub(MAX_NAMED);
        for (i, excess) in others.chain(disks.take(MAX_NAMED)).enumerate() {
            let gap = if i == 0 { "" } else { "; " };
            write!(f, "{gap}{excess}")?;
        }
        match unnamed {
            0 => Ok(()),
            1 => f.write_str("; 1 more file system"),
            more => write!(f, "; {more} more file systems"),
        }
    }
}

impl ThresholdOptions {
    /// Determines which figures are over their limits, given those that were `over` at the
    /// last check, and updates `over`. The check must have been complete: a missing figure or
    /// file system counts as within its limit.
    #[must_use]
    pub fn judge(
        &self,
        cpu_load: Option<f64>,
        memory_pct: Option<f64>,
        disks: &[DeviceDisk],
        over: &mut Over,
    ) -> Excesses {
        let mut excesses = Excesses::default();
        over.cpu = excesses.note(Subject::Cpu, cpu_load, self.max_cpu_pct, over.cpu);
        over.memory = excesses.note(Subject::Memory, memory_pct, self.max_memory_pct, over.memory);
        let was = std::mem::take(&mut over.disks);
        for disk in disks.iter().filter(|disk| !self.ignores(&disk.name)) {
            let subject = Subject::Disk(disk.name.clone());
            let was_over = was.contains(&disk.name);
            if excesses.note(subject, disk.used_pct(), self.max_disk_pct, was_over) {
                over.disks.insert(disk.name.clone());
            }
        }
        excesses
    }

    fn ignores(&self, disk: &str) -> bool {
        let mut patterns = self.ignore_disks.iter();
        patterns.any(|pattern| pattern.matches(disk))
    }
}

impl Excesses {
    /// Adds a figure if it is over its limit, and returns whether it is.
    fn note(&mut self, subject: Subject, pct: Option<f64>, limit: Option<LimitPct>, was_over: bool) -> bool {
        let (Some(pct), Some(limit)) = (pct, limit) else {
            return false;
        };
        let is_over = pct > limit.get() || (was_over && pct >= limit.clears_below());
        if is_over {
            self.0.push(Excess { subject, pct, limit });
        }
        is_over
    }
}

#[cfg(test)]
mod tests;
