//! How the state's files are damaged.

/// What is done to the state's files while apmon runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// The state file is removed.
    Remove,
    /// Half of it is cut off.
    CutOff,
    /// Garbage is written over the middle of it.
    Overwrite,
    /// A file of garbage takes its place.
    Replace,
    /// A write-ahead log of garbage appears beside it.
    Log,
    /// A journal of garbage appears beside it.
    Journal,
}

impl Damage {
    pub(super) const ALL: [Self; 6] = [
        Self::Remove,
        Self::CutOff,
        Self::Overwrite,
        Self::Replace,
        Self::Log,
        Self::Journal,
    ];

    /// Its name in the summary.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Remove => "state removed",
            Self::CutOff => "state cut off",
            Self::Overwrite => "state overwritten",
            Self::Replace => "state replaced",
            Self::Log => "foreign -wal",
            Self::Journal => "foreign -journal",
        }
    }

    /// Whether what is done to a database may cost its history.
    pub(super) fn may_cost_history(self) -> bool {
        !matches!(self, Self::Log | Self::Journal)
    }
}
