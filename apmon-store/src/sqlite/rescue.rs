//! Rescuing the history of a damaged database.

use std::{fmt, path::Path};

use rusqlite::{Connection, Row, TransactionBehavior, types::Value};

use super::{open, schema};

/// The tables of the history, each with the column by which its rows are in order.
const TABLES: [(&str, &str); 6] = [
    ("incidents", "rowid"),
    ("deliveries", "rowid"),
    ("watched", "id"),
    ("stretches", "rowid"),
    ("port_changes", "rowid"),
    ("results", "monitor"),
];

/// How often the reading of a table is resumed behind damage.
const MOST_RESUMED: u32 = 20_000;

/// What could be rescued.
#[derive(Debug, Default)]
pub(super) struct Rescued {
    rows: u64,
    /// The tables of which some rows cannot be read.
    incomplete: Vec<&'static str>,
}

impl fmt::Display for Rescued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match self.rows {
            1 => "1 row of its history is kept".to_owned(),
            rows => format!("{rows} rows of its history are kept"),
        };
        match &self.incomplete[..] {
            [] => write!(f, "{rows}; all of it could be read"),
            tables => write!(
                f,
                "{rows}; the rest cannot be read and is lost (in {})",
                tables.join(", ")
            ),
        }
    }
}

/// Copies what can be read of the history of the database at `from`.
pub(super) fn history(from: &Path, to: &mut Connection) -> rusqlite::Result<Rescued> {
    let from = open::to_read(from)?;
    let version: i64 = from.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut rescued = Rescued::default();
    if version != schema::VERSION {
        rescued.incomplete = TABLES.iter().map(|(table, _)| *table).collect();
        return Ok(rescued);
    }
    let transaction = to.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (table, key) in TABLES {
        let (rows, is_complete) = copy(&from, &transaction, table, key)?;
        rescued.rows += rows;
        if !is_complete {
            rescued.incomplete.push(table);
        }
    }
    transaction.commit()?;
    Ok(rescued)
}

/// Copies the rows that can be read. The result is their number, and whether they are all.
fn copy(from: &Connection, to: &Connection, table: &str, key: &str) -> rusqlite::Result<(u64, bool)> {
    let last: rusqlite::Result<Option<i64>> =
        from.query_row(&format!("SELECT max({key}) FROM {table}"), [], |row| row.get(0));
    let last = last.map_or(i64::from(u32::MAX), Option::unwrap_or_default);
    let select = format!("SELECT {key}, * FROM {table} WHERE {key} > ?1 ORDER BY {key}");
    let Ok(mut select) = from.prepare(&select) else {
        return Ok((0, false));
    };
    let names = select.column_names();
    // Rows keep the id that no column has.
    let skipped = usize::from(key != "rowid");
    let mut names: Vec<_> = names.into_iter().skip(skipped).map(str::to_owned).collect();
    if key == "rowid" {
        "rowid".clone_into(&mut names[0]);
    }
    let mut insert = to.prepare(&format!(
        "INSERT OR IGNORE INTO {table} ({}) VALUES ({})",
        names.join(", "),
        vec!["?"; names.len()].join(", ")
    ))?;
    let (mut copied, mut reached, mut step) = (0, i64::MIN, 1);
    let mut is_complete = true;
    for _ in 0..MOST_RESUMED {
        let mut rows = select.query([reached])?;
        let end = loop {
            match rows
                .next()
                .and_then(|row| row.map(|row| values(row, skipped)).transpose())
            {
                Ok(Some((key, values))) => {
                    (reached, step) = (key, 1);
                    copied += insert.execute(rusqlite::params_from_iter(values))? as u64;
                }
                end => break end.is_ok(),
            }
        };
        if end {
            return Ok((copied, is_complete));
        }
        // Behind the damage it goes on, which may be longer than one row.
        is_complete = false;
        reached = reached.max(0).saturating_add(step);
        step = if key == "monitor" {
            1
        } else {
            step.saturating_mul(2)
        };
        if reached > last {
            break;
        }
    }
    Ok((copied, false))
}

/// The key of a row, and its columns without those that are skipped.
fn values(row: &Row<'_>, skipped: usize) -> rusqlite::Result<(i64, Vec<Value>)> {
    let columns = skipped..row.as_ref().column_count();
    let values = columns.map(|n| row.get(n)).collect::<Result<_, _>>()?;
    Ok((row.get(0)?, values))
}
