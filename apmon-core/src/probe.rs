//! The seam to probes: one check of one target.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    memory::Memory,
    outcome::{Failure, FailureClass, Outcome},
    time::{Mono, Now, Stopwatch},
};

/// A check of one target: one attempt, one address, one deadline.
///
/// A probe never retries, never sleeps and never logs above debug: those are
/// policy, and policy lives in the engine.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Runs one check. It must not run past [`Check::deadline`]; a probe that does is cut off.
    async fn probe(&self, check: &Check) -> Outcome;
}

/// One check, as the engine requests it.
#[derive(Clone, Debug)]
pub struct Check {
    /// When it was due.
    pub due: Mono,
    /// When it started.
    pub started: Now,
    /// Time allowed for the whole check.
    pub timeout: Duration,
    /// Data from the monitor's last check.
    pub memory: Memory,
    deadline: tokio::time::Instant,
    trace: Option<Arc<Trace>>,
}

impl Check {
    /// Creates a check that starts now.
    #[must_use]
    pub fn new(due: Mono, started: Now, timeout: Duration) -> Self {
        Self {
            due,
            started,
            timeout,
            memory: Memory::default(),
            deadline: deadline(timeout),
            trace: None,
        }
    }

    /// Adds the data from the monitor's last check.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Adds a trace that records every step (`--explain`).
    #[must_use]
    pub fn with_trace(mut self, trace: Arc<Trace>) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Whether all steps are recorded for a person, who may want to see more than the verdict
    /// needs.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.trace
            .as_ref()
            .is_some_and(|trace| trace.most_bytes.is_none())
    }

    /// When the check ends, answered or not.
    #[must_use]
    pub fn deadline(&self) -> tokio::time::Instant {
        self.deadline
    }

    /// How late the check started.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        self.started.mono.since(self.due)
    }

    /// Runs one step of the check up to the deadline; `step` names it in the failure (`TLS
    /// handshake: no answer within 20 secs`).
    ///
    /// # Errors
    /// [`FailureClass::TimedOut`] when the deadline comes first.
    pub async fn within<F: Future>(&self, step: &str, future: F) -> Result<F::Output, Failure> {
        match tokio::time::timeout_at(self.deadline, future).await {
            Ok(output) => Ok(output),
            Err(_) => {
                let failure = self.timed_out(step);
                self.step(step, || failure.reason.clone());
                Err(failure)
            }
        }
    }

    /// The failure of a check whose deadline passed during `step`.
    #[must_use]
    pub fn timed_out(&self, step: &str) -> Failure {
        self.expired(|timeout| format!("{step}: no answer within {timeout}"))
    }

    /// The failure of a check whose deadline passed, in the words of the caller, who gets the
    /// timeout as text. The fault is ours if this process was stalled meanwhile (stopped,
    /// suspended, its machine paused): the target then did not have as long to answer as the
    /// deadline says.
    #[must_use]
    pub fn expired(&self, words: impl FnOnce(&str) -> String) -> Failure {
        let late = tokio::time::Instant::now().saturating_duration_since(self.deadline);
        if late > MAX_TIMER_DELAY {
            return Failure::new(
                FailureClass::Resources,
                format!("this process was stalled for {:.1} secs", late.as_secs_f64()),
            );
        }
        Failure::new(FailureClass::TimedOut, words(&seconds(self.timeout)))
    }

    /// Records what a step did. Costs nothing without a trace.
    pub fn step(&self, name: &str, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.push(name, text());
        }
    }
}

/// A timer that fires later than this shows that the process did not run.
const MAX_TIMER_DELAY: Duration = Duration::from_secs(1);

/// The end of a check; a timeout beyond the clock's range becomes ten years.
fn deadline(timeout: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(315_360_000))
}

fn seconds(duration: Duration) -> String {
    format!("{} secs", duration.as_secs_f64())
}

/// The steps of one check, each with the time at which it was done.
#[derive(Debug)]
pub struct Trace {
    started: Stopwatch,
    /// The most bytes of text that are kept.
    most_bytes: Option<usize>,
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    steps: VecDeque<Step>,
    bytes: usize,
}

/// One step of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Time since the check began.
    pub at: Duration,
    /// The name of the step.
    pub name: String,
    /// The result of the step.
    pub text: String,
}

impl Step {
    fn bytes(&self) -> usize {
        self.name.len() + self.text.len()
    }
}

impl Trace {
    /// Creates an empty trace that starts now.
    #[must_use]
    pub fn start() -> Arc<Self> {
        Arc::new(Self {
            started: Stopwatch::start(),
            most_bytes: None,
            steps: Mutex::default(),
        })
    }

    /// Creates an empty trace that starts now and keeps only the last steps, up to this many
    /// bytes of text.
    pub(crate) fn start_bounded(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            started: Stopwatch::start(),
            most_bytes: Some(most_bytes),
            steps: Mutex::default(),
        })
    }

    fn push(&self, name: &str, text: String) {
        let mut step = Step {
            at: self.started.elapsed(),
            name: name.to_owned(),
            text,
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(most) = self.most_bytes {
            let end = step.text.floor_char_boundary(most / 2);
            step.text.truncate(end);
            steps.bytes += step.bytes();
            while steps.bytes > most
                && let Some(dropped) = steps.steps.pop_front()
            {
                steps.bytes -= dropped.bytes();
            }
        }
        steps.steps.push_back(step);
    }

    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.steps.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_trace_keeps_the_last_steps() {
        let trace = Trace::start_bounded(100);
        for n in 0..50 {
            trace.push("step", format!("number {n}"));
        }
        trace.push("body", "ü".repeat(200));
        let steps = trace.steps();
        let bytes: usize = steps.iter().map(Step::bytes).sum();
        assert!(bytes <= 100, "{bytes}");
        assert_eq!(steps.last().unwrap().text, "ü".repeat(25));
        assert_eq!(steps[0].text, "number 47");
    }
}
