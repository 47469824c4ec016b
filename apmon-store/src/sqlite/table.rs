//! The tables of states, notifications and metadata, read and written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apmon_core::{Memory, MonitorState, OutboxEntry, OwnState, StateRecord};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, types::ValueRef};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    schema,
    value::{duration, duration_at, from_json, is_of_one_row, json, json_at, micros, time_at},
};
use crate::{
    model::{Loaded, Model},
    warning::Warnings,
};

/// Reads everything but the history; `place` names the file in warnings.
pub(super) fn read(connection: &Connection, place: &str) -> rusqlite::Result<Loaded> {
    read_some(connection, place, usize::MAX)
}

/// Like [`read`], but fails where that is more than `most` bytes.
pub(super) fn read_some(connection: &Connection, place: &str, most: usize) -> rusqlite::Result<Loaded> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    read_with(connection, place, &select_states(version), most)
}

/// Reads what is still readable in a damaged database.
pub(super) fn salvage(connection: &Connection, place: &str) -> Option<Loaded> {
    let without_memory = || {
        let mut loaded = read_with(connection, place, &select_states_without_memory(), usize::MAX).ok()?;
        loaded.warnings.push(format!(
            "{place}: the memory of its monitors cannot be read and starts empty"
        ));
        Some(loaded)
    };
    read(connection, place).ok().or_else(without_memory)
}

const STATE: &str = "name, is_up, last_checked, last_response_time, last_notified, last_alarm_started,
     last_successful_heartbeat, down_count, notified_count, error_reason, last_config_checksum, own";

/// The query for rows of [`state`] and [`memory`] in a database of this version.
pub(super) fn select_states(version: i64) -> String {
    match version < schema::MEMORIES {
        true => format!("SELECT {STATE}, other, NULL FROM states"),
        false => format!("SELECT {STATE}, kept, counts FROM states LEFT JOIN memories ON monitor = name"),
    }
}

fn select_states_without_memory() -> String {
    format!("SELECT {STATE}, NULL, NULL FROM states")
}

/// What may still be read, in bytes.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Takes the room of a row with this many columns.
    pub(super) fn take(&mut self, row: &Row<'_>, columns: usize) -> rusqlite::Result<()> {
        /// What a row takes beside its texts.
        const ROW: usize = 256;
        let texts = (0..columns).map(|at| match row.get_ref(at) {
            Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len(),
            _ => 0,
        });
        let bytes = texts.sum::<usize>() + ROW;
        let room = self.0.checked_sub(bytes).ok_or_else(|| {
            let reason = "more than a state can be".to_owned();
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
            rusqlite::Error::SqliteFailure(error, Some(reason))
        })?;
        self.0 = room;
        Ok(())
    }
}

fn read_with(connection: &Connection, place: &str, select: &str, most: usize) -> rusqlite::Result<Loaded> {
    let mut room = Room(most);
    let mut model = Model::default();
    let mut warnings = Warnings::new(place);
    let mut statement = connection.prepare(select)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        room.take(row, 14)?;
        let name: String = match row.get(0) {
            Ok(name) => name,
            Err(error) => {
                warnings.add(&format!("a monitor's name: {error}: ignored"));
                continue;
            }
        };
        match state(row) {
            Ok(mut state) => {
                match memory(row) {
                    Ok(memory) => state.memory = memory,
                    Err(error) => warnings.add(&format!("memory of monitor \"{name}\": {error}: ignored")),
                }
                model.monitors.insert(name, state.into());
            }
            Err(error) if is_of_one_row(&error) => {
                warnings.add(&format!("monitor \"{name}\": {error}: ignored"));
            }
            Err(error) => return Err(error),
        }
    }
    let mut statement = connection.prepare("SELECT entry FROM outbox ORDER BY place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        room.take(row, 1)?;
        match entry(row) {
            Ok(entry) => {
                model.outbox.upsert(entry);
            }
            Err(error) if is_of_one_row(&error) => warnings.add(&format!(
                "an undelivered notification cannot be read and is not sent: {error}; it is kept"
            )),
            Err(error) => return Err(error),
        }
    }
    (model.epoch, model.number) = last_commit(connection)?;
    read_records(connection, &mut model, &mut warnings)?;
    let ended = number(connection, "pass_ended")?.and_then(|at| Timestamp::from_microsecond(at).ok());
    let took = number(connection, "pass_took")?.and_then(|took| u64::try_from(took).ok());
    model.pass = ended.zip(took.map(Duration::from_micros));
    model.unread = json_meta(connection, "unread")?;
    model.foreign = json_meta(connection, "foreign")?;
    let warnings = warnings.into_list();
    Ok(Loaded { model, warnings })
}

/// Epoch and number of the last commit.
pub(super) fn last_commit(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let count = |key| -> rusqlite::Result<u64> {
        let stored = number(connection, key)?;
        Ok(stored.and_then(|stored| u64::try_from(stored).ok()).unwrap_or(0))
    };
    Ok((count("epoch")?, count("commit")?))
}

/// Reads a row of `states` without its memory.
pub(super) fn state(row: &Row<'_>) -> rusqlite::Result<MonitorState> {
    Ok(MonitorState {
        is_up: row.get(1)?,
        last_checked: time_at(row, 2)?,
        last_response_time: duration_at(row, 3)?,
        last_notified: time_at(row, 4)?,
        last_alarm_started: time_at(row, 5)?,
        last_successful_heartbeat: time_at(row, 6)?,
        down_count: row.get(7)?,
        notified_count: row.get(8)?,
        error_reason: row.get(9)?,
        last_config_checksum: row.get::<_, Option<String>>(10)?.map(Into::into),
        own: json_at(row, 11)?,
        ..MonitorState::default()
    })
}

/// Reads the memory in a row of [`select_states`].
pub(super) fn memory(row: &Row<'_>) -> rusqlite::Result<Memory> {
    let kept: Map<String, Value> = json_at(row, 12)?;
    let kept: BTreeMap<String, Arc<str>> = kept
        .into_iter()
        .map(|(key, value)| (key, value.to_string().into()))
        .collect();
    Ok(Memory {
        kept,
        counts: row.get::<_, Option<String>>(13)?.map(Into::into),
    })
}

/// Reads a row of `SELECT entry FROM outbox`.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    let text: String = row.get(0)?;
    from_json(&text, 0)
}

pub(super) fn number(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    meta(connection, key, |row| row.get(0))
}

pub(super) fn text(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    meta(connection, key, |row| row.get(0))
}

/// Reads a value of `meta`; `None` also where it is of another type.
fn meta<T>(
    connection: &Connection,
    key: &str,
    value: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let result = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], value)
        .optional();
    match result {
        Err(error) if is_of_one_row(&error) => Ok(None),
        result => result,
    }
}

fn json_meta<T: DeserializeOwned + Default>(connection: &Connection, key: &str) -> rusqlite::Result<T> {
    let stored = text(connection, key)?;
    Ok(stored
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

pub(super) fn set_meta(
    transaction: &Transaction<'_>,
    key: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
            params![key, value],
        )
        .map(|_| ())
}

pub(super) fn write_states<'a>(
    transaction: &Transaction<'_>,
    states: impl Iterator<Item = (&'a str, &'a MonitorState)>,
) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare("INSERT OR REPLACE INTO states VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)")?;
    let default = OwnState::default();
    for (name, state) in states {
        let own = (state.own != default).then(|| json(&state.own)).transpose()?;
        insert.execute(params![
            name,
            state.is_up,
            state.last_checked.map(micros),
            state.last_response_time.map(duration),
            state.last_notified.map(micros),
            state.last_alarm_started.map(micros),
            state.last_successful_heartbeat.map(micros),
            state.down_count,
            state.notified_count,
            state.error_reason,
            state.last_config_checksum.as_deref(),
            own,
        ])?;
    }
    Ok(())
}

/// Writes notifications; one that is already in the table keeps its position.
pub(super) fn write_outbox<'a>(
    transaction: &Transaction<'_>,
    entries: impl Iterator<Item = &'a OutboxEntry>,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO outbox (key, entry) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET entry = excluded.entry",
    )?;
    for entry in entries {
        insert.execute(params![entry.key(), json(entry)?])?;
    }
    Ok(())
}

/// Executes a `DELETE` once per key.
pub(super) fn delete(transaction: &Transaction<'_>, sql: &str, keys: &[String]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare(sql)?;
    for key in keys {
        delete.execute([key])?;
    }
    Ok(())
}

/// What precedes the key of a record in `meta`.
const RECORD: &str = "record/";

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Written<C> {
    version: u32,
    content: C,
}

fn read_records(
    connection: &Connection,
    model: &mut Model,
    warnings: &mut Warnings<'_>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT key, value FROM meta WHERE key GLOB 'record/*'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let key = key.strip_prefix(RECORD).unwrap_or(&key).to_owned();
        let text: Option<String> = row.get(1).ok();
        match text.and_then(|text| read_record(&text)) {
            Some(record) => {
                model.records.insert(key, record);
            }
            None => warnings.add(&format!("record \"{key}\" cannot be read: ignored")),
        }
    }
    Ok(())
}

fn read_record(text: &str) -> Option<StateRecord> {
    let Written { version, content } = serde_json::from_str::<Written<Value>>(text).ok()?;
    let json = content.to_string().into();
    Some(StateRecord { version, json })
}

/// Reads the records of a database for a reader, without those that cannot be read.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Option<(String, StateRecord)>> {
    let (key, text): (String, String) = (row.get(0)?, row.get(1)?);
    let key = key.strip_prefix(RECORD).unwrap_or(&key).to_owned();
    Ok(read_record(&text).map(|record| (key, record)))
}

/// Writes records; those without content are deleted.
pub(super) fn write_records(
    transaction: &Transaction<'_>,
    records: impl IntoIterator<Item = (String, Option<StateRecord>)>,
) -> rusqlite::Result<()> {
    for (key, record) in records {
        let key = format!("{RECORD}{key}");
        // Whatever an embedder passes, the database stays readable.
        let content = |record: &StateRecord| serde_json::from_str::<Value>(&record.json).ok();
        match record.as_ref().map(|record| (record.version, content(record))) {
            Some((version, Some(content))) => {
                set_meta(transaction, &key, json(&Written { version, content })?)?;
            }
            Some((_, None)) => {} // the one before stays
            None => {
                transaction.execute("DELETE FROM meta WHERE key = ?1", [key])?;
            }
        }
    }
    Ok(())
}

/// Writes the owner's epoch, the number of the commit, and the end and duration of the last
/// pass.
pub(super) fn write_meta(transaction: &Transaction<'_>, model: &Model) -> rusqlite::Result<()> {
    for (key, number) in [("epoch", model.epoch), ("commit", model.number)] {
        set_meta(transaction, key, i64::try_from(number).unwrap_or(i64::MAX))?;
    }
    if let Some((ended, took)) = model.pass {
        set_meta(transaction, "pass_ended", micros(ended))?;
        set_meta(transaction, "pass_took", duration(took))?;
    }
    Ok(())
}

/// Writes everything but memories, in place of whatever the tables contain.
pub(super) fn write_all(transaction: &Transaction<'_>, model: &Model) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DELETE FROM states; DELETE FROM outbox; DELETE FROM meta WHERE key GLOB 'record/*'",
    )?;
    let states = model.monitors.iter();
    write_states(transaction, states.map(|(name, state)| (name.as_str(), &**state)))?;
    write_outbox(transaction, model.outbox.iter())?;
    set_meta(transaction, "unread", json(&model.unread)?)?;
    set_meta(transaction, "foreign", json(&model.foreign)?)
}
