//! Decisions, as pure functions of the polled data, the remembered state and the
//! current time.

pub(crate) mod change;
pub(crate) mod counter_value;
pub(crate) mod counting;
pub(crate) mod follow;
pub(crate) mod pattern;
pub(crate) mod pinning;
pub(crate) mod restart;
pub(crate) mod threshold;
pub(crate) mod window;
