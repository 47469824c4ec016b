//! Whether the database still contains what was written to it.
//!
//! The state in memory is what counts while a process runs; the file only has to be the same.
//! A few calls of `stat` per commit find out whether anybody else has written any of the files.
//! Only then, and every few minutes, the content is read and compared.

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use apmon_core::{Commit, MonitorState};
use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::{memory::MemoryTable, schema, table};
use crate::{
    file::{beside, directory, owner_of},
    model::Model,
};

/// The files that SQLite would take for the newest part of the database.
const SIDE_FILES: [&str; 2] = ["-journal", "-wal"];

/// The suffix of a file beside the database at `path` that another process has left there:
/// after a commit all of them are empty or missing. SQLite would read the next transaction from
/// it, or undo the last one with it. With `has_log`, the database itself has a write-ahead log.
pub(super) fn foreign_side_file(path: &Path, has_log: bool) -> Option<&'static str> {
    let has_content = |suffix: &&str| {
        let found = fs::symlink_metadata(beside(path, suffix));
        // The owner of an empty one may write it later.
        found.is_ok_and(|found| !found.is_file() || found.len() > 0 || owner_of(&found).is_some())
    };
    let foreign = |suffix: &&str| !(has_log && *suffix == "-wal");
    SIDE_FILES.into_iter().filter(foreign).find(has_content)
}

/// Whether the directory of `path` is one such as `/tmp`, where everybody may create files and
/// remove only their own.
pub(super) fn is_shared_directory(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        const STICKY: u32 = 0o1000;
        let directory = fs::metadata(directory(path)).map(|found| found.permissions().mode());
        directory.is_ok_and(|mode| mode & STICKY != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// In a directory such as `/tmp`, takes the names beside the database at `path` before another user
/// does, who could then keep it from being read and written: nobody else can remove these files, and
/// SQLite ignores empty ones.
pub(super) fn hold_side_files(path: &Path) {
    if !is_shared_directory(path) {
        return;
    }
    for suffix in SIDE_FILES {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One that is there already is checked before each use.
        let _ = options.open(beside(path, suffix));
    }
}

/// Removes the empty files of this user beside the database, so that it is one file.
pub(super) fn remove_side_files(path: &Path) {
    for file in SIDE_FILES.map(|suffix| beside(path, suffix)) {
        let is_own = |found: fs::Metadata| found.is_file() && found.len() == 0;
        if fs::symlink_metadata(&file).is_ok_and(is_own) {
            let _ = fs::remove_file(file);
        }
    }
}

/// SQLite's lock for a transaction that writes: the byte after the first 1 GiB, or the next one.
const WRITE_LOCKS: std::ops::RangeInclusive<u64> = 0x4000_0000..=0x4000_0001;

/// Whether another process is writing the database with `inode`, so that the journal is its own.
/// The list of locks is read because asking the file itself would need a descriptor of it, and
/// closing that would release SQLite's locks. Where there is no such list, nobody is assumed to.
pub(super) fn is_being_written(inode: u64) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .any(|line| is_write_lock(line, inode, std::process::id()))
}

/// Whether a line such as `1: POSIX  ADVISORY  WRITE 21803 fe:00:11100164 1073741824 1073742335` is
/// a lock for writing by another process. On some file systems the device is not that of `stat`, so
/// it is not compared.
fn is_write_lock(line: &str, inode: u64, own_pid: u32) -> bool {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let mut next = || columns.next().unwrap_or_default();
    let (class, _, access, pid, file, first, last) = (next(), next(), next(), next(), next(), next(), next());
    let is_file = file
        .rsplit(':')
        .next()
        .is_some_and(|found| found.parse() == Ok(inode));
    let first: u64 = first.parse().unwrap_or(u64::MAX);
    let last: u64 = last.parse().unwrap_or(u64::MAX); // "EOF"
    (class, access) == ("POSIX", "WRITE")
        && is_file
        && pid.parse() != Ok(own_pid)
        && first <= *WRITE_LOCKS.end()
        && last >= *WRITE_LOCKS.start()
}

/// Whether `stored` is what is left of `model` without what `commit` writes anyway.
pub(super) fn is_same(stored: &Model, model: &Model, commit: &Commit) -> bool {
    let Ok(expected) = as_stored(model) else {
        return false;
    };
    let states = commit.states.iter().map(|(name, _)| name.as_str());
    let written: HashSet<&str> = states.chain(commit.forget.iter().map(String::as_str)).collect();
    let keys: HashSet<String> = commit.outbox.iter().map(|entry| entry.key()).collect();
    let settled: HashSet<&str> = commit.settled.iter().map(String::as_str).collect();
    let records: HashSet<&str> = commit.records.iter().map(|(key, _)| key.as_str()).collect();
    let is_other_state = |(name, _): &(&String, &Arc<MonitorState>)| !written.contains(name.as_str());
    let monitors = |model: &Model| -> Vec<(String, MonitorState)> {
        let others = model.monitors.iter().filter(is_other_state);
        others
            .map(|(name, state)| (name.clone(), without_counts(state)))
            .collect()
    };
    let outbox = |model: &Model| -> Vec<_> {
        let entries = model.outbox.iter().map(|entry| (entry.key(), entry.clone()));
        let mut others: Vec<_> = entries
            .filter(|(key, _)| !keys.contains(key) && !settled.contains(key.as_str()))
            .collect();
        others.sort_by(|(one, _), (other, _)| one.cmp(other));
        others
    };
    let others = |model: &Model| -> Vec<_> {
        let others = model
            .records
            .iter()
            .filter(|(key, _)| !records.contains(key.as_str()));
        others
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect()
    };
    monitors(stored) == monitors(&expected)
        && outbox(stored) == outbox(&expected)
        && others(stored) == others(&expected)
}

/// Counts are written seldom, so those in the file may be older.
fn without_counts(state: &MonitorState) -> MonitorState {
    let mut state = state.clone();
    state.memory.counts = None;
    state
}

/// The model as it is read back from a database: times in microseconds, JSON in one form.
fn as_stored(model: &Model) -> rusqlite::Result<Model> {
    let mut connection = Connection::open_in_memory()?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::migrate(&transaction, 0)?;
    table::write_all(&transaction, model)?;
    let all = model.records.iter();
    table::write_records(
        &transaction,
        all.map(|(key, record)| (key.clone(), Some(record.clone()))),
    )?;
    MemoryTable::default().write(
        &transaction,
        model,
        std::iter::empty(),
        true,
        Timestamp::UNIX_EPOCH,
    )?;
    transaction.commit()?;
    Ok(table::read(&connection, "")?.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_another_writer_is_recognised() {
        let held = "1: POSIX  ADVISORY  WRITE 21803 fe:00:11100164 1073741824 1073742335";
        assert!(is_write_lock(held, 11_100_164, 1));
        assert!(!is_write_lock(held, 11_100_164, 21_803), "our own");
        assert!(!is_write_lock(held, 164, 1), "another file");
        for other in [
            "2: POSIX  ADVISORY  READ 21803 fe:00:11100164 1073741826 1073742335",
            "2: POSIX  ADVISORY  WRITE 21803 fe:00:11100164 0 0",
            "3: FLOCK  ADVISORY  WRITE 21803 fe:00:11100164 0 EOF",
            "2: -> POSIX  ADVISORY  WRITE 21803 fe:00:11100164 1073741825 1073741825",
            "",
        ] {
            assert!(!is_write_lock(other, 11_100_164, 1), "{other}");
        }
        let whole = "4: POSIX  ADVISORY  WRITE 7 fe:00:11100164 0 EOF";
        assert!(is_write_lock(whole, 11_100_164, 1));
    }
}
