//! Reads files.

use std::ffi::CStr;

use super::{
    fault::{Fault, as_path, patiently},
    ffi::{InfoValue, Library},
};
use crate::{
    operation::FileInfo,
    schema::{Consolidation, DataSource, Round, Schema, SourceKind},
    wire::{Decoder, Encoder, Malformed, c_text},
};

/// The most values in one answer: 8 MiB of the 16 that a frame may have.
const MOST_VALUES: usize = 1 << 20;

/// A range of rows that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    consolidation: Consolidation,
    start: i64,
    end: i64,
    step: u64,
    /// The rows that were answered before.
    skip: usize,
}

impl Wanted {
    pub(super) fn decode(request: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            consolidation: request.consolidation()?,
            start: request.signed()?,
            end: request.signed()?,
            step: request.number()?,
            skip: request.index()?,
        })
    }
}

/// Answers the rows of a range, as far as they fit; the number of all of them says how many are
/// still to be asked for.
pub(super) fn fetch(
    library: &mut Library,
    path: &CStr,
    wanted: &Wanted,
    answer: &mut Encoder,
) -> Result<(), Fault> {
    let info = info(library, path)?;
    let range = known_part(&info, wanted)?;
    let name = c_text(wanted.consolidation.as_str())
        .map_err(|_| Fault::Refused("a text contains NUL".to_owned()))?;
    let rows = patiently(|| library.fetch(path, &name, range, wanted.step))
        .map_err(|reason| Fault::of(reason, path))?;
    let width = rows.names.len().max(1);
    // Rows that end after the range begin before it; the first row ends a step after the start.
    let first = rows.start.saturating_add_unsigned(rows.step);
    answer.signed(first);
    answer.number(rows.step);
    answer.count(rows.names.len());
    for name in &rows.names {
        answer.own_text(name);
    }
    answer.number(u64::try_from(rows.values.len() / width).unwrap_or(0));
    let from = wanted.skip.saturating_mul(width).min(rows.values.len());
    let most = (MOST_VALUES / width).max(1).saturating_mul(width);
    let values = rows.values[from..].iter().take(most);
    answer.number(u64::try_from(values.len() / width).unwrap_or(0));
    for value in values {
        answer.real(*value);
    }
    Ok(())
}

/// The part of a range of which the file can know something. librrd makes rows for all of it, so
/// that a range of a century at a step of a minute would need gigabytes; the rows that are left
/// out are unknown anyway.
fn known_part(info: &FileInfo, wanted: &Wanted) -> Result<(i64, i64), Fault> {
    let rounds = info.schema.rounds.iter();
    let spans = rounds
        .filter(|round| round.consolidation == wanted.consolidation)
        .map(|round| {
            let row = round.steps.saturating_mul(info.schema.step);
            let row = i64::try_from(row).unwrap_or(i64::MAX);
            let rows = i64::try_from(round.rows).unwrap_or(i64::MAX);
            (row, row.saturating_mul(rows))
        });
    let Some((longest_row, longest)) = spans.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) else {
        return Err(Fault::Refused(format!(
            "it has no archive of {}",
            wanted.consolidation.as_str()
        )));
    };
    let oldest = info
        .last_update
        .saturating_sub(longest)
        .saturating_sub(longest_row);
    let newest = info.last_update.saturating_add(longest_row);
    let start = wanted.start.clamp(oldest, newest);
    Ok((start, wanted.end.clamp(start, newest)))
}

/// What a file consists of.
pub(super) fn info(library: &mut Library, path: &CStr) -> Result<FileInfo, Fault> {
    let mut reader = InfoReader::default();
    patiently(|| {
        reader = InfoReader::default();
        library.info(path, |key, value| reader.read(key, value))
    })
    .map_err(|reason| Fault::of(reason, path))?;
    let metadata = as_path(path)
        .metadata()
        .map_err(|error| Fault::Refused(error.to_string()))?;
    reader.info.size = metadata.len();
    Ok(reader.info)
}

pub(super) fn encode_info(info: &FileInfo, answer: &mut Encoder) {
    // The names come from texts of C.
    let _ = answer.schema(&info.schema);
    answer.signed(info.last_update);
    answer.number(info.size);
    answer.own_text(&info.version);
}

/// Puts the lines of `rrdtool info` together.
#[derive(Debug)]
struct InfoReader {
    info: FileInfo,
}

impl Default for InfoReader {
    fn default() -> Self {
        let schema = Schema {
            step: 0,
            sources: Vec::new(),
            rounds: Vec::new(),
        };
        Self {
            info: FileInfo {
                schema,
                last_update: 0,
                size: 0,
                version: String::new(),
            },
        }
    }
}

impl InfoReader {
    /// Reads a line such as `ds[is_up].type = "GAUGE"` or `rra[0].rows = 44640`.
    fn read(&mut self, key: &str, value: InfoValue<'_>) {
        if let Some((name, field)) = indexed(key, "ds[") {
            self.source(name, field, value);
        } else if let Some((number, field)) = indexed(key, "rra[") {
            self.round(number, field, value);
        } else {
            match (key, value) {
                ("step", InfoValue::Count(step)) => self.info.schema.step = step,
                ("last_update", InfoValue::Count(at)) => {
                    self.info.last_update = i64::try_from(at).unwrap_or(i64::MAX);
                }
                ("rrd_version", InfoValue::Text(version)) => self.info.version = version.to_owned(),
                _ => {}
            }
        }
    }

    fn source(&mut self, name: &str, field: &str, value: InfoValue<'_>) {
        let sources = &mut self.info.schema.sources;
        // The lines of a source follow each other.
        if sources.last().is_none_or(|source| source.name != name) {
            sources.push(DataSource {
                name: name.to_owned(),
                kind: SourceKind::Other,
                heartbeat: 0,
                min: None,
                max: None,
            });
        }
        let Some(source) = sources.last_mut() else { return };
        let bound = |bound: f64| Some(bound).filter(|bound| !bound.is_nan());
        match (field, value) {
            ("type", InfoValue::Text(kind)) => source.kind = source_kind(kind),
            ("minimal_heartbeat", InfoValue::Count(heartbeat)) => source.heartbeat = heartbeat,
            ("min", InfoValue::Real(min)) => source.min = bound(min),
            ("max", InfoValue::Real(max)) => source.max = bound(max),
            _ => {}
        }
    }

    fn round(&mut self, number: &str, field: &str, value: InfoValue<'_>) {
        let rounds = &mut self.info.schema.rounds;
        let Ok(number) = number.parse::<usize>() else {
            return;
        };
        // The lines of an archive follow each other, and the archives their numbers.
        if number == rounds.len() {
            rounds.push(Round {
                consolidation: Consolidation::Other,
                xff: 0.0,
                steps: 0,
                rows: 0,
            });
        }
        let Some(round) = rounds.get_mut(number) else {
            return;
        };
        match (field, value) {
            ("cf", InfoValue::Text(name)) => round.consolidation = consolidation(name),
            ("rows", InfoValue::Count(rows)) => round.rows = rows,
            ("pdp_per_row", InfoValue::Count(steps)) => round.steps = steps,
            ("xff", InfoValue::Real(xff)) => round.xff = xff,
            _ => {}
        }
    }
}

/// The index and the field of a key such as `ds[is_up].type`.
fn indexed<'a>(key: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    key.strip_prefix(prefix)?.split_once("].")
}

fn source_kind(name: &str) -> SourceKind {
    let known = [
        SourceKind::Gauge,
        SourceKind::Counter,
        SourceKind::Derive,
        SourceKind::Absolute,
    ];
    let mut known = known.into_iter();
    known
        .find(|kind| kind.as_str() == name)
        .unwrap_or(SourceKind::Other)
}

fn consolidation(name: &str) -> Consolidation {
    let known = [
        Consolidation::Average,
        Consolidation::Min,
        Consolidation::Max,
        Consolidation::Last,
    ];
    let mut known = known.into_iter();
    known
        .find(|it| it.as_str() == name)
        .unwrap_or(Consolidation::Other)
}

/// Answers the values of the last update.
pub(super) fn last_values(library: &mut Library, path: &CStr, answer: &mut Encoder) -> Result<(), Fault> {
    let (at, values) = patiently(|| library.last_update(path)).map_err(|reason| Fault::of(reason, path))?;
    answer.signed(at);
    answer.count(values.len());
    for (name, text) in values {
        answer.own_text(&name);
        // `U`, or `UNKN` before the first update.
        answer.real(text.parse().unwrap_or(f64::NAN));
    }
    Ok(())
}

/// The end of the first row that an archive can hold.
pub(super) fn first(library: &mut Library, path: &CStr, round: usize) -> Result<i64, Fault> {
    let number = i32::try_from(round).map_err(|_| Fault::Refused(format!("it has no archive {round}")))?;
    patiently(|| library.first(path, number)).map_err(|reason| Fault::of(reason, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&str, InfoValue<'_>)]) -> FileInfo {
        let mut reader = InfoReader::default();
        for (key, value) in lines {
            reader.read(key, *value);
        }
        reader.info
    }

    #[test]
    fn lines_of_info_become_a_schema() {
        let info = of(&[
            ("filename", InfoValue::Text("a.rrd")),
            ("rrd_version", InfoValue::Text("0003")),
            ("step", InfoValue::Count(60)),
            ("last_update", InfoValue::Count(1_000)),
            ("ds[a].index", InfoValue::Count(0)),
            ("ds[a].type", InfoValue::Text("GAUGE")),
            ("ds[a].minimal_heartbeat", InfoValue::Count(120)),
            ("ds[a].min", InfoValue::Real(0.0)),
            ("ds[a].max", InfoValue::Real(f64::NAN)),
            ("ds[b].index", InfoValue::Count(1)),
            ("ds[b].type", InfoValue::Text("COMPUTE")),
            ("rra[0].cf", InfoValue::Text("AVERAGE")),
            ("rra[0].rows", InfoValue::Count(10)),
            ("rra[0].cur_row", InfoValue::Count(3)),
            ("rra[0].pdp_per_row", InfoValue::Count(5)),
            ("rra[0].xff", InfoValue::Real(0.5)),
            ("rra[0].cdp_prep[0].value", InfoValue::Real(7.0)),
            ("rra[1].cf", InfoValue::Text("HWPREDICT")),
        ]);
        assert_eq!((info.last_update, info.version.as_str()), (1_000, "0003"));
        let Schema {
            step,
            sources,
            rounds,
        } = info.schema;
        assert_eq!(step, 60);
        let a = DataSource {
            name: "a".to_owned(),
            kind: SourceKind::Gauge,
            heartbeat: 120,
            min: Some(0.0),
            max: None,
        };
        assert_eq!(sources[0], a);
        assert_eq!(sources[1].kind, SourceKind::Other);
        let round = Round {
            consolidation: Consolidation::Average,
            xff: 0.5,
            steps: 5,
            rows: 10,
        };
        assert_eq!(rounds[0], round);
        assert_eq!(rounds[1].consolidation, Consolidation::Other);
    }

    #[test]
    fn a_range_is_cut_to_what_the_file_can_know() {
        let mut info = InfoReader::default().info;
        info.last_update = 1_000_000;
        info.schema.step = 60;
        let round = |consolidation, steps, rows| Round {
            consolidation,
            xff: 0.5,
            steps,
            rows,
        };
        info.schema.rounds = vec![
            round(Consolidation::Average, 1, 100),
            round(Consolidation::Average, 10, 100),
            round(Consolidation::Max, 1, 5),
        ];
        let part = |consolidation, start, end| {
            let wanted = Wanted {
                consolidation,
                start,
                end,
                step: 1,
                skip: 0,
            };
            known_part(&info, &wanted)
        };
        let whole = (1_000_000 - 60_000 - 600, 1_000_000 + 600);
        assert_eq!(part(Consolidation::Average, i64::MIN, i64::MAX), Ok(whole));
        assert_eq!(
            part(Consolidation::Average, 990_000, 1_000_000),
            Ok((990_000, 1_000_000))
        );
        let after = part(Consolidation::Average, 2_000_000, 3_000_000);
        assert_eq!(after, Ok((whole.1, whole.1)));
        let reversed = part(Consolidation::Max, 1_000_000, 999_900);
        assert_eq!(reversed, Ok((1_000_000, 1_000_000)));
        assert!(part(Consolidation::Last, 0, 1).is_err());
    }
}
