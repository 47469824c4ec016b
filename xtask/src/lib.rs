//! The parts that the tasks share with the programs they call (`apmon-harness`): running other
//! programs, paths of the workspace, a stopwatch, and failures as sentences. Without
//! dependencies, like the tasks themselves.

// A task prints to the terminal; only the product's libraries must not.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod fault;
pub mod process;
pub mod stopwatch;
pub mod workspace;
