//! Any sequence of requests and deaths: each request ends exactly once, in order, and is
//! carried out at most once.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use apmon_worker::{Death, Worker, WorkerError, WorkerLimits};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proptest::prelude::*;

use self::support::{child, died, known, limits, outcome, request};

#[derive(Clone, Debug)]
enum Step {
    Echo(u16),
    Bytes(u32),
    Exit(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<u16>().prop_map(Step::Echo),
        1 => (0_u32..300_000).prop_map(Step::Bytes),
        1 => any::<u8>().prop_map(Step::Exit),
        1 => Just(Step::Crash),
    ]
}

/// Limits under which no number of deaths suspends the worker.
fn patient() -> WorkerLimits {
    let mut limits = limits();
    limits.deaths = u32::MAX;
    limits.restart_pause = Duration::ZERO;
    limits
}

/// The numbers that the children wrote, with the processes that did.
fn read_log(path: &Path) -> Vec<(usize, Pid)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        let (number, pid) = line.split_once(' ').unwrap();
        (number.parse().unwrap(), Pid::from_raw(pid.parse().unwrap()))
    };
    // The last line may be on its way.
    let complete = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    complete.map(parse).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_request_of_any_sequence_ends_as_it_must(
        steps in prop::collection::vec(step(), 1..40),
        open in 1_usize..20,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut limits = patient();
        limits.open = open;
        let worker = Worker::new(child(&[]), limits);
        let mut replies: Vec<_> = steps.iter().enumerate().map(|(i, step)| {
            let text = match step {
                Step::Echo(number) => format!("echo {number}"),
                Step::Bytes(count) => format!("bytes {count}"),
                Step::Exit(status) => format!("exit {status}"),
                Step::Crash => "signal SIGSEGV".to_owned(),
            };
            request(&worker, format!("log {} {i} {text}", log.to_str().unwrap()))
        }).collect();
        let last = outcome(replies.pop().unwrap());
        // In order: with the last one, all are known.
        let outcomes = replies.into_iter().map(known).chain([last]);
        for (step, outcome) in steps.iter().zip(outcomes.collect::<Vec<_>>()) {
            match step {
                Step::Echo(number) => prop_assert_eq!(outcome.unwrap(), number.to_string()),
                Step::Bytes(count) => prop_assert_eq!(outcome.unwrap().len(), *count as usize),
                Step::Exit(status) => prop_assert_eq!(died(outcome).0, Death::Exited((*status).into())),
                Step::Crash => prop_assert_eq!(died(outcome).0, Death::Signalled(11)),
            }
        }
        let begun: Vec<_> = read_log(&log).into_iter().map(|(number, _)| number).collect();
        prop_assert_eq!(begun, (0..steps.len()).collect::<Vec<_>>());
    }
}

#[test]
fn children_killed_at_any_moment_lose_no_request_and_repeat_none() {
    const REQUESTS: usize = 3_000;
    const KILLS: usize = 30;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let worker = Worker::new(child(&[]), patient());
    let ended = AtomicBool::new(false);
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut killed = Vec::new();
            while killed.len() < KILLS && !ended.load(Ordering::Relaxed) {
                // A child dies of nothing else, so this one is not reaped yet.
                if let Some((_, pid)) = read_log(&log).pop()
                    && !killed.contains(&pid)
                {
                    kill(pid, Signal::SIGKILL).unwrap();
                    killed.push(pid);
                }
            }
        });
        for batch in 0..REQUESTS / 100 {
            let requests = (0..100).map(|i| {
                let number = batch * 100 + i;
                request(
                    &worker,
                    format!("log {} {number} echo {number}", log.to_str().unwrap()),
                )
            });
            let replies: Vec<_> = requests.collect();
            outcomes.extend(replies.into_iter().map(outcome));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let begun: Vec<_> = read_log(&log).into_iter().map(|(number, _)| number).collect();
    assert!(begun.is_sorted_by(|a, b| a < b), "{begun:?}");
    let mut deaths = 0;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(answer) => {
                assert_eq!(answer, number.to_string());
                assert!(begun.binary_search(&number).is_ok(), "{number}");
            }
            Err(WorkerError::Died { death, .. }) => {
                assert_eq!(death, Death::Signalled(9));
                deaths += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..=KILLS).contains(&deaths), "{deaths}");
}
