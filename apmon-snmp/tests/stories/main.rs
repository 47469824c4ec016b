//! Devices that change between two checks, and what the kinds report about them. Real
//! monitors, built from a site file, check the lab's agent; the tests move the clock.

#![allow(clippy::unwrap_used)] // a test may panic

mod count;
mod failure;
mod forwarding;
mod host;
#[path = "../lab/mod.rs"]
mod lab;
mod line;
mod pinned;
mod port;
mod restart;
mod second_table;
mod station;
mod story;
mod window;
