//! Slots of a chassis, and the ports in them.

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

/// Entities between a port and its chassis; no device has as many.
const MAX_DEPTH: usize = 32;

/// IANAPhysicalClass.
const CHASSIS: i64 = 3;
const CONTAINER: i64 = 5;
const MODULE: i64 = 9;

/// The slot of each interface that is in one, by ifIndex: as ENTITY-MIB has it,
/// else by the numbers in its name.
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

/// The parts of a device.
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

    /// The outermost module or container below the chassis: the inner ones are
    /// daughter cards and the cages of single ports.
    fn slot(&self, port: u32) -> Option<String> {
        let mut slot = None;
        let mut entity = port;
        // A circle of containers has no end.
        for _ in 0..MAX_DEPTH {
            entity = self.number(&self.container, entity)?.try_into().ok()?;
            match self.number(&self.class, entity) {
                Some(CHASSIS) => return slot,
                Some(CONTAINER | MODULE) => slot = self.label(entity).or(slot),
                Some(_) => {}
                // The top: some devices have no chassis.
                None => return slot,
            }
        }
        None
    }

    fn number(&self, column: &BTreeMap<&[u32], &Value>, entity: u32) -> Option<i64> {
        column.get([entity].as_slice())?.number()
    }

    /// The entity's own words, if it has some. Of a name and a description the one that speaks of a slot: the other
    /// one is that of the product. Else the description.
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

/// What Comware calls all that has no name of its own: `CONTAINER LEVEL1`.
fn is_placeholder(description: &str) -> bool {
    let text = description.to_ascii_lowercase();
    ["container level", "module level"]
        .iter()
        .any(|word| text.starts_with(word))
}

/// The slot in a port's name, all numbers but the port's own: `slot 1/0` of
/// `Gi1/0/24`, `1/0/24` and `ge-1/0/24.0`; none of `eth0` and `Fast Ethernet
/// 10/100`.
fn slot_in_name(name: &str) -> Option<String> {
    // What follows is a part of a port: a sub-interface or a lane.
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
