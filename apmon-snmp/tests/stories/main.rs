//! What the kinds find in devices that change between two looks, and what is
//! told of it: real monitors, built from a site file, and the lab's agent.
//! The clock of the looks is moved by hand.

#![allow(clippy::unwrap_used)] // a test may end where it stands

mod count;
mod failure;
mod host;
#[path = "../lab/mod.rs"]
mod lab;
mod line;
mod pinned;
mod port;
mod restart;
mod station;
mod story;
mod window;
