//! The seams for reading what was recorded: the last results, the history, time series. They
//! serve dashboards and reports; the engine itself only reads the last results after a start.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    history::{CheckResult, Delivery, Incident, PortChangeRecord, Stretch},
    outcome::Verdict,
    rule::condition::Condition,
    store::StoreError,
};

/// The most results that are kept.
pub const RECENT_RESULTS: usize = 60;

/// The result of one of the last checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RecentResult {
    /// When the check started, to the second.
    pub at: Timestamp,
    /// The condition of the monitor after it.
    pub condition: Condition,
    /// How long the target took to answer, if it answered, to 10 µs.
    pub latency: Option<Duration>,
}

impl RecentResult {
    /// Creates a result.
    #[must_use]
    pub fn new(at: Timestamp, condition: Condition, latency: Option<Duration>) -> Self {
        Self {
            at,
            condition,
            latency,
        }
    }

    /// The result as a history keeps it. A history does not tell soft from hard.
    pub(crate) fn of(result: &CheckResult) -> Self {
        let condition = match result.verdict {
            Verdict::Up => Condition::Up,
            Verdict::Down => Condition::Down,
            Verdict::Unknown => Condition::Unknown,
        };
        Self::new(result.at, condition, result.latency)
    }
}

/// A span of time, both ends included.
pub type Span = RangeInclusive<Timestamp>;

/// Reads a history. A reader sees a state that is at most some seconds old, and never keeps the
/// store from writing.
pub trait HistoryReader: Send {
    /// The names of all monitors that are or were watched.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn monitors(&self) -> Result<Vec<String>, StoreError>;

    /// Incidents that overlap `span`, of one monitor or of all, oldest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn incidents(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Incident>, StoreError>;

    /// Deliveries in `span`, about one monitor or all, oldest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn deliveries(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<Delivery>, StoreError>;

    /// The last check results of a monitor, oldest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn results(&self, monitor: &str) -> Result<Vec<CheckResult>, StoreError>;

    /// The stretches of a monitor that end after `from`, oldest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn stretches(&self, monitor: &str, from: Timestamp) -> Result<Vec<Stretch>, StoreError>;

    /// Changes at the ports of one monitor or of all in `span`, oldest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn port_changes(&self, monitor: Option<&str>, span: &Span) -> Result<Vec<PortChangeRecord>, StoreError>;
}

/// Reads time series.
pub trait SeriesReader: Send {
    /// The names of the metrics that are recorded of a monitor.
    ///
    /// # Errors
    /// If the series cannot be read.
    fn metrics(&self, monitor: &str) -> Result<Vec<String>, StoreError>;

    /// The values of a metric in `span`, at the finest step that is not below `step`.
    ///
    /// # Errors
    /// If the series cannot be read.
    fn series(
        &self,
        monitor: &str,
        metric: &str,
        span: &Range<Timestamp>,
        step: Duration,
    ) -> Result<Series, StoreError>;
}

/// The values of a metric at equal steps.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Series {
    /// The beginning of the first step.
    pub start: Timestamp,
    /// The length of a step.
    pub step: Duration,
    /// The average of each step, in the metric's unit; `None` where it is not known.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Creates a series.
    #[must_use]
    pub fn new(start: Timestamp, step: Duration, values: Vec<Option<f64>>) -> Self {
        Self { start, step, values }
    }
}
