//! The seam to probes: one check of one target.

mod turn;

use std::{
    collections::VecDeque,
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

pub(crate) use self::turn::{Turn, TurnHost};
use crate::{
    config::{Addresses, Host, Remote, SourceAddresses},
    mask::Mask,
    memory::Memory,
    names::Names,
    network::{NetworkFrom, OwnNetwork},
    outcome::{Failure, FailureClass, Outcome},
    time::{Mono, Now, Stopwatch},
};

/// A check of one target: one attempt, one address, one deadline.
///
/// A probe never retries, never sleeps, never chooses an address and never logs above debug:
/// those are policy, and policy lives in the engine.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Runs one check. It must not run past [`Check::deadline`]; a probe that does is cut off.
    async fn probe(&self, check: &Check) -> Outcome;

    /// The host that it checks. If that is a name, each check gets one of its addresses
    /// ([`Check::address`]), and the next address gets a check of its own if one cannot be
    /// reached. Default: none; the probe then reaches its target by itself.
    fn target(&self) -> Option<ProbeTarget<'_>> {
        None
    }
}

/// The host that a probe checks, and what finds its addresses.
#[derive(Clone, Copy)]
pub struct ProbeTarget<'a> {
    /// The host.
    pub remote: &'a Remote,
    /// The resolver of its name.
    pub names: &'a dyn Names,
    /// The network from which it is checked.
    pub network: &'a dyn OwnNetwork,
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
    record: Record,
    /// The address whose turn it is; boxed, as most checks are of an address alone.
    turn: Option<Box<Turn>>,
}

/// Where the steps of a check are recorded.
#[derive(Clone, Debug)]
enum Record {
    None,
    Trace(Arc<Trace>),
    /// The last steps; none before the first one, as a check may end without any.
    Last(OnceLock<Arc<LastSteps>>),
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
            record: Record::None,
            turn: None,
        }
    }

    /// The same check, at the address whose turn it is. Both record their steps in one place.
    pub(crate) fn at(&self, turn: Turn) -> Self {
        if let Record::Last(steps) = &self.record {
            steps.get_or_init(Arc::default);
        }
        Self {
            due: self.due,
            started: self.started,
            timeout: self.timeout,
            memory: self.memory.clone(),
            mask: self.mask.clone(),
            began: self.began,
            deadline: self.deadline(),
            record: self.record.clone(),
            turn: Some(Box::new(turn)),
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
        self.record = Record::Trace(trace);
        self
    }

    /// Records the last steps, up to [`MAX_STEPS`] bytes of text.
    pub(crate) fn with_last_steps(mut self) -> Self {
        self.record = Record::Last(OnceLock::new());
        self
    }

    /// The last steps so far.
    pub(crate) fn last_steps(&self) -> Option<Vec<Step>> {
        let Record::Last(last) = &self.record else {
            return None;
        };
        let mut steps = last.get().map(|last| last.steps()).unwrap_or_default();
        if self.mask.is_empty() {
            return Some(steps);
        }
        for step in &mut steps {
            // A text of the greatest length was probably cut.
            let is_cut = step.text.len() + char::MAX.len_utf8() > MAX_STEPS / 2;
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
        matches!(self.record, Record::Trace(_))
    }

    /// When the check ends, answered or not. Where several addresses share the time, that of
    /// this address, until [`reached`](Self::reached) is called.
    #[must_use]
    pub fn deadline(&self) -> tokio::time::Instant {
        match self.waiting() {
            Some(turn) => turn.until,
            None => self.deadline,
        }
    }

    /// The address to check, if the host of [`Probe::target`] is a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.turn.as_ref().map(|turn| turn.address)
    }

    /// The address of this machine from which a host at `to` is checked; `None` if the system
    /// chooses it.
    #[must_use]
    pub fn source(&self, to: IpAddr) -> Option<IpAddr> {
        self.sources().toward(to)
    }

    /// This machine's `network` on the way to `to`, which depends on the
    /// [`source`](Self::source).
    #[must_use]
    pub fn network<'a>(&self, network: &'a dyn OwnNetwork, to: IpAddr) -> impl OwnNetwork + use<'a> {
        NetworkFrom {
            network,
            from: self.source(to),
        }
    }

    /// The addresses of this machine from which hosts are checked.
    pub(crate) fn sources(&self) -> SourceAddresses {
        self.turn
            .as_ref()
            .map(|turn| turn.host.source)
            .unwrap_or_default()
    }

    /// The host whose address has its turn.
    pub(crate) fn turn_host(&self) -> TurnHost {
        self.turn
            .as_ref()
            .map(|turn| turn.host.clone())
            .unwrap_or_default()
    }

    /// Which addresses of a host must answer.
    pub(crate) fn addresses(&self) -> Addresses {
        self.turn
            .as_ref()
            .map(|turn| turn.host.addresses)
            .unwrap_or_default()
    }

    /// The address to check, if it is one of `host`.
    pub(crate) fn address_of(&self, host: &Host) -> Option<IpAddr> {
        let turn = self.turn.as_ref().filter(|turn| turn.is_of(host))?;
        Some(turn.address)
    }

    /// The time that the look-up of the target's name took, if it was looked up.
    #[must_use]
    pub fn resolved_in(&self) -> Option<Duration> {
        self.turn.as_ref()?.host.resolved_in
    }

    /// Records that the host answers at its address: the connection is established, or the first
    /// datagram has arrived. From then on the check has all the time that is left, and no failure
    /// of it is a reason to try another address.
    pub fn reached(&self) {
        if let Some(turn) = &self.turn {
            turn.set_reached();
        }
    }

    /// Whether [`reached`](Self::reached) was called.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.is_reached())
    }

    /// Records that the check has gone on to another host, at `address` if that host has a name.
    /// The reason of a failure names the address of the last host.
    pub fn moved_to(&self, address: Option<IpAddr>) {
        if let Some(turn) = &self.turn {
            turn.move_to(address);
        }
    }

    /// The address that the reason of a failure names.
    pub(crate) fn named_address(&self) -> Option<IpAddr> {
        self.turn.as_ref()?.named_address()
    }

    /// The address whose turn it is, if it has not answered yet.
    fn waiting(&self) -> Option<&Turn> {
        self.turn.as_deref().filter(|turn| !turn.is_reached())
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
        match tokio::time::timeout_at(self.deadline(), future).await {
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
        let late = tokio::time::Instant::now().saturating_duration_since(self.deadline());
        if late > MAX_TIMER_DELAY {
            return Failure::new(
                FailureClass::Resources,
                format!("this process was stalled for {:.1} secs", late.as_secs_f64()),
            );
        }
        let share = self.waiting().and_then(|turn| turn.share);
        Failure::new(
            FailureClass::TimedOut,
            words(&seconds(share.unwrap_or(self.timeout))),
        )
    }

    /// Records what a step did. Costs nothing without a trace.
    pub fn step(&self, name: &str, text: impl FnOnce() -> String) {
        match &self.record {
            Record::None => {}
            Record::Trace(trace) => {
                let mut text = text();
                self.mask.hide_in(&mut text);
                trace.push(name, text);
            }
            Record::Last(steps) => steps
                .get_or_init(Arc::default)
                .push(Step::new(self.began, name, text())),
        }
    }
}

/// The most bytes of a check's last steps that are kept.
const MAX_STEPS: usize = 4096;

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

/// The last steps of one check, up to [`MAX_STEPS`] bytes of text.
#[derive(Debug, Default)]
struct LastSteps(Mutex<(VecDeque<Step>, usize)>);

impl LastSteps {
    fn push(&self, mut step: Step) {
        let end = step.text.floor_char_boundary(MAX_STEPS / 2);
        step.text.truncate(end);
        let mut locked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, bytes) = &mut *locked;
        *bytes += step.bytes();
        while *bytes > MAX_STEPS
            && let Some(dropped) = steps.pop_front()
        {
            *bytes -= dropped.bytes();
        }
        steps.push_back(step);
    }

    fn steps(&self) -> Vec<Step> {
        let locked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let check = Check::new(now.mono, now, Duration::from_secs(1)).with_last_steps();
        for n in 0..1000 {
            check.step("step", || format!("number {n}"));
        }
        check.step("body", || "ü".repeat(MAX_STEPS));
        let steps = check.last_steps().unwrap();
        let bytes: usize = steps.iter().map(Step::bytes).sum();
        assert!(bytes <= MAX_STEPS, "{bytes}");
        assert_eq!(steps.last().unwrap().text, "ü".repeat(MAX_STEPS / 4));
        assert_eq!(steps[steps.len() - 2].text, "number 999");
        assert!(steps.len() > 100, "{}", steps.len());
    }
}
