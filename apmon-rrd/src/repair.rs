//! What differs between the files and what would be created now, and mending it without loss.

mod compare;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

use self::compare::compare;
use crate::{
    archive::{Archive, earlier},
    error::RrdError,
    operation::Tune,
    rows::Rows,
    schema::DataSource,
    template::FileKind,
    writer::{Reason, is_temporary, set_aside},
};

/// A monitor as the site file has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Its name.
    pub monitor: String,
    /// Its kind (`tcp`).
    pub kind: String,
    /// The seconds between two checks.
    pub step: u64,
}

/// A file that differs from what would be created now.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// The monitor that it belongs to, if any.
    pub monitor: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// What differs; never empty.
    pub differences: Vec<Difference>,
}

/// How a file differs.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Difference {
    /// It cannot be read.
    Damaged {
        /// What librrd says.
        reason: String,
    },
    /// An APMonitor before 1.3 has written it.
    BeforeApmonitor13,
    /// It has another step than the monitor.
    Step {
        /// The step of the file, in seconds.
        is: u64,
        /// That of the monitor.
        wanted: u64,
    },
    /// It lacks data sources.
    Sources(Vec<DataSource>),
    /// It has fewer rows than wanted: the archives by their places, and how many are missing.
    FewerRows(Vec<(usize, i64)>),
    /// It has more rows than wanted.
    MoreRows(Vec<(usize, i64)>),
    /// Its greatest gaps between two values are others than two steps.
    Heartbeats(Vec<(String, u64)>),
    /// It lacks archives, which cannot be added.
    Archives {
        /// How many.
        missing: usize,
    },
    /// No monitor of the site file has it. It is left alone.
    Orphan,
    /// A killed process has left it.
    Temporary,
    /// It could not be examined.
    Unexamined {
        /// Why.
        reason: String,
    },
}

/// How far an examination or a repair is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress<'a> {
    /// How many files are done.
    pub done: usize,
    /// How many there are.
    pub all: usize,
    /// The file that is next.
    pub path: &'a Path,
}

/// What a repair may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RepairOptions {
    /// Whether rows that are more than wanted are cut off, which loses the oldest values.
    pub shrink: bool,
}

/// What was done about a file.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Repaired {
    /// The file.
    pub path: PathBuf,
    /// What was done, or why it was not.
    pub result: Result<Vec<String>, RrdError>,
}

impl Difference {
    /// What a repair does about it; `None` if nothing.
    #[must_use]
    pub fn remedy(&self, options: RepairOptions) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } => Some("is renamed; the next check creates a new file"),
            Self::BeforeApmonitor13 => Some("is renamed and kept; the next check creates a new file"),
            Self::Step { .. } => {
                Some("is renamed and kept, and still shown; the next check creates a new file")
            }
            Self::Sources(_) => Some("gets the data sources; all values stay"),
            Self::FewerRows(_) => Some("gets the rows; all values stay"),
            Self::MoreRows(_) if options.shrink => Some("is cut; the oldest values are lost"),
            Self::Heartbeats(_) => Some("gets the gaps of two steps; all values stay"),
            Self::Temporary => Some("is deleted"),
            Self::MoreRows(_) | Self::Archives { .. } | Self::Orphan | Self::Unexamined { .. } => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { reason } => write!(f, "is damaged ({reason})"),
            Self::BeforeApmonitor13 => f.write_str("is of an APMonitor before 1.3"),
            Self::Step { is, wanted } => {
                write!(
                    f,
                    "has a step of {is} s, and the monitor is checked every {wanted} s"
                )
            }
            Self::Sources(sources) => {
                let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
                write!(f, "lacks the data sources {}", names.join(", "))
            }
            Self::FewerRows(rows) => write!(f, "has fewer rows than wanted in {}", archives(rows)),
            Self::MoreRows(rows) => write!(f, "has more rows than wanted in {}", archives(rows)),
            Self::Heartbeats(_) => {
                f.write_str("tolerates gaps between two values that are not two steps long")
            }
            Self::Archives { missing } => {
                write!(
                    f,
                    "lacks {missing} archives, which cannot be added; the others are filled"
                )
            }
            Self::Orphan => f.write_str("belongs to no monitor of the site file"),
            Self::Temporary => f.write_str("was left by a process that was killed"),
            Self::Unexamined { reason } => write!(f, "cannot be examined: {reason}"),
        }
    }
}

/// `2 archives (+13920, +1440)`.
fn archives(rows: &[(usize, i64)]) -> String {
    let changes: Vec<String> = rows.iter().map(|(_, change)| format!("{change:+}")).collect();
    let plural = if rows.len() == 1 { "" } else { "s" };
    format!("{} archive{plural} ({})", rows.len(), changes.join(", "))
}

impl Archive {
    /// Compares all files with what would be created for these monitors now. Nothing is changed.
    ///
    /// # Errors
    ///
    /// If librrd cannot be used.
    pub fn examine(
        &self,
        expected: &[Expected],
        rows: &Rows,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Finding>, RrdError> {
        self.assign(expected.iter().map(|it| it.monitor.as_str()));
        let mut files: Vec<(PathBuf, &Expected, FileKind)> = Vec::new();
        for it in expected {
            for kind in [FileKind::main_of(&it.kind), FileKind::Metrics] {
                files.push((self.file_of(&it.monitor, kind), it, kind));
            }
        }
        files.retain(|(path, ..)| path.exists());
        let mut known: BTreeSet<PathBuf> = BTreeSet::new();
        let mut findings = Vec::new();
        for (done, (path, it, kind)) in files.iter().enumerate() {
            let all = files.len();
            progress(Progress { done, all, path });
            known.insert(path.clone());
            known.extend(earlier(path).into_iter().map(|(_, path)| path));
            let differences = self.differences(path, *kind, it.step, rows)?;
            if !differences.is_empty() {
                findings.push(finding(path, Some(it.monitor.clone()), differences));
            }
        }
        findings.extend(self.others(&known));
        Ok(findings)
    }

    fn differences(
        &self,
        path: &Path,
        kind: FileKind,
        step: u64,
        rows: &Rows,
    ) -> Result<Vec<Difference>, RrdError> {
        Ok(match self.librrd().info(path) {
            Ok(info) => compare(kind, step, rows, &info.schema),
            Err(RrdError::Damaged { reason, .. }) => vec![Difference::Damaged { reason }],
            Err(error @ (RrdError::NoLibrary(_) | RrdError::Worker(_))) => return Err(error),
            Err(error) => vec![Difference::Unexamined {
                reason: error.to_string(),
            }],
        })
    }

    /// Files that belong to no monitor.
    fn others(&self, known: &BTreeSet<PathBuf>) -> Vec<Finding> {
        let mut others = Vec::new();
        for entry in fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if is_temporary(&name) {
                others.push(finding(&path, None, vec![Difference::Temporary]));
            } else if name.ends_with(".rrd") && !known.contains(&path) && !is_kept_on_purpose(&name) {
                others.push(finding(&path, None, vec![Difference::Orphan]));
            }
        }
        others.sort_by(|a, b| a.path.cmp(&b.path));
        others
    }

    /// Mends what [`examine`](Self::examine) has found. No other process may write the files at
    /// the same time.
    pub fn repair(
        &self,
        findings: &[Finding],
        options: RepairOptions,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Vec<Repaired> {
        let mut repaired = Vec::new();
        for (done, finding) in findings.iter().enumerate() {
            let path = &finding.path;
            let all = findings.len();
            progress(Progress { done, all, path });
            let result = self.mend(finding, options);
            if !matches!(&result, Ok(done) if done.is_empty()) {
                repaired.push(Repaired {
                    path: path.clone(),
                    result,
                });
            }
        }
        repaired
    }

    fn mend(&self, finding: &Finding, options: RepairOptions) -> Result<Vec<String>, RrdError> {
        let path = &finding.path;
        let aside = |reason: Reason| {
            set_aside(path, reason)
                .map(|to| format!("renamed to {}", to.display()))
                .map_err(|error| refused(path, &error))
        };
        let mut done = Vec::new();
        let mut tune = Tune::default();
        for difference in &finding.differences {
            match difference {
                Difference::Damaged { .. } => return Ok(vec![aside(Reason::Damaged)?]),
                Difference::BeforeApmonitor13 => return Ok(vec![aside(Reason::BeforeApmonitor13)?]),
                Difference::Step { is, .. } => return Ok(vec![aside(Reason::Step(*is))?]),
                Difference::Temporary => {
                    fs::remove_file(path).map_err(|error| refused(path, &error))?;
                    return Ok(vec!["deleted".to_owned()]);
                }
                Difference::Sources(sources) => {
                    tune.add.clone_from(sources);
                    done.push(format!("{} data sources added", sources.len()));
                }
                Difference::FewerRows(rows) => {
                    tune.rows.extend(rows);
                    done.push("rows added".to_owned());
                }
                Difference::MoreRows(rows) if options.shrink => {
                    tune.rows.extend(rows);
                    done.push("rows cut off".to_owned());
                }
                Difference::Heartbeats(heartbeats) => {
                    tune.heartbeat.clone_from(heartbeats);
                    done.push("gaps set to two steps".to_owned());
                }
                Difference::MoreRows(_)
                | Difference::Archives { .. }
                | Difference::Orphan
                | Difference::Unexamined { .. } => {}
            }
        }
        if !tune.is_empty() {
            self.librrd().tune(path, &tune)?;
        }
        Ok(done)
    }
}

fn finding(path: &Path, monitor: Option<String>, differences: Vec<Difference>) -> Finding {
    Finding {
        path: path.to_owned(),
        monitor,
        size: fs::metadata(path).map(|it| it.len()).unwrap_or_default(),
        differences,
    }
}

/// Whether this is a file that was set aside: it is nobody's, and meant to be.
fn is_kept_on_purpose(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".rrd") else {
        return false;
    };
    let mut words = ["damaged", "before-1.3"].iter();
    words.any(|word| {
        stem.rsplit_once(&format!(".{word}"))
            .is_some_and(|(_, end)| end.is_empty() || end.strip_prefix('-').is_some_and(is_number))
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn refused(path: &Path, error: &std::io::Error) -> RrdError {
    RrdError::Refused {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
