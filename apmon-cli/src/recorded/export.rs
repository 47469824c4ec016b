//! `apmon export`: what was recorded, as numbers.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use apmon_core::{Clock as _, SystemClock, local_zone, text::printable};
use apmon_rrd::{Consolidation, Fetched, Query};
use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    choice::{self, Sources},
    place::{Place, PlaceArgs},
    span::SpanArgs,
};
use crate::console::ascii_controls;

/// Arguments of `apmon export`.
#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The monitor.
    #[arg(value_name = "MONITOR")]
    monitor: String,
    /// What is written: the names of apmon graph. [default: everything in APMonitor's file]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    metric: Vec<String>,
    #[command(flatten)]
    span: SpanArgs,
    /// Which values: averages, or the least or the greatest of the time that a row stands for.
    #[arg(long, value_name = "WHICH", value_enum, default_value = "average")]
    values: Values,
    /// The most rows; several become one if there are more. [default: as many as are recorded, at
    /// most 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ROWS))]
    rows: Option<u32>,
    /// Print CSV (RFC 4180), a column for each metric. This is the default.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON: {"site", "monitor", "step_secs", "values", "rows": [{"time", ...}]}.
    #[arg(long)]
    json: bool,
}

const MOST_ROWS: i64 = 1_000_000;

#[derive(Clone, Copy, ValueEnum)]
enum Values {
    Average,
    Min,
    Max,
}

impl Values {
    fn consolidation(self) -> Consolidation {
        match self {
            Self::Average => Consolidation::Average,
            Self::Min => Consolidation::Min,
            Self::Max => Consolidation::Max,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// What is written, and of what.
struct Export<'a> {
    site: &'a str,
    monitor: &'a str,
    values: Values,
    fetched: &'a Fetched,
    /// The end of the span, in seconds since the epoch.
    end: i64,
    zone: &'a TimeZone,
}

/// Prints the numbers.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let zone = local_zone();
    let range = args.span.resolve(SystemClock::new().now().wall, &zone)?;
    let place = Place::find(&args.place)?;
    let monitor = place.monitor(&args.monitor)?;
    let subject = match args.metric.is_empty() {
        true => Sources::read(&place.archive, &monitor.name)?.main(),
        false => choice::subject(&place.archive, &monitor, &args.metric)?,
    };
    let rows = args.rows.map_or(MOST_ROWS, i64::from);
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let end = range.end;
    let query = Query::new(&monitor.name, subject.file(), range, rows)
        .of(subject.sources())
        .by(args.values.consolidation());
    let fetched = place.archive.fetch(&query)?;
    let export = Export {
        site: place.site(),
        monitor: &monitor.name,
        values: args.values,
        fetched: &fetched,
        end,
        zone: &zone,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match args.json {
        true => export.json(&mut out),
        false => export.csv(&mut out),
    };
    match written.and_then(|()| out.flush()) {
        // The reader (head, less) has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => {
            written?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Export<'_> {
    /// The local time of a row, with its offset.
    fn time(&self, row: usize) -> String {
        let at = Timestamp::from_second(self.fetched.at(row)).unwrap_or_default();
        at.display_with_offset(self.zone.to_offset(at)).to_string()
    }

    /// The rows that begin before the end: librrd rounds up.
    fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        let step = i64::try_from(self.fetched.step).unwrap_or(i64::MAX);
        let rows = self.fetched.values.chunks(self.fetched.sources.len().max(1));
        let rows = rows.enumerate();
        rows.take_while(move |(row, _)| self.fetched.at(*row).saturating_sub(step) < self.end)
    }

    /// A row for each step, at its end; a value that is not known is an empty cell.
    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "time")?;
        for source in &self.fetched.sources {
            write!(out, ",{}", cell(source))?;
        }
        write!(out, "\r\n")?;
        for (row, values) in self.rows() {
            write!(out, "{}", self.time(row))?;
            for value in values {
                match value.is_finite() {
                    true => write!(out, ",{value}")?,
                    false => write!(out, ",")?,
                }
            }
            write!(out, "\r\n")?;
        }
        Ok(())
    }

    /// Row by row: a year of minutes is never held as a whole.
    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = json!({
            "site": self.site,
            "monitor": self.monitor,
            "step_secs": self.fetched.step,
            "values": self.values.as_str(),
        });
        let head = ascii_controls(&head.to_string());
        write!(out, "{},\"rows\": [", head.strip_suffix('}').unwrap_or(&head))?;
        for (row, values) in self.rows() {
            let mut object = Map::new();
            object.insert("time".to_owned(), self.time(row).into());
            for (source, value) in self.fetched.sources.iter().zip(values) {
                // What JSON cannot write becomes null.
                object.insert(source.clone(), (*value).into());
            }
            let object = ascii_controls(&Value::Object(object).to_string());
            write!(out, "{}\n{object}", if row == 0 { "" } else { "," })?;
        }
        writeln!(out, "\n]}}")
    }
}

/// A name as RFC 4180 quotes it. Names come from files, which may be anybody's.
fn cell(name: &str) -> String {
    let name = printable(name);
    match name.contains([',', '"']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched() -> Fetched {
        Fetched {
            start: 1_800_000_000,
            step: 60,
            sources: vec!["response_time".to_owned(), "a,b".to_owned()],
            values: vec![1.5, 100.0, f64::NAN, 0.0],
        }
    }

    fn written(write: fn(&Export<'_>, &mut dyn Write) -> io::Result<()>) -> String {
        let export = Export {
            site: "Home",
            monitor: "web \u{202e}",
            values: Values::Average,
            fetched: &fetched(),
            end: 1_800_000_060,
            zone: &TimeZone::posix("CET-1").unwrap(),
        };
        let mut out = Vec::new();
        write(&export, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_a_row_for_each_step() {
        assert_eq!(
            written(|export, out| export.csv(out)),
            "time,response_time,\"a,b\"\r\n\
             2027-01-15T09:00:00+01:00,1.5,100\r\n\
             2027-01-15T09:01:00+01:00,,0\r\n"
        );
    }

    #[test]
    fn json_has_an_object_for_each_step() {
        let text = written(|export, out| export.json(out));
        assert!(text.is_ascii(), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["monitor"], "web \u{202e}");
        assert_eq!(value["step_secs"], 60);
        assert_eq!(
            value["rows"],
            json!([
                {"time": "2027-01-15T09:00:00+01:00", "response_time": 1.5, "a,b": 100.0},
                {"time": "2027-01-15T09:01:00+01:00", "response_time": null, "a,b": 0.0},
            ])
        );
    }
}
