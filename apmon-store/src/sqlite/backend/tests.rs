use apmon_core::{CheckResult, MonitorState, Records, Verdict};
use rusqlite::ffi;

use super::*;

fn backend(path: &Path) -> SqliteBackend {
    SqliteBackend::new(
        path,
        TimeZone::UTC,
        true,
        Trust::Own,
        Arc::new(AtomicU32::new(400)),
    )
}

/// The commit of this number: a state and a check result.
fn commit(number: u64) -> Commit {
    let result = CheckResult {
        monitor: "a".into(),
        at: Timestamp::from_second(1_790_000_000 + i64::try_from(number).unwrap()).unwrap(),
        verdict: Verdict::Up,
        latency: None,
        reason: None,
        max_gap: Duration::ZERO,
        known: None,
    };
    let state = MonitorState {
        down_count: u32::try_from(number).unwrap(),
        ..MonitorState::default()
    };
    Commit {
        epoch: 1,
        number,
        states: vec![("a".into(), state.into())],
        history: Records {
            results: [result].into(),
            ..Records::default()
        }
        .into(),
        ..Commit::default()
    }
}

/// Writes a commit as the store thread does: one that fails leaves no trace in the model.
fn write(backend: &mut SqliteBackend, model: &mut Model, commit: &Commit) -> Result<(), StoreError> {
    let undo = model.apply(commit);
    let written = backend.write(commit, model);
    if written.is_err() {
        model.undo(undo);
    }
    written
}

fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

fn count(path: &Path, table: &str) -> u32 {
    let connection = Connection::open(path).unwrap();
    let sql = format!("SELECT count(*) FROM {table}");
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// The disk reports that it could not sync, before or after the transaction is in the file.
#[test]
fn a_commit_that_may_have_taken_effect_is_in_doubt_and_stored_once() {
    let ends: [fn(Transaction<'_>) -> rusqlite::Result<()>; 2] = [
        |transaction| {
            transaction.commit()?;
            Err(failure(ffi::SQLITE_IOERR_FSYNC))
        },
        |_| Err(failure(ffi::SQLITE_IOERR_FSYNC)),
    ];
    for end in ends {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let mut backend = backend(&path);
        let mut model = backend.read().unwrap().model;
        write(&mut backend, &mut model, &commit(1)).unwrap();
        backend.end = end;
        let error = write(&mut backend, &mut model, &commit(2)).unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
        backend.end = |transaction| transaction.commit();
        write(&mut backend, &mut model, &commit(2)).unwrap();
        write(&mut backend, &mut model, &commit(3)).unwrap();
        drop(backend);
        assert_eq!(count(&path, "results"), 3, "each result once");
        let loaded = self::backend(&path).read().unwrap().model;
        assert_eq!((loaded.number, loaded.monitors["a"].down_count), (3, 3));
    }
}

#[test]
fn a_commit_that_cannot_have_taken_effect_is_not_in_doubt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut backend = backend(&path);
    let mut model = backend.read().unwrap().model;
    backend.end = |_| Err(failure(ffi::SQLITE_FULL));
    let error = write(&mut backend, &mut model, &commit(1)).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    backend.end = |transaction| transaction.commit();
    write(&mut backend, &mut model, &commit(2)).unwrap();
    assert_eq!(count(&path, "results"), 1);
}

/// The last moment at which nobody notices a change of the file: it has the time of the commit.
#[test]
fn damage_during_a_commit_is_found_at_the_next_one() {
    let ends: [fn(Transaction<'_>) -> rusqlite::Result<()>; 2] = [
        |transaction| {
            let path = transaction.path().unwrap().to_owned();
            transaction.commit()?;
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            fs::write(path, vec![0xa5; length]).unwrap();
            Ok(())
        },
        |transaction| {
            let path = transaction.path().unwrap().to_owned();
            transaction.commit()?;
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(4096 * 3).unwrap();
            Ok(())
        },
    ];
    for end in ends {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let mut backend = backend(&path);
        let mut model = backend.read().unwrap().model;
        write(&mut backend, &mut model, &commit(1)).unwrap();
        backend.end = end;
        write(&mut backend, &mut model, &commit(2)).unwrap();
        backend.end = |transaction| transaction.commit();
        write(&mut backend, &mut model, &commit(3)).unwrap();
        drop(backend);
        let loaded = self::backend(&path).read().unwrap();
        assert_eq!(loaded.model.monitors["a"].down_count, 3);
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }
}
