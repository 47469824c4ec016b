//! Reading values over a span of time, out of all the files that have some of them.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    Archive,
    metric_names::MetricNames,
    resample::{Grid, resample},
    stems::earlier,
};
use crate::{
    error::RrdError, operation::LastValues, schema::Consolidation, series::Fetched, template::FileKind,
};

/// What is asked of an [`Archive`].
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// The monitor.
    pub monitor: String,
    /// Which of its files.
    pub file: FileKind,
    /// The data sources or metrics; all of the file if there are none.
    pub sources: Vec<String>,
    /// The span, in seconds since the epoch.
    pub range: Range<i64>,
    /// Averages, least or greatest values.
    pub consolidation: Consolidation,
    /// How many rows there are at most, apart from one for the border.
    pub points: usize,
}

impl Query {
    /// Asks for the averages of all data sources.
    #[must_use]
    pub fn new(monitor: impl Into<String>, file: FileKind, range: Range<i64>, points: usize) -> Self {
        Self {
            monitor: monitor.into(),
            file,
            sources: Vec::new(),
            range,
            consolidation: Consolidation::Average,
            points,
        }
    }

    /// Asks for these data sources alone.
    #[must_use]
    pub fn of(mut self, sources: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.sources = sources.into_iter().map(Into::into).collect();
        self
    }

    /// Asks for least or greatest values.
    #[must_use]
    pub fn by(mut self, consolidation: Consolidation) -> Self {
        self.consolidation = consolidation;
        self
    }

    fn step(&self) -> u64 {
        let span = self.range.end.saturating_sub(self.range.start);
        let points = i64::try_from(self.points).unwrap_or(i64::MAX).max(1);
        u64::try_from(span / points).unwrap_or(0).max(1)
    }
}

impl Archive {
    /// Reads values. A monitor's files of other steps are joined: where the newest file knows
    /// nothing, an earlier one may.
    ///
    /// # Errors
    ///
    /// If there is no file, or it cannot be read.
    pub fn fetch(&self, query: &Query) -> Result<Fetched, RrdError> {
        self.flush();
        let path = self.file_of(&query.monitor, query.file);
        let names = match query.file {
            FileKind::Metrics => MetricNames::read(&path),
            _ => MetricNames::default(),
        };
        let joined = self.joined(&path, query)?;
        let coarse = Grid::of(&joined).at_most(query.points);
        Ok(selected(&joined, query, &names, coarse))
    }

    /// The percentile of each data source over the averages of a span, as [`percentile`] defines
    /// it.
    ///
    /// # Errors
    ///
    /// If there is no file, or it cannot be read.
    pub fn percentile(&self, query: &Query, percent: f64) -> Result<Vec<(String, Option<f64>)>, RrdError> {
        let fetched = self.fetch(&query.clone().by(Consolidation::Average))?;
        let of = |source: &String| percentile(&fetched.column(source).unwrap_or_default(), percent);
        Ok(fetched
            .sources
            .iter()
            .map(|source| (source.clone(), of(source)))
            .collect())
    }

    /// The values of the last update as they were written: counters are counts.
    ///
    /// # Errors
    ///
    /// If there is no file, or it cannot be read.
    pub fn last_values(&self, monitor: &str, file: FileKind) -> Result<LastValues, RrdError> {
        self.flush();
        let path = self.file_of(monitor, file);
        let mut last = self.librrd().last_values(&path)?;
        if file == FileKind::Metrics {
            let names = MetricNames::read(&path);
            for (source, _) in &mut last.values {
                *source = names.metric(source).to_owned();
            }
        }
        Ok(last)
    }

    /// When the first value that is still known was recorded, to the hour; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// If there is no file, or it cannot be read.
    pub fn first_time(&self, monitor: &str, file: FileKind) -> Result<Option<i64>, RrdError> {
        self.flush();
        let mut first: Option<i64> = None;
        let mut missing = None;
        for path in paths(&self.file_of(monitor, file)) {
            match self.first_in(&path) {
                Ok(found) => first = first.into_iter().chain(found).min(),
                Err(error @ RrdError::Missing(_)) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (first, missing) {
            (None, Some(error)) => Err(error),
            (first, _) => Ok(first),
        }
    }

    fn first_in(&self, path: &Path) -> Result<Option<i64>, RrdError> {
        let info = self.librrd().info(path)?;
        let mut rounds: Vec<(u64, u64)> = info
            .schema
            .rounds
            .iter()
            .filter(|round| round.consolidation == Consolidation::Average)
            .map(|round| (round.steps.saturating_mul(info.schema.step), round.rows))
            .collect();
        // The coarsest reaches back farthest; the finer ones know of a file that is young.
        rounds.sort_unstable();
        let mut first: Option<i64> = None;
        for (step, rows) in rounds.into_iter().rev() {
            let length = i64::try_from(step.saturating_mul(rows)).unwrap_or(i64::MAX);
            let begins = info.last_update.saturating_sub(length).max(0);
            let end = first.unwrap_or(info.last_update);
            // A finer round only refines what a coarser one has found.
            let begins = match first {
                Some(at) => begins.max(at.saturating_sub(2 * 86_400)),
                None => begins,
            };
            if let Some(found) = self.first_known(path, begins..end, step)? {
                first = Some(first.map_or(found, |at| at.min(found)));
            }
        }
        Ok(first)
    }

    /// The beginning of the first step in which something is known.
    fn first_known(&self, path: &Path, span: Range<i64>, step: u64) -> Result<Option<i64>, RrdError> {
        // In windows, so that no answer is too long.
        const WINDOW: i64 = 4_096;
        let signed = i64::try_from(step).unwrap_or(i64::MAX);
        let mut start = span.start;
        while start < span.end {
            let end = start.saturating_add(signed.saturating_mul(WINDOW)).min(span.end);
            let fetched = self.librrd().fetch(
                path,
                Consolidation::Average,
                start,
                end.max(start.saturating_add(1)),
                step,
            )?;
            let width = fetched.sources.len().max(1);
            let known = fetched.values.iter().position(|value| !value.is_nan());
            if let Some(at) = known {
                let fetched_step = i64::try_from(fetched.step).unwrap_or(i64::MAX);
                return Ok(Some(fetched.at(at / width).saturating_sub(fetched_step)));
            }
            start = end;
        }
        Ok(None)
    }

    /// The values of the newest file, with those of earlier ones where it knows nothing.
    fn joined(&self, path: &Path, query: &Query) -> Result<Fetched, RrdError> {
        let mut joined: Option<Fetched> = None;
        let mut failure = None;
        for path in paths(path) {
            let fetched = self.librrd().fetch(
                &path,
                query.consolidation,
                query.range.start,
                query.range.end,
                query.step(),
            );
            match (fetched, &mut joined) {
                (Ok(fetched), None) => joined = Some(fetched),
                (Ok(fetched), Some(joined)) => fill(joined, &fetched, query.consolidation),
                (Err(error), _) => {
                    failure.get_or_insert(error);
                }
            }
        }
        match (joined, failure) {
            // A file that cannot be read is no reason to show nothing, unless it is the newest.
            (Some(joined), None | Some(RrdError::Missing(_))) => Ok(joined),
            (Some(joined), Some(error)) => {
                tracing::warn!("a part of the history is missing: {error}");
                Ok(joined)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(RrdError::Missing(path.to_owned())),
        }
    }
}

/// The file, and the earlier ones of other steps.
pub(super) fn paths(path: &Path) -> Vec<PathBuf> {
    let earlier = earlier(path).into_iter().map(|(_, path)| path);
    std::iter::once(path.to_owned()).chain(earlier).collect()
}

/// Fills in what is unknown.
fn fill(joined: &mut Fetched, other: &Fetched, consolidation: Consolidation) {
    let grid = Grid::of(joined);
    for name in &other.sources {
        let Some(column) = other.column(name) else {
            continue;
        };
        let values = resample(&column, Grid::of(other), grid, consolidation);
        let at = match joined.sources.iter().position(|source| source == name) {
            Some(at) => at,
            None => {
                append(joined, name.clone());
                joined.sources.len() - 1
            }
        };
        let width = joined.sources.len();
        let cells = joined.values.iter_mut().skip(at).step_by(width);
        for (cell, value) in cells.zip(values).filter(|(cell, _)| cell.is_nan()) {
            *cell = value;
        }
    }
}

/// Adds a source of which nothing is known.
fn append(fetched: &mut Fetched, name: String) {
    let width = fetched.sources.len();
    let rows: Vec<f64> = fetched
        .values
        .chunks(width.max(1))
        .flat_map(|row| row.iter().copied().chain(std::iter::once(f64::NAN)))
        .collect();
    fetched.values = rows;
    fetched.sources.push(name);
}

/// The columns that are asked for, under the names by which they are asked for.
fn selected(joined: &Fetched, query: &Query, names: &MetricNames, grid: Grid) -> Fetched {
    let wanted: Vec<(String, String)> = match query.sources.is_empty() {
        true => joined
            .sources
            .iter()
            .map(|source| (names.metric(source).to_owned(), source.clone()))
            .collect(),
        false => query
            .sources
            .iter()
            .map(|metric| (metric.clone(), names.known(metric).to_owned()))
            .collect(),
    };
    let columns: Vec<Vec<f64>> = wanted
        .iter()
        .map(|(_, source)| {
            let column = joined.column(source).unwrap_or_default();
            match grid == Grid::of(joined) && !column.is_empty() {
                true => column,
                false => resample(&column, Grid::of(joined), grid, query.consolidation),
            }
        })
        .collect();
    let values = (0..grid.rows).flat_map(|row| columns.iter().map(move |column| column[row]));
    Fetched {
        start: grid.start,
        step: grid.step,
        sources: wanted.into_iter().map(|(metric, _)| metric).collect(),
        values: values.collect(),
    }
}

/// The smallest known value that is not exceeded by `percent` percent of the known values; `None`
/// if none is known.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let rank = (known.len() as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as usize;
    known.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn fetched(start: i64, step: u64, sources: &[&str], values: &[f64]) -> Fetched {
        Fetched {
            start,
            step,
            sources: sources.iter().map(|name| (*name).to_owned()).collect(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn an_earlier_file_fills_in_what_is_unknown() {
        let mut joined = fetched(60, 60, &["a"], &[NAN, NAN, NAN, 4.0]);
        let earlier = fetched(120, 120, &["a", "b"], &[1.0, 10.0, NAN, 20.0]);
        fill(&mut joined, &earlier, Consolidation::Average);
        assert_eq!(joined.sources, ["a", "b"]);
        assert_eq!(joined.column("b"), Some(vec![10.0, 10.0, 20.0, 20.0]));
        let a = joined.column("a").unwrap();
        assert_eq!((a[0], a[1], a[3]), (1.0, 1.0, 4.0));
        assert!(a[2].is_nan());
    }

    #[test]
    fn a_percentile_is_one_of_the_known_values() {
        let values: Vec<f64> = (1..=20).map(f64::from).chain([NAN]).collect();
        assert_eq!(percentile(&values, 95.0), Some(19.0));
        assert_eq!(percentile(&values, 50.0), Some(10.0));
        assert_eq!(percentile(&values, 100.0), Some(20.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[NAN], 95.0), None);
        assert_eq!(percentile(&[], 95.0), None);
    }

    #[test]
    fn what_is_asked_for_comes_under_its_name() {
        let joined = fetched(60, 60, &["a__1", "b"], &[1.0, 2.0, 3.0, 4.0]);
        let mut names = MetricNames::default();
        names.source("a!");
        let query = Query::new("m", FileKind::Metrics, 0..120, 2);
        let all = selected(&joined, &query, &names, Grid::of(&joined));
        assert_eq!(all.sources, ["a!", "b"]);
        let one = selected(
            &joined,
            &query.clone().of(["a!", "none"]),
            &names,
            Grid::of(&joined),
        );
        assert_eq!(one.column("a!"), Some(vec![1.0, 3.0]));
        assert!(one.column("none").unwrap().iter().all(|value| value.is_nan()));
    }
}
