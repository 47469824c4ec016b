//! The result of one check: verdict, failure, phases and metrics.

use std::{borrow::Cow, fmt, time::Duration};

/// The verdict of a check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The target was reached and answered correctly.
    Up,
    /// The target could not be reached, or answered incorrectly.
    Down,
    /// The check itself was not possible, through a fault of ours. It never opens or closes an
    /// outage.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "Up",
            Self::Down => "Down",
            Self::Unknown => "Unknown",
        })
    }
}

/// The side that is at fault for a failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Domain {
    /// The target could not be reached (APMonitor: `EXCEPTION_ERROR`).
    Environment,
    /// The target was reached and answered incorrectly (APMonitor: `APPLICATION_ERROR`).
    Application,
    /// We are at fault.
    Own,
}

/// The class of a failure, for machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureClass {
    /// The name does not exist.
    NoSuchName,
    /// Connection refused, or ICMP port unreachable.
    Refused,
    /// Connection reset.
    Reset,
    /// Host unreachable: nothing answers at that address.
    HostUnreachable,
    /// No answer before the deadline.
    TimedOut,
    /// The peer closed the connection before it had answered.
    Closed,
    /// The TLS handshake failed.
    Tls,
    /// The certificate, or the station on a port, is not the pinned one.
    Pin,
    /// The certificate is expired, or not valid yet.
    Expiry,
    /// The peer does not speak the protocol.
    Protocol,
    /// The status of the answer reports a failure.
    Status,
    /// The expected content is missing.
    Content,
    /// Access is denied: the user is unknown, or the key is wrong.
    Denied,
    /// This process lacks a permission.
    Permission,
    /// This machine has no way to the target: no route, no carrier, no address.
    NoRoute,
    /// This machine lacks descriptors, buffers or memory.
    Resources,
    /// Our resolver did not answer.
    Resolver,
    /// The device answers, but a table on which the verdict depends could not be read.
    Unreadable,
    /// The check panicked, which is a bug.
    Panic,
}

impl FailureClass {
    /// The side that is at fault.
    #[must_use]
    pub fn domain(self) -> Domain {
        match self {
            Self::NoSuchName
            | Self::Refused
            | Self::Reset
            | Self::HostUnreachable
            | Self::TimedOut
            | Self::Closed => Domain::Environment,
            Self::Tls
            | Self::Pin
            | Self::Expiry
            | Self::Protocol
            | Self::Status
            | Self::Content
            | Self::Denied => Domain::Application,
            Self::Permission
            | Self::NoRoute
            | Self::Resources
            | Self::Resolver
            | Self::Unreadable
            | Self::Panic => Domain::Own,
        }
    }

    /// The name used in `--json` output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchName => "no_such_name",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::HostUnreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Tls => "tls",
            Self::Pin => "pin",
            Self::Expiry => "expiry",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Content => "content",
            Self::Denied => "denied",
            Self::Permission => "permission",
            Self::NoRoute => "no_route",
            Self::Resources => "resources",
            Self::Resolver => "resolver",
            Self::Unreadable => "unreadable",
            Self::Panic => "panic",
        }
    }
}

/// The reason why a check did not end as up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The class, for machines.
    pub class: FailureClass,
    /// The reason, for people: a fragment without a full stop, as it appears in a notification.
    pub reason: String,
}

impl Failure {
    /// Creates a failure from its class and reason.
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Self {
        Self {
            class,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A stage of a check whose time is measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// The name was resolved.
    Resolve,
    /// The connection was established.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Until the first byte of the answer.
    FirstByte,
    /// Until the answer was complete.
    Transfer,
}

impl Phase {
    /// The name used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::FirstByte => "first byte",
            Self::Transfer => "transfer",
        }
    }
}

/// The result of one check. A failed check is data, not an error.
///
/// The class of a failure decides the verdict: a fault of ours is `Unknown`, everything else is
/// `Down`. So no probe can blame a target for our fault by picking the wrong constructor.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    failure: Option<Failure>,
    /// How long the target took to answer, if it answered.
    pub latency: Option<Duration>,
    /// What deserves attention although the target may be up, in the order in which it was
    /// noticed.
    pub warnings: Vec<Warning>,
    /// The duration of each stage, in the order in which they ran.
    pub phases: Vec<(Phase, Duration)>,
    /// What else was measured.
    pub metrics: Vec<Metric>,
}

/// Something about a target that deserves attention although it may be up.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// The class, for machines.
    pub class: WarningClass,
    /// The text, for people: a fragment without a full stop.
    pub text: String,
    /// How serious it is.
    pub level: WarningLevel,
}

/// The class of a warning, for machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WarningClass {
    /// The certificate expires soon, or has expired.
    Expiry,
    /// The answer came from elsewhere: a redirect left TLS.
    Redirect,
    /// A part of the data could not be read.
    Incomplete,
    /// One of several addresses does not answer.
    Address,
}

/// How serious a warning is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WarningLevel {
    /// It is shown.
    Note,
    /// The target is degraded: up, but not as it should be.
    Degrades,
}

impl Warning {
    /// Creates a warning that is only shown.
    pub fn note(class: WarningClass, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
            level: WarningLevel::Note,
        }
    }

    /// Creates a warning that makes the target degraded.
    pub fn degrades(class: WarningClass, text: impl Into<String>) -> Self {
        Self {
            level: WarningLevel::Degrades,
            ..Self::note(class, text)
        }
    }
}

impl WarningClass {
    /// The name used in `--json` output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Redirect => "redirect",
            Self::Incomplete => "incomplete",
            Self::Address => "address",
        }
    }
}

impl WarningLevel {
    /// The name used in `--json` output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Degrades => "degrades",
        }
    }
}

/// A figure that a check measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// Lower case, with the unit last: `rtt_avg_ms`, `loss_pct`, `ssl_expiry_days`. Metrics of
    /// `ports`, `port` and `host` are named as APMonitor's data sources.
    pub name: Cow<'static, str>,
    /// The figure.
    pub reading: Reading,
}

impl Metric {
    /// Creates a gauge.
    pub fn gauge(name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        Self {
            name: name.into(),
            reading: Reading::Gauge(value),
        }
    }

    /// Creates a counter. `continues` says whether it continues the last one of that name.
    pub fn counter(name: impl Into<Cow<'static, str>>, value: u64, continues: bool) -> Self {
        Self {
            name: name.into(),
            reading: Reading::Counter { value, continues },
        }
    }

    /// The figure as a floating-point number.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.reading.value()
    }
}

/// The value of a metric: a gauge or a counter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Reading {
    /// The current value: a time, a percentage, bytes in use.
    Gauge(f64),
    /// A count that only grows.
    Counter {
        /// The count. It wraps at 2^64.
        value: u64,
        /// Whether it continues the last count of that name. If not (the device was restarted,
        /// or counts differently now), the difference between the two means nothing.
        continues: bool,
    },
}

impl Reading {
    /// The value as a floating-point number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // shown to people
    pub fn value(self) -> f64 {
        match self {
            Self::Gauge(value) => value,
            Self::Counter { value, .. } => value as f64,
        }
    }
}

impl Outcome {
    /// Creates the outcome of a check that succeeded after `latency`.
    #[must_use]
    pub fn up(latency: Duration) -> Self {
        Self {
            latency: Some(latency),
            ..Self::default()
        }
    }

    /// Creates the outcome of a failed check.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// Creates the outcome of a failed check from the failure's class and reason.
    pub fn fail(class: FailureClass, reason: impl Into<String>) -> Self {
        Self::failed(Failure::new(class, reason))
    }

    /// The verdict of the check.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.failure {
            None => Verdict::Up,
            Some(failure) if failure.class.domain() == Domain::Own => Verdict::Unknown,
            Some(_) => Verdict::Down,
        }
    }

    /// The reason why the target is not up; `None` if it is.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Makes it the outcome of a failed check. The figures stay.
    pub(crate) fn fail_with(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.latency = None;
    }

    /// Replaces the failure, if it failed.
    pub(crate) fn map_failure(&mut self, replace: impl FnOnce(Failure) -> Failure) {
        self.failure = self.failure.take().map(replace);
    }

    /// Whether the target is up, but not as it should be.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.verdict() == Verdict::Up
            && self
                .warnings
                .iter()
                .any(|warning| warning.level == WarningLevel::Degrades)
    }

    /// The texts of all warnings, as one line; `None` without warnings.
    #[must_use]
    pub fn warning_text(&self) -> Option<String> {
        let texts: Vec<&str> = self
            .warnings
            .iter()
            .map(|warning| warning.text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Adds the duration of each stage.
    #[must_use]
    pub fn with_phases(mut self, phases: Vec<(Phase, Duration)>) -> Self {
        self.phases = phases;
        self
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_never_down() {
        for class in [
            FailureClass::Permission,
            FailureClass::NoRoute,
            FailureClass::Resources,
            FailureClass::Resolver,
            FailureClass::Unreadable,
            FailureClass::Panic,
        ] {
            assert_eq!(Outcome::fail(class, "x").verdict(), Verdict::Unknown, "{class:?}");
        }
        assert_eq!(
            Outcome::fail(FailureClass::HostUnreachable, "x").verdict(),
            Verdict::Down
        );
        assert_eq!(Outcome::up(Duration::ZERO).verdict(), Verdict::Up);
    }

    #[test]
    fn a_note_does_not_hide_a_warning_that_degrades() {
        let mut outcome = Outcome::up(Duration::ZERO);
        assert_eq!((outcome.is_degraded(), outcome.warning_text()), (false, None));
        let dead = Warning::note(WarningClass::Address, "192.0.2.1 does not answer");
        outcome.warnings.push(dead);
        assert!(!outcome.is_degraded());
        let expiring = Warning::degrades(WarningClass::Expiry, "the certificate expires in 3 days");
        outcome.warnings.push(expiring.clone());
        assert!(outcome.is_degraded());
        assert_eq!(
            outcome.warning_text().as_deref(),
            Some("192.0.2.1 does not answer; the certificate expires in 3 days")
        );
        let mut down = Outcome::fail(FailureClass::Pin, "x");
        down.warnings.push(expiring);
        assert!(!down.is_degraded(), "it is down");
    }
}
