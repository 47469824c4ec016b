//! The record of one check: phases, metrics, warnings, and the outcome.

use std::{net::IpAddr, time::Duration};

use apmon_core::{
    Attempts, Check, Failure, Metric, Outcome, OwnNetwork as _, Phase, Reading, Stopwatch, Warning,
};

use crate::network::Network;

/// Records one check while it is under way.
pub(crate) struct CheckRecorder {
    watch: Stopwatch,
    /// The time that passed before: the look-up of the target's name.
    before: Duration,
    /// The time that passed on our own side, which says nothing of the target.
    own: Duration,
    last: Duration,
    stopped: Option<Duration>,
    phases: Vec<(Phase, Duration)>,
    warnings: Vec<Warning>,
    metrics: Vec<Metric>,
    to: Option<IpAddr>,
}

impl CheckRecorder {
    /// Starts with a check, whose target has been looked up.
    pub(crate) fn of(check: &Check) -> Self {
        let mut recorder = Self::start();
        if let Some(time) = check.resolved_in() {
            recorder.before = time;
            recorder.phases.push((Phase::Resolve, time));
        }
        recorder
    }

    pub(crate) fn start() -> Self {
        Self {
            watch: Stopwatch::start(),
            before: Duration::ZERO,
            own: Duration::ZERO,
            last: Duration::ZERO,
            stopped: None,
            phases: Vec::new(),
            warnings: Vec::new(),
            metrics: Vec::new(),
            to: None,
        }
    }

    /// Notes the address that is checked from here on.
    pub(crate) fn goes_to(&mut self, to: IpAddr) {
        self.to = Some(to);
    }

    /// Records a metric.
    pub(crate) fn measured(&mut self, name: &'static str, value: f64) {
        self.metrics.push(Metric::gauge(name, value));
    }

    /// Records a metric; of several values the smallest counts.
    pub(crate) fn measured_least(&mut self, name: &'static str, value: f64) {
        match self.metrics.iter_mut().find(|metric| metric.name == name) {
            Some(metric) => metric.reading = Reading::Gauge(metric.value().min(value)),
            None => self.measured(name, value),
        }
    }

    /// Adds a warning, unless it is there already: redirects may lead through one server twice.
    pub(crate) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Ends `phase`, which took the time since the one before.
    pub(crate) fn done(&mut self, phase: Phase) {
        let now = self.passed();
        self.phases.push((phase, now.saturating_sub(self.last)));
        self.last = now;
    }

    /// Leaves out time that this machine took for itself.
    pub(crate) fn spent_on_our_side(&mut self, time: Duration) {
        self.own += time;
    }

    fn passed(&self) -> Duration {
        self.watch.elapsed().saturating_sub(self.own)
    }

    /// Stops the clock: the verdict stands, and what follows only explains it.
    pub(crate) fn stop(&mut self) {
        self.stopped = Some(self.elapsed());
    }

    /// The time since the check began, without that of other addresses.
    fn elapsed(&self) -> Duration {
        self.before + self.passed()
    }

    /// Sets the latency, which was measured separately.
    pub(crate) fn answered_in(&mut self, time: Duration) {
        self.stopped = Some(time);
    }

    /// Notes the addresses that were tried in vain before the check arrived at another host, at
    /// that of `attempt`.
    pub(crate) fn arrives(&mut self, attempts: &Attempts<'_>, attempt: &Check, check: &Check) {
        for note in attempts.notes() {
            self.warn(note);
        }
        check.moved_to(attempt.address());
    }

    /// Returns the outcome. A failure may turn out to be our own network's.
    pub(crate) fn finish(self, result: Result<(), Failure>, check: &Check, network: &Network) -> Outcome {
        let result = result.map_err(|failure| match self.to {
            Some(to) => check.network(network, to).blame(to, failure),
            None => failure,
        });
        let mut outcome = match result {
            Ok(()) => Outcome::up(self.stopped.unwrap_or_else(|| self.elapsed())),
            Err(failure) => Outcome::failed(failure),
        };
        outcome.warnings = self.warnings;
        outcome.metrics = self.metrics;
        outcome.with_phases(self.phases)
    }
}

/// A duration as reasons show it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} secs", duration.as_secs_f64())
}

/// A check that starts now, for tests.
#[cfg(test)]
pub(crate) fn check(timeout: Duration) -> apmon_core::Check {
    use apmon_core::{Check, Clock as _, SystemClock};
    let now = SystemClock::new().now();
    Check::new(now.mono, now, timeout)
}
