//! The seam to probes: one check of one target.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    mask::Mask,
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
#[derive(Debug)]
pub struct Check {
    /// When it was due.
    pub due: Mono,
    /// When it started.
    pub started: Now,
    /// Time allowed for the whole check.
    pub timeout: Duration,
    /// Data from the monitor's last check.
    pub memory: Memory,
    mask: Mask,
    began: Stopwatch,
    deadline: tokio::time::Instant,
    trace: Option<Arc<Trace>>,
    /// Instead of a trace: the last steps. Part of the check, as every check has them.
    last_steps: Option<LastSteps>,
}

impl Check {
    /// Creates a check that starts now.
    #[must_use]
    pub fn new(due: Mono, started: Now, timeout: Duration) -> Self {
        let now = tokio::time::Instant::now();
        Self {
            due,
            started,
            timeout,
            memory: Memory::default(),
            mask: Mask::default(),
            began: Stopwatch::started_at(now),
            deadline: deadline(now, timeout),
            trace: None,
            last_steps: None,
        }
    }

    /// Adds the data from the monitor's last check.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Adds the secrets that are masked in its steps.
    #[must_use]
    pub fn with_mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// The secrets that are masked in its steps. A step whose text is cut masks them before.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Adds a trace that records every step (`--explain`).
    #[must_use]
    pub fn with_trace(mut self, trace: Arc<Trace>) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Records the last steps, up to this many bytes of text.
    pub(crate) fn with_last_steps(mut self, most_bytes: usize) -> Self {
        self.last_steps = Some(LastSteps {
            began: self.began,
            most_bytes,
            steps: Mutex::default(),
        });
        self
    }

    /// The last steps so far.
    pub(crate) fn last_steps(&self) -> Option<Vec<Step>> {
        let last = self.last_steps.as_ref()?;
        let mut steps = last.steps();
        if self.mask.is_empty() {
            return Some(steps);
        }
        for step in &mut steps {
            // A text of the greatest length was probably cut.
            let is_cut = step.text.len() + char::MAX.len_utf8() > last.most_bytes / 2;
            step.text = match is_cut {
                true => self.mask.hide_cut(&step.text).into_owned(),
                false => self.mask.hide(&step.text).into_owned(),
            };
        }
        Some(steps)
    }

    /// Whether all steps are recorded for a person, who may want to see more than the verdict
    /// needs.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
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
            let mut text = text();
            self.mask.hide_in(&mut text);
            trace.push(name, text);
        } else if let Some(steps) = &self.last_steps {
            steps.push(name, text());
        }
    }
}

/// A timer that fires later than this shows that the process did not run.
const MAX_TIMER_DELAY: Duration = Duration::from_secs(1);

/// The end of a check; a timeout beyond the clock's range becomes ten years.
fn deadline(now: tokio::time::Instant, timeout: Duration) -> tokio::time::Instant {
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(315_360_000))
}

fn seconds(duration: Duration) -> String {
    format!("{} secs", duration.as_secs_f64())
}

/// The steps of one check, each with the time at which it was done.
#[derive(Debug)]
pub struct Trace {
    began: Stopwatch,
    steps: Mutex<Vec<Step>>,
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
    fn new(began: Stopwatch, name: &str, text: String) -> Self {
        Self {
            at: began.elapsed(),
            name: name.to_owned(),
            text,
        }
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.text.len()
    }
}

impl Trace {
    /// Creates an empty trace that starts now.
    #[must_use]
    pub fn start() -> Arc<Self> {
        Arc::new(Self {
            began: Stopwatch::start(),
            steps: Mutex::default(),
        })
    }

    fn push(&self, name: &str, text: String) {
        let step = Step::new(self.began, name, text);
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(step);
    }

    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The last steps of one check, up to a number of bytes of text.
#[derive(Debug)]
struct LastSteps {
    began: Stopwatch,
    most_bytes: usize,
    /// The steps, and the bytes of their text.
    steps: Mutex<(VecDeque<Step>, usize)>,
}

impl LastSteps {
    fn push(&self, name: &str, text: String) {
        let mut step = Step::new(self.began, name, text);
        let end = step.text.floor_char_boundary(self.most_bytes / 2);
        step.text.truncate(end);
        let mut locked = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, bytes) = &mut *locked;
        *bytes += step.bytes();
        while *bytes > self.most_bytes
            && let Some(dropped) = steps.pop_front()
        {
            *bytes -= dropped.bytes();
        }
        steps.push_back(step);
    }

    fn steps(&self) -> Vec<Step> {
        let locked = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        locked.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Clock as _, SystemClock};

    #[test]
    fn the_last_steps_are_kept_up_to_a_limit() {
        let now = SystemClock::new().now();
        let check = Check::new(now.mono, now, Duration::from_secs(1)).with_last_steps(100);
        for n in 0..50 {
            check.step("step", || format!("number {n}"));
        }
        check.step("body", || "ü".repeat(200));
        let steps = check.last_steps().unwrap();
        let bytes: usize = steps.iter().map(Step::bytes).sum();
        assert!(bytes <= 100, "{bytes}");
        assert_eq!(steps.last().unwrap().text, "ü".repeat(25));
        assert_eq!(steps[0].text, "number 47");
    }
}
