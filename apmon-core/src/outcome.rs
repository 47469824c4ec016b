//! What one look found.

use std::{borrow::Cow, fmt, time::Duration};

/// The three things a look can say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The target was reached and answered as it should.
    Up,
    /// The target could not be reached, or answered wrong.
    Down,
    /// We could not look: our own trouble. It never opens or closes an outage.
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

/// Whose fault a failure is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Domain {
    /// The target could not be reached (seed 001: `EXCEPTION_ERROR`).
    Environment,
    /// It was reached and answered wrong (seed 001: `APPLICATION_ERROR`).
    Application,
    /// Ours.
    Own,
}

/// What kind of failure it was, for machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureClass {
    /// The name does not exist.
    NoSuchName,
    /// Connection refused, or ICMP port unreachable.
    Refused,
    /// Connection reset.
    Reset,
    /// Host unreachable: nobody answers there.
    HostUnreachable,
    /// No answer before the deadline.
    TimedOut,
    /// The peer closed before it had answered.
    Closed,
    /// The TLS handshake failed.
    Tls,
    /// The certificate, or the station on a port, is not the pinned one.
    Pin,
    /// The certificate is expired, or not valid yet.
    Expiry,
    /// The peer does not speak the protocol.
    Protocol,
    /// The status says failure.
    Status,
    /// The expected content is not there.
    Content,
    /// It does not let us in: it knows no such user, or another key.
    Denied,
    /// We lack a permission.
    Permission,
    /// We have no way out: no route, no carrier, no address.
    NoRoute,
    /// We lack descriptors, buffers or memory.
    Resources,
    /// Our resolver did not answer.
    Resolver,
    /// The device answers, but a table that decides could not be read.
    Unreadable,
    /// A bug in the check: it panicked.
    Panic,
}

impl FailureClass {
    /// Whose fault it is.
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

/// Why a look did not find its target up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// For machines.
    pub class: FailureClass,
    /// For people: a fragment without a final stop, as it stands in a message.
    pub reason: String,
}

impl Failure {
    /// A failure with its sentence.
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

/// A stage of a check that takes time of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// The name was looked up.
    Resolve,
    /// The connection was made.
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

/// What one look found. A failed look is data and no error.
///
/// The class of a failure decides its verdict: our own trouble is `Unknown`,
/// everything else is `Down`. So no probe can blame a target for our fault by
/// picking the wrong constructor.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    failure: Option<Failure>,
    /// How long the target took to answer, if it did.
    pub latency: Option<Duration>,
    /// Up, but somebody should know.
    pub warning: Option<String>,
    /// How long each stage took, in the order they ran.
    pub phases: Vec<(Phase, Duration)>,
    /// What else was measured.
    pub metrics: Vec<Metric>,
}

/// A figure that a look measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// In lower case, its unit last: `rtt_avg_ms`, `loss_pct`,
    /// `ssl_expiry_days`. Those of `ports`, `port` and `host` have the names of
    /// seed 003's data sources.
    pub name: Cow<'static, str>,
    /// The figure.
    pub reading: Reading,
}

impl Metric {
    /// A figure as it stands.
    pub fn gauge(name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        Self {
            name: name.into(),
            reading: Reading::Gauge(value),
        }
    }

    /// A count that only grows. `continues` where it goes on from the last one
    /// of that name.
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

/// What kind of figure it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Reading {
    /// As it stands: a time, a percentage, bytes in use.
    Gauge(f64),
    /// A count that only grows.
    Counter {
        /// The count. It wraps at 2^64.
        value: u64,
        /// It goes on from the last one of that name. If not (the device was
        /// restarted, or counts otherwise now), nothing is known of the time
        /// between the two: their difference means nothing.
        continues: bool,
    },
}

impl Reading {
    /// As a floating-point number.
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
    /// Up, after `latency`.
    #[must_use]
    pub fn up(latency: Duration) -> Self {
        Self {
            latency: Some(latency),
            ..Self::default()
        }
    }

    /// Not up.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// Not up, by class and sentence.
    pub fn fail(class: FailureClass, reason: impl Into<String>) -> Self {
        Self::failed(Failure::new(class, reason))
    }

    /// What this look says.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.failure {
            None => Verdict::Up,
            Some(failure) if failure.class.domain() == Domain::Own => Verdict::Unknown,
            Some(_) => Verdict::Down,
        }
    }

    /// Why it is not up.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// With the time each stage took.
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
    fn our_own_trouble_is_never_down() {
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
}
