//! The rules: decisions as pure functions of (state, input, now).
//!
//! No rule waits, reads a clock or logs.

pub mod alert;
pub(crate) mod announcement;
pub(crate) mod backoff;
pub mod condition;
pub mod effects;
pub mod health;
pub(crate) mod heartbeat;
pub mod pacing;
pub(crate) mod pass;
mod record;
pub(crate) mod resend;
pub mod route;
pub(crate) mod schedule;
pub(crate) mod standing;
pub mod wording;
