//! Reading a database, also while a daemon writes it.

mod limit;
mod opened;
mod recent;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use apmon_core::read::Span;
use apmon_core::{
    CheckResult, Delivery, DeliveryFate, HistoryReader, Incident, IncidentKind, MonitorState, OutboxEntry,
    PortChange, PortChangeRecord, PortEvent, StateRecord, StoreError, Stretch, StretchKind, Verdict,
    history::Coverage,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use self::{limit::TimeLimit, opened::Opened};
use super::{
    open::{self, FileId},
    schema, table, value,
};

/// A reader of a [`SqliteStore`](crate::SqliteStore)'s database, also while a
/// daemon writes it. It never writes. Each call sees a consistent state. A
/// reader that is kept open notices that a newer apmon has migrated the
/// database, or that another one has replaced it.
///
/// ```no_run
/// use apmon_store::History;
/// use jiff::Timestamp;
///
/// let history = History::open("/var/tmp/APMonitor/homelab.statefile.db")?;
/// for incident in history.incidents(Some("web"), &(Timestamp::MIN..=Timestamp::MAX))? {
///     println!("{} to {:?}: {:?}", incident.started, incident.ended, incident.reason);
/// }
/// # Ok::<(), apmon_core::StoreError>(())
/// ```
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    opened: RefCell<Opened>,
    limit: Option<Arc<TimeLimit>>,
}

impl History {
    /// Opens the database at `path` for reading. No lock is needed.
    ///
    /// # Errors
    /// When the database does not exist or cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::new(path.as_ref(), None)
    }

    /// As [`open`](Self::open), for a database that may be anybody's: reading it takes no longer
    /// than `limit` in all, this call included, and each call returns at most 256 MiB.
    ///
    /// # Errors
    /// As [`open`](Self::open). Calls that reach a limit fail.
    pub fn open_within(path: impl AsRef<Path>, limit: Duration) -> Result<Self, StoreError> {
        Self::new(path.as_ref(), Some(TimeLimit::new(limit)))
    }

    fn new(path: &Path, limit: Option<Arc<TimeLimit>>) -> Result<Self, StoreError> {
        let reading = limit.as_ref().map(TimeLimit::start);
        let opened = Opened::new(path, limit.as_ref())?;
        drop(reading);
        Ok(Self {
            opened: RefCell::new(opened),
            path: path.to_owned(),
            limit,
        })
    }

    /// States by monitor name, at most a few seconds old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn states(&self) -> Result<BTreeMap<String, MonitorState>, StoreError> {
        let sql = |version| Some(table::select_states(version));
        let states = self.list_by_version(sql, params![], |row| Ok((row.get(0)?, state(row)?)))?;
        Ok(states.into_iter().collect())
    }

    /// Undelivered notifications, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outbox(&self) -> Result<Vec<OutboxEntry>, StoreError> {
        self.list("SELECT entry FROM outbox ORDER BY place", params![], table::entry)
    }

    /// State that belongs to no monitor, by key, such as the last actions.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn records(&self) -> Result<BTreeMap<String, StateRecord>, StoreError> {
        let select = "SELECT key, value FROM meta WHERE key GLOB 'record/*'";
        let records = self.list(select, params![], table::record)?;
        Ok(records.into_iter().flatten().collect())
    }

    /// Incidents that overlap `span`, of one monitor or of all; oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn incidents(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Incident>, StoreError> {
        self.list(
            &format!(
                "SELECT {INCIDENT} FROM incidents
                 WHERE {} AND started <= ?3 AND (ended IS NULL OR ended >= ?2)
                 ORDER BY started, rowid",
                of(monitor)
            ),
            params![monitor, value::micros(*span.start()), value::micros(*span.end())],
            incident,
        )
    }

    /// The newest incidents of all monitors that overlap `span`, at most `limit`;
    /// newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newest_incidents(&self, span: &Span, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.list(
            &format!(
                "SELECT {INCIDENT} FROM incidents
                 WHERE started <= ?2 AND (ended IS NULL OR ended >= ?1)
                 ORDER BY started DESC, rowid DESC LIMIT ?3"
            ),
            params![value::micros(*span.start()), value::micros(*span.end()), limit],
            incident,
        )
    }

    /// Number of incidents that overlap `span`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_incidents(&self, span: &Span) -> Result<u32, StoreError> {
        let count: Vec<u32> = self.list(
            "SELECT count(*) FROM incidents WHERE started <= ?2 AND (ended IS NULL OR ended >= ?1)",
            params![value::micros(*span.start()), value::micros(*span.end())],
            |row| row.get(0),
        )?;
        Ok(count.into_iter().sum())
    }

    /// Names of all monitors in the history, sorted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn monitors(&self) -> Result<Vec<String>, StoreError> {
        self.list(
            "SELECT name FROM watched UNION SELECT DISTINCT monitor FROM incidents ORDER BY 1",
            params![],
            |row| row.get(0),
        )
    }

    /// When a monitor was watched; `None` if it never was, and in a database of an
    /// older apmon.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn watched(&self, monitor: &str) -> Result<Option<Coverage>, StoreError> {
        let sql = "SELECT since, last, max_gap FROM watched WHERE name = ?1 AND since IS NOT NULL";
        let watched = self.list_by_version(
            |version| (version >= schema::STRETCHES).then(|| sql.to_owned()),
            params![monitor],
            |row| {
                Ok(Coverage {
                    since: value::time_at(row, 0)?.unwrap_or(Timestamp::UNIX_EPOCH),
                    last: value::time_at(row, 1)?,
                    max_gap: value::duration_at(row, 2)?.filter(|most| *most > Duration::ZERO),
                })
            },
        )?;
        Ok(watched.into_iter().next())
    }

    /// The state of a monitor, at most a few seconds old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn state(&self, monitor: &str) -> Result<Option<MonitorState>, StoreError> {
        let sql = |version| Some(format!("{} WHERE name = ?1", table::select_states(version)));
        let state = self.list_by_version(sql, params![monitor], state)?;
        Ok(state.into_iter().next())
    }

    /// Stretches of one monitor that ended after `from`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stretches(&self, monitor: &str, from: Timestamp) -> Result<Vec<Stretch>, StoreError> {
        let sql = "SELECT monitor, kind, started, ended FROM stretches WHERE monitor = ?1 AND ended > ?2
             ORDER BY started, rowid";
        self.list_by_version(
            |version| (version >= schema::STRETCHES).then(|| sql.to_owned()),
            params![monitor, value::micros(from)],
            stretch,
        )
    }

    /// Port changes in `span`, of one monitor or of all; oldest first. None in a
    /// database of an older apmon.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn port_changes(
        &self,
        monitor: Option<&str>,
        span: &Span,
    ) -> Result<Vec<PortChangeRecord>, StoreError> {
        let sql = |version| {
            let notified = match version < schema::NOTIFIED {
                true => "told",
                false => "notified",
            };
            let sql = format!(
                "SELECT monitor, at, port_index, port, kind, before, after, {notified} FROM port_changes
                 WHERE {} AND at BETWEEN ?2 AND ?3 ORDER BY at, rowid",
                of(monitor)
            );
            (version >= schema::MEMORIES).then_some(sql)
        };
        let changes = self.list_by_version(
            sql,
            params![monitor, value::micros(*span.start()), value::micros(*span.end())],
            port_change,
        )?;
        Ok(changes.into_iter().flatten().collect())
    }

    /// Number of delivered notifications by incident of one monitor.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn delivered(&self, monitor: &str) -> Result<HashMap<String, u32>, StoreError> {
        let delivered = self.list(
            "SELECT incident, count(*) FROM deliveries WHERE monitor = ?1 AND fate = ?2 GROUP BY incident",
            params![monitor, DeliveryFate::Delivered.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(delivered.into_iter().collect())
    }

    /// The last hundred check results of a monitor, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn results(&self, monitor: &str) -> Result<Vec<CheckResult>, StoreError> {
        self.list(
            "SELECT name, at, verdict, latency, reason FROM results JOIN watched ON id = monitor
             WHERE name = ?1 ORDER BY number",
            params![monitor],
            result,
        )
    }

    /// The last results of each monitor, at most `most` of each, oldest first; without reasons,
    /// and without the name in each of them.
    /// A hundred monitors are read at a time, so this is not the state of a single moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn recent(&self, most: usize) -> Result<BTreeMap<String, Vec<CheckResult>>, StoreError> {
        let mut results = BTreeMap::new();
        let mut after = 0;
        // In many short transactions: as long as one lasts, no commit can end.
        while let Some(last) = self.read(|connection, _| recent::last_of_next(connection, after))? {
            results.extend(self.read(|connection, _| recent::read(connection, most, (after, last)))?);
            after = last;
        }
        Ok(results)
    }

    /// Deliveries in `span`, about one monitor or all; oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn deliveries(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Delivery>, StoreError> {
        self.list(
            &format!(
                "SELECT channel, message, incident, monitor, label, at, tries, fate, error FROM deliveries
                 WHERE {} AND at BETWEEN ?2 AND ?3 ORDER BY at, rowid",
                of(monitor)
            ),
            params![monitor, value::micros(*span.start()), value::micros(*span.end())],
            delivery,
        )
    }

    fn list<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.list_by_version(|_| Some(sql.to_owned()), parameters, row)
    }

    /// Lists rows; the query depends on the version of the content, which may have none of them.
    fn list_by_version<T>(
        &self,
        sql: impl FnOnce(i64) -> Option<String>,
        parameters: impl rusqlite::Params,
        mut row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut room = limit::room(self.limit.is_some());
        self.read(|connection, version| {
            let Some(sql) = sql(version) else {
                return Ok(Vec::new());
            };
            let mut statement = connection.prepare(&sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(parameters, |found| {
                room.take(found, columns)?;
                row(found)
            });
            rows?.collect()
        })
    }

    /// Reads in one transaction, from a database that was opened in its present version.
    fn read<T>(&self, read: impl FnOnce(&Connection, i64) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let failed = |error| open::sqlite_error("read", &self.path, error);
        let _reading = self.limit.as_ref().map(TimeLimit::start);
        let mut opened = self.opened.borrow_mut();
        let file_id = FileId::of(&self.path);
        if file_id.is_some() && file_id != opened.file_id {
            *opened = Opened::new(&self.path, self.limit.as_ref())?;
        }
        loop {
            let known = opened.version;
            let transaction = opened.connection.unchecked_transaction().map_err(failed)?;
            let version: i64 = transaction
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .map_err(failed)?;
            if version == known {
                return read(&transaction, version).map_err(failed);
            }
            drop(transaction);
            *opened = Opened::new(&self.path, self.limit.as_ref())?;
        }
    }
}

const INCIDENT: &str = "id, monitor, kind, label, started, ended, reason, messages";

/// The condition on the first parameter; written so that the index of one monitor
/// is used.
fn of(monitor: Option<&str>) -> &'static str {
    match monitor {
        Some(_) => "monitor = ?1",
        None => "?1 IS NULL",
    }
}

fn stretch(row: &Row<'_>) -> rusqlite::Result<Stretch> {
    let kind: String = row.get(1)?;
    let known = StretchKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Stretch {
        monitor: row.get(0)?,
        kind: match known {
            Some(known) => known,
            None if kind == schema::SILENCED => StretchKind::AlarmsOff,
            None => StretchKind::Unwatched,
        },
        started: value::time_at(row, 2)?.unwrap_or(Timestamp::UNIX_EPOCH),
        ended: value::time_at(row, 3)?.unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

fn state(row: &Row<'_>) -> rusqlite::Result<MonitorState> {
    Ok(MonitorState {
        memory: table::memory(row).unwrap_or_default(),
        ..table::state(row)?
    })
}

/// Reads a row of `port_changes`; `None` if its texts are not valid.
fn port_change(row: &Row<'_>) -> rusqlite::Result<Option<PortChangeRecord>> {
    let (kind, before, after): (String, Option<String>, Option<String>) =
        (row.get(4)?, row.get(5)?, row.get(6)?);
    let Some(event) = PortEvent::from_texts(&kind, before.as_deref(), after.as_deref()) else {
        return Ok(None);
    };
    Ok(Some(PortChangeRecord {
        monitor: row.get(0)?,
        at: value::time_at(row, 1)?.unwrap_or(Timestamp::UNIX_EPOCH),
        change: PortChange {
            index: row.get(2)?,
            port: row.get(3)?,
            event,
            notified: row.get(7)?,
        },
    }))
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let kind: String = row.get(2)?;
    Ok(Incident {
        id: row.get(0)?,
        monitor: row.get(1)?,
        kind: match kind.as_str() {
            "unknown" => IncidentKind::Unknown,
            "notice" => IncidentKind::Notice(row.get::<_, Option<String>>(3)?.unwrap_or_default()),
            _ => IncidentKind::Outage,
        },
        started: value::time_at(row, 4)?.unwrap_or(Timestamp::UNIX_EPOCH),
        ended: value::time_at(row, 5)?,
        reason: row.get(6)?,
        notifications: row.get(7)?,
    })
}

impl HistoryReader for History {
    fn monitors(&self) -> Result<Vec<String>, StoreError> {
        Self::monitors(self)
    }

    fn incidents(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Incident>, StoreError> {
        Self::incidents(self, monitor, span)
    }

    fn deliveries(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Delivery>, StoreError> {
        Self::deliveries(self, monitor, span)
    }

    fn results(&self, monitor: &str) -> Result<Vec<CheckResult>, StoreError> {
        Self::results(self, monitor)
    }

    fn stretches(&self, monitor: &str, from: Timestamp) -> Result<Vec<Stretch>, StoreError> {
        Self::stretches(self, monitor, from)
    }

    fn port_changes(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<PortChangeRecord>, StoreError> {
        Self::port_changes(self, monitor, span)
    }
}

fn result(row: &Row<'_>) -> rusqlite::Result<CheckResult> {
    let verdict: String = row.get(2)?;
    Ok(CheckResult {
        monitor: row.get(0)?,
        at: value::time_at(row, 1)?.unwrap_or(Timestamp::UNIX_EPOCH),
        verdict: match verdict.as_str() {
            "up" => Verdict::Up,
            "down" => Verdict::Down,
            _ => Verdict::Unknown,
        },
        latency: value::duration_at(row, 3)?,
        reason: row.get(4)?,
        // Not kept for each result.
        max_gap: Duration::ZERO,
        known: None,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let fate: String = row.get(7)?;
    Ok(Delivery {
        channel: row.get(0)?,
        notification: row.get(1)?,
        incident: row.get(2)?,
        monitor: row.get(3)?,
        label: row.get(4)?,
        at: value::time_at(row, 5)?.unwrap_or(Timestamp::UNIX_EPOCH),
        tries: row.get(6)?,
        fate: DeliveryFate::ALL
            .into_iter()
            .find(|known| known.as_str() == fate)
            .unwrap_or(DeliveryFate::Dropped),
        error: row.get(8)?,
    })
}
