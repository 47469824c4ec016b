//! Conversion of values: to SQL and back.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

/// A moment as stored: microseconds since 1970, UTC.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A duration as stored: microseconds.
pub(super) fn duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn time_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let stored: Option<i64> = row.get(column)?;
    stored
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| invalid(column, error))
}

pub(super) fn duration_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    let stored: Option<i64> = row.get(column)?;
    Ok(stored.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// A JSON value; null is the default.
pub(super) fn json_at<T: DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let stored: Option<String> = row.get(column)?;
    match stored {
        None => Ok(T::default()),
        Some(text) => from_json(&text, column),
    }
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| invalid(column, error))
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Whether a value of one row is wrong, and not the file.
pub(super) fn is_of_one_row(error: &rusqlite::Error) -> bool {
    !matches!(error, rusqlite::Error::SqliteFailure(..))
}

fn invalid(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
