//! Opening a database, also one that is damaged, read-only or of another program.

use std::{fs, io, path::Path, time::Duration};

use apmon_core::{StoreError, input_file::InputFileError, text::printable};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, limits::Limit};

use super::{
    intact,
    schema::{self, Kind},
    table,
};
use crate::{
    file::{
        self, beside, damaged, directory, display, input_error, io_error, is_missing, make_directory,
        newer_version, sync_directory,
    },
    model::Loaded,
    owner,
    trust::Trust,
};

/// The largest row or text that is read or made: a database may be anybody's. A state with the
/// memory of a large device has a few megabytes.
const MAX_ROW_BYTES: i32 = 128 << 20;

/// How long another transaction (of a person with the `sqlite3` tool) is waited
/// for; shorter than the engine waits for a store.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

const FOREIGN: &str = "a database of another program";

/// The result of opening a file to read it.
pub(super) enum Opened {
    /// There is no database yet.
    Missing,
    /// A sound database.
    Good { connection: Connection, loaded: Loaded },
    /// A damaged database, and what could be salvaged.
    Damaged {
        reason: String,
        salvaged: Option<Loaded>,
    },
}

/// Identity of a file, whatever its name (on Unix, device and inode).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId(u64, u64);

impl FileId {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            Some(Self(metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        {
            let _ = metadata; // an open file cannot be removed there
            Some(Self(0, 0))
        }
    }

    pub(super) fn inode(self) -> u64 {
        self.1
    }
}

/// The error for a database that another process is writing.
pub(super) fn busy(path: &Path) -> StoreError {
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    sqlite_error("write", path, rusqlite::Error::SqliteFailure(busy, None))
}

/// Whether there is no file, or one in which nothing was written before a crash.
pub(super) fn is_empty(path: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) == 0 && size(&beside(path, "-wal")) == 0
}

/// Opens the database, checks all of it for damage, and reads everything but the history.
pub(super) fn read(path: &Path, trust: Trust) -> Result<Opened, StoreError> {
    read_and_check(path, trust, true)
}

/// [`read`] without the check, whose time grows with the history.
pub(super) fn read_unchecked(path: &Path, trust: Trust) -> Result<Opened, StoreError> {
    read_and_check(path, trust, false)
}

fn read_and_check(path: &Path, trust: Trust, check: bool) -> Result<Opened, StoreError> {
    match fs::metadata(path) {
        Err(error) if is_missing(&error) => return Ok(Opened::Missing),
        Err(error) => return Err(io_error("read", path, error)),
        Ok(metadata) if !metadata.is_file() => return Err(damaged(path, "not a regular file")),
        Ok(_) => {}
    }
    guard(path, trust)?;
    may_be_read(path)?;
    if is_empty(path) {
        return Ok(Opened::Missing);
    }
    let connection = match open_writable_or_not(path) {
        Ok(connection) => connection,
        Err(error) if is_damage(&error) => {
            return Ok(Opened::Damaged {
                reason: error.to_string(),
                salvaged: None,
            });
        }
        Err(error) => return Err(sqlite_error("open", path, error)),
    };
    let salvage = |reason: String, connection: &Connection| Opened::Damaged {
        reason,
        salvaged: table::salvage(connection, &display(path)),
    };
    match schema::kind_of(&connection) {
        Ok(Kind::Empty) => return Ok(Opened::Missing),
        Ok(kind) => version(&kind, path).map(drop)?,
        Err(error) if is_damage(&error) => return Ok(salvage(error.to_string(), &connection)),
        Err(error) => return Err(sqlite_error("read", path, error)),
    }
    let verdict: rusqlite::Result<String> = match check {
        true => connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)),
        false => Ok("ok".to_owned()),
    };
    match verdict {
        Ok(verdict) if verdict == "ok" => {}
        Ok(verdict) => return Ok(salvage(printable(&verdict).into_owned(), &connection)),
        Err(error) if is_damage(&error) => return Ok(salvage(error.to_string(), &connection)),
        Err(error) => return Err(sqlite_error("read", path, error)),
    }
    match table::read(&connection, &display(path)) {
        Ok(loaded) => Ok(Opened::Good { connection, loaded }),
        Err(error) if is_damage(&error) => Ok(salvage(error.to_string(), &connection)),
        Err(error) => Err(sqlite_error("read", path, error)),
    }
}

/// The version of a database's content; 0 if it is empty.
pub(super) fn version_of(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let kind = schema::kind_of(connection).map_err(|error| sqlite_error("read", path, error))?;
    version(&kind, path)
}

fn version(kind: &Kind, path: &Path) -> Result<i64, StoreError> {
    match kind {
        Kind::Empty => Ok(0),
        Kind::Foreign => Err(damaged(path, FOREIGN)),
        Kind::Ours(version) if *version > schema::VERSION => Err(damaged(path, newer_version(version))),
        Kind::Ours(version) => Ok(*version),
    }
}

/// Opens a database for reading and writing, or only for reading where writing
/// is not possible.
fn open_writable_or_not(path: &Path) -> rusqlite::Result<Connection> {
    let opened = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    match opened {
        Err(error) if !is_damage(&error) && !is_busy(&error) => to_read(path),
        opened => opened,
    }
}

/// The error that says why a file may not be read, which SQLite's own does not. The file is not
/// opened: closing it would release SQLite's locks on it, which belong to the process.
pub(super) fn may_be_read(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| io_error("read", path, error))?;
    if metadata.is_dir() {
        return Err(input_error(path, InputFileError::Directory));
    }
    // Opening a pipe waits for its writer.
    if !metadata.is_file() {
        return Err(input_error(path, InputFileError::Special));
    }
    #[cfg(unix)]
    rustix::fs::access(path, rustix::fs::Access::READ_OK)
        .map_err(|error| io_error("read", path, error.into()))?;
    Ok(())
}

/// Opens a database for reading, also while another process writes it. What a killed
/// process has left unfinished in it is undone, as far as this process may write. On a
/// read-only disk, where the file by which the two coordinate cannot be created,
/// reads what is in the database file itself; never while another process has it locked to
/// write it, since half of a transaction may be in it.
pub(super) fn to_read(path: &Path) -> rusqlite::Result<Connection> {
    match open(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(error) if is_unfinished(&error) && owner::check(path).is_ok() => {
            open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|_| error)?;
            open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        Err(error) if !is_damage(&error) && !is_busy(&error) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            open(path, flags).map_err(|_| error)
        }
        opened => opened,
    }
}

/// The URI of a database that is read as if nobody wrote it.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Opens a database and reads one page, to find out whether it can be read. SQLite follows no link:
/// in a directory such as `/tmp`, somebody may have put one there since the owner was checked.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let mut name = file::without_links(path).into_os_string();
    if flags.contains(OpenFlags::SQLITE_OPEN_URI) {
        name = immutable_uri(Path::new(&name)).into();
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(name, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Makes sure that SQLite, which opens files by their names, uses no other user's. The names
/// beside the database are taken first: then nobody else can take one after the check.
fn guard(path: &Path, trust: Trust) -> Result<(), StoreError> {
    // Of a link of one's own, SQLite uses the files beside its target.
    let real = file::without_links(path);
    intact::hold_side_files(&real);
    let files = ["", "-journal", "-wal", "-shm"].map(|suffix| beside(&real, suffix));
    for file in std::iter::once(path.to_owned()).chain(files) {
        if let Ok(found) = fs::symlink_metadata(&file) {
            trust.check(&file, &found)?;
        }
    }
    Ok(())
}

/// Opens a database for writing; creates a missing one and updates an older one.
pub(super) fn to_write(path: &Path, trust: Trust) -> Result<Connection, StoreError> {
    create(path)?;
    guard(path, trust)?;
    let failed = |step| move |error| sqlite_error(step, path, error);
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed("open"))?;
    let kind = schema::kind_of(&connection).map_err(failed("open"))?;
    let version = version(&kind, path)?;
    // As long as another program has a database with a write-ahead log open, it stays so. Nothing
    // waits for that program: the next commit tries again.
    let mode = connection
        .busy_timeout(Duration::ZERO)
        .and_then(|()| connection.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(())));
    match mode {
        Err(error) if !is_busy(&error) => return Err(failed("write")(error)),
        _ => connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("open"))?,
    }
    connection
        .execute_batch(
            // Half of SQLite's own cache: the system caches the file as well. No part of a file is
            // mapped: if it were cut off, the process would be killed.
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;
             PRAGMA cache_spill = 4096", // a large commit is written once, at its end
        )
        .map_err(failed("write"))?;
    if version < schema::VERSION {
        let mut migrate = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            schema::migrate(&transaction, version)?;
            transaction.commit()
        };
        migrate().map_err(failed("write"))?;
        sync_directory(path)?;
    }
    Ok(connection)
}

/// Whether a database has a write-ahead log.
pub(super) fn has_log(connection: &Connection) -> bool {
    let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    mode.is_ok_and(|mode| mode.eq_ignore_ascii_case("wal"))
}

/// Creates the file, readable by its owner alone; SQLite gives the files beside
/// it the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let created = options.open(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            make_directory(path)?;
            options.open(path)
        }
        _ => Err(error),
    });
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(io_error("make directory", directory(path), error))
        }
        Err(error) => Err(io_error("create", path, error)),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether the file itself is damaged, so that trying again does not help.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) || matches!(error, rusqlite::Error::SqliteFailure(error, Some(text))
        if error.code == ErrorCode::Unknown && text.starts_with("no such "))
}

/// Whether a transaction was not finished by the process that began it, so that a reader would
/// have to undo it.
fn is_unfinished(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// Whether a transaction may be in the database although its `COMMIT` failed with this error:
/// the last step, syncing the file, may have failed after all of it was written.
pub(super) fn may_be_stored(error: &rusqlite::Error) -> bool {
    let is_refused = matches!(
        code(error),
        Some(
            // The end of the transaction found no room.
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ConstraintViolation
        )
    );
    // A damaged database is set aside, whatever it contains.
    !is_refused && !is_unwritten(error) && !is_damage(error)
}

/// Whether there is a link in place of a database or of a directory above it.
fn is_link(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_CANTOPEN_SYMLINK)
}

/// Whether something could not be written, which ends a transaction before its journal.
fn is_unwritten(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// The most bytes that a file may have, if they are limited.
fn file_size_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    None
}

/// [`is_damage`] for an error made by [`sqlite_error`].
pub(super) fn is_damage_io(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

pub(super) fn sqlite_error(step: &'static str, path: &Path, error: rusqlite::Error) -> StoreError {
    let kind = match code(&error) {
        _ if is_link(&error) => {
            return io_error(
                step,
                path,
                io::Error::other("it is a link, which is not followed"),
            );
        }
        _ if is_damage(&error) => io::ErrorKind::InvalidData,
        Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
        Some(ErrorCode::OperationInterrupted) => {
            let reason = "it takes too long: it may be no database of apmon";
            return io_error(step, path, io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => io::ErrorKind::ResourceBusy,
        // SQLite does not say why it could not write.
        _ if is_unwritten(&error)
            && let Some(limit) = file_size_limit() =>
        {
            let reason =
                format!("{error} (this process may write files of at most {limit} bytes, ulimit -f)");
            return io_error(step, path, io::Error::other(reason));
        }
        _ => io::ErrorKind::Other,
    };
    io_error(step, path, io::Error::new(kind, error))
}
