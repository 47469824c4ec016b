//! Matching the ports of this check with those of the last one: a device may renumber its
//! interfaces when it restarts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The number and names that distinguish one port from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity<'a> {
    /// ifIndex.
    pub index: u32,
    /// ifDescr; may be empty, and the same for all ports.
    pub name: &'a str,
    /// ifName, if it is known.
    pub short_name: Option<&'a str>,
}

/// An [`Identity`] that is kept from one check to the next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct OwnedIdentity {
    /// ifIndex.
    pub index: u32,
    /// ifDescr.
    pub name: String,
    /// ifName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_name: Option<String>,
}

impl OwnedIdentity {
    pub(crate) fn borrowed(&self) -> Identity<'_> {
        Identity {
            index: self.index,
            name: &self.name,
            short_name: self.short_name.as_deref(),
        }
    }
}

impl From<Identity<'_>> for OwnedIdentity {
    fn from(port: Identity<'_>) -> Self {
        Self {
            index: port.index,
            name: port.name.to_owned(),
            short_name: port.short_name.map(str::to_owned),
        }
    }
}

impl Identity<'_> {
    fn short(&self) -> Option<&str> {
        self.short_name.filter(|name| !name.is_empty())
    }

    fn long(&self) -> Option<&str> {
        Some(self.name).filter(|name| !name.is_empty())
    }

    /// Whether both have a short name, and the two differ.
    fn contradicts(&self, other: &Self) -> bool {
        matches!((self.short(), other.short()), (Some(one), Some(two)) if one != two)
    }
}

/// Finds, for each port in `new`, the position of the same port in `old`.
///
/// Two ports are the same if they share an ifName that is unique then and now; failing
/// that, an ifDescr that is unique then and now; failing that, the ifIndex, unless their
/// names contradict.
pub(crate) fn follow(old: &[Identity<'_>], new: &[Identity<'_>]) -> Vec<Option<usize>> {
    let mut found = vec![None; new.len()];
    let mut is_taken = vec![false; old.len()];
    let (old_short, new_short) = (unique(old, Identity::short), unique(new, Identity::short));
    let (old_long, new_long) = (unique(old, Identity::long), unique(new, Identity::long));
    let by_index: HashMap<u32, usize> = old.iter().enumerate().map(|(i, it)| (it.index, i)).collect();
    let by_short_name = |port: &Identity<'_>| {
        let name = port.short().filter(|name| new_short.contains_key(name))?;
        old_short.get(name).copied()
    };
    let by_name = |port: &Identity<'_>| {
        let name = port.long().filter(|name| new_long.contains_key(name))?;
        let i = old_long.get(name).copied()?;
        (!old[i].contradicts(port)).then_some(i)
    };
    let by_number = |port: &Identity<'_>| {
        let i = by_index.get(&port.index).copied()?;
        let names = old[i].long().zip(port.long());
        let fits = names.is_none_or(|(one, two)| one == two);
        (fits && !old[i].contradicts(port)).then_some(i)
    };
    let mut take = |way: &dyn Fn(&Identity<'_>) -> Option<usize>| {
        for (port, found) in new.iter().zip(&mut found) {
            if found.is_none() {
                *found = way(port).filter(|i| !std::mem::replace(&mut is_taken[*i], true));
            }
        }
    };
    take(&by_short_name);
    take(&by_name);
    take(&by_number);
    found
}

/// The names that only one port has, and the position of that port.
fn unique<'a>(
    ports: &'a [Identity<'a>],
    name: impl Fn(&'a Identity<'a>) -> Option<&'a str>,
) -> HashMap<&'a str, usize> {
    let mut seen: HashMap<&str, Option<usize>> = HashMap::new();
    for (i, port) in ports.iter().enumerate() {
        if let Some(name) = name(port) {
            seen.entry(name)
                .and_modify(|place| *place = None)
                .or_insert(Some(i));
        }
    }
    let unique = seen.into_iter().filter_map(|(name, place)| Some((name, place?)));
    unique.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port<'a>(index: u32, name: &'a str, short: &'a str) -> Identity<'a> {
        Identity {
            index,
            name,
            short_name: Some(short).filter(|name| !name.is_empty()),
        }
    }

    #[test]
    fn ports_are_followed_by_their_short_names() {
        let old = [
            port(1, "GigabitEthernet0/1", "Gi0/1"),
            port(2, "GigabitEthernet0/2", "Gi0/2"),
        ];
        let new = [
            port(1, "GigabitEthernet0/2", "Gi0/2"),
            port(9, "GigabitEthernet0/1", "Gi0/1"),
        ];
        assert_eq!(follow(&old, &new), [Some(1), Some(0)]);
    }

    #[test]
    fn ports_are_followed_by_long_names_if_only_one_check_has_short_ones() {
        let old = [port(1, "eth0", ""), port(2, "eth1", "")];
        let new = [port(2, "eth0", "eth0"), port(3, "eth1", "eth1")];
        assert_eq!(follow(&old, &new), [Some(0), Some(1)]);
        assert_eq!(follow(&new, &old), [Some(0), Some(1)]);
    }

    #[test]
    fn ports_without_unique_names_are_followed_by_number() {
        let old = [
            port(1, "Ethernet Interface", ""),
            port(2, "Ethernet Interface", ""),
        ];
        let new = [
            port(2, "Ethernet Interface", ""),
            port(3, "Ethernet Interface", ""),
        ];
        assert_eq!(follow(&old, &new), [Some(1), None]);
        let nameless = [port(1, "", ""), port(3, "", "")];
        assert_eq!(follow(&old, &nameless), [Some(0), None]);
    }

    #[test]
    fn another_name_on_the_same_number_is_another_port() {
        assert_eq!(follow(&[port(5, "ppp0", "")], &[port(5, "ppp1", "")]), [None]);
        let old = [port(5, "Ethernet", "1/1"), port(6, "Ethernet", "1/2")];
        assert_eq!(follow(&old, &[port(5, "Ethernet", "1/9")]), [None]);
        assert_eq!(
            follow(&[port(5, "PCI card", "eth0")], &[port(5, "PCI card", "lan")]),
            [None]
        );
    }

    #[test]
    fn no_port_is_followed_twice() {
        // The second matches the old port by name, so the first cannot match it by number.
        let old = [port(1, "a", "")];
        let new = [port(1, "", ""), port(2, "a", "")];
        assert_eq!(follow(&old, &new), [None, Some(0)]);
    }
}
