//! The kinds of monitors: their options, and one check of each.

pub(crate) mod allow_macs;
pub(crate) mod host;
pub(crate) mod percentile;
pub(crate) mod port;
pub(crate) mod ports;
mod stored_memory;
