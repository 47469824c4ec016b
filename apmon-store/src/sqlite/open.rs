//! Opening a database, whatever state it is in.

use std::{fs, io, path::Path, time::Duration};

use apmon_core::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    rows::{self, Reading},
    schema::{self, Kind},
};
use crate::{
    disk::{self, shown},
    place::{beside, directory, make_directory},
};

/// Somebody else's transaction (a person's with the `sqlite3` tool) is waited
/// for so long; less than the engine's patience with a store.
const BUSY: Duration = Duration::from_secs(3);

/// What came of opening a file to read it.
pub(super) enum Opened {
    /// There is no database yet.
    Nothing,
    /// It is fine.
    Read {
        connection: Connection,
        reading: Reading,
        mark: Option<Mark>,
    },
    /// It is not, and what could be saved of it.
    Damaged { reason: String, saved: Option<Reading> },
}

/// Which file stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(u64, u64);

pub(super) fn mark_of(path: &Path) -> Option<Mark> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some(Mark(metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata; // nobody removes an open file there
        Some(Mark(0, 0))
    }
}

/// No file, or one in which nothing was written before a crash.
pub(super) fn is_nothing(path: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) == 0 && size(&beside(path, "-wal")) == 0
}

pub(super) fn read(path: &Path) -> Result<Opened, StoreError> {
    match fs::metadata(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Opened::Nothing);
        }
        Err(error) => return Err(disk::failed("read", path, error)),
        Ok(metadata) if !metadata.is_file() => return Err(refused(path, "not a regular file")),
        Ok(_) => {}
    }
    // SQLite says less of why it may not.
    fs::File::open(path).map_err(|error| disk::failed("read", path, error))?;
    if is_nothing(path) {
        return Ok(Opened::Nothing);
    }
    let mark = mark_of(path);
    let connection = match open_somehow(path) {
        Ok(connection) => connection,
        Err(error) if is_damage(&error) => {
            return Ok(Opened::Damaged {
                reason: error.to_string(),
                saved: None,
            });
        }
        Err(error) => return Err(failed("open", path, error)),
    };
    let damaged = |reason: String, connection: &Connection| Opened::Damaged {
        reason,
        saved: rows::salvage(connection, &shown(path)),
    };
    match schema::kind_of(&connection) {
        Ok(Kind::Empty) => return Ok(Opened::Nothing),
        Ok(kind) => version(&kind, path).map(drop)?,
        Err(error) if is_damage(&error) => return Ok(damaged(error.to_string(), &connection)),
        Err(error) => return Err(failed("read", path, error)),
    }
    let check: rusqlite::Result<String> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match check {
        Ok(verdict) if verdict == "ok" => {}
        Ok(verdict) => {
            let verdict = apmon_core::text::printable(&verdict).into_owned();
            return Ok(damaged(verdict, &connection));
        }
        Err(error) if is_damage(&error) => return Ok(damaged(error.to_string(), &connection)),
        Err(error) => return Err(failed("read", path, error)),
    }
    match rows::read(&connection, &shown(path)) {
        Ok(reading) => Ok(Opened::Read {
            connection,
            reading,
            mark,
        }),
        Err(error) if is_damage(&error) => Ok(damaged(error.to_string(), &connection)),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// The version of the content of what is to be read: 0 of an empty one.
pub(super) fn version_of(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let kind = schema::kind_of(connection).map_err(|error| failed("read", path, error))?;
    version(&kind, path)
}

fn version(kind: &Kind, path: &Path) -> Result<i64, StoreError> {
    match kind {
        Kind::Empty => Ok(0),
        Kind::Foreign => Err(refused(path, "a database of another program")),
        Kind::Ours(version) if *version > schema::VERSION => Err(refused(
            path,
            &format!("written by a newer apmon (version {version} of its content)"),
        )),
        Kind::Ours(version) => Ok(*version),
    }
}

/// To read and write, or to read where that is all there is.
fn open_somehow(path: &Path) -> rusqlite::Result<Connection> {
    let opened = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    match opened {
        Err(error) if !is_damage(&error) => to_read(path),
        opened => opened,
    }
}

/// Reads beside whoever writes. On a disk that takes nothing, also not the file
/// by which the two agree, what stands in the database itself is read.
pub(super) fn to_read(path: &Path) -> rusqlite::Result<Connection> {
    match open(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(error) if !is_damage(&error) => {
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
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            open(Path::new(&uri), flags).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Opens it and reads one page, so that it is known whether that can be done.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Ready to be written: made where it is missing, and of the present version.
pub(super) fn to_write(path: &Path) -> Result<(Connection, Option<Mark>), StoreError> {
    create(path)?;
    let wrong = |step| move |error| failed(step, path, error);
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(wrong("open"))?;
    let kind = schema::kind_of(&connection).map_err(wrong("open"))?;
    let version = match kind {
        Kind::Ours(version) => version,
        Kind::Empty => 0,
        Kind::Foreign => return Err(refused(path, "a database of another program")),
    };
    // Answers with the mode it is in, and that may be another.
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .and_then(|()| {
            connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304")
        })
        .map_err(wrong("write"))?;
    if version < schema::VERSION {
        let mut migrated = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            schema::migrate(&transaction, version)?;
            transaction.commit()
        };
        migrated().map_err(wrong("write"))?;
        disk::sync_directory(path)?;
    }
    Ok((connection, mark_of(path)))
}

/// Makes the file, for nobody's eyes but ours; SQLite gives those beside it
/// the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            make_directory(path)?;
            options.open(path)
        }
        _ => Err(error),
    });
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(disk::failed("make directory", directory(path), error))
        }
        Err(error) => Err(disk::failed("create", path, error)),
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// The file itself is wrong, and will be tomorrow.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) || matches!(error, rusqlite::Error::SqliteFailure(error, Some(text))
        if error.code == ErrorCode::Unknown && text.starts_with("no such "))
}

/// The same of an error that [`failed`] made.
pub(super) fn says_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

pub(super) fn failed(step: &'static str, path: &Path, error: rusqlite::Error) -> StoreError {
    let kind = match code(&error) {
        _ if is_damage(&error) => io::ErrorKind::InvalidData,
        Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => io::ErrorKind::ResourceBusy,
        _ => io::ErrorKind::Other,
    };
    disk::failed(step, path, io::Error::new(kind, error))
}

fn refused(path: &Path, reason: &str) -> StoreError {
    StoreError::Damaged {
        place: shown(path),
        reason: reason.to_owned(),
    }
}
