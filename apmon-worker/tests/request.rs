//! Requests and answers, and the limits of both.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use apmon_worker::{Death, MAX_FRAME, RequestError, Worker};
use nix::sys::signal::{Signal, kill};

use self::support::{Meeting, answer, child, died, known, limits, outcome, pid, request, worker};

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let worker = worker();
    let mut replies: Vec<_> = (1..=500).map(|_| request(&worker, "count")).collect();
    let last = replies.pop().unwrap();
    assert_eq!(outcome(last).unwrap(), "500");
    for (i, reply) in (1..).zip(replies) {
        assert_eq!(known(reply).unwrap(), format!("{i}"));
    }
}

#[test]
fn ten_thousand_requests_pass_through_a_queue_of_256() {
    let mut limits = limits();
    limits.queue = 256;
    let worker = Worker::new(child(&[]), limits);
    let mut replies = VecDeque::new();
    let mut answered = 0;
    let mut check = |reply| {
        assert_eq!(outcome(reply).unwrap(), format!("{answered}"));
        answered += 1;
    };
    for i in 0..10_000 {
        let mut bytes = format!("echo {i}").into_bytes();
        loop {
            match worker.request(bytes) {
                Ok(reply) => break replies.push_back(reply),
                Err(error @ RequestError::QueueFull { unanswered: 256, .. }) => bytes = error.into_request(),
                Err(error) => panic!("{error}"),
            }
            check(replies.pop_front().unwrap());
        }
    }
    replies.into_iter().for_each(&mut check);
    assert_eq!(answered, 10_000);
}

#[test]
fn long_requests_and_answers_do_not_block_each_other() {
    let worker = worker();
    let body = "x".repeat(500_000);
    let replies: Vec<_> = (0..30)
        .map(|i| request(&worker, format!("echo {i} {body}")))
        .collect();
    for (i, reply) in replies.into_iter().enumerate() {
        assert!(outcome(reply).unwrap() == format!("{i} {body}"), "{i}");
    }
}

#[test]
fn a_full_queue_gives_the_request_back_until_there_is_room() {
    let meeting = Meeting::new();
    let mut limits = limits();
    limits.queue = 3;
    let worker = Worker::new(child(&[]), limits);
    let first = request(&worker, meeting.request("gate"));
    let gate = meeting.accept();
    let rest = ["echo a", "echo b"].map(|text| request(&worker, text));
    let error = worker.request(b"echo c".to_vec()).unwrap_err();
    assert!(
        matches!(error, RequestError::QueueFull { unanswered: 3, .. }),
        "{error:?}"
    );
    assert_eq!(error.into_request(), b"echo c");
    drop(gate);
    outcome(first).unwrap();
    let last = request(&worker, "echo c");
    let answers = rest.map(|reply| outcome(reply).unwrap());
    assert_eq!(answers, ["a", "b"]);
    assert_eq!(outcome(last).unwrap(), "c");
}

#[test]
fn the_bytes_of_the_queue_are_limited_but_for_a_single_request() {
    let meeting = Meeting::new();
    let mut limits = limits();
    limits.queue_bytes = 10;
    let worker = Worker::new(child(&[]), limits);
    let first = request(&worker, meeting.request("gate"));
    let gate = meeting.accept();
    let error = worker.request(b"pid".to_vec()).unwrap_err();
    assert!(
        matches!(error, RequestError::QueueFull { unanswered: 1, .. }),
        "{error:?}"
    );
    drop(gate);
    outcome(first).unwrap();
    let replies = ["echo a", "pid"].map(|text| request(&worker, text));
    for reply in replies {
        outcome(reply).unwrap();
    }
}

#[test]
fn all_requests_are_answered_when_only_one_may_be_open() {
    let mut limits = limits();
    limits.open = 1;
    let worker = Worker::new(child(&[]), limits);
    let replies: Vec<_> = (1..=100).map(|_| request(&worker, "count")).collect();
    for (i, reply) in (1..).zip(replies) {
        assert_eq!(outcome(reply).unwrap(), format!("{i}"));
    }
}

#[test]
fn a_request_that_is_too_long_is_given_back_and_the_longest_is_answered() {
    let worker = worker();
    let too_long = vec![b'x'; MAX_FRAME + 1];
    let error = worker.request(too_long).unwrap_err();
    assert!(matches!(error, RequestError::TooLong { .. }), "{error:?}");
    assert_eq!(error.into_request().len(), MAX_FRAME + 1);
    let mut longest = b"echo ".to_vec();
    longest.resize(MAX_FRAME, b'x');
    assert_eq!(outcome(request(&worker, longest)).unwrap().len(), MAX_FRAME - 5);
}

#[test]
fn an_answer_that_is_too_long_fails_its_request_alone() {
    let worker = worker();
    let replies = [MAX_FRAME, MAX_FRAME + 1].map(|bytes| request(&worker, format!("bytes {bytes}")));
    let next = request(&worker, "echo a");
    let [longest, too_long] = replies.map(outcome);
    assert_eq!(longest.unwrap().len(), MAX_FRAME);
    let (death, stderr) = died(too_long);
    assert_eq!(death, Death::Exited(1));
    assert!(
        stderr.contains("an answer of 16777217 bytes is longer than 16777216 bytes"),
        "{stderr}"
    );
    assert_eq!(outcome(next).unwrap(), "a");
}

#[test]
fn what_the_child_prints_disturbs_no_answer_and_is_shown_when_it_dies() {
    let worker = worker();
    assert_eq!(answer(&worker, "print from afar"), "printed");
    assert_eq!(answer(&worker, "read"), "");
    let (_, stderr) = died(outcome(request(&worker, "exit 3")));
    assert_eq!(stderr, "from afar\nfrom afar");
}

#[test]
fn a_child_that_complains_without_end_is_not_blocked() {
    let worker = worker();
    assert_eq!(answer(&worker, "complain 5000000"), "complained");
    let (_, stderr) = died(outcome(request(&worker, "exit 3")));
    assert_eq!(stderr.len(), 4_095);
    assert!(stderr.ends_with("complaint\ncomplaint"), "{stderr}");
}

#[test]
fn variables_that_are_removed_are_not_inherited() {
    let mut command = child(&[]);
    command
        .env("KEPT", "yes")
        .env("REMOVED", "no")
        .env_remove("REMOVED");
    let worker = Worker::new(command, limits());
    assert_eq!(answer(&worker, "variable KEPT"), "yes");
    assert_eq!(answer(&worker, "variable REMOVED"), "unset");
}

#[test]
fn signals_to_a_terminal_or_a_service_do_not_end_the_child() {
    let worker = worker();
    let pid = pid(&worker);
    assert_eq!(answer(&worker, "group"), pid.to_string());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(pid, signal).unwrap();
    }
    assert_eq!(support::pid(&worker), pid);
}

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_reply_can_be_awaited() {
    let worker = worker();
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let mut reply = pin!(request(&worker, "echo a"));
    let outcome = loop {
        match reply.as_mut().poll(&mut cx) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => thread::park(),
        }
    };
    assert_eq!(outcome.unwrap(), b"a");
}

#[test]
fn threads_share_a_worker() {
    let worker = worker();
    thread::scope(|scope| {
        for thread in 0..8 {
            let worker = &worker;
            scope.spawn(move || {
                for i in 0..200 {
                    assert_eq!(
                        answer(worker, format!("echo {thread} {i}")),
                        format!("{thread} {i}")
                    );
                }
            });
        }
    });
    assert_eq!(answer(&worker, "count"), "1601");
}
