//! How far something long has come, for a person at a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use apmon_core::{Stopwatch, text::printable};

use crate::table::cut;

/// A person reads no faster.
const EVERY: Duration = Duration::from_millis(100);
/// A longer line would not go away by itself.
const WIDTH: usize = 79;

/// One line on stderr that goes away again; nothing where stderr is no
/// terminal.
pub(crate) struct Progress {
    is_shown: bool,
    /// Since it was said last.
    said: Option<Stopwatch>,
}

impl Progress {
    /// While nothing else is printed.
    pub(crate) fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            said: None,
        }
    }

    /// While stdout is written to: nothing where a person sees it grow.
    pub(crate) fn beside_output() -> Self {
        Self {
            is_shown: io::stderr().is_terminal() && !io::stdout().is_terminal(),
            said: None,
        }
    }

    /// Shows where it stands, now and then.
    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        let is_due = self.said.as_ref().is_none_or(|said| said.elapsed() >= EVERY);
        if self.is_shown && is_due {
            let text = text();
            let _ = write!(io::stderr().lock(), "\r{}\x1b[K", cut(&printable(&text), WIDTH));
            self.said = Some(Stopwatch::start());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.said.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
