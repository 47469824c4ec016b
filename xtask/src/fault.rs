//! The failure of a task, as a sentence for the terminal.

use std::fmt;

/// One sentence that says why a task failed. A task ends with the first one.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    /// A failure with this sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an error what was being done when it occurred.
pub trait During<T> {
    /// Puts `what` in front of the error.
    ///
    /// # Errors
    /// If there is an error already.
    fn during(self, what: impl fmt::Display) -> Result<T, Fault>;
}

impl<T, E: fmt::Display> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| Fault(format!("{what}: {error}")))
    }
}

/// `1 rule` or `2 rules`.
pub fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
