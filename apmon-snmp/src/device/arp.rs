//! The IP addresses of stations, from the ARP and neighbour tables of the device.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use apmon_core::Mac;
use apmon_snmp_client::Value;

use crate::{
    device::sanitize::{is_station, mac},
    mib::{self, index::octets_of},
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The IP addresses of each station.
pub(crate) fn addresses(data: &PollData) -> BTreeMap<Mac, BTreeSet<IpAddr>> {
    let mut addresses: BTreeMap<Mac, BTreeSet<IpAddr>> = BTreeMap::new();
    for ((_, address), value) in entries(data) {
        if let Some(mac) = mac(value).filter(|mac| is_station(*mac)) {
            addresses.entry(mac).or_default().insert(address);
        }
    }
    addresses
}

/// The number of entries; `None` if a table was not read to its end.
pub(crate) fn arp_count(data: &PollData) -> Option<usize> {
    let columns = [
        mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS,
        mib::IP_NET_TO_MEDIA_PHYS_ADDRESS,
    ];
    let is_whole = columns.iter().all(|column| data.failure(column).is_none());
    is_whole.then(|| entries(data).len())
}

/// Whether the older table has rows and the newer one has all of them as well.
pub(crate) fn is_old_table_redundant(data: &PollData) -> bool {
    let new = data.rows(mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS).iter();
    let new: BTreeSet<_> = new.filter_map(|row| physical_index(&row.index)).collect();
    let old = data.rows(mib::IP_NET_TO_MEDIA_PHYS_ADDRESS).iter();
    let mut old = old.filter_map(|row| media_index(&row.index)).peekable();
    old.peek().is_some() && old.all(|entry| new.contains(&entry))
}

/// The entries of both tables, by ifIndex and address. The newer table has only IPv6
/// addresses on many devices; an entry that is in both counts once.
fn entries(data: &PollData) -> BTreeMap<(u32, IpAddr), &Value> {
    let old = data.rows(mib::IP_NET_TO_MEDIA_PHYS_ADDRESS).iter();
    let old = old.filter_map(|row| Some((media_index(&row.index)?, &row.value)));
    let new = data.rows(mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS).iter();
    let new = new.filter_map(|row| Some((physical_index(&row.index)?, &row.value)));
    old.chain(new).collect()
}

/// Parses an index of the older table: ifIndex, four octets.
fn media_index(index: &[u32]) -> Option<(u32, IpAddr)> {
    let (if_index, octets) = index.split_first()?;
    Some((*if_index, Ipv4Addr::from(octets_of::<4>(octets)?).into()))
}

/// Parses an index of the newer table: ifIndex, type, length, octets. A zone adds four
/// octets (RFC 4001).
fn physical_index(index: &[u32]) -> Option<(u32, IpAddr)> {
    let [if_index, kind, length, octets @ ..] = index else {
        return None;
    };
    if usize::try_from(*length) != Ok(octets.len()) {
        return None;
    }
    let address = match (kind, octets.len()) {
        (1, 4) => Ipv4Addr::from(octets_of::<4>(octets)?).into(),
        (2, 16) => Ipv6Addr::from(octets_of::<16>(octets)?).into(),
        (3, 8) => Ipv4Addr::from(octets_of::<4>(&octets[..4])?).into(),
        (4, 20) => Ipv6Addr::from(octets_of::<16>(&octets[..16])?).into(),
        _ => return None,
    };
    Some((*if_index, address))
}
