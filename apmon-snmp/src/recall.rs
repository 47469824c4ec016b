//! What a kind finds in its memory, and puts there.

use std::{collections::BTreeMap, sync::Arc};

use apmon_core::Memory;

/// The values under which kinds of this crate remember.
pub(crate) struct Recall {
    kept: BTreeMap<String, Arc<str>>,
    counts: Option<Arc<str>>,
}

impl Recall {
    pub(crate) fn of(memory: &Memory) -> Self {
        Self {
            kept: memory.kept.clone(),
            counts: memory.counts.clone(),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.kept.get(key).map(AsRef::as_ref)
    }

    pub(crate) fn counts(&self) -> Option<&str> {
        self.counts.as_deref()
    }

    /// Remembers `text`. One that is the same stays the same, so that nothing
    /// is written for it.
    pub(crate) fn keep(&mut self, key: &str, text: String) {
        if self.text(key) != Some(text.as_str()) {
            self.kept.insert(key.to_owned(), text.into());
        }
    }

    /// Remembers counts; `None` where there are none that can be written.
    pub(crate) fn count(&mut self, text: Option<String>) {
        self.counts = text.map(Into::into);
    }

    pub(crate) fn memory(self) -> Memory {
        Memory {
            kept: self.kept,
            counts: self.counts,
        }
    }
}
