//! What the tests share: the child, and waiting for it.

#![allow(dead_code, clippy::unwrap_used)] // each test uses a part; what fails here is a test

use std::{
    io::Read as _,
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
    time::Duration,
};

use apmon_worker::{Death, Reply, Worker, WorkerError, WorkerLimits};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// The time after which a test fails that waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The child with these arguments (`support/child.rs`).
pub fn child(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apmon-worker-test"));
    command.args(arguments);
    command
}

/// Limits that no test reaches but by design.
pub fn limits() -> WorkerLimits {
    let mut limits = WorkerLimits::default();
    limits.request_time = PATIENCE;
    limits.start_time = PATIENCE;
    limits.restart_pause = Duration::from_millis(1);
    limits
}

/// A worker whose child serves.
pub fn worker() -> Worker {
    Worker::new(child(&[]), limits())
}

pub fn request(worker: &Worker, request: impl AsRef<[u8]>) -> Reply {
    worker.request(request.as_ref().to_vec()).unwrap()
}

pub fn outcome(reply: Reply) -> Result<String, WorkerError> {
    let outcome = reply.wait(PATIENCE).expect("the reply comes in time");
    outcome.map(|answer| String::from_utf8(answer).unwrap())
}

/// The outcome of a request that has ended.
pub fn known(reply: Reply) -> Result<String, WorkerError> {
    let outcome = reply.wait(Duration::ZERO).expect("the reply is there");
    outcome.map(|answer| String::from_utf8(answer).unwrap())
}

/// The answer to a request.
pub fn answer(worker: &Worker, text: impl AsRef<[u8]>) -> String {
    outcome(request(worker, text)).unwrap()
}

/// How the child died of a request, and its last output.
pub fn died(outcome: Result<String, WorkerError>) -> (Death, String) {
    match outcome {
        Err(WorkerError::Died { death, stderr, .. }) => (death, stderr.to_string()),
        other => panic!("not a death: {other:?}"),
    }
}

pub fn pid(worker: &Worker) -> Pid {
    Pid::from_raw(answer(worker, "pid").parse().unwrap())
}

/// Whether a process exists, be it a zombie.
pub fn exists(pid: Pid) -> bool {
    kill(pid, None::<Signal>) != Err(Errno::ESRCH)
}

/// Whether a process is stopped, by its state in /proc.
pub fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program, in brackets, comes before the state.
    stat.rsplit_once(") ").unwrap().1.starts_with('T')
}

/// A place to which children connect.
pub struct Meeting {
    listener: UnixListener,
    directory: TempDir,
}

impl Meeting {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("meeting")).unwrap();
        Self { listener, directory }
    }

    /// A request to connect here.
    pub fn request(&self, word: &str) -> String {
        let path = self.directory.path().join("meeting");
        format!("{word} {}", path.to_str().unwrap())
    }

    /// Waits for a connection.
    pub fn accept(&self) -> UnixStream {
        self.listener.accept().unwrap().0
    }
}

/// Waits until all processes that hold the connection have ended.
pub fn wait_for_the_end_of(mut connection: UnixStream) {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(connection.read(&mut [0]).expect("it ends in time"), 0);
}
