//! The interfaces of a device, from IF-MIB.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, PortState, PortStatus};
use apmon_snmp_client::Value;

use crate::{
    device::sanitize::{NAME, mac, sanitized},
    mib::{self, Object},
    poll_data::PollData,
    rule::{counter_value::CounterValue, counting::PortCounts, follow::Identity},
};

#[cfg(test)]
mod tests;

/// The highest ifHighSpeed taken for Mbit/s. Beyond 10 Tbit/s, the agent reports bit/s
/// there as well (recorded: D-Link DES-3038).
const HIGHEST_SPEED_MBIT: u64 = 10_000_000;

/// An interface of a device.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Interface {
    /// The ifIndex.
    pub index: u32,
    /// The ifDescr, or else the ifName, or else `if` and the ifIndex, as in `if7`.
    pub name: String,
    /// The ifName.
    pub short_name: Option<String>,
    /// The ifAlias.
    pub alias: Option<String>,
    /// The speed in bit/s.
    pub speed: Option<u64>,
    /// The ifType.
    pub if_type: Option<u64>,
    /// The MAC address of the interface itself.
    pub own_mac: Option<Mac>,
    /// The ifOperStatus and ifAdminStatus.
    pub state: PortState,
    /// The counters of traffic and errors.
    pub counts: PortCounts,
}

impl Interface {
    /// The number and names that distinguish the port from others.
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            index: self.index,
            name: &self.name,
            short_name: self.short_name.as_deref(),
        }
    }

    /// Whether it is an Ethernet port (IANAifType-MIB; 62, 69 and 117 are obsolete types of
    /// faster ports).
    pub(crate) fn is_ethernet(&self) -> bool {
        matches!(self.if_type, Some(6 | 62 | 69 | 117))
    }
}

/// The rarely changing parts of interfaces, as an earlier poll read them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Names(BTreeMap<u32, Interface>);

impl Names {
    /// Whether none has been read yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the names from these interfaces.
    pub(crate) fn of(interfaces: &[Interface]) -> Self {
        let by_index = interfaces.iter().map(|one| (one.index, one.clone()));
        Self(by_index.collect())
    }
}

/// The interfaces in the order of their ifIndexes. Names, speeds and addresses that this
/// poll did not read are taken from `known`; counters and states never are.
pub(crate) fn interfaces(data: &PollData, known: &Names) -> Vec<Interface> {
    let table = InterfaceTable::of(data);
    let mut indexes = BTreeSet::new();
    // A row with only a name was added after the states were read, or is not an interface.
    for object in [mib::IF_ADMIN_STATUS, mib::IF_OPER_STATUS] {
        indexes.extend(table.rows(object).map(|(index, _)| index));
    }
    let one = |index: &u32| table.interface(*index, known.0.get(index));
    indexes.iter().map(one).collect()
}

/// The columns of ifTable and ifXTable, by ifIndex.
struct InterfaceTable<'a>(BTreeMap<Object, BTreeMap<u32, &'a Value>>);

impl<'a> InterfaceTable<'a> {
    fn of(data: &'a PollData) -> Self {
        let column = |object: Object| {
            let rows = data.rows(object).iter();
            let rows = rows.filter_map(|row| match row.index.as_slice() {
                [index] if row.value.exists() => Some((*index, &row.value)),
                _ => None,
            });
            (object, rows.collect())
        };
        Self(COLUMNS.iter().copied().map(column).collect())
    }

    fn rows(&self, object: Object) -> impl Iterator<Item = (u32, &'a Value)> + '_ {
        let column = self.0.get(object).into_iter().flatten();
        column.map(|(index, value)| (*index, *value))
    }

    fn value(&self, object: Object, index: u32) -> Option<&'a Value> {
        self.0.get(object)?.get(&index).copied()
    }

    fn interface(&self, index: u32, known: Option<&Interface>) -> Interface {
        // An empty value means that there is no name; a missing one means nothing.
        let text = |object, known: Option<&String>| match self.value(object, index) {
            Some(value) => sanitized(value, NAME),
            None => known.cloned(),
        };
        let short_name = text(mib::IF_NAME, known.and_then(|known| known.short_name.as_ref()));
        let name = text(mib::IF_DESCR, known.map(|known| &known.name));
        let number = |object| self.value(object, index).and_then(Value::unsigned);
        let status = |object| {
            let number = self.value(object, index).and_then(Value::number);
            number.map_or(PortStatus::Unknown, PortStatus::from_number)
        };
        let own_mac = self.value(mib::IF_PHYS_ADDRESS, index);
        Interface {
            index,
            name: name
                .or_else(|| short_name.clone())
                .unwrap_or_else(|| format!("if{index}")),
            short_name,
            alias: text(mib::IF_ALIAS, known.and_then(|known| known.alias.as_ref())),
            speed: match (number(mib::IF_HIGH_SPEED), number(mib::IF_SPEED)) {
                (None, None) => known.and_then(|known| known.speed),
                (high, low) => speed(high, low),
            },
            if_type: number(mib::IF_TYPE).or_else(|| known?.if_type),
            own_mac: own_mac.map_or_else(|| known?.own_mac, mac),
            state: PortState {
                oper: status(mib::IF_OPER_STATUS),
                admin: status(mib::IF_ADMIN_STATUS),
            },
            counts: self.counts(index),
        }
    }

    fn counts(&self, index: u32) -> PortCounts {
        let count = |object| {
            let value = self.value(object, index)?;
            Some(CounterValue {
                value: value.unsigned()?,
                is_64: matches!(value, Value::Counter64(_)),
            })
        };
        // An agent may have 64-bit counters that never count.
        let octets = [
            (mib::IF_HC_IN_OCTETS, mib::IF_IN_OCTETS),
            (mib::IF_HC_OUT_OCTETS, mib::IF_OUT_OCTETS),
        ];
        let is = |object, counts: bool| count(object).is_some_and(|counted| (counted.value > 0) == counts);
        let stands_still =
            octets.iter().all(|(high, _)| is(high, false)) && octets.iter().any(|(_, low)| is(low, true));
        let high = |object| count(object).filter(|_| !stands_still);
        let either = |best, other| high(best).or_else(|| count(other));
        let non_ucast = |multicast: Option<CounterValue>, broadcast: Option<CounterValue>, object| {
            let is_told_apart = multicast.is_some() || broadcast.is_some();
            count(object).filter(|_| !is_told_apart)
        };
        let in_multicast = high(mib::IF_HC_IN_MULTICAST_PKTS);
        let out_multicast = high(mib::IF_HC_OUT_MULTICAST_PKTS);
        let in_broadcast = high(mib::IF_HC_IN_BROADCAST_PKTS);
        let out_broadcast = high(mib::IF_HC_OUT_BROADCAST_PKTS);
        PortCounts {
            in_octets: either(mib::IF_HC_IN_OCTETS, mib::IF_IN_OCTETS),
            out_octets: either(mib::IF_HC_OUT_OCTETS, mib::IF_OUT_OCTETS),
            in_ucast: either(mib::IF_HC_IN_UCAST_PKTS, mib::IF_IN_UCAST_PKTS),
            out_ucast: either(mib::IF_HC_OUT_UCAST_PKTS, mib::IF_OUT_UCAST_PKTS),
            in_multicast,
            out_multicast,
            in_broadcast,
            out_broadcast,
            in_non_ucast: non_ucast(in_multicast, in_broadcast, mib::IF_IN_N_UCAST_PKTS),
            out_non_ucast: non_ucast(out_multicast, out_broadcast, mib::IF_OUT_N_UCAST_PKTS),
            in_errors: count(mib::IF_IN_ERRORS),
            out_errors: count(mib::IF_OUT_ERRORS),
        }
    }
}

const COLUMNS: &[Object] = &[
    mib::IF_DESCR,
    mib::IF_TYPE,
    mib::IF_SPEED,
    mib::IF_PHYS_ADDRESS,
    mib::IF_ADMIN_STATUS,
    mib::IF_OPER_STATUS,
    mib::IF_IN_OCTETS,
    mib::IF_IN_UCAST_PKTS,
    mib::IF_IN_N_UCAST_PKTS,
    mib::IF_IN_ERRORS,
    mib::IF_OUT_OCTETS,
    mib::IF_OUT_UCAST_PKTS,
    mib::IF_OUT_N_UCAST_PKTS,
    mib::IF_OUT_ERRORS,
    mib::IF_NAME,
    mib::IF_HC_IN_OCTETS,
    mib::IF_HC_IN_UCAST_PKTS,
    mib::IF_HC_IN_MULTICAST_PKTS,
    mib::IF_HC_IN_BROADCAST_PKTS,
    mib::IF_HC_OUT_OCTETS,
    mib::IF_HC_OUT_UCAST_PKTS,
    mib::IF_HC_OUT_MULTICAST_PKTS,
    mib::IF_HC_OUT_BROADCAST_PKTS,
    mib::IF_HIGH_SPEED,
    mib::IF_ALIAS,
];

/// The speed in bit/s, from ifHighSpeed and ifSpeed. 0 means unknown; so does an ifSpeed
/// of all ones, which is a speed too high for it.
fn speed(high: Option<u64>, low: Option<u64>) -> Option<u64> {
    let high = high.filter(|high| (1..u64::from(u32::MAX)).contains(high));
    let low = low.filter(|low| (1..u64::from(u32::MAX)).contains(low));
    match high {
        Some(mbit) if mbit <= HIGHEST_SPEED_MBIT => Some(mbit * 1_000_000),
        Some(bit) => Some(bit),
        None => low,
    }
}
