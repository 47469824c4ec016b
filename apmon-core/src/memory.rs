//! What a monitor knows again at its next look.

use std::{collections::BTreeMap, sync::Arc};

/// What a monitor's last look left for the next one, kept with its state.
///
/// The engine does not read it. What a look returns is written in one step with
/// what it tells, so that no message about a change is lost or told twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Values in JSON, each under its key in the state file. A monitor leaves
    /// the keys alone that it does not know.
    pub kept: BTreeMap<String, Arc<str>>,
    /// What changes at every look, in JSON (`null` where there is nothing): it
    /// may be some minutes old when it is read again after a restart.
    pub counts: Option<Arc<str>>,
}

impl Memory {
    /// Nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.counts.is_none()
    }
}
