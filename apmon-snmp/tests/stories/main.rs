//! What the kinds detect and report on devices that change between two checks:
//! real monitors, built from a site file, and the lab's agent. The tests move the
//! clock by hand.

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
