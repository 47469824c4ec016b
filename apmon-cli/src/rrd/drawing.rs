//! From the archive to a chart.

use std::ops::Range;

use apmon_rrd::{
    Archive, Chart, Consolidation, Fetched, FileKind, IS_UP, Pair, Query, RrdError, Unit, interface_of,
};

/// What a chart shows of a monitor.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Subject {
    /// Two data sources that belong together.
    Pair(&'static Pair),
    /// Some data sources of a file.
    Sources(FileKind, Vec<String>),
}

impl Subject {
    pub(crate) fn file(&self) -> FileKind {
        match self {
            Self::Pair(pair) if pair.suffix.is_empty() => FileKind::Availability,
            Self::Pair(_) => FileKind::Snmp,
            Self::Sources(file, _) => *file,
        }
    }

    pub(crate) fn sources(&self) -> Vec<String> {
        match self {
            Self::Pair(pair) => pair.drawn().iter().map(|side| side.source.to_owned()).collect(),
            Self::Sources(_, sources) => sources.clone(),
        }
    }
}

/// Fetches what a chart of `points` pixels shows.
///
/// # Errors
/// If there is no file, or it cannot be read.
pub(crate) fn chart(
    archive: &Archive,
    monitor: &str,
    subject: &Subject,
    range: Range<i64>,
    points: u32,
    now: i64,
) -> Result<Chart, RrdError> {
    let query = Query::new(monitor, subject.file(), range, points as usize).of(subject.sources());
    let average = archive.fetch(&query)?;
    let mut chart = match subject {
        Subject::Pair(pair) => Chart::of_pair(pair, average, now),
        Subject::Sources(..) => Chart::of_sources(average, now),
    };
    // Interfaces are counted in bytes and drawn in bits.
    for line in chart
        .lines
        .iter_mut()
        .filter(|line| interface_of(&line.source).is_some())
    {
        line.unit = Unit::BitsPerSecond;
        "bit/s".clone_into(&mut line.axis);
        line.factor = 8.0;
    }
    // A band around the average; without it the chart is right all the same.
    chart.min = archive.fetch(&query.clone().by(Consolidation::Min)).ok();
    chart.max = archive.fetch(&query.by(Consolidation::Max)).ok();
    chart.outages = outages(&chart.average);
    Ok(chart)
}

/// The times at which a monitor was down, as far as the values know them.
fn outages(fetched: &Fetched) -> Vec<Range<i64>> {
    let step = i64::try_from(fetched.step).unwrap_or(i64::MAX);
    let mut outages: Vec<Range<i64>> = Vec::new();
    for (row, is_up) in fetched.column(IS_UP).unwrap_or_default().into_iter().enumerate() {
        let end = fetched.at(row);
        let start = end.saturating_sub(step);
        // NaN is neither.
        if is_up < 100.0 {
            match outages.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => outages.push(start..end),
            }
        }
    }
    outages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_as_long_as_values_say_so() {
        let fetched = Fetched {
            start: 60,
            step: 60,
            sources: vec![IS_UP.to_owned()],
            values: vec![100.0, 0.0, 50.0, f64::NAN, 0.0, 100.0],
        };
        assert_eq!(outages(&fetched), [60..180, 240..300]);
    }

    #[test]
    fn what_does_not_say_whether_it_is_up_has_no_outages() {
        let fetched = Fetched {
            start: 60,
            step: 60,
            sources: vec!["cpu_load".to_owned()],
            values: vec![0.0],
        };
        assert_eq!(outages(&fetched), []);
    }
}
