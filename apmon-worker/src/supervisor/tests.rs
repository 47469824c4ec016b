//! What only the order of events inside the supervisor decides; the child is a shell.

use std::process::Command;

use super::*;
use crate::{inbox::Inbox, limits::WorkerLimits, reply::Reply};

const GREETING: &str = r"printf '\000\000\000\016apmon-worker 1'";
/// The answer `a`.
const ANSWER: &str = r"printf '\000\000\000\001a'";

fn shell(script: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &script.join("; ")]);
    command
}

/// A supervisor with requests that are taken and not sent.
fn supervisor(command: Command, requests: usize) -> (Supervisor, Vec<Reply>) {
    let shared = Arc::new(Shared {
        command: command.into(),
        name: "sh".into(),
        limits: WorkerLimits::default(),
        inbox: Inbox::default(),
    });
    let (wake, waker) = io::pipe().unwrap();
    shared.inbox.wake_through(waker);
    let mut supervisor = Supervisor::new(Arc::clone(&shared), wake);
    let offer = |_| shared.inbox.offer(b"request".to_vec(), &shared.limits).unwrap();
    let replies = (0..requests).map(offer).collect();
    shared.inbox.take(&mut supervisor.queue, false);
    (supervisor, replies)
}

/// Starts the child, and waits for its greeting.
fn start(supervisor: &mut Supervisor, now: Instant) {
    supervisor.start(now);
    let child = supervisor.child.as_mut().unwrap();
    while !child.is_ready() {
        child.receive(&mut supervisor.wake, None).unwrap();
        child.next_answer(now).unwrap();
    }
}

fn send(supervisor: &mut Supervisor, now: Instant) {
    let child = supervisor.child.as_mut().unwrap();
    child.send(&mut supervisor.queue, 256, now).unwrap();
}

#[test]
fn an_answer_that_was_on_its_way_when_the_child_died_counts() {
    // Two frames, of four and seven bytes each.
    let command = shell(&[GREETING, "head -c 22 > /dev/null", ANSWER, "exit 5"]);
    let (mut supervisor, mut replies) = supervisor(command, 3);
    let now = clock::now();
    start(&mut supervisor, now);
    send(&mut supervisor, now);
    // Nothing is received before the child has ended.
    supervisor.bury(None);
    let mut known = replies
        .drain(..2)
        .map(|reply| reply.wait(Duration::ZERO).unwrap());
    assert_eq!(known.next().unwrap().unwrap(), b"a");
    let error = known.next().unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            WorkerError::Died {
                death: Death::Exited(5),
                ..
            }
        ),
        "{error}"
    );
    drop(known);
    let last = replies.remove(0).wait(Duration::ZERO);
    assert!(last.is_err(), "it waits for the next child");
    assert_eq!(supervisor.queue.open(), 0);
}

#[test]
fn a_request_of_which_a_dead_child_read_nothing_is_sent_to_the_next_one() {
    // The first child answers one request, and reads nothing of the next.
    let command = shell(&[GREETING, "head -c 11 > /dev/null", ANSWER, "exit 5"]);
    let (mut supervisor, mut replies) = supervisor(command, 2);
    let now = clock::now();
    for last in [false, true] {
        start(&mut supervisor, now);
        send(&mut supervisor, now);
        supervisor.bury(None);
        assert_eq!(replies.remove(0).wait(Duration::ZERO).unwrap().unwrap(), b"a");
        assert_eq!(supervisor.queue.is_empty(), last);
    }
}

#[test]
fn a_request_whose_time_is_over_is_blamed_although_the_child_read_nothing() {
    let command = shell(&[GREETING, "exec sleep 1000"]);
    let (mut supervisor, mut replies) = supervisor(command, 1);
    let now = clock::now();
    start(&mut supervisor, now);
    send(&mut supervisor, now);
    let death = supervisor.overdue(now + supervisor.shared.limits.request_time);
    supervisor.bury(death);
    let error = replies.remove(0).wait(Duration::ZERO).unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Died { .. }), "{error}");
}

#[test]
fn an_answer_that_was_on_its_way_at_the_deadline_counts() {
    let command = shell(&[GREETING, "head -c 1 > /dev/null", ANSWER, "exec sleep 1000"]);
    let (mut supervisor, mut replies) = supervisor(command, 3);
    let now = clock::now();
    start(&mut supervisor, now);
    send(&mut supervisor, now);
    let child = supervisor.child.as_mut().unwrap();
    child.receive(&mut supervisor.wake, None).unwrap();
    let left = supervisor.close(Some(now), now);
    assert_eq!(left, [b"request"; 2]);
    assert_eq!(replies.remove(0).wait(Duration::ZERO).unwrap().unwrap(), b"a");
    for reply in replies {
        let error = reply.wait(Duration::ZERO).unwrap().unwrap_err();
        assert!(matches!(error, WorkerError::Stopped), "{error}");
    }
}

#[test]
fn the_time_of_a_request_begins_when_the_child_can_begin_it() {
    let command = shell(&[GREETING, "head -c 1 > /dev/null", ANSWER, "exec sleep 1000"]);
    let (mut supervisor, replies) = supervisor(command, 2);
    let limits = supervisor.shared.limits.clone();
    let overdue_at = |supervisor: &Supervisor| {
        let child = supervisor.child.as_ref().unwrap();
        child.overdue_at(supervisor.queue.open() > 0, &limits)
    };
    let t0 = clock::now();
    let [t1, t2, t3] = [1_000, 2_000, 3_000].map(|secs| t0 + Duration::from_secs(secs));

    supervisor.start(t0);
    assert_eq!(overdue_at(&supervisor), Some(t0 + limits.start_time));
    let child = supervisor.child.as_mut().unwrap();
    while !child.is_ready() {
        child.receive(&mut supervisor.wake, None).unwrap();
        child.next_answer(t1).unwrap();
    }
    assert_eq!(overdue_at(&supervisor), None);

    send(&mut supervisor, t2);
    assert_eq!(overdue_at(&supervisor), Some(t2 + limits.request_time));
    assert_eq!(
        supervisor.overdue(t2 + limits.request_time),
        Some(Death::TimedOut(limits.request_time))
    );
    assert_eq!(supervisor.overdue(t2), None);

    let child = supervisor.child.as_mut().unwrap();
    child.receive(&mut supervisor.wake, None).unwrap();
    assert_eq!(supervisor.take_answers(t3), Ok(1));
    assert_eq!(overdue_at(&supervisor), Some(t3 + limits.request_time));
    drop(replies);
}
