//! The neighbours that announce themselves on a port, by LLDP and CDP.

use std::collections::BTreeMap;

use apmon_core::Neighbour;
use apmon_snmp_client::Value;

use crate::{
    device::{
        bridge::BridgePorts,
        interface::Interface,
        sanitize::{NAME, id, mac, sanitized},
    },
    mib::{self, Object},
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The value of lldpLocPortIdSubtype and lldpRemPortIdSubtype for a MAC address.
const MAC_SUBTYPE: i64 = 3;

/// The neighbours of each interface, by ifIndex; those from LLDP come first.
pub(crate) fn neighbours(data: &PollData, interfaces: &[Interface]) -> BTreeMap<u32, Vec<Neighbour>> {
    let mut neighbours = BTreeMap::new();
    lldp(data, interfaces, &mut neighbours);
    cdp(data, &mut neighbours);
    neighbours
}

type Neighbours = BTreeMap<u32, Vec<Neighbour>>;

fn add(neighbours: &mut Neighbours, index: u32, neighbour: Neighbour) {
    let there = neighbours.entry(index).or_default();
    if !there.contains(&neighbour) {
        there.push(neighbour);
    }
}

fn lldp(data: &PollData, interfaces: &[Interface], neighbours: &mut Neighbours) {
    let local = LocalPorts::of(data, interfaces);
    let ports = data.by_index(mib::LLDP_REM_PORT_ID);
    let kinds = data.by_index(mib::LLDP_REM_PORT_ID_SUBTYPE);
    let descriptions = data.by_index(mib::LLDP_REM_PORT_DESC);
    let names = data.by_index(mib::LLDP_REM_SYS_NAME);
    let chassis = data.by_index(mib::LLDP_REM_CHASSIS_ID);
    let mut indexes: Vec<&[u32]> = ports.keys().chain(names.keys()).copied().collect();
    indexes.sort_unstable();
    indexes.dedup();
    for row in indexes {
        let [_, number, _] = row else { continue };
        let Some(index) = local.if_index(*number) else {
            continue;
        };
        let is_mac = is_mac(kinds.get(row));
        let port = ports.get(row).and_then(|port| id(port, is_mac));
        let description = descriptions.get(row).and_then(|text| sanitized(text, NAME));
        let port = match port {
            Some(port) if is_name(&port) => Some(port),
            port => description.or(port),
        };
        let name = names.get(row).and_then(|name| sanitized(name, NAME));
        let name = name.or_else(|| id(chassis.get(row)?, false));
        // Of a device without a name, only the port is known.
        let (name, port) = match name {
            Some(name) => (name, port),
            None => match port {
                Some(port) => (port, None),
                None => continue,
            },
        };
        let protocol = "LLDP".into();
        add(neighbours, index, Neighbour { protocol, name, port });
    }
}

fn is_mac(subtype: Option<&&Value>) -> bool {
    subtype.and_then(|subtype| subtype.number()) == Some(MAC_SUBTYPE)
}

/// Whether a port's ID is a name as people use it, with letters and a number. A bare
/// number, a MAC address or a truncated name (`Ten-GigabitEther`) says less than the
/// port's description.
fn is_name(port: &str) -> bool {
    let has = |is: fn(&char) -> bool| port.chars().any(|c| is(&c));
    has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) && port.parse::<apmon_core::Mac>().is_err()
}

fn cdp(data: &PollData, neighbours: &mut Neighbours) {
    let ports = data.by_index(mib::CDP_CACHE_DEVICE_PORT);
    for row in data.rows(mib::CDP_CACHE_DEVICE_ID) {
        let ([index, _], Some(name)) = (row.index.as_slice(), id(&row.value, false)) else {
            continue;
        };
        let port = ports.get(row.index.as_slice()).and_then(|port| id(port, false));
        let protocol = "CDP".into();
        add(neighbours, *index, Neighbour { protocol, name, port });
    }
}

/// The local ports of LLDP, and the data by which their interfaces are found.
struct LocalPorts<'a> {
    interfaces: &'a [Interface],
    bridge_ports: BridgePorts,
    ids: BTreeMap<&'a [u32], &'a Value>,
    kinds: BTreeMap<&'a [u32], &'a Value>,
    descriptions: BTreeMap<&'a [u32], &'a Value>,
}

impl<'a> LocalPorts<'a> {
    fn of(data: &'a PollData, interfaces: &'a [Interface]) -> Self {
        let column = |object: Object| data.by_index(object);
        Self {
            interfaces,
            bridge_ports: BridgePorts::of(data, interfaces),
            ids: column(mib::LLDP_LOC_PORT_ID),
            kinds: column(mib::LLDP_LOC_PORT_ID_SUBTYPE),
            descriptions: column(mib::LLDP_LOC_PORT_DESC),
        }
    }

    /// The ifIndex of a local port: by its name, or else by its number.
    fn if_index(&self, number: u32) -> Option<u32> {
        let row: &[u32] = &[number];
        let port = self.ids.get(row).copied();
        let text = port.and_then(|port| sanitized(port, NAME));
        let description = || sanitized(self.descriptions.get(row)?, NAME);
        text.as_ref()
            .and_then(|text| self.by_name(text))
            .or_else(|| self.by_mac(port?, is_mac(self.kinds.get(row))))
            .or_else(|| self.by_name(&description()?))
            .or_else(|| {
                // The local port's own number is interpreted as the standard says, below.
                let other = text.as_ref()?.parse().ok().filter(|other| *other != number)?;
                self.existing(other)
            })
            .or_else(|| self.by_number(number))
    }

    fn by_name(&self, name: &str) -> Option<u32> {
        let is_named = |given: Option<&String>| given.is_some_and(|given| given == name);
        self.only(|one| is_named(one.short_name.as_ref()))
            .or_else(|| self.only(|one| one.name == name))
            .or_else(|| self.only(|one| is_named(one.alias.as_ref())))
    }

    fn by_mac(&self, port: &Value, is_mac: bool) -> Option<u32> {
        let shown = id(port, is_mac)?;
        shown.parse::<apmon_core::Mac>().ok()?;
        let mac = mac(port)?;
        self.only(|one| one.own_mac == Some(mac))
    }

    /// The ifIndex for an LldpPortNumber, which is the number of a bridge port or, of any
    /// other port, the ifIndex itself (IEEE 802.1AB, LLDP-MIB).
    fn by_number(&self, number: u32) -> Option<u32> {
        let place = self.bridge_ports.of_number(number);
        place.or(Some(number)).and_then(|index| self.existing(index))
    }

    fn existing(&self, index: u32) -> Option<u32> {
        self.only(|one| one.index == index)
    }

    /// The ifIndex of the only interface that matches; `None` if several do.
    fn only(&self, is: impl Fn(&Interface) -> bool) -> Option<u32> {
        let mut found = self.interfaces.iter().filter(|one| is(one));
        match (found.next(), found.next()) {
            (Some(one), None) => Some(one.index),
            _ => None,
        }
    }
}
