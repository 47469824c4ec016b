//! States, messages and what else is no history: to rows and back.

use std::time::Duration;

use apmon_core::{Memory, MonitorState, OutboxEntry, OwnState, text::printable};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{memories, schema};
use crate::model::Model;

/// More warnings than a person reads are counted.
const MAX_WARNINGS: usize = 50;

/// A moment as it is written: microseconds since 1970, UTC.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A duration as it is written: microseconds.
pub(crate) fn duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn time_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let written: Option<i64> = row.get(column)?;
    written
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| wrong(column, error))
}

pub(crate) fn duration_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    let written: Option<i64> = row.get(column)?;
    Ok(written.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

fn json_at<T: DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let written: Option<String> = row.get(column)?;
    match written {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(&text).map_err(|error| wrong(column, error)),
    }
}

fn wrong(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A value that makes no sense, and not a file that does.
fn is_of_the_row(error: &rusqlite::Error) -> bool {
    !matches!(error, rusqlite::Error::SqliteFailure(..))
}

/// What was read, and what could not be.
pub(super) struct Reading {
    pub(super) model: Model,
    pub(super) doubts: Vec<String>,
}

/// Everything but the history.
pub(super) fn read(connection: &Connection, place: &str) -> rusqlite::Result<Reading> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    read_by(connection, place, &states_of(version))
}

/// What can still be read of a damaged one.
pub(super) fn salvage(connection: &Connection, place: &str) -> Option<Reading> {
    let without = || {
        let mut reading = read_by(connection, place, &states_without_memory()).ok()?;
        let doubt = format!("{place}: what monitors remembered cannot be read: they begin anew");
        reading.doubts.push(doubt);
        Some(reading)
    };
    read(connection, place).ok().or_else(without)
}

const STATE: &str = "name, is_up, last_checked, last_response_time, last_notified, last_alarm_started,
     last_successful_heartbeat, down_count, notified_count, error_reason, last_config_checksum, own";

/// The query for rows of [`state`] and [`memory`], in a database of this version.
pub(crate) fn states_of(version: i64) -> String {
    match version < schema::MEMORIES {
        true => format!("SELECT {STATE}, other, NULL FROM states"),
        false => format!("SELECT {STATE}, kept, counts FROM states LEFT JOIN memories ON monitor = name"),
    }
}

fn states_without_memory() -> String {
    format!("SELECT {STATE}, NULL, NULL FROM states")
}

fn read_by(connection: &Connection, place: &str, states: &str) -> rusqlite::Result<Reading> {
    let mut model = Model::default();
    let mut doubts = Doubts {
        place,
        told: Vec::new(),
        more: 0,
    };
    let mut statement = connection.prepare(states)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = match row.get(0) {
            Ok(name) => name,
            Err(error) => {
                doubts.add(&format!("a monitor's name: {error}: ignored"));
                continue;
            }
        };
        match state(row) {
            Ok(mut state) => {
                match memory(row) {
                    Ok(memory) => state.memory = memory,
                    Err(error) => {
                        doubts.add(&format!("what monitor \"{name}\" remembered: {error}: ignored"))
                    }
                }
                model.monitors.insert(name, state.into());
            }
            Err(error) if is_of_the_row(&error) => {
                doubts.add(&format!("monitor \"{name}\": {error}: ignored"));
            }
            Err(error) => return Err(error),
        }
    }
    let mut statement = connection.prepare("SELECT entry FROM outbox ORDER BY place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match entry(row) {
            Ok(entry) => {
                model.outbox.upsert(entry);
            }
            Err(error) if is_of_the_row(&error) => doubts.add(&format!(
                "a message on its way cannot be read and is not sent: {error}; it is kept"
            )),
            Err(error) => return Err(error),
        }
    }
    model.epoch = number(connection, "epoch")?
        .and_then(|epoch| u64::try_from(epoch).ok())
        .unwrap_or(0);
    let ended = number(connection, "pass_ended")?.and_then(|at| Timestamp::from_microsecond(at).ok());
    let took = number(connection, "pass_took")?.and_then(|took| u64::try_from(took).ok());
    model.pass = ended.zip(took.map(Duration::from_micros));
    model.unread = json_meta(connection, "unread")?;
    model.foreign = json_meta(connection, "foreign")?;
    Ok(Reading {
        model,
        doubts: doubts.end(),
    })
}

/// A row of `states`, all but its memory.
pub(crate) fn state(row: &Row<'_>) -> rusqlite::Result<MonitorState> {
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

/// The memory in a row of [`states_of`].
pub(crate) fn memory(row: &Row<'_>) -> rusqlite::Result<Memory> {
    let kept: serde_json::Map<String, serde_json::Value> = json_at(row, 12)?;
    Ok(Memory {
        kept: memories::texts(kept),
        counts: row.get::<_, Option<String>>(13)?.map(Into::into),
    })
}

/// A row of `SELECT entry FROM outbox`.
pub(crate) fn entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    let text: String = row.get(0)?;
    serde_json::from_str(&text).map_err(|error| wrong(0, error))
}

pub(super) fn number(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    meta(connection, key, |row| row.get(0))
}

pub(super) fn text(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    meta(connection, key, |row| row.get(0))
}

/// `None` also where the value is of another type than it should be.
fn meta<T>(
    connection: &Connection,
    key: &str,
    value: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], value)
        .optional();
    match found {
        Err(error) if is_of_the_row(&error) => Ok(None),
        found => found,
    }
}

fn json_meta<T: DeserializeOwned + Default>(connection: &Connection, key: &str) -> rusqlite::Result<T> {
    let written = text(connection, key)?;
    Ok(written
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
    let nothing = OwnState::default();
    for (name, state) in states {
        let own = (state.own != nothing).then(|| json(&state.own)).transpose()?;
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

/// An entry of a key that is there keeps its place.
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

/// Deletes the rows of these keys.
pub(super) fn delete(transaction: &Transaction<'_>, sql: &str, keys: &[String]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare(sql)?;
    for key in keys {
        delete.execute([key])?;
    }
    Ok(())
}

/// What a pass leaves, and the epoch.
pub(super) fn write_meta(transaction: &Transaction<'_>, model: &Model) -> rusqlite::Result<()> {
    set_meta(
        transaction,
        "epoch",
        i64::try_from(model.epoch).unwrap_or(i64::MAX),
    )?;
    if let Some((ended, took)) = model.pass {
        set_meta(transaction, "pass_ended", micros(ended))?;
        set_meta(transaction, "pass_took", duration(took))?;
    }
    Ok(())
}

/// Everything but memories, into a database that may hold something older.
pub(super) fn write_whole(transaction: &Transaction<'_>, model: &Model) -> rusqlite::Result<()> {
    transaction.execute_batch("DELETE FROM states; DELETE FROM outbox")?;
    let states = model.monitors.iter();
    write_states(transaction, states.map(|(name, state)| (name.as_str(), &**state)))?;
    write_outbox(transaction, model.outbox.iter())?;
    set_meta(transaction, "unread", json(&model.unread)?)?;
    set_meta(transaction, "foreign", json(&model.foreign)?)
}

struct Doubts<'a> {
    place: &'a str,
    told: Vec<String>,
    more: usize,
}

impl Doubts<'_> {
    fn add(&mut self, text: &str) {
        if self.told.len() < MAX_WARNINGS {
            self.told.push(format!("{}: {}", self.place, printable(text)));
        } else {
            self.more += 1;
        }
    }

    fn end(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!(
                "{}: and {} more values that make no sense",
                self.place, self.more
            ));
        }
        self.told
    }
}
