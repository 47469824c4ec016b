//! The table of what monitors remember: large, and most of it changes at every
//! check.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use apmon_core::Memory;
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde_json::{Map, Value};

use super::value;
use crate::model::Model;

/// The greatest age of counts in the table. Those of a switch are 10 to 60 kB and
/// change at every check: written each time, they would be most of what a daemon
/// writes. The lag does no harm: [`Memory::counts`] promises no more, and after a
/// restart a count that went on meanwhile makes one longer step.
const COUNTS_LAG: Duration = Duration::from_secs(300);

/// What the table contains, so that a commit writes only what it must.
#[derive(Debug, Default)]
pub(super) struct MemoryTable {
    rows: HashMap<String, StoredRow>,
    /// Whether `rows` is what the table contains. If not, the next commit
    /// writes the whole table.
    is_known: bool,
}

#[derive(Debug)]
struct StoredRow {
    kept: BTreeMap<String, Arc<str>>,
    /// A hash, so that counts are not in memory twice.
    counts: u64,
    /// When this store wrote the row; `None` if it was only read.
    written: Option<Timestamp>,
}

impl StoredRow {
    fn new(memory: &Memory, written: Option<Timestamp>) -> Self {
        Self {
            kept: memory.kept.clone(),
            counts: hash(memory),
            written,
        }
    }

    fn is_outdated(&self, memory: &Memory, now: Timestamp) -> bool {
        // A clock that was set back must not delay the next write.
        let lags = |at: Timestamp| now.duration_since(at).unsigned_abs() >= COUNTS_LAG;
        memory.kept != self.kept || (self.written.is_none_or(lags) && hash(memory) != self.counts)
    }
}

fn hash(memory: &Memory) -> u64 {
    let mut hash = DefaultHasher::new();
    memory.counts.hash(&mut hash);
    hash.finish()
}

impl MemoryTable {
    /// Notes that the table was read and contains the memories of `model`.
    pub(super) fn was_read(&mut self, model: &Model) {
        let monitors = model.monitors.iter();
        let with_memory = monitors.filter(|(_, state)| !state.memory.is_empty());
        self.rows = with_memory
            .map(|(name, state)| (name.clone(), StoredRow::new(&state.memory, None)))
            .collect();
        self.is_known = true;
    }

    /// Notes that the content of the table is no longer known.
    pub(super) fn invalidate(&mut self) {
        self.is_known = false;
    }

    /// Writes the rows that must be written after a commit that changed the states
    /// of `changed`; the result names them. With `all`, writes the whole table.
    pub(super) fn write<'a>(
        &self,
        transaction: &Transaction<'_>,
        model: &'a Model,
        changed: impl Iterator<Item = &'a str>,
        all: bool,
        now: Timestamp,
    ) -> rusqlite::Result<WrittenRows<'a>> {
        let all = all || !self.is_known;
        let rows: Vec<(&str, &Memory)> = if all {
            transaction.execute("DELETE FROM memories", [])?;
            let monitors = model.monitors.iter();
            let monitors = monitors.map(|(name, state)| (name.as_str(), &state.memory));
            monitors.filter(|(_, memory)| !memory.is_empty()).collect()
        } else {
            let states = changed.filter_map(|name| Some((name, &model.monitors.get(name)?.memory)));
            states
                .filter(|(name, memory)| self.must_be_written(name, memory, now))
                .collect()
        };
        if !rows.is_empty() {
            let mut insert = transaction.prepare("INSERT OR REPLACE INTO memories VALUES (?1,?2,?3)")?;
            for (name, memory) in &rows {
                let kept = (!memory.kept.is_empty())
                    .then(|| value::json(&to_object(&memory.kept)))
                    .transpose()?;
                insert.execute(params![name, kept, memory.counts.as_deref()])?;
            }
        }
        Ok(WrittenRows { all, rows, now })
    }

    fn must_be_written(&self, name: &str, memory: &Memory, now: Timestamp) -> bool {
        match self.rows.get(name) {
            Some(row) => row.is_outdated(memory, now),
            None => !memory.is_empty(),
        }
    }

    /// Notes that `written` is on disk and the rows of `removed` are deleted.
    pub(super) fn was_written(&mut self, written: WrittenRows<'_>, removed: &[String]) {
        if written.all {
            self.rows.clear();
            self.is_known = true;
        }
        for (name, memory) in written.rows {
            let row = StoredRow::new(memory, Some(written.now));
            self.rows.insert(name.to_owned(), row);
        }
        for name in removed {
            self.rows.remove(name);
        }
    }
}

/// The rows that one commit wrote.
pub(super) struct WrittenRows<'a> {
    all: bool,
    rows: Vec<(&'a str, &'a Memory)>,
    now: Timestamp,
}

/// An object of all values; a value that is not JSON is left out.
fn to_object(kept: &BTreeMap<String, Arc<str>>) -> Map<String, Value> {
    let value = |text: &str| serde_json::from_str(text).ok();
    kept.iter()
        .filter_map(|(key, text)| Some((key.clone(), value(text)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use apmon_core::MonitorState;

    use super::*;

    fn memory(kept: &str, counts: &str) -> Memory {
        Memory {
            kept: [("ports_state".to_owned(), kept.into())].into(),
            counts: Some(counts.into()),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn write(table: &mut MemoryTable, memory: &Memory, second: i64) {
        let rows = WrittenRows {
            all: false,
            rows: vec![("switch", memory)],
            now: at(second),
        };
        table.was_written(rows, &[]);
    }

    #[test]
    fn counts_alone_are_written_every_five_minutes_and_kept_values_at_once() {
        let mut table = MemoryTable::default();
        let first = memory("{}", "[1]");
        assert!(table.must_be_written("switch", &first, at(0)), "no row yet");
        assert!(!table.must_be_written("web", &Memory::default(), at(0)));
        write(&mut table, &first, 0);
        let counted = memory("{}", "[2]");
        let cases = [
            (memory("{}", "[1]"), 9_999, false),
            (counted.clone(), 1, false),
            (counted.clone(), 299, false),
            (counted.clone(), 300, true),
            (memory("{\"7\": 1}", "[1]"), 1, true),
            (Memory::default(), 1, true),
        ];
        for (memory, second, expected) in cases {
            assert_eq!(
                table.must_be_written("switch", &memory, at(second)),
                expected,
                "{memory:?} {second}"
            );
        }
        assert!(
            table.must_be_written("switch", &counted, at(-300)),
            "the clock was set back"
        );
        write(&mut table, &counted, 300);
        assert!(!table.must_be_written("switch", &memory("{}", "[3]"), at(599)));
        table.was_written(
            WrittenRows {
                all: false,
                rows: Vec::new(),
                now: at(600),
            },
            &["switch".to_owned()],
        );
        assert!(
            table.must_be_written("switch", &counted, at(600)),
            "the row was deleted"
        );
    }

    #[test]
    fn a_store_just_opened_writes_counts_at_the_first_change() {
        let state = MonitorState {
            memory: memory("{}", "[1]"),
            ..MonitorState::default()
        };
        let mut model = Model::default();
        model.monitors.insert("switch".into(), state.into());
        let mut table = MemoryTable::default();
        table.was_read(&model);
        assert!(!table.must_be_written("switch", &memory("{}", "[1]"), at(0)));
        assert!(table.must_be_written("switch", &memory("{}", "[2]"), at(0)));
    }
}
