//! Decisions, as pure functions of what was polled, what is remembered, and now.

pub(crate) mod change;
pub(crate) mod counter_value;
pub(crate) mod counting;
pub(crate) mod follow;
pub(crate) mod pattern;
pub(crate) mod pinning;
pub(crate) mod restart;
pub(crate) mod threshold;
