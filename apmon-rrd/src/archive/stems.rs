//! Which monitor has which files.
//!
//! Monitors are told apart by their names, files by what is left of them ([`file_stem`]), and on
//! some file systems without upper and lower case. Where two monitors would meet in one file,
//! the first keeps the name and the next one gets `~2`; a file that is there already stays with
//! the monitor of exactly that name. What was decided is kept in a file beside the others, so
//! that the order of the site file may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::name::{file_stem, folded};

/// The file of the decisions.
const FILE: &str = "apmon-names.json";

/// The stems of the files of all monitors.
#[derive(Debug, Default)]
pub(super) struct Stems {
    given: BTreeMap<String, String>,
    /// Those of monitors that met another one, whether they are still there or not.
    kept: BTreeMap<String, String>,
    /// Whether `kept` is more than what is on disk.
    is_dirty: bool,
}

impl Stems {
    /// Reads what was decided. What cannot be read is decided anew.
    pub(super) fn read(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("{} is ignored: {error}", path.display());
                BTreeMap::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("{} is ignored: {error}", path.display());
                }
                BTreeMap::new()
            }
        };
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Writes what was decided, if that is new.
    pub(super) fn save(&mut self, directory: &Path) -> io::Result<()> {
        if self.is_dirty {
            let text = serde_json::to_vec_pretty(&self.kept)?;
            super::write_atomically(&directory.join(FILE), &text)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// The stem of a monitor that has one.
    pub(super) fn of(&self, monitor: &str) -> Option<&str> {
        self.given.get(monitor).map(String::as_str)
    }

    /// Gives each of these monitors a stem. `is_there` says whether there are files with one.
    pub(super) fn assign(&mut self, monitors: &[&str], is_there: &dyn Fn(&str) -> bool) {
        let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (monitor, stem) in self.kept.iter().chain(&self.given) {
            let monitors = taken.entry(folded(stem)).or_default();
            monitors.insert(monitor.clone());
        }
        let exact = self.kept.values().chain(self.given.values());
        let mut exact: BTreeSet<String> = exact.cloned().collect();
        let mut rest = Vec::new();
        for monitor in monitors {
            if self.given.contains_key(*monitor) {
                continue;
            }
            let stem = match self.kept.get(*monitor) {
                Some(stem) => stem.clone(),
                None => {
                    let stem = file_stem(monitor);
                    if exact.contains(&stem) || !is_there(&stem) {
                        rest.push(*monitor);
                        continue;
                    }
                    stem
                }
            };
            taken
                .entry(folded(&stem))
                .or_default()
                .insert((*monitor).to_owned());
            exact.insert(stem.clone());
            self.given.insert((*monitor).to_owned(), stem);
        }
        for monitor in rest {
            let stem = file_stem(monitor);
            let mut candidates =
                std::iter::once(stem.clone()).chain((2..).map(|n: u64| format!("{stem}~{n}")));
            let free = candidates.find(|candidate| !taken.contains_key(&folded(candidate)));
            // There are more numbers than monitors.
            let free = free.unwrap_or(stem);
            taken.entry(folded(&free)).or_default().insert(monitor.to_owned());
            self.given.insert(monitor.to_owned(), free);
        }
        self.keep();
    }

    /// Keeps what was decided about monitors that met.
    fn keep(&mut self) {
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        for monitor in self
            .given
            .keys()
            .chain(self.kept.keys().filter(|it| !self.given.contains_key(*it)))
        {
            *wanted.entry(folded(&file_stem(monitor))).or_default() += 1;
        }
        for (monitor, stem) in &self.given {
            let met = wanted
                .get(&folded(&file_stem(monitor)))
                .is_some_and(|count| *count > 1);
            if met && self.kept.get(monitor) != Some(stem) {
                self.kept.insert(monitor.clone(), stem.clone());
                self.is_dirty = true;
            }
        }
    }
}

/// The stems that have files in a directory.
pub(super) fn stems_in(directory: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let stem = name.strip_suffix(".rrd")?;
            let mut kinds = crate::template::FileKind::ALL.iter();
            kinds
                .find_map(|kind| stem.strip_suffix(kind.suffix()))
                .map(str::to_owned)
        })
        .collect()
}

/// The files that hold what was recorded at another step, and that step.
pub(crate) fn earlier(path: &Path) -> Vec<(u64, PathBuf)> {
    let (Some(directory), Some(stem)) = (path.parent(), path.file_stem().and_then(|stem| stem.to_str()))
    else {
        return Vec::new();
    };
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<(u64, PathBuf)> = names
        .filter_map(|name| {
            let step = name
                .strip_prefix(stem)?
                .strip_prefix(".step")?
                .strip_suffix(".rrd")?;
            let step = step.parse().ok()?;
            Some((step, directory.join(&name)))
        })
        .collect();
    found.sort();
    found
}

/// The name of the file at `path` once it holds what was recorded at another step.
pub(crate) fn earlier_name(path: &Path, step: u64) -> PathBuf {
    path.with_extension(format!("step{step}.rrd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(stems: &mut Stems, monitors: &[&str], there: &[&str]) -> Vec<String> {
        stems.assign(monitors, &|stem| there.contains(&stem));
        monitors
            .iter()
            .map(|it| stems.of(it).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn monitors_that_would_meet_get_files_of_their_own() {
        let mut stems = Stems::default();
        assert_eq!(
            assigned(&mut stems, &["a b", "a_b", "A_b", "c"], &[]),
            ["a_b", "a_b~2", "A_b~3", "c"]
        );
    }

    #[test]
    fn files_of_an_old_directory_stay_with_their_monitors() {
        let there = ["Web", "web", "a_b"];
        let mut stems = Stems::default();
        assert_eq!(assigned(&mut stems, &["web", "Web"], &there), ["web", "Web"]);
        let mut stems = Stems::default();
        assert_eq!(assigned(&mut stems, &["WEB", "Web"], &there), ["WEB~2", "Web"]);
        let mut stems = Stems::default();
        assert_eq!(assigned(&mut stems, &["a:b", "a b"], &there), ["a_b", "a_b~2"]);
    }

    #[test]
    fn a_decision_outlives_the_order_of_the_site_file_and_a_monitor() {
        let directory = tempfile::tempdir().unwrap();
        let mut stems = Stems::read(directory.path());
        assert_eq!(
            assigned(&mut stems, &["a b", "a_b", "c"], &[]),
            ["a_b", "a_b~2", "c"]
        );
        stems.save(directory.path()).unwrap();
        let there = ["a_b", "a_b~2", "c"];
        let mut stems = Stems::read(directory.path());
        assert_eq!(assigned(&mut stems, &["a_b", "a b"], &there), ["a_b~2", "a_b"]);
        let mut stems = Stems::read(directory.path());
        assert_eq!(assigned(&mut stems, &["a_b", "a-b"], &there), ["a_b~2", "a-b"]);
        let mut stems = Stems::read(directory.path());
        assert_eq!(assigned(&mut stems, &["a.b", "a+b"], &there), ["a.b", "a_b~3"]);
        assert!(!directory.path().join("apmon-names.json.new").exists());
    }

    #[test]
    fn one_after_the_other_is_as_all_at_once() {
        let mut stems = Stems::default();
        assert_eq!(assigned(&mut stems, &["a b"], &[]), ["a_b"]);
        assert_eq!(assigned(&mut stems, &["a_b"], &["a_b"]), ["a_b~2"]);
        assert_eq!(stems.kept.len(), 2);
    }

    #[test]
    fn without_a_meeting_nothing_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut stems = Stems::read(directory.path());
        assigned(&mut stems, &["a b", "c"], &["c"]);
        stems.save(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_of_another_step_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.b-availability.rrd");
        for name in [
            "a.b-availability.rrd",
            "a.b-availability.step60.rrd",
            "a.b-availability.step300.rrd",
            "a.b-availability.stepx.rrd",
            "xa.b-availability.step5.rrd",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let steps: Vec<u64> = earlier(&path).into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [60, 300]);
        assert_eq!(earlier_name(&path, 60), earlier(&path)[0].1);
    }
}
