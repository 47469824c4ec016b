//! The end of a worker, and of its parent.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    sync::{
        Arc, OnceLock,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use apmon_worker::{RequestError, Worker, WorkerError};
use nix::unistd::Pid;

use self::support::{
    Meeting, answer, child, died, exists, known, limits, outcome, pid, request, wait_for_the_end_of, worker,
};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn finishing_answers_what_is_queued_and_lets_the_child_end_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let worker = Worker::new(child(&["leaves-a-mark", mark.to_str().unwrap()]), limits());
    let pid = pid(&worker);
    let replies: Vec<_> = (0..1_000)
        .map(|i| request(&worker, format!("echo {i}")))
        .collect();
    assert_eq!(worker.finish(MINUTE), Vec::<Vec<u8>>::new());
    for (i, reply) in replies.into_iter().enumerate() {
        assert_eq!(known(reply).unwrap(), format!("{i}"));
    }
    assert!(!exists(pid));
    assert_eq!(fs::read_to_string(mark).unwrap(), "ended by itself");
}

#[test]
fn a_child_that_complains_at_its_end_is_not_blocked() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let worker = Worker::new(child(&["complains-at-its-end", mark.to_str().unwrap()]), limits());
    answer(&worker, "echo a");
    worker.finish(MINUTE);
    assert!(mark.exists());
}

#[test]
fn finishing_returns_what_is_not_done_at_the_deadline() {
    let (worker, meeting) = (worker(), Meeting::new());
    let pid = pid(&worker);
    let first = answer(&worker, "echo a");
    let hangs = request(&worker, meeting.request("hold-and-hang"));
    let next = request(&worker, "echo b");
    let connection = meeting.accept();
    let left = worker.finish(Duration::from_millis(50));
    let expected = [meeting.request("hold-and-hang").into_bytes(), b"echo b".to_vec()];
    assert_eq!((first.as_str(), left), ("a", expected.to_vec()));
    for reply in [hangs, next] {
        assert!(matches!(known(reply), Err(WorkerError::Stopped)));
    }
    assert!(!exists(pid));
    wait_for_the_end_of(connection);
}

#[test]
fn what_is_returned_as_not_done_is_not_done_later() {
    let (worker, meeting, directory) = (worker(), Meeting::new(), tempfile::tempdir().unwrap());
    let log = directory.path().join("log");
    let logged = |number| format!("log {} {number} echo a", log.to_str().unwrap());
    let requests = [meeting.request("hold-and-sleep"), logged(1), logged(2)];
    let replies = requests.clone().map(|text| request(&worker, text));
    let connection = meeting.accept();
    let left = worker.finish(Duration::ZERO);
    wait_for_the_end_of(connection);
    drop(replies);
    // The first one may have been begun.
    let begun = fs::read_to_string(log).unwrap_or_default().lines().count();
    let not_begun = left.len().saturating_sub(1);
    assert!(
        begun + not_begun < requests.len(),
        "{begun} begun, {not_begun} returned"
    );
}

#[test]
fn finishing_replaces_a_child_that_dies_meanwhile() {
    let worker = worker();
    let replies = ["echo a", "exit 3", "echo b"].map(|text| request(&worker, text));
    assert_eq!(worker.finish(MINUTE), Vec::<Vec<u8>>::new());
    let [a, deadly, b] = replies.map(known);
    assert_eq!((a.unwrap(), b.unwrap()), ("a".to_owned(), "b".to_owned()));
    died(deadly);
}

#[test]
fn finishing_returns_what_waits_for_a_child_that_does_not_start() {
    let mut limits = limits();
    limits.restart_pause = MINUTE;
    limits.suspension = MINUTE;
    let worker = Worker::new(child(&["works-if-there-is", "/proc/nonexistent"]), limits);
    let reply = request(&worker, "echo a");
    let reply = reply.wait(Duration::from_millis(100)).unwrap_err();
    assert_eq!(worker.finish(Duration::from_millis(1)), [b"echo a"]);
    assert!(matches!(known(reply), Err(WorkerError::Stopped)));
}

#[test]
fn a_finished_worker_accepts_nothing() {
    let unused = worker();
    let used = worker();
    answer(&used, "echo a");
    for worker in [unused, used] {
        worker.finish(MINUTE);
        let error = worker.request(b"echo b".to_vec()).unwrap_err();
        assert!(matches!(error, RequestError::Finished { .. }), "{error:?}");
        assert_eq!(error.into_request(), b"echo b");
        assert!(worker.finish(MINUTE).is_empty());
    }
}

#[test]
fn a_dropped_worker_lets_an_idle_child_end_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let worker = Worker::new(child(&["leaves-a-mark", mark.to_str().unwrap()]), limits());
    let pid = pid(&worker);
    drop(worker);
    assert!(!exists(pid));
    assert!(mark.exists());
}

#[test]
fn a_dropped_worker_kills_a_busy_child_and_its_replies_end() {
    let (worker, meeting) = (worker(), Meeting::new());
    let pid = pid(&worker);
    let replies = [meeting.request("hold-and-hang"), "echo a".to_owned()].map(|text| request(&worker, text));
    let connection = meeting.accept();
    drop(worker);
    for reply in replies {
        assert!(matches!(known(reply), Err(WorkerError::Stopped)));
    }
    assert!(!exists(pid));
    wait_for_the_end_of(connection);
}

#[test]
fn a_child_that_died_leaves_no_zombie() {
    let worker = worker();
    let pid = pid(&worker);
    died(outcome(request(&worker, "exit 3")));
    assert!(!exists(pid));
}

/// Kills a parent in the middle, whose child holds a connection.
fn kill_a_parent(word: &str) {
    let meeting = Meeting::new();
    let mut parent = child(&["parent", &meeting.request(word)]).spawn().unwrap();
    let connection = meeting.accept();
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for_the_end_of(connection);
}

#[test]
fn a_child_ends_with_its_parent() {
    kill_a_parent("hold");
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_hangs_ends_with_its_parent() {
    kill_a_parent("hold-and-hang");
}

#[test]
fn a_child_outlives_the_thread_that_made_the_first_request() {
    let worker = std::thread::spawn(|| {
        let worker = worker();
        let pid = pid(&worker);
        (worker, pid)
    });
    let (worker, first) = worker.join().unwrap();
    assert_eq!(pid(&worker), first);
}

#[test]
fn abandoning_does_not_wait_for_a_child_that_hangs() {
    let (worker, meeting) = (worker(), Meeting::new());
    let pid = pid(&worker);
    let hangs = request(&worker, meeting.request("hold-and-hang"));
    let connection = meeting.accept();
    worker.abandon();
    wait_for_the_end_of(connection);
    assert!(matches!(outcome(hangs), Err(WorkerError::Stopped)));
    while exists(pid) {
        std::thread::yield_now();
    }
}

#[test]
fn abandoning_lets_an_idle_child_end_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let worker = Worker::new(child(&["leaves-a-mark", mark.to_str().unwrap()]), limits());
    let pid = pid(&worker);
    worker.abandon();
    while exists(pid) {
        std::thread::yield_now();
    }
    assert_eq!(fs::read_to_string(mark).unwrap(), "ended by itself");
    // One that was never started has nothing to end.
    Worker::new(child(&[]), limits()).abandon();
}

/// Says when it is freed whether the process exists.
struct Guard(Arc<OnceLock<Pid>>, Sender<bool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.send(self.0.get().is_some_and(|pid| exists(*pid))).unwrap();
    }
}

#[test]
fn what_a_worker_keeps_is_freed_once_its_child_has_ended() {
    for word in ["abandoned", "dropped", "finished", "never used"] {
        let (sender, freed) = channel();
        let process = Arc::<OnceLock<Pid>>::default();
        let worker = worker().keeping(Guard(Arc::clone(&process), sender));
        if word != "never used" {
            process.set(pid(&worker)).unwrap();
            // It has something to do, and must be killed.
            let meeting = Meeting::new();
            let hangs = request(&worker, meeting.request("hold-and-hang"));
            let _connection = meeting.accept();
            drop(hangs);
        }
        assert!(freed.try_recv().is_err(), "{word}");
        match word {
            "abandoned" => worker.abandon(),
            "finished" => drop(worker.finish(Duration::ZERO)),
            _ => drop(worker),
        }
        assert!(
            !freed.recv_timeout(MINUTE).unwrap(),
            "{word}: the child still exists"
        );
    }
}
