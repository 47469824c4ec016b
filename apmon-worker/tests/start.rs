//! Children that do not start, and workers that are suspended because of that.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{fs, io::ErrorKind, process::Command, time::Duration};

use apmon_worker::{Death, Worker, WorkerError, WorkerLimits};

use self::support::{answer, child, limits, outcome, request};

/// Sends three requests to a child that never answers, and returns how the last one died. None
/// of the requests may be blamed.
fn keeps_dying(arguments: &[&str], limits: WorkerLimits) -> (Death, String, String) {
    let deaths_allowed = limits.deaths;
    let worker = Worker::new(child(arguments), limits);
    let replies: Vec<_> = (0..3).map(|_| request(&worker, "echo a")).collect();
    let mut last = None;
    for reply in replies {
        let error = outcome(reply).unwrap_err();
        let text = error.to_string();
        match error {
            WorkerError::KeepsDying {
                deaths,
                death,
                stderr,
                ..
            } => {
                assert_eq!(deaths, deaths_allowed);
                last = Some((death, stderr.to_string(), text));
            }
            other => panic!("{other:?}"),
        }
    }
    last.unwrap()
}

#[test]
fn a_command_that_is_missing_fails_all_requests_at_once() {
    let mut limits = limits();
    limits.queue = 1;
    let worker = Worker::new(Command::new("/proc/nonexistent/rrd-worker"), limits);
    for _ in 0..3 {
        let error = outcome(request(&worker, "echo a")).unwrap_err();
        let text = error.to_string();
        assert_eq!(
            text,
            "cannot start the worker `/proc/nonexistent/rrd-worker`: No such file or directory (os error 2); install it, \
             or correct its path. It is not tried again for 30s"
        );
    }
}

#[test]
fn a_command_that_may_not_be_executed_fails_its_request() {
    let directory = tempfile::tempdir().unwrap();
    let worker = Worker::new(Command::new(directory.path()), limits());
    match outcome(request(&worker, "echo a")) {
        Err(WorkerError::CannotStart { error, .. }) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_that_exits_at_once_is_started_a_few_times_only() {
    let (death, stderr, text) = keeps_dying(&["works-if-there-is", "/proc/nonexistent"], limits());
    assert_eq!(death, Death::Exited(7));
    assert_eq!(stderr, "/proc/nonexistent is missing");
    assert!(
        text.contains("support/child") || text.contains("apmon-worker-test works-if-there-is"),
        "{text}"
    );
}

#[test]
fn a_program_that_is_not_a_worker_gets_no_request() {
    for text in ["Usage: rrdtool", "^^^\x02hi"] {
        assert_eq!(keeps_dying(&["writes", text], limits()).0, Death::NotAWorker);
    }
}

#[test]
fn a_program_that_ends_without_a_greeting_fails_no_request_by_itself() {
    let worker = Worker::new(Command::new("true"), limits());
    match outcome(request(&worker, "echo a")) {
        Err(WorkerError::KeepsDying { death, .. }) => assert_eq!(death, Death::Exited(0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_that_never_gets_ready_is_killed() {
    let mut limits = limits();
    limits.deaths = 2;
    limits.start_time = Duration::from_millis(50);
    let expected = Death::NotReady(limits.start_time);
    assert_eq!(keeps_dying(&["silent"], limits).0, expected);
}

#[test]
fn a_child_that_writes_nonsense_after_its_greeting_fails_no_request_by_itself() {
    let death = keeps_dying(&["greets-and-writes", "oh no"], limits()).0;
    assert_eq!(death, Death::AnswerTooLong(0x6f68_206e));
    let death = keeps_dying(&["greets-and-writes", "^^^\x01a"], limits()).0;
    assert_eq!(death, Death::UnexpectedAnswer);
}

#[test]
fn deadly_requests_in_a_row_suspend_the_worker() {
    let mut limits = limits();
    limits.deaths = 3;
    let worker = Worker::new(child(&[]), limits);
    let replies = [(); 4].map(|()| request(&worker, "exit 3"));
    let outcomes = replies.map(|reply| outcome(reply).unwrap_err());
    let blamed = outcomes
        .iter()
        .map(|error| matches!(error, WorkerError::Died { .. }));
    assert_eq!(blamed.collect::<Vec<_>>(), [true, true, true, false]);
    assert!(
        matches!(outcomes[3], WorkerError::KeepsDying { deaths: 3, .. }),
        "{outcomes:?}"
    );
}

#[test]
fn a_suspended_worker_is_tried_again_after_its_pause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("library");
    let mut limits = limits();
    limits.deaths = 1;
    limits.suspension = Duration::from_millis(10);
    let worker = Worker::new(child(&["works-if-there-is", path.to_str().unwrap()]), limits);
    for _ in 0..20 {
        outcome(request(&worker, "echo a")).unwrap_err();
    }
    fs::write(&path, "").unwrap();
    while outcome(request(&worker, "echo a")).is_err() {}
    assert_eq!(answer(&worker, "echo b"), "b");
}
