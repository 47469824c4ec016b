//! Writing and pruning the history.

use std::{collections::HashMap, time::Duration};

use apmon_core::{CheckResult, IncidentKind, Records, StretchKind, Verdict};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{
    schema::RESULTS_KEPT,
    value::{duration, micros},
};

/// The ring buffer of one monitor's results.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    /// Row id in `watched`.
    monitor: i64,
    /// Number of the next result.
    next: i64,
    /// Time of the previous result.
    last: Option<i64>,
    max_gap: i64,
    /// Whether `watched` says since when the monitor's time counts.
    has_since: bool,
}

/// The rings in use by monitor name, so that each is looked up only once.
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
            incident.notifications,
        ])?;
    }
    let mut insert =
        transaction.prepare("INSERT OR REPLACE INTO deliveries VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)")?;
    for delivery in &records.deliveries {
        insert.execute(params![
            delivery.notification,
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
    let mut insert = transaction.prepare(INSERT_STRETCH)?;
    for stretch in &records.stretches {
        let kind = stretch.kind.as_str();
        let (started, ended) = (micros(stretch.started), micros(stretch.ended));
        insert.execute(params![stretch.monitor, kind, started, ended])?;
    }
    port_changes(transaction, records)
}

fn port_changes(transaction: &Transaction<'_>, records: &Records) -> rusqlite::Result<()> {
    if records.port_changes.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare("INSERT INTO port_changes VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?;
    for record in &records.port_changes {
        let change = &record.change;
        insert.execute(params![
            record.monitor,
            micros(record.at),
            change.index,
            change.port,
            change.event.as_str(),
            change.event.before(),
            change.event.after(),
            change.notified,
        ])?;
    }
    Ok(())
}

const INSERT_STRETCH: &str = "INSERT INTO stretches (monitor, kind, started, ended) VALUES (?1,?2,?3,?4)";

/// Writes results. The hundred and first replaces the first, so pruning costs
/// nothing.
fn results(transaction: &Transaction<'_>, records: &Records, rings: &mut Rings) -> rusqlite::Result<()> {
    if records.results.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare("INSERT OR REPLACE INTO results VALUES (?1,?2,?3,?4,?5,?6,?7)")?;
    for result in &records.results {
        if !rings.contains_key(&result.monitor) {
            rings.insert(result.monitor.clone(), ring(transaction, result)?);
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
        record_watching(transaction, result, ring)?;
    }
    Ok(())
}

/// Records the time between the previous result and this one as unwatched if it
/// is too long, and since when the monitor's time counts.
fn record_watching(
    transaction: &Transaction<'_>,
    result: &CheckResult,
    ring: &mut Ring,
) -> rusqlite::Result<()> {
    let (at, max_gap) = (micros(result.at), duration(result.max_gap));
    let last = ring.last.replace(at).unwrap_or(at);
    if at.saturating_sub(last) > max_gap.max(ring.max_gap) {
        let unwatched = StretchKind::Unwatched.as_str();
        transaction.execute(INSERT_STRETCH, params![result.monitor, unwatched, last, at])?;
    }
    if at < last {
        // The clock was set back: time that it had leapt over was not unwatched.
        transaction.execute(
            "UPDATE stretches SET ended = ?2 WHERE monitor = ?1 AND ended > ?2 AND kind = ?3",
            params![result.monitor, at, StretchKind::Unwatched.as_str()],
        )?;
    }
    if let (Some(known), false) = (result.known, ring.has_since) {
        let sql = "UPDATE watched SET since = ?2 WHERE id = ?1";
        transaction.execute(sql, params![ring.monitor, micros(known)])?;
        ring.has_since = true;
    }
    if max_gap != std::mem::replace(&mut ring.max_gap, max_gap) {
        let sql = "UPDATE watched SET max_gap = ?2 WHERE id = ?1";
        transaction.execute(sql, params![ring.monitor, max_gap])?;
    }
    Ok(())
}

/// The ring of a result's monitor, created if there is none.
fn ring(transaction: &Transaction<'_>, result: &CheckResult) -> rusqlite::Result<Ring> {
    let sql = "SELECT id, last, coalesce(max_gap, 0), since IS NOT NULL FROM watched WHERE name = ?1";
    let known = transaction
        .query_row(sql, [&result.monitor], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((monitor, forgotten, max_gap, has_since)): Option<(i64, Option<i64>, i64, bool)> = known else {
        let sql = "INSERT INTO watched (name, max_gap) VALUES (?1, ?2)";
        let max_gap = duration(result.max_gap);
        transaction.execute(sql, params![result.monitor, max_gap])?;
        return Ok(Ring {
            monitor: transaction.last_insert_rowid(),
            next: 0,
            last: None,
            max_gap,
            has_since: false,
        });
    };
    let sql = "SELECT number + 1, at FROM results WHERE monitor = ?1 ORDER BY number DESC LIMIT 1";
    let newest = transaction
        .query_row(sql, [monitor], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if forgotten.is_some() {
        transaction.execute("UPDATE watched SET last = NULL WHERE id = ?1", [monitor])?;
    }
    let (next, last) = newest.map_or((0, forgotten), |(next, last)| (next, Some(last)));
    Ok(Ring {
        monitor,
        next,
        last,
        max_gap,
        has_since,
    })
}

/// Deletes the results of these monitors. When they were watched stays known.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    names: &[String],
    rings: &mut Rings,
) -> rusqlite::Result<()> {
    for name in names {
        transaction.execute(
            "UPDATE watched SET last = coalesce((SELECT at FROM results WHERE monitor = id
             ORDER BY number DESC LIMIT 1), last, since, 0) WHERE name = ?1",
            [name],
        )?;
        transaction.execute(
            "DELETE FROM results WHERE monitor IN (SELECT id FROM watched WHERE name = ?1)",
            [name],
        )?;
        rings.remove(name);
    }
    Ok(())
}

/// Number of port changes kept in total.
const PORT_CHANGES_KEPT: i64 = 5_000_000;

/// Deletes what ended longer ago than `kept`.
pub(super) fn prune(transaction: &Transaction<'_>, now: Timestamp, kept: Duration) -> rusqlite::Result<()> {
    let Ok(before) = now.checked_sub(kept) else {
        return Ok(());
    };
    transaction.execute(
        "DELETE FROM incidents WHERE ended IS NOT NULL AND ended < ?1",
        [micros(before)],
    )?;
    let others = [
        "DELETE FROM deliveries WHERE at < ?1",
        "DELETE FROM stretches WHERE ended < ?1",
        "DELETE FROM watched WHERE last < ?1",
        "DELETE FROM port_changes WHERE at < ?1",
    ];
    // However much changes: stations come and go at every check of an uplink.
    transaction.execute(
        "DELETE FROM port_changes WHERE rowid <= (SELECT max(rowid) FROM port_changes) - ?1",
        [PORT_CHANGES_KEPT],
    )?;
    others
        .iter()
        .try_for_each(|sql| transaction.execute(sql, [micros(before)]).map(|_| ()))
}

fn verdict(verdict: Verdict) -> &'static str {
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
