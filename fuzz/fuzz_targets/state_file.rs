//! A state file is read, continued or set aside, whatever it contains, and what
//! was read from it is found again in the file that is written next.

#![no_main]

use std::{
    cell::LazyCell,
    fs,
    path::{Path, PathBuf},
};

use apmon_core::{Commit, MonitorState, Snapshot, StateStore, StoreError};
use apmon_store::JsonStore;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// Longer files are slow and find nothing new.
const MOST_BYTES: usize = 64 * 1024;

thread_local! {
    static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| {
        Builder::new_current_thread().build().expect("a runtime without drivers needs no resources")
    });
    static DIRECTORY: LazyCell<PathBuf> = LazyCell::new(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        parent.join(format!("apmon-fuzz-{}", std::process::id()))
    });
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    DIRECTORY.with(|directory| {
        fs::create_dir_all(directory.as_path()).expect("a directory");
        let path = directory.join("fuzz.statefile.json");
        fs::write(&path, bytes).expect("a file");
        RUNTIME.with(|runtime| runtime.block_on(take_over(&path)));
        fs::remove_dir_all(directory.as_path()).expect("no other process uses the directory");
    });
});

async fn take_over(path: &Path) {
    let Ok(before) = load(path).await else { return };
    // Another monitor makes the store write the file.
    let commit = Commit {
        epoch: before.epoch,
        states: vec![("one more".into(), MonitorState::default().into())],
        ..Commit::default()
    };
    let store = JsonStore::open(path, TimeZone::UTC, None).expect("a thread");
    if before.epoch == u64::MAX || store.commit(&commit).await.is_err() {
        return;
    }
    drop(store);
    let after = load(path).await.expect("a file that the store wrote can be read");
    assert!(after.epoch > before.epoch, "the epoch grows");
    assert_eq!(after.outbox, before.outbox, "undelivered messages stay");
    for (name, state) in before.monitors.iter().filter(|(name, _)| *name != "one more") {
        let kept = after.monitors.get(name).map(|state| written(state));
        assert_eq!(kept, Some(written(state)), "the state of {name:?} stays");
    }
}

async fn load(path: &Path) -> Result<Snapshot, StoreError> {
    let store = JsonStore::open(path, TimeZone::UTC, None)?;
    store.load().await
}

/// A state as a file holds it, with times to the microsecond.
fn written(state: &MonitorState) -> MonitorState {
    let cut = |at: Option<jiff::Timestamp>| {
        at.and_then(|at| jiff::Timestamp::from_microsecond(at.as_microsecond()).ok())
    };
    MonitorState {
        last_checked: cut(state.last_checked),
        last_notified: cut(state.last_notified),
        last_alarm_started: cut(state.last_alarm_started),
        last_successful_heartbeat: cut(state.last_successful_heartbeat),
        ..state.clone()
    }
}
