//! Changes of the stations on a port.

use apmon_core::Mac;

use super::label::Label;

/// The changes of a port's stations that are to be announced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct StationChanges {
    /// The stations that are present and were not announced anywhere.
    pub appeared: Vec<Mac>,
    /// The stations that were announced on the port and have left.
    pub gone: Vec<Mac>,
    /// The stations that are present and were announced on another port.
    pub moved: Vec<Move>,
}

/// The move of a station from another port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub mac: Mac,
    /// The index of the other port among the pairs.
    pub from: usize,
    /// The label of the other port.
    pub label: Label,
}
