//! The memory of a monitor between checks.

use std::{collections::BTreeMap, sync::Arc};

use apmon_core::Memory;

/// The key of the address of the device that the memory is about.
const AGENT: &str = "snmp_agent";

/// The keys that are dropped when the monitor gets another device. The data sources of
/// ports (`port_sources`) stay, as the archive does.
const OF_THE_DEVICE: &[&str] = &["ports_state", "ports_told", "port_state", "over_limits"];

/// The memory of a monitor, by the keys of the state file.
pub(crate) struct StoredMemory {
    kept: BTreeMap<String, Arc<str>>,
    counts: Option<Arc<str>>,
}

impl StoredMemory {
    /// Opens the memory for the device at the address `agent`, and drops what is remembered
    /// of another device.
    pub(crate) fn of(memory: &Memory, agent: &str) -> Self {
        let mut stored = Self {
            kept: memory.kept.clone(),
            counts: memory.counts.clone(),
        };
        let agent = serde_json::Value::from(agent).to_string();
        // A state file of APMonitor does not contain the address.
        if stored.text(AGENT).is_some_and(|before| before != agent) {
            for key in OF_THE_DEVICE {
                stored.kept.remove(*key);
            }
            stored.counts = None;
        }
        stored.keep(AGENT, agent);
        stored
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.kept.get(key).map(AsRef::as_ref)
    }

    pub(crate) fn counts(&self) -> Option<&str> {
        self.counts.as_deref()
    }

    /// Remembers `text` under `key`. Unchanged text causes no write.
    pub(crate) fn keep(&mut self, key: &str, text: String) {
        if self.text(key) != Some(text.as_str()) {
            self.kept.insert(key.to_owned(), text.into());
        }
    }

    /// Remembers counters; `None` if there are none to write.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered() -> Memory {
        let mut stored = StoredMemory::of(&Memory::default(), "switch.lan:161");
        for key in ["ports_state", "port_sources", "of_another_kind"] {
            stored.keep(key, "[]".to_owned());
        }
        stored.count(Some("{}".to_owned()));
        stored.memory()
    }

    #[test]
    fn memory_of_a_device_is_dropped_when_the_address_changes() {
        let same = StoredMemory::of(&remembered(), "switch.lan:161");
        assert_eq!(same.memory(), remembered());
        let other = StoredMemory::of(&remembered(), "switch.lan:1161");
        assert_eq!((other.text("ports_state"), other.counts()), (None, None));
        // The archive continues, and unrelated keys are left alone.
        assert_eq!(other.text("port_sources"), Some("[]"));
        assert_eq!(other.text("of_another_kind"), Some("[]"));
        assert_eq!(other.text(AGENT), Some("\"switch.lan:1161\""));
    }

    #[test]
    fn a_state_file_of_apmonitor_is_continued() {
        let mut taken_over = remembered();
        taken_over.kept.remove(AGENT);
        let stored = StoredMemory::of(&taken_over, "switch.lan:161");
        assert_eq!(stored.text("ports_state"), Some("[]"));
    }
}
