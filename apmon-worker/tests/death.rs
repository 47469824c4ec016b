//! Children that die of a request: one request fails, the others are answered.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::time::Duration;

use apmon_worker::{Death, Worker};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use self::support::{
    Meeting, answer, child, died, limits, outcome, pid, request, wait_for_the_end_of, worker,
};

/// Sends a deadly request between others, and returns how the child died, and its output.
fn die_of(worker: &Worker, deadly: &str) -> (Death, String) {
    let before: Vec<_> = (0..5).map(|i| request(worker, format!("echo {i}"))).collect();
    let deadly = request(worker, deadly);
    let after: Vec<_> = (5..10).map(|i| request(worker, format!("echo {i}"))).collect();
    let death = died(outcome(deadly));
    for (i, reply) in before.into_iter().chain(after).enumerate() {
        assert_eq!(outcome(reply).unwrap(), format!("{i}"));
    }
    death
}

#[test]
fn a_child_that_exits_fails_one_request() {
    let worker = worker();
    for status in [0, 1, 255] {
        assert_eq!(
            die_of(&worker, &format!("exit {status}")).0,
            Death::Exited(status)
        );
    }
}

#[test]
fn deaths_with_answers_in_between_do_not_suspend_the_worker() {
    let mut limits = limits();
    limits.deaths = 2;
    limits.queue = 1;
    let worker = Worker::new(child(&[]), limits);
    for i in 0..10 {
        assert_eq!(answer(&worker, format!("echo {i}")), format!("{i}"));
        assert_eq!(died(outcome(request(&worker, "exit 3"))).0, Death::Exited(3));
    }
}

#[test]
fn a_child_that_crashes_fails_one_request() {
    let worker = worker();
    for signal in [Signal::SIGBUS, Signal::SIGSEGV, Signal::SIGABRT] {
        let (death, _) = die_of(&worker, &format!("signal {signal}"));
        assert_eq!(death, Death::Signalled(signal as i32));
    }
}

#[test]
fn a_child_that_panics_fails_one_request_and_its_reason_is_shown() {
    let (death, stderr) = die_of(&worker(), "panic of the reason");
    assert_eq!(death, Death::Exited(101));
    assert!(stderr.contains("of the reason"), "{stderr}");
}

#[test]
fn a_child_that_hangs_is_killed_and_fails_one_request() {
    let mut limits = limits();
    limits.request_time = Duration::from_secs(2);
    let worker = Worker::new(child(&[]), limits);
    let (death, _) = die_of(&worker, "hang");
    assert_eq!(death, Death::TimedOut(Duration::from_secs(2)));
}

#[test]
fn a_child_that_is_killed_from_outside_fails_one_request() {
    let (worker, meeting) = (worker(), Meeting::new());
    let pid = pid(&worker);
    let before = request(&worker, "echo a");
    let during = request(&worker, meeting.request("hold-and-hang"));
    let after = request(&worker, "echo b");
    let connection = meeting.accept();
    kill(pid, Signal::SIGKILL).unwrap();
    wait_for_the_end_of(connection);
    assert_eq!(outcome(before).unwrap(), "a");
    assert_eq!(died(outcome(during)).0, Death::Signalled(9));
    assert_eq!(outcome(after).unwrap(), "b");
}

#[test]
fn a_child_that_is_killed_without_a_request_fails_none() {
    let worker = worker();
    let pid = pid(&worker);
    kill(pid, Signal::SIGKILL).unwrap();
    while support::exists(pid) {
        std::thread::yield_now();
    }
    assert_ne!(support::pid(&worker), pid);
}

/// Whether the second request finds the pipe open or closed is left to chance; its answer is not.
#[test]
#[cfg(target_os = "linux")] // where the system says what is in a pipe
fn a_request_that_an_idle_child_did_not_read_before_it_was_killed_is_answered() {
    let worker = worker();
    for _ in 0..20 {
        let pid = pid(&worker);
        // Until it is killed, it reads nothing.
        kill(pid, Signal::SIGSTOP).unwrap();
        while !support::is_stopped(pid) {
            std::thread::yield_now();
        }
        let first = request(&worker, "pid");
        kill(pid, Signal::SIGKILL).unwrap();
        let second = request(&worker, "echo b");
        let answered_by: i32 = outcome(first).unwrap().parse().unwrap();
        assert_ne!(answered_by, pid.as_raw());
        assert_eq!(outcome(second).unwrap(), "b");
    }
}

#[test]
fn what_a_killed_child_has_started_is_killed_as_well() {
    let mut limits = limits();
    limits.request_time = Duration::from_secs(2);
    let (worker, meeting) = (Worker::new(child(&[]), limits), Meeting::new());
    let reply = request(&worker, meeting.request("hang-with-a-process"));
    let connection = meeting.accept();
    died(outcome(reply));
    wait_for_the_end_of(connection);
}

#[test]
fn a_process_that_a_child_leaves_behind_does_not_delay_the_next_child() {
    let worker = worker();
    let left = answer(&worker, "leave-a-process");
    assert_eq!(die_of(&worker, "exit 3").0, Death::Exited(3));
    kill(Pid::from_raw(left.parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn a_child_that_sends_no_frame_fails_one_request() {
    let worker = Worker::new(child(&["greets-and-answers", "oh no"]), limits());
    let (death, _) = died(outcome(request(&worker, "echo a")));
    assert_eq!(death, Death::AnswerTooLong(0x6f68_206e));
}

#[test]
fn a_child_that_answers_twice_is_replaced() {
    let worker = Worker::new(child(&["greets-and-answers", "^^^\x01a^^^\x01b"]), limits());
    // A child that remains would never answer the second request.
    assert_eq!([(); 2].map(|()| answer(&worker, "echo a")), ["a", "a"]);
}

#[test]
fn a_child_that_dies_within_an_answer_fails_one_request() {
    let worker = Worker::new(child(&["greets-and-answers-in-part", "^^^\x03ab"]), limits());
    assert_eq!(died(outcome(request(&worker, "echo a"))).0, Death::Exited(0));
}

#[test]
fn a_child_that_closes_its_pipes_is_killed() {
    let worker = Worker::new(child(&["greets-and-closes-its-pipes"]), limits());
    assert_eq!(died(outcome(request(&worker, "echo a"))).0, Death::ClosedPipes);
}
