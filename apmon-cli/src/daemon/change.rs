//! What a reload changes, for the log.

use std::{collections::HashMap, fmt, sync::Arc};

use apmon_core::{Monitor, text::printable};

use crate::plural::count;

/// How many monitors are named.
const NAMED: usize = 10;

/// The monitors that a reload adds, changes and removes, by name.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    pub(super) fn between(before: &[Arc<dyn Monitor>], after: &[Arc<dyn Monitor>]) -> Self {
        let mut old: HashMap<&str, &str> = before
            .iter()
            .map(|monitor| (monitor.watch().name.as_str(), &*monitor.watch().checksum))
            .collect();
        let mut changes = Self::default();
        for monitor in after {
            let watch = monitor.watch();
            match old.remove(watch.name.as_str()) {
                None => changes.added.push(watch.name.clone()),
                Some(checksum) if *checksum != *watch.checksum => changes.changed.push(watch.name.clone()),
                Some(_) => {}
            }
        }
        let removed = before.iter().map(|monitor| &monitor.watch().name);
        changes.removed = removed
            .filter(|name| old.contains_key(name.as_str()))
            .cloned()
            .collect();
        changes
    }
}

/// `added web, nas; changed gateway; removed printer`
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
        ];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let lists: Vec<_> = lists
            .map(|(verb, names)| {
                let named: Vec<_> = names.iter().take(NAMED).map(|name| printable(name)).collect();
                let named = named.join(", ");
                match names.len().saturating_sub(NAMED) {
                    0 => format!("{verb} {named}"),
                    more => format!(
                        "{verb} {} ({named} and {more} more)",
                        count(names.len(), "monitor")
                    ),
                }
            })
            .collect();
        match lists.is_empty() {
            true => f.write_str("no monitor was added, changed or removed"),
            false => f.write_str(&lists.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::testing::{Target, every, watch};

    use super::*;

    fn monitors(list: &[(&str, &str)]) -> Vec<Arc<dyn Monitor>> {
        let monitors = list.iter().map(|(name, checksum)| {
            let mut watch = watch(name, every(60));
            watch.checksum = Arc::from(*checksum);
            Target::down("refused").monitor(watch) as Arc<dyn Monitor>
        });
        monitors.collect()
    }

    #[test]
    fn added_changed_and_removed_monitors_are_named() {
        let before = monitors(&[("web", "1"), ("nas", "1"), ("gone", "1")]);
        let after = monitors(&[("new\n", "1"), ("nas", "2"), ("web", "1")]);
        let changes = Changes::between(&before, &after);
        assert_eq!(changes.to_string(), "added new\\n; changed nas; removed gone");
        assert_eq!(
            Changes::between(&after, &after).to_string(),
            "no monitor was added, changed or removed"
        );
    }

    #[test]
    fn many_monitors_are_counted() {
        let names: Vec<String> = (0..12).map(|n| format!("m{n}")).collect();
        let list: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(
            Changes::between(&[], &monitors(&list)).to_string(),
            "added 12 monitors (m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more)"
        );
    }
}
