//! The archive as a reader of time series.

use std::{ops::Range, time::Duration};

use apmon_core::{Series, SeriesReader, StoreError};
use jiff::Timestamp;

use super::{Archive, Query, metric_names::MetricNames, resample::Grid};
use crate::{error::RrdError, template::FileKind};

impl SeriesReader for Archive {
    fn metrics(&self, monitor: &str) -> Result<Vec<String>, StoreError> {
        self.flush();
        let mut metrics = Vec::new();
        for kind in FileKind::ALL {
            let path = self.file_of(monitor, kind);
            let info = match self.librrd().info(&path) {
                Ok(info) => info,
                Err(RrdError::Missing(_)) => continue,
                Err(error) => return Err(store_error(error)),
            };
            let names = MetricNames::read(&path);
            let sources = info.schema.sources.iter().map(|source| source.name.as_str());
            metrics.extend(sources.map(|source| match kind {
                FileKind::Metrics => names.metric(source).to_owned(),
                _ => source.to_owned(),
            }));
        }
        Ok(metrics)
    }

    fn series(
        &self,
        monitor: &str,
        metric: &str,
        span: &Range<Timestamp>,
        step: Duration,
    ) -> Result<Series, StoreError> {
        let kind = self.file_with(monitor, metric)?;
        let range = span.start.as_second()..span.end.as_second();
        let seconds = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).max(1);
        let points = usize::try_from(range.end.saturating_sub(range.start) / seconds).unwrap_or(0);
        let query = Query::new(monitor, kind, range, points.max(1)).of([metric]);
        let fetched = match self.fetch(&query) {
            Ok(fetched) => fetched,
            // Nothing has been recorded yet.
            Err(RrdError::Missing(_)) => return Ok(Series::new(span.start, step, Vec::new())),
            Err(error) => return Err(store_error(error)),
        };
        let values = fetched
            .values
            .iter()
            .map(|value| Some(*value).filter(|value| !value.is_nan()));
        let start = fetched
            .start
            .saturating_sub(i64::try_from(fetched.step).unwrap_or(0));
        Ok(Series::new(
            Timestamp::from_second(start).unwrap_or_default(),
            Duration::from_secs(Grid::of(&fetched).step),
            values.collect(),
        ))
    }
}

impl Archive {
    /// The file of a monitor that has this metric; the last one, of those that may have any, if
    /// none has.
    fn file_with(&self, monitor: &str, metric: &str) -> Result<FileKind, StoreError> {
        for kind in [FileKind::Availability, FileKind::Snmp] {
            match self.librrd().info(&self.file_of(monitor, kind)) {
                Ok(info) if info.schema.sources.iter().any(|source| source.name == metric) => {
                    return Ok(kind);
                }
                Ok(_) | Err(RrdError::Missing(_)) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Ok(FileKind::Metrics)
    }
}

fn store_error(error: RrdError) -> StoreError {
    match error {
        RrdError::Damaged { path, reason } => StoreError::Damaged {
            place: path.display().to_string(),
            reason,
        },
        error => StoreError::Unavailable {
            reason: error.to_string(),
        },
    }
}
