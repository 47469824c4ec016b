//! The data sources of metrics.
//!
//! A metric may have any name, a data source one of 19 characters at most. A metric whose name
//! will do is stored under it; what the others are stored under is kept in a file beside the
//! data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// The longest name of a data source.
const LONGEST: usize = 19;

/// The most metrics of a monitor that are recorded.
pub(crate) const MOST: usize = 256;

/// The data sources of the metrics of one monitor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct MetricNames {
    /// Metrics that are not stored under their own names.
    given: BTreeMap<String, String>,
    /// All names of sources that are in use.
    used: BTreeSet<String>,
    is_dirty: bool,
}

impl MetricNames {
    /// The file beside the data in `path`.
    fn file(path: &Path) -> PathBuf {
        path.with_extension("json")
    }

    /// Reads the names. Without the file, all metrics have their own.
    pub(crate) fn read(path: &Path) -> Self {
        let file = Self::file(path);
        let given: BTreeMap<String, String> = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("{} is ignored: {error}", file.display());
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self {
            used: given.values().cloned().collect(),
            given,
            is_dirty: false,
        }
    }

    /// Writes the names, if there is anything new in them.
    pub(crate) fn save(&mut self, path: &Path) -> io::Result<()> {
        if self.is_dirty {
            let text = serde_json::to_vec_pretty(&self.given)?;
            super::write_atomically(&Self::file(path), &text)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// The source of a metric, new if need be; `None` if there are too many.
    pub(crate) fn source(&mut self, metric: &str) -> Option<String> {
        if let Some(source) = self.given.get(metric) {
            return Some(source.clone());
        }
        let is_others = self.given.values().any(|source| source == metric);
        if is_source_name(metric) && !is_others {
            if !self.used.contains(metric) {
                if self.used.len() >= MOST {
                    return None;
                }
                self.used.insert(metric.to_owned());
            }
            return Some(metric.to_owned());
        }
        if self.used.len() >= MOST {
            return None;
        }
        let plain: String = metric
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .take(LONGEST - 4)
            .collect();
        let numbered = (1_u32..).map(|number| format!("{plain}_{number}"));
        let source = numbered.into_iter().find(|source| !self.used.contains(source))?;
        self.used.insert(source.clone());
        self.given.insert(metric.to_owned(), source.clone());
        self.is_dirty = true;
        Some(source)
    }

    /// The metric that is stored in a source.
    pub(crate) fn metric<'a>(&'a self, source: &'a str) -> &'a str {
        let mut given = self.given.iter();
        given
            .find(|(_, it)| *it == source)
            .map_or(source, |(metric, _)| metric)
    }

    /// The source of a metric that has one.
    pub(crate) fn known<'a>(&'a self, metric: &'a str) -> &'a str {
        self.given.get(metric).map_or(metric, String::as_str)
    }

    /// Notes the sources of the file, so that no other metric gets one of them.
    pub(crate) fn reserve<'a>(&mut self, sources: impl Iterator<Item = &'a str>) {
        self.used.extend(sources.map(str::to_owned));
    }
}

fn is_source_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_stored_under_its_name_if_that_will_do() {
        let mut names = MetricNames::default();
        for (metric, source) in [
            ("loss_pct", "loss_pct"),
            ("time to first byte", "time_to_first_b_1"),
            ("time to first bit!", "time_to_first_b_2"),
            ("time to first byte", "time_to_first_b_1"),
            ("time_to_first_b_1", "time_to_first_b_1_1"),
            ("größe", "gr__e_1"),
            ("", "_1"),
        ] {
            let given = names.source(metric).unwrap();
            assert!(is_source_name(&given), "{given}");
            if metric != "time_to_first_b_1" {
                assert_eq!(given, source, "{metric}");
            }
            assert_eq!(names.metric(&given), metric);
            assert_eq!(names.known(metric), given);
        }
    }

    #[test]
    fn the_names_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web-metrics.rrd");
        let mut names = MetricNames::read(&path);
        let source = names.source("a b").unwrap();
        names.save(&path).unwrap();
        let mut again = MetricNames::read(&path);
        assert_eq!(again.source("a b"), Some(source));
        assert_eq!(
            again.source("a_b_1"),
            Some("a_b_1_1".to_owned()),
            "that is another metric's"
        );
    }

    #[test]
    fn the_number_of_metrics_is_limited() {
        let mut names = MetricNames::default();
        for number in 0..MOST {
            assert!(names.source(&format!("m{number}")).is_some());
        }
        assert_eq!(names.source("one more"), None);
        assert_eq!(names.source("another"), None);
        assert!(names.source("m7").is_some());
    }

    #[test]
    fn the_sources_of_the_file_are_not_given_away() {
        let mut names = MetricNames::default();
        names.reserve(["a_b_1", "loss_pct"].into_iter());
        assert_eq!(names.source("a b"), Some("a_b_2".to_owned()));
        assert_eq!(names.source("loss_pct"), Some("loss_pct".to_owned()));
    }
}
