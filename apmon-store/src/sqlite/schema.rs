//! The database's tables, and the steps that update an older database.

use rusqlite::{Connection, Transaction};

/// Number of results kept per monitor.
pub(super) const RESULTS_KEPT: i64 = 100;

/// The application id that marks a database as apmon's: `apmn`.
pub(super) const APPLICATION_ID: i32 = 0x6170_6d6e;

/// The present version of the content, stored in `user_version`.
pub(super) const VERSION: i64 = 4;

/// The first version with the table `stretches`.
pub(super) const STRETCHES: i64 = 2;

/// The first version with the tables `memories` and `port_changes`.
pub(super) const MEMORIES: i64 = 3;

/// The first version with the column `port_changes.notified`, and with stretches
/// of kind `alarms_off` instead of [`SILENCED`].
pub(super) const NOTIFIED: i64 = 4;

/// The kind of stretch that is `alarms_off` since version 4.
pub(super) const SILENCED: &str = "silenced";

/// Step `n` updates version `n` to `n + 1`. A released step is never changed:
/// databases of every version exist.
const STEPS: [&str; 4] = [
    "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE states (
    name TEXT PRIMARY KEY,
    is_up INTEGER,
    last_checked INTEGER,
    last_response_time INTEGER,
    last_notified INTEGER,
    last_alarm_started INTEGER,
    last_successful_heartbeat INTEGER,
    down_count INTEGER NOT NULL,
    notified_count INTEGER NOT NULL,
    error_reason TEXT,
    last_config_checksum TEXT,
    own TEXT,
    other TEXT
) WITHOUT ROWID;
CREATE TABLE outbox (place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, entry TEXT NOT NULL);
CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    monitor TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT,
    started INTEGER NOT NULL,
    ended INTEGER,
    reason TEXT,
    messages INTEGER NOT NULL
);
CREATE INDEX incidents_of ON incidents (monitor, started);
CREATE TABLE deliveries (
    message TEXT NOT NULL,
    channel TEXT NOT NULL,
    incident TEXT NOT NULL,
    monitor TEXT NOT NULL,
    label TEXT NOT NULL,
    at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    fate TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (message, channel)
);
CREATE INDEX deliveries_of ON deliveries (monitor, at);
CREATE TABLE watched (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE results (
    monitor INTEGER NOT NULL,
    place INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    latency INTEGER,
    reason TEXT,
    PRIMARY KEY (monitor, place)
) WITHOUT ROWID;
",
    // The times a monitor was watched, as far as they can be derived afterwards.
    "
ALTER TABLE watched ADD COLUMN since INTEGER;
ALTER TABLE watched ADD COLUMN last INTEGER;
ALTER TABLE watched ADD COLUMN max_gap INTEGER;
UPDATE watched SET since = (SELECT min(at) FROM results WHERE monitor = watched.id);
UPDATE watched SET since = min(since, coalesce(
    (SELECT min(started) FROM incidents WHERE incidents.monitor = watched.name), since));
CREATE TABLE stretches (
    monitor TEXT NOT NULL,
    kind TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
CREATE INDEX stretches_of ON stretches (monitor, started);
",
    // What is large and changes at every check is not written with every state.
    "
CREATE TABLE memories (monitor TEXT PRIMARY KEY, kept TEXT, counts TEXT) WITHOUT ROWID;
INSERT INTO memories (monitor, kept) SELECT name, other FROM states WHERE other IS NOT NULL;
ALTER TABLE states DROP COLUMN other;
CREATE TABLE port_changes (
    monitor TEXT NOT NULL,
    at INTEGER NOT NULL,
    port_index INTEGER NOT NULL,
    port TEXT NOT NULL,
    kind TEXT NOT NULL,
    before TEXT,
    after TEXT,
    -- allow-word: the name until version 3
    told INTEGER NOT NULL
);
CREATE INDEX port_changes_of ON port_changes (monitor, at);
CREATE INDEX port_changes_at ON port_changes (at);
",
    // One word for each thing, as in the rest of apmon.
    "
-- allow-word: the name until version 3
ALTER TABLE port_changes RENAME COLUMN told TO notified;
UPDATE stretches SET kind = 'alarms_off' WHERE kind = 'silenced';
",
];

/// Whose database a file is.
pub(super) enum Kind {
    /// apmon's, of this version.
    Ours(i64),
    /// Without any table.
    Empty,
    /// Another program's.
    Foreign,
}

pub(super) fn kind_of(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let id = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    // A view in place of a table of ours could make rows of any size, without end.
    let is_view = "SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name IN
        ('deliveries', 'incidents', 'memories', 'meta', 'outbox', 'port_changes', 'results', 'states', 'stretches', 'watched')";
    let is_ours = id == i64::from(APPLICATION_ID) && number(is_view)? == 0;
    Ok(match (is_ours, tables) {
        (true, _) => Kind::Ours(number("PRAGMA user_version")?),
        (false, 0) => Kind::Empty,
        (false, _) => Kind::Foreign,
    })
}

/// Updates a database of `version` (0: an empty one) to the present version.
pub(super) fn migrate(transaction: &Transaction<'_>, version: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)
}
