//! The kinds of monitors: options, and how each runs a check.

pub(crate) mod allow_macs;
pub(crate) mod host;
pub(crate) mod percentile;
pub(crate) mod port;
pub(crate) mod ports;
mod stored_memory;
mod unplaced;
