//! The read side: what stands in a database, beside whoever writes it.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use apmon_core::{
    Delivery, DeliveryFate, Incident, IncidentKind, LookResult, MonitorState, OutboxEntry, StoreError,
    Verdict,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{open, rows};
use crate::disk;

/// From a moment to a moment, both included.
pub type Span = RangeInclusive<Timestamp>;

/// Reads the database of a [`SqliteStore`](crate::SqliteStore), also while a
/// daemon writes it; it never writes itself. Each call sees one moment.
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
    connection: Connection,
    place: std::path::PathBuf,
}

impl History {
    /// Opens the database at `path` to read it. It needs no lock.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        std::fs::File::open(path).map_err(|error| disk::failed("read", path, error))?;
        let connection = open::to_read(path).map_err(|error| open::failed("open", path, error))?;
        Ok(Self {
            connection,
            place: path.to_owned(),
        })
    }

    /// State by monitor name, at most some seconds old.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn states(&self) -> Result<BTreeMap<String, MonitorState>, StoreError> {
        let states = self.list("SELECT * FROM states", params![], |row| {
            Ok((row.get(0)?, rows::state(row)?))
        })?;
        Ok(states.into_iter().collect())
    }

    /// Messages on their way, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outbox(&self) -> Result<Vec<OutboxEntry>, StoreError> {
        self.list("SELECT entry FROM outbox ORDER BY place", params![], rows::entry)
    }

    /// What went on at some time of `span`, of one monitor or of all; oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn incidents(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Incident>, StoreError> {
        self.list(
            "SELECT id, monitor, kind, label, started, ended, reason, messages FROM incidents
             WHERE (?1 IS NULL OR monitor = ?1) AND started <= ?3 AND (ended IS NULL OR ended >= ?2)
             ORDER BY started, rowid",
            params![monitor, rows::micros(*span.start()), rows::micros(*span.end())],
            incident,
        )
    }

    /// The last hundred looks at a monitor, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn results(&self, monitor: &str) -> Result<Vec<LookResult>, StoreError> {
        self.list(
            "SELECT name, at, verdict, latency, reason FROM results JOIN watched ON id = monitor
             WHERE name = ?1 ORDER BY number",
            params![monitor],
            result,
        )
    }

    /// What became of the messages of `span`, about one monitor or all; oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn deliveries(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Delivery>, StoreError> {
        self.list(
            "SELECT channel, message, incident, monitor, label, at, tries, fate, error FROM deliveries
             WHERE (?1 IS NULL OR monitor = ?1) AND at BETWEEN ?2 AND ?3 ORDER BY at, rowid",
            params![monitor, rows::micros(*span.start()), rows::micros(*span.end())],
            delivery,
        )
    }

    fn list<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let all = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map(parameters, read)?.collect()
        };
        all().map_err(|error| open::failed("read", &self.place, error))
    }
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
        started: rows::time_at(row, 4)?.unwrap_or(Timestamp::UNIX_EPOCH),
        ended: rows::time_at(row, 5)?,
        reason: row.get(6)?,
        messages: row.get(7)?,
    })
}

fn result(row: &Row<'_>) -> rusqlite::Result<LookResult> {
    let verdict: String = row.get(2)?;
    Ok(LookResult {
        monitor: row.get(0)?,
        at: rows::time_at(row, 1)?.unwrap_or(Timestamp::UNIX_EPOCH),
        verdict: match verdict.as_str() {
            "up" => Verdict::Up,
            "down" => Verdict::Down,
            _ => Verdict::Unknown,
        },
        latency: rows::duration_at(row, 3)?,
        reason: row.get(4)?,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let fate: String = row.get(7)?;
    Ok(Delivery {
        channel: row.get(0)?,
        message: row.get(1)?,
        incident: row.get(2)?,
        monitor: row.get(3)?,
        label: row.get(4)?,
        at: rows::time_at(row, 5)?.unwrap_or(Timestamp::UNIX_EPOCH),
        tries: row.get(6)?,
        fate: DeliveryFate::ALL
            .into_iter()
            .find(|known| known.as_str() == fate)
            .unwrap_or(DeliveryFate::Dropped),
        error: row.get(8)?,
    })
}
