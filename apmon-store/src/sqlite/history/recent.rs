//! The last results of all monitors, for the ring that an engine keeps.

use std::collections::{BTreeMap, VecDeque};

use apmon_core::CheckResult;
use rusqlite::Connection;

use super::result;

/// The monitors whose results are read in one transaction.
const MONITORS_AT_ONCE: i64 = 100;

/// The last one of the next monitors after the one with the id `after`, by id; `None` if there are
/// no more.
pub(super) fn last_of_next(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    connection.query_row(
        "SELECT max(id) FROM (SELECT id FROM watched WHERE id > ?1 ORDER BY id LIMIT ?2)",
        [after, MONITORS_AT_ONCE],
        |row| row.get(0),
    )
}

/// Reads the results of the monitors whose ids are above the first and at most the second one, row
/// by row: there may be many.
pub(super) fn read(
    connection: &Connection,
    most: usize,
    (after, last): (i64, i64),
) -> rusqlite::Result<BTreeMap<String, Vec<CheckResult>>> {
    let mut statement = connection.prepare(
        "SELECT '', at, verdict, latency, NULL, name FROM results JOIN watched ON id = monitor
         WHERE monitor > ?1 AND monitor <= ?2 ORDER BY monitor, number",
    )?;
    let mut rows = statement.query([after, last])?;
    let mut recent = BTreeMap::new();
    let (mut monitor, mut last) = (String::new(), VecDeque::new());
    while let Some(row) = rows.next()? {
        let name = row.get_ref(5)?.as_str()?;
        if name != monitor {
            let results = std::mem::take(&mut last).into();
            recent.insert(std::mem::replace(&mut monitor, name.to_owned()), results);
        }
        if last.len() == most {
            last.pop_front();
        }
        last.push_back(result(row)?);
    }
    recent.insert(monitor, last.into());
    recent.retain(|_, results: &mut Vec<_>| !results.is_empty());
    Ok(recent)
}
