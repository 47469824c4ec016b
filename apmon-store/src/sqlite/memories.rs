//! What monitors remember, in a table of its own: large, and most of it changes
//! at every look.

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

use super::rows;
use crate::model::Model;

/// The counts in the table may be so old. Those of a switch are 10 to 60 kB and
/// change at each look: written each time, they would be most of what a daemon
/// writes. That they lag does no harm: [`Memory::counts`] promises no more, and
/// after a restart a count that went on meanwhile makes one longer step.
const COUNTS_LAG: Duration = Duration::from_secs(300);

/// What stands in the table.
#[derive(Debug, Default)]
pub(super) struct Memories {
    written: HashMap<String, Written>,
    /// The table holds just that. If not, the next commit writes all of it.
    is_sure: bool,
}

/// A row.
#[derive(Debug)]
struct Written {
    kept: BTreeMap<String, Arc<str>>,
    /// A hash of them: kept whole they would stand in memory twice.
    counts: u64,
    /// When this store wrote it; `None` if it was only read.
    at: Option<Timestamp>,
}

impl Written {
    fn of(memory: &Memory, at: Option<Timestamp>) -> Self {
        Self {
            kept: memory.kept.clone(),
            counts: hash(memory),
            at,
        }
    }

    fn is_old(&self, memory: &Memory, now: Timestamp) -> bool {
        // A clock that was set back must not make them wait for it.
        let lags = |at: Timestamp| now.duration_since(at).unsigned_abs() >= COUNTS_LAG;
        memory.kept != self.kept || (self.at.is_none_or(lags) && hash(memory) != self.counts)
    }
}

fn hash(memory: &Memory) -> u64 {
    let mut hash = DefaultHasher::new();
    memory.counts.hash(&mut hash);
    hash.finish()
}

impl Memories {
    /// The table was read, and holds what `model` does.
    pub(super) fn follow(&mut self, model: &Model) {
        let monitors = model.monitors.iter();
        let remembering = monitors.filter(|(_, state)| !state.memory.is_empty());
        self.written = remembering
            .map(|(name, state)| (name.clone(), Written::of(&state.memory, None)))
            .collect();
        self.is_sure = true;
    }

    /// What the table holds is not known any more.
    pub(super) fn doubt(&mut self) {
        self.is_sure = false;
    }

    /// Writes what must be after a commit that changed the states of `changed`,
    /// and says which rows it wrote.
    pub(super) fn write<'a>(
        &self,
        transaction: &Transaction<'_>,
        model: &'a Model,
        changed: impl Iterator<Item = &'a str>,
        is_whole: bool,
        now: Timestamp,
    ) -> rusqlite::Result<Rows<'a>> {
        let all = !(is_whole && self.is_sure);
        let rows: Vec<(&str, &Memory)> = if all {
            transaction.execute("DELETE FROM memories", [])?;
            let monitors = model.monitors.iter();
            let monitors = monitors.map(|(name, state)| (name.as_str(), &state.memory));
            monitors.filter(|(_, memory)| !memory.is_empty()).collect()
        } else {
            let states = changed.filter_map(|name| Some((name, &model.monitors.get(name)?.memory)));
            states
                .filter(|(name, memory)| self.is_owed(name, memory, now))
                .collect()
        };
        if !rows.is_empty() {
            let mut insert = transaction.prepare("INSERT OR REPLACE INTO memories VALUES (?1,?2,?3)")?;
            for (name, memory) in &rows {
                let kept = (!memory.kept.is_empty())
                    .then(|| rows::json(&values(&memory.kept)))
                    .transpose()?;
                insert.execute(params![name, kept, memory.counts.as_deref()])?;
            }
        }
        Ok(Rows { all, rows, now })
    }

    fn is_owed(&self, name: &str, memory: &Memory, now: Timestamp) -> bool {
        match self.written.get(name) {
            Some(written) => written.is_old(memory, now),
            None => !memory.is_empty(),
        }
    }

    /// The rows are on disk, and those of `gone` are no more.
    pub(super) fn wrote(&mut self, rows: Rows<'_>, gone: &[String]) {
        if rows.all {
            self.written.clear();
            self.is_sure = true;
        }
        for (name, memory) in rows.rows {
            let written = Written::of(memory, Some(rows.now));
            self.written.insert(name.to_owned(), written);
        }
        for name in gone {
            self.written.remove(name);
        }
    }
}

/// What one commit wrote.
pub(super) struct Rows<'a> {
    all: bool,
    rows: Vec<(&'a str, &'a Memory)>,
    now: Timestamp,
}

/// As an object; what is no JSON is left out.
fn values(kept: &BTreeMap<String, Arc<str>>) -> Map<String, Value> {
    let value = |text: &str| serde_json::from_str(text).ok();
    kept.iter()
        .filter_map(|(key, text)| Some((key.clone(), value(text)?)))
        .collect()
}

/// And back.
pub(super) fn texts(kept: Map<String, Value>) -> BTreeMap<String, Arc<str>> {
    kept.into_iter()
        .map(|(key, value)| (key, value.to_string().into()))
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

    fn wrote(memories: &mut Memories, memory: &Memory, second: i64) {
        let rows = Rows {
            all: false,
            rows: vec![("switch", memory)],
            now: at(second),
        };
        memories.wrote(rows, &[]);
    }

    #[test]
    fn counts_alone_are_written_each_five_minutes_and_what_is_kept_at_once() {
        let mut memories = Memories::default();
        let first = memory("{}", "[1]");
        assert!(memories.is_owed("switch", &first, at(0)), "there was nothing");
        assert!(!memories.is_owed("web", &Memory::default(), at(0)));
        wrote(&mut memories, &first, 0);
        let counted = memory("{}", "[2]");
        let table = [
            (memory("{}", "[1]"), 9_999, false),
            (counted.clone(), 1, false),
            (counted.clone(), 299, false),
            (counted.clone(), 300, true),
            (memory("{\"7\": 1}", "[1]"), 1, true),
            (Memory::default(), 1, true),
        ];
        for (memory, second, expected) in table {
            assert_eq!(
                memories.is_owed("switch", &memory, at(second)),
                expected,
                "{memory:?} {second}"
            );
        }
        assert!(
            memories.is_owed("switch", &counted, at(-300)),
            "the clock was set back"
        );
        wrote(&mut memories, &counted, 300);
        assert!(!memories.is_owed("switch", &memory("{}", "[3]"), at(599)));
        memories.wrote(
            Rows {
                all: false,
                rows: Vec::new(),
                now: at(600),
            },
            &["switch".to_owned()],
        );
        assert!(memories.is_owed("switch", &counted, at(600)), "it was forgotten");
    }

    #[test]
    fn a_store_that_was_just_opened_writes_at_the_first_change() {
        let state = MonitorState {
            memory: memory("{}", "[1]"),
            ..MonitorState::default()
        };
        let mut model = Model::default();
        model.monitors.insert("switch".into(), state.into());
        let mut memories = Memories::default();
        memories.follow(&model);
        assert!(!memories.is_owed("switch", &memory("{}", "[1]"), at(0)));
        assert!(memories.is_owed("switch", &memory("{}", "[2]"), at(0)));
    }
}
