//! The progress of a long operation, for a person at a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use apmon_core::{Stopwatch, text::printable};

use crate::table::cut;

/// How often the line is updated: nobody reads faster.
const UPDATE_EVERY: Duration = Duration::from_millis(100);
/// A longer line could wrap, and would not be erased completely.
const WIDTH: usize = 79;

/// One line on stderr that is erased when dropped; nothing if stderr is not a
/// terminal.
pub(crate) struct Progress {
    is_shown: bool,
    /// Time since the last update.
    updated: Option<Stopwatch>,
}

impl Progress {
    /// A progress line for an operation that prints nothing else meanwhile.
    pub(crate) fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            updated: None,
        }
    }

    /// A progress line beside output on stdout; not shown if stdout is a terminal
    /// as well, where the output itself shows the progress.
    pub(crate) fn beside_output() -> Self {
        Self {
            is_shown: io::stderr().is_terminal() && !io::stdout().is_terminal(),
            updated: None,
        }
    }

    /// Shows `text`, unless the last update was a moment ago.
    pub(crate) fn update(&mut self, text: impl FnOnce() -> String) {
        let is_due = self
            .updated
            .as_ref()
            .is_none_or(|updated| updated.elapsed() >= UPDATE_EVERY);
        if self.is_shown && is_due {
            let text = text();
            let _ = write!(io::stderr().lock(), "\r{}\x1b[K", cut(&printable(&text), WIDTH));
            self.updated = Some(Stopwatch::start());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.updated.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
