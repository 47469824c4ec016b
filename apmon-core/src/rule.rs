//! The rules: decisions as pure functions of (state, input, now).
//!
//! No rule waits, reads a clock or logs.

pub mod alert;
pub mod backoff;
pub mod health;
pub mod heartbeat;
pub mod pacing;
pub mod resend;
pub mod schedule;
pub mod window;
pub mod wording;
