//! The data sources and archives of a file, as `rrdtool create` names them.

/// How a data source turns what is written into a rate or a figure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceKind {
    /// A figure as it is.
    Gauge,
    /// A count that only grows: its growth a second is kept.
    Counter,
    /// A count that may also shrink.
    Derive,
    /// A count since the last update.
    Absolute,
    /// A kind that apmon does not write, found in a file of somebody else.
    Other,
}

/// How several values become one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Consolidation {
    /// Their average.
    Average,
    /// The smallest.
    Min,
    /// The greatest.
    Max,
    /// The last.
    Last,
    /// Something that apmon does not read, found in a file of somebody else.
    Other,
}

/// A data source.
#[derive(Clone, PartialEq, Debug)]
pub struct DataSource {
    /// Its name, 1 to 19 characters of `a-z A-Z 0-9 _`.
    pub name: String,
    /// Its kind.
    pub kind: SourceKind,
    /// The greatest number of seconds between two updates; beyond that, the value is unknown.
    pub heartbeat: u64,
    /// The smallest value, unless there is none.
    pub min: Option<f64>,
    /// The greatest value, unless there is none.
    pub max: Option<f64>,
}

/// A round-robin archive: how much is kept at which resolution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Round {
    /// How steps become a row.
    pub consolidation: Consolidation,
    /// The share of the steps of a row that may be unknown, from 0 to 1.
    pub xff: f64,
    /// The steps of a row.
    pub steps: u64,
    /// The rows that are kept.
    pub rows: u64,
}

/// What a file consists of.
#[derive(Clone, PartialEq, Debug)]
pub struct Schema {
    /// The seconds of a step.
    pub step: u64,
    /// The data sources, in order.
    pub sources: Vec<DataSource>,
    /// The archives, in order.
    pub rounds: Vec<Round>,
}

impl SourceKind {
    /// The name in the format; `OTHER`, which is none, for what apmon does not write.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "GAUGE",
            Self::Counter => "COUNTER",
            Self::Derive => "DERIVE",
            Self::Absolute => "ABSOLUTE",
            Self::Other => "OTHER",
        }
    }
}

impl Consolidation {
    /// The name in the format; `OTHER`, which is none, for what apmon does not read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Average => "AVERAGE",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::Last => "LAST",
            Self::Other => "OTHER",
        }
    }
}

impl Schema {
    /// The bytes of a file of this schema, all of which are written when it is created.
    #[must_use]
    pub fn size(&self) -> u64 {
        // The structures of rrd_format.h, 64 bits: the header, a source, an archive, the time of
        // the last update, the state of a source, and of a source within an archive, a pointer.
        let [head, source, round, live, pdp, cdp, pointer, value] = [128_u64, 120, 120, 16, 112, 80, 8, 8];
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (sources, rounds) = (count(self.sources.len()), count(self.rounds.len()));
        let rows = self
            .rounds
            .iter()
            .fold(0_u64, |sum, it| sum.saturating_add(it.rows));
        [
            head + live,
            sources.saturating_mul(source + pdp),
            rounds.saturating_mul(round + pointer),
            sources.saturating_mul(rounds).saturating_mul(cdp),
            sources.saturating_mul(rows).saturating_mul(value),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}
