//! The chassis slots of ports.

use std::collections::BTreeMap;

use apmon_snmp_client::Value;

use crate::{
    device::{
        interface::Interface,
        sanitize::{NAME, sanitized},
    },
    mib,
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The most entities between a port and its chassis, more than any device has.
const MAX_DEPTH: usize = 32;

// Values of IANAPhysicalClass.
const CHASSIS: i64 = 3;
const CONTAINER: i64 = 5;
const MODULE: i64 = 9;

/// The slot of each interface that is in one, by ifIndex: from ENTITY-MIB, or else from
/// the numbers in its name.
pub(crate) fn slots(data: &PollData, interfaces: &[Interface]) -> BTreeMap<u32, String> {
    let mut slots = BTreeMap::new();
    for one in interfaces {
        let short = one.short_name.as_deref().and_then(slot_in_name);
        slots.extend(
            short
                .or_else(|| slot_in_name(&one.name))
                .map(|slot| (one.index, slot)),
        );
    }
    slots.extend(Entities::of(data).slots(data));
    slots
}

/// The physical entities of a device.
struct Entities<'a> {
    container: BTreeMap<&'a [u32], &'a Value>,
    class: BTreeMap<&'a [u32], &'a Value>,
    name: BTreeMap<&'a [u32], &'a Value>,
    description: BTreeMap<&'a [u32], &'a Value>,
}

impl<'a> Entities<'a> {
    fn of(data: &'a PollData) -> Self {
        Self {
            container: data.by_index(mib::ENT_PHYSICAL_CONTAINED_IN),
            class: data.by_index(mib::ENT_PHYSICAL_CLASS),
            name: data.by_index(mib::ENT_PHYSICAL_NAME),
            description: data.by_index(mib::ENT_PHYSICAL_DESCR),
        }
    }

    fn slots(&self, data: &PollData) -> BTreeMap<u32, String> {
        let mut slots = BTreeMap::new();
        for row in data.rows(mib::ENT_ALIAS_MAPPING_IDENTIFIER) {
            let [entity, _] = row.index.as_slice() else {
                continue;
            };
            let alias = row.value.oid().and_then(|oid| oid.below(mib::IF_INDEX));
            if let (Some([index]), Some(slot)) = (alias, self.slot(*entity)) {
                slots.entry(*index).or_insert(slot);
            }
        }
        slots
    }

    /// The label of the outermost module or container below the chassis. Inner ones are
    /// daughter cards and the cages of single ports.
    fn slot(&self, port: u32) -> Option<String> {
        let mut slot = None;
        let mut entity = port;
        // Containers may form a loop.
        for _ in 0..MAX_DEPTH {
            entity = self.number(&self.container, entity)?.try_into().ok()?;
            match self.number(&self.class, entity) {
                Some(CHASSIS) => return slot,
                Some(CONTAINER | MODULE) => slot = self.label(entity).or(slot),
                Some(_) => {}
                // The root: some devices have no chassis.
                None => return slot,
            }
        }
        None
    }

    fn number(&self, column: &BTreeMap<&[u32], &Value>, entity: u32) -> Option<i64> {
        column.get([entity].as_slice())?.number()
    }

    /// The label of an entity: its name if that contains "slot", or else its description,
    /// which often names the product. `None` for a placeholder.
    fn label(&self, entity: u32) -> Option<String> {
        let text = |column: &BTreeMap<&[u32], &Value>| sanitized(column.get([entity].as_slice())?, NAME);
        let (name, description) = (text(&self.name), text(&self.description));
        match name {
            Some(name) if name.to_ascii_lowercase().contains("slot") => Some(name),
            _ if description.as_deref().is_some_and(is_placeholder) => None,
            name => description.or(name),
        }
    }
}

/// Whether this is Comware's description of any unnamed entity: `CONTAINER LEVEL1`.
fn is_placeholder(description: &str) -> bool {
    let text = description.to_ascii_lowercase();
    ["container level", "module level"]
        .iter()
        .any(|word| text.starts_with(word))
}

/// The slot in a port's name, which is all of its numbers but the last: `slot 1/0` for
/// `Gi1/0/24`, `1/0/24` and `ge-1/0/24.0`; `None` for `eth0` and `Fast Ethernet 10/100`.
fn slot_in_name(name: &str) -> Option<String> {
    // The rest denotes a part of a port: a sub-interface or a lane.
    let port = name.split(['.', ':']).next()?;
    let rest = port.trim_end_matches(|c: char| c.is_ascii_digit() || c == '/');
    let numbers = port.strip_prefix(rest)?;
    let parts: Vec<&str> = numbers.split('/').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len());
    let is_slot = (2..=4).contains(&parts.len()) && parts.iter().all(is_number);
    match parts.as_slice() {
        ["10", "100", ..] => None,
        [slot @ .., _] if is_slot => Some(format!("slot {}", slot.join("/"))),
        _ => None,
    }
}
