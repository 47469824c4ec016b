//! The history, written and pruned.

use std::{collections::HashMap, time::Duration};

use apmon_core::{IncidentKind, Records, Verdict};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{
    rows::{duration, micros},
    schema::RESULTS_KEPT,
};

/// Where the results of a monitor stand.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    monitor: i64,
    next: i64,
}

/// The rings in use, so that none is looked up twice.
pub(super) type Rings = HashMap<String, Ring>;

pub(super) fn write(
    transaction: &Transaction<'_>,
    records: &Records,
    rings: &mut Rings,
) -> rusqlite::Result<()> {
    results(transaction, records, rings)?;
    let mut insert = transaction.prepare(
        "INSERT INTO incidents (id, monitor, kind, label, started, ended, reason, messages)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT (id) DO UPDATE SET
         ended = coalesce(excluded.ended, ended), reason = coalesce(excluded.reason, reason),
         messages = max(messages, excluded.messages)",
    )?;
    for incident in &records.incidents {
        let (kind, label) = kind(&incident.kind);
        insert.execute(params![
            incident.id,
            incident.monitor,
            kind,
            label,
            micros(incident.started),
            incident.ended.map(micros),
            incident.reason,
            incident.messages,
        ])?;
    }
    let mut insert =
        transaction.prepare("INSERT OR REPLACE INTO deliveries VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)")?;
    for delivery in &records.deliveries {
        insert.execute(params![
            delivery.message,
            delivery.channel,
            delivery.incident,
            delivery.monitor,
            delivery.label,
            micros(delivery.at),
            delivery.tries,
            delivery.fate.as_str(),
            delivery.error,
        ])?;
    }
    Ok(())
}

/// The hundred and first result takes the place of the first: pruning costs nothing.
fn results(transaction: &Transaction<'_>, records: &Records, rings: &mut Rings) -> rusqlite::Result<()> {
    if records.results.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare("INSERT OR REPLACE INTO results VALUES (?1,?2,?3,?4,?5,?6,?7)")?;
    for result in &records.results {
        if !rings.contains_key(&result.monitor) {
            rings.insert(result.monitor.clone(), ring(transaction, &result.monitor)?);
        }
        let Some(ring) = rings.get_mut(&result.monitor) else {
            continue;
        };
        insert.execute(params![
            ring.monitor,
            ring.next % RESULTS_KEPT,
            ring.next,
            micros(result.at),
            verdict(result.verdict),
            result.latency.map(duration),
            result.reason,
        ])?;
        ring.next += 1;
    }
    Ok(())
}

fn ring(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Ring> {
    let known = transaction
        .query_row("SELECT id FROM watched WHERE name = ?1", [name], |row| row.get(0))
        .optional()?;
    let Some(monitor) = known else {
        transaction.execute("INSERT INTO watched (name) VALUES (?1)", [name])?;
        return Ok(Ring {
            monitor: transaction.last_insert_rowid(),
            next: 0,
        });
    };
    let sql = "SELECT coalesce(max(number) + 1, 0) FROM results WHERE monitor = ?1";
    let next = transaction.query_row(sql, [monitor], |row| row.get(0))?;
    Ok(Ring { monitor, next })
}

/// Forgets the results of these monitors.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    names: &[String],
    rings: &mut Rings,
) -> rusqlite::Result<()> {
    for name in names {
        transaction.execute(
            "DELETE FROM results WHERE monitor IN (SELECT id FROM watched WHERE name = ?1)",
            [name],
        )?;
        transaction.execute("DELETE FROM watched WHERE name = ?1", [name])?;
        rings.remove(name);
    }
    Ok(())
}

/// Forgets what ended longer ago than `kept`.
pub(super) fn prune(transaction: &Transaction<'_>, now: Timestamp, kept: Duration) -> rusqlite::Result<()> {
    let Ok(before) = now.checked_sub(kept) else {
        return Ok(());
    };
    transaction.execute(
        "DELETE FROM incidents WHERE ended IS NOT NULL AND ended < ?1",
        [micros(before)],
    )?;
    transaction
        .execute("DELETE FROM deliveries WHERE at < ?1", [micros(before)])
        .map(|_| ())
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "up",
        Verdict::Down => "down",
        Verdict::Unknown => "unknown",
    }
}

fn kind(kind: &IncidentKind) -> (&'static str, Option<&str>) {
    match kind {
        IncidentKind::Unknown => ("unknown", None),
        IncidentKind::Notice(label) => ("notice", Some(label)),
        _ => ("outage", None),
    }
}
