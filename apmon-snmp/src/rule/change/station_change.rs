//! Stations that appeared on a port, left it or moved to it.

use apmon_core::Mac;

use super::label::Label;

/// What is to be announced about the stations on a port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct StationChanges {
    /// Stations that are there, and were announced nowhere.
    pub appeared: Vec<Mac>,
    /// Stations that were announced there, and are not.
    pub gone: Vec<Mac>,
    /// Stations that are there, and were announced on another port.
    pub moved: Vec<Move>,
}

/// A station that is on another port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub mac: Mac,
    /// The place of that other port among the pairs.
    pub from: usize,
    /// The name of that other port.
    pub label: Label,
}
