//! What others do to the files of a database while it is in use: the state in memory is what
//! counts, and one commit later it is on disk again.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use apmon_core::{Commit, Incident, IncidentKind, Records, StateStore as _};
use apmon_store::{History, JsonStore, SqliteStore, read_snapshot};
use jiff::tz::TimeZone;
use rusqlite::Connection;
use support::{ALL_TIME, at, entry, load, names, one_state, open, wait_until_closed};

/// A commit with a state, a notification and an incident of this number.
fn full_commit(epoch: u64, number: u64) -> Commit {
    let name = number.to_string();
    let incident = Incident {
        id: format!("i{name}"),
        monitor: name.clone(),
        kind: IncidentKind::Outage,
        started: at(0),
        ended: None,
        reason: None,
        notifications: 1,
    };
    Commit {
        number,
        outbox: vec![entry(&name)],
        history: Records {
            incidents: [incident].into(),
            ..Records::default()
        }
        .into(),
        ..one_state(epoch, &name, 1)
    }
}

fn incidents(path: &Path) -> Vec<String> {
    let history = History::open(path).unwrap();
    let incidents = history.incidents(None, &ALL_TIME).unwrap();
    incidents.into_iter().map(|incident| incident.id).collect()
}

fn assert_complete(path: &Path, upto: u64, what: &str) {
    let snapshot = read_snapshot(path, &TimeZone::UTC).unwrap();
    let expected: Vec<_> = (1..=upto).map(|number| number.to_string()).collect();
    assert_eq!(
        snapshot.monitors.keys().cloned().collect::<Vec<_>>(),
        expected,
        "{what}"
    );
    let outbox: Vec<_> = snapshot
        .outbox
        .iter()
        .map(|entry| entry.notification.id.clone())
        .collect();
    assert_eq!(outbox, expected, "{what}");
    assert_eq!(snapshot.warnings, Vec::<String>::new(), "{what}");
}

async fn in_use(path: &Path, commits: u64) -> (SqliteStore, u64) {
    let store = open(path);
    let epoch = store.load().await.unwrap().epoch;
    for number in 1..=commits {
        store.commit(&full_commit(epoch, number)).await.unwrap();
    }
    (store, epoch)
}

fn overwrite(path: &Path, from: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(bytes).unwrap();
}

/// What is done to the database, and whether its history is lost.
type Deed = (&'static str, fn(&Path), bool);

const DEEDS: &[Deed] = &[
    ("removed", |path| fs::remove_file(path).unwrap(), true),
    ("emptied", |path| fs::write(path, "").unwrap(), true),
    (
        "cut off",
        |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2 + 100).unwrap();
        },
        true,
    ),
    (
        "overwritten",
        |path| {
            overwrite(
                path,
                0,
                &vec![0xa5; usize::try_from(fs::metadata(path).unwrap().len()).unwrap()],
            )
        },
        true,
    ),
    (
        "overwritten in the middle",
        |path| overwrite(path, 4096 * 3, &[0xa5; 4096 * 2]),
        true,
    ),
    (
        "a file of garbage instead",
        |path| {
            let new = path.with_extension("new");
            fs::write(&new, vec![0x17; 50_000]).unwrap();
            fs::rename(new, path).unwrap();
        },
        true,
    ),
    (
        "a state deleted",
        |path| {
            let tool = Connection::open(path).unwrap();
            tool.execute("DELETE FROM states WHERE name = '1'", []).unwrap();
        },
        false,
    ),
    (
        "a notification forged",
        |path| {
            let tool = Connection::open(path).unwrap();
            tool.execute("UPDATE outbox SET key = 'x', entry = replace(entry, 'a is down', 'b is down') WHERE place = 1", [])
                .unwrap();
        },
        false,
    ),
    (
        "a log of garbage beside it",
        |path| fs::write(path.with_extension("db-wal"), vec![0x17; 50_000]).unwrap(),
        false,
    ),
    (
        "an empty log beside it",
        |path| {
            fs::write(path.with_extension("db-wal"), "").unwrap();
            fs::write(path.with_extension("db-shm"), "").unwrap();
        },
        false,
    ),
    (
        "a journal of garbage beside it",
        |path| fs::write(path.with_extension("db-journal"), vec![0x17; 50_000]).unwrap(),
        false,
    ),
    (
        "its journal removed",
        |path| fs::remove_file(path.with_extension("db-journal")).unwrap(),
        false,
    ),
    (
        "a write-ahead log turned on",
        |path| {
            let tool = Connection::open(path).unwrap();
            let sql = "PRAGMA journal_mode = WAL; DELETE FROM states WHERE name = '2'";
            tool.execute_batch(sql).unwrap();
        },
        false,
    ),
];

#[tokio::test]
async fn whatever_is_done_to_the_files_the_next_commit_writes_everything_anew() {
    for (what, deed, loses_history) in DEEDS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let (store, epoch) = in_use(&path, 3).await;
        deed(&path);
        for number in 4..=5 {
            let stored = store.commit(&full_commit(epoch, number)).await;
            stored.unwrap_or_else(|error| panic!("{what}: {}", error.one_line()));
            // Others read it beside the store, and find everything.
            assert_complete(&path, number, what);
        }
        drop(store);
        wait_until_closed(&path);
        assert_complete(&path, 5, what);
        let history = incidents(&path);
        assert!(
            history.ends_with(&["i4".to_owned(), "i5".to_owned()]),
            "{what}: {history:?}"
        );
        assert!(*loses_history || history.len() == 5, "{what}: {history:?}");
    }
}

/// A journal of an earlier transaction: SQLite would undo all later ones with it.
#[tokio::test]
async fn a_valid_journal_of_long_ago_undoes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let (store, epoch) = in_use(&path, 2).await;
    let journal = path.with_extension("db-journal");
    let old = {
        let tool = Connection::open(&path).unwrap();
        tool.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE states SET down_count = 9; UPDATE outbox SET entry = entry || ' '; DELETE FROM meta").unwrap();
        tool.execute_batch("PRAGMA cache_spill = 1; DELETE FROM incidents")
            .unwrap();
        let old = fs::read(&journal).unwrap();
        tool.execute_batch("ROLLBACK").unwrap();
        old
    };
    store.commit(&full_commit(epoch, 3)).await.unwrap();
    fs::write(&journal, old).unwrap();
    store.commit(&full_commit(epoch, 4)).await.unwrap();
    assert_complete(&path, 4, "journal");
}

#[tokio::test]
async fn the_database_alone_is_a_complete_backup_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("s.db"), directory.path().join("b/s.db"));
    fs::create_dir(backup.parent().unwrap()).unwrap();
    let (store, epoch) = in_use(&path, 2).await;
    fs::copy(&path, &backup).unwrap();
    assert_complete(&backup, 2, "in use");
    store.commit(&full_commit(epoch, 3)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(names(directory.path()), ["b", "s.db"]);
    assert!(!path.with_extension("db-journal").exists());
    fs::copy(&path, &backup).unwrap();
    assert_complete(&backup, 3, "closed");
    // It is opened again when it is needed again.
    store.commit(&full_commit(epoch, 4)).await.unwrap();
    assert_complete(&path, 4, "again");
}

/// What people do with the `sqlite3` tool, and backups with the file, is no reason for an alarm.
#[tokio::test]
async fn harmless_changes_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let (store, epoch) = in_use(&path, 2).await;
    let tool = Connection::open(&path).unwrap();
    tool.execute_batch("CREATE INDEX mine ON incidents (started); VACUUM; ANALYZE")
        .unwrap();
    fs::hard_link(&path, directory.path().join("link")).unwrap();
    store.commit(&full_commit(epoch, 3)).await.unwrap();
    assert_complete(&path, 3, "index");
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'";
    let indexes: u32 = tool.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!((indexes, incidents(&path).len()), (1, 3));
}

#[tokio::test]
async fn a_database_of_an_older_apmon_with_a_log_of_its_own_becomes_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("s.db"), directory.path().join("old.db"));
    let (store, _) = in_use(&old, 3).await;
    store.close().await.unwrap();
    // As it is left by a kill: the newest state is in the log.
    let tool = Connection::open(&old).unwrap();
    let sql = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; UPDATE states SET down_count = 7";
    tool.execute_batch(sql).unwrap();
    for suffix in ["db", "db-wal"] {
        fs::copy(old.with_extension(suffix), path.with_extension(suffix)).unwrap();
    }
    let store = open(&path);
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors["1"].down_count, 7);
    store.commit(&full_commit(snapshot.epoch, 4)).await.unwrap();
    assert_complete(&path, 4, "old");
    assert!(!path.with_extension("db-wal").exists() && !path.with_extension("db-shm").exists());
}

#[tokio::test]
async fn an_emptied_database_is_reported_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    fs::write(&path, "").unwrap();
    let snapshot = load(&path).await;
    assert_eq!(
        snapshot.warnings,
        [format!("{} is empty: starting without any state", path.display())]
    );
}

#[tokio::test]
async fn a_json_file_that_others_remove_or_write_is_written_anew() {
    let deeds: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| fs::write(path, "{ garbage").unwrap(),
        |path| fs::write(path, r#"{"forged": {"is_up": false}}"#).unwrap(),
    ];
    for deed in deeds {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        let store = JsonStore::open(&path, TimeZone::UTC, None).unwrap();
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&full_commit(epoch, 1)).await.unwrap();
        deed(&path);
        store.commit(&full_commit(epoch, 2)).await.unwrap();
        let store = JsonStore::open(&path, TimeZone::UTC, None).unwrap();
        let snapshot = store.load().await.unwrap();
        assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((snapshot.outbox.len(), snapshot.warnings.len()), (2, 0));
    }
}

/// In a directory such as `/tmp` others may take the names that a commit needs.
#[tokio::test]
async fn names_beside_a_json_file_that_are_taken_keep_no_commit_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let store = JsonStore::open(&path, TimeZone::UTC, None).unwrap();
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&full_commit(epoch, 1)).await.unwrap();
    for taken in ["s.json.new", "s.json.new.2", "s.json.old"] {
        fs::create_dir_all(directory.path().join(taken).join("x")).unwrap();
    }
    for number in 2..4 {
        store.commit(&full_commit(epoch, number)).await.unwrap();
    }
    let store = JsonStore::open(&path, TimeZone::UTC, None).unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
}

/// In a directory such as `/tmp` the names beside a database are taken while it is in use.
#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_put_a_log_beside_a_database_in_a_directory_for_all() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let path = directory.path().join("s.db");
    let (store, epoch) = in_use(&path, 2).await;
    for suffix in ["db-wal", "db-journal"] {
        let held = fs::metadata(path.with_extension(suffix)).unwrap();
        assert_eq!((held.len(), held.mode() & 0o777), (0, 0o600), "{suffix}");
    }
    store.commit(&full_commit(epoch, 3)).await.unwrap();
    assert_complete(&path, 3, "in use");
    store.close().await.unwrap();
    // Between two runs they could be taken as well.
    for suffix in ["db-wal", "db-journal"] {
        let held = fs::metadata(path.with_extension(suffix)).unwrap();
        assert_eq!((held.len(), held.mode() & 0o777), (0, 0o600), "{suffix}");
    }
    assert_complete(&path, 3, "closed");
}

/// An empty one, which its owner may fill. Only root can do this, and CI does.
#[cfg(unix)]
#[tokio::test]
async fn a_file_of_another_user_beside_the_database_is_not_used() {
    for suffix in ["db-wal", "db-journal"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let (store, epoch) = in_use(&path, 2).await;
        let theirs = path.with_extension(suffix);
        let _ = fs::remove_file(&theirs);
        fs::write(&theirs, "").unwrap();
        std::os::unix::fs::chown(&theirs, Some(54_321), None).expect("this test needs root");
        store.commit(&full_commit(epoch, 3)).await.unwrap();
        let names = names(directory.path());
        let is_aside = names
            .iter()
            .any(|name| name.contains(&format!("s.{suffix}.corrupt-")));
        assert!(is_aside, "{names:?}");
        assert_complete(&path, 3, suffix);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_place_of_the_database_is_followed_only_if_it_is_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let (link, target) = (directory.path().join("s.db"), directory.path().join("target.db"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let (store, epoch) = in_use(&target, 1).await;
    store.close().await.unwrap();
    let store = open(&link);
    assert_eq!(store.load().await.unwrap().monitors.len(), 1);
    drop(store);
    std::os::unix::fs::lchown(&link, Some(54_321), None).expect("this test needs root");
    let store = open(&link);
    let error = store.load().await.unwrap_err().one_line();
    assert!(
        error.contains("it belongs to another user (uid 54321)"),
        "{error}"
    );
    let error = store.commit(&full_commit(epoch, 2)).await.unwrap_err().one_line();
    assert!(
        error.contains("it belongs to another user (uid 54321)"),
        "{error}"
    );
    assert!(read_snapshot(&link, &TimeZone::UTC).is_err());
    assert_complete(&target, 1, "target");
}

/// A transaction so large that its journal is on disk before it ends; it is undone at the end.
const LARGE_TRANSACTION: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('PRAGMA cache_size = 1')
database.execute('BEGIN IMMEDIATE')
database.execute('CREATE TABLE scratch (x)')
for _ in range(500):
    database.execute('INSERT INTO scratch VALUES (zeroblob(4000))')
print('ready', flush=True)
sys.stdin.read()
database.execute('ROLLBACK')
";

#[cfg(target_os = "linux")] // elsewhere nobody can tell whose journal it is
#[tokio::test]
async fn the_journal_of_a_program_at_work_is_left_to_it_and_nothing_is_taken_for_damage() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let (store, epoch) = in_use(&path, 2).await;
    let mut other = Command::new("python3")
        .args(["-c", LARGE_TRANSACTION])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(other.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let journal = directory.path().join("state.db-journal");
    assert!(fs::metadata(&journal).unwrap().len() > 0);

    // Twice: what failed once must not look like damage the second time.
    for _ in 0..2 {
        let error = store.commit(&full_commit(epoch, 3)).await.unwrap_err();
        let text = error.one_line();
        assert!(text.contains("locked"), "{text}");
    }
    assert!(
        fs::metadata(&journal).unwrap().len() > 0,
        "the journal is still there"
    );
    assert_eq!(names(directory.path()), ["state.db"], "nothing was set aside");

    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    store.commit(&full_commit(epoch, 3)).await.unwrap();
    assert_complete(&path, 3, "after the other program's end");
    assert_eq!(incidents(&path), ["i1", "i2", "i3"]);
}
