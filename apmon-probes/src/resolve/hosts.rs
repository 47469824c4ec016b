//! The hosts file, asked in both directions.

use std::{collections::HashMap, net::IpAddr};

use apmon_core::{config::AddressFamily, name_file};
use hickory_resolver::{Hosts, proto::op::Query};

use super::{dns_name, records, reverse::shown};

/// A hosts file, read as the C library does.
#[derive(Default)]
pub(crate) struct HostsFile {
    addresses: Hosts,
    /// The first name of the first line with an address: its own one, other
    /// names are aliases.
    names: HashMap<IpAddr, String>,
}

impl HostsFile {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let sound = name_file::hosts(bytes);
        let mut addresses = Hosts::default();
        // Reading from memory does not fail.
        let _ = addresses.read_hosts_conf(sound.text.as_bytes());
        let mut names = HashMap::new();
        for line in sound.text.lines() {
            let mut words = line.split_whitespace();
            if let Some(ip) = words.next().and_then(|word| word.parse().ok())
                && let Some(name) = words.next().and_then(shown)
            {
                names.entry(ip).or_insert(name);
            }
        }
        Self { addresses, names }
    }

    /// The address of `name`; of several IPv4 before IPv6.
    pub(super) fn address(&self, name: &str, family: AddressFamily) -> Option<IpAddr> {
        let name = dns_name(name)?;
        records(family).iter().find_map(|kind| {
            let found = self
                .addresses
                .lookup_static_host(&Query::query(name.clone(), *kind))?;
            found.iter().find_map(|record| record.ip_addr())
        })
    }

    /// The name of `ip`.
    pub(super) fn name_of(&self, ip: IpAddr) -> Option<&str> {
        self.names.get(&ip).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_first_name_of_its_first_line() {
        let hosts = HostsFile::read(
            b"192.0.2.7 NAS.lan nas # the big one\n192.0.2.7 backup\n2001:db8::7 nas6\n192.0.2.8\n192.0.2.8 \xff cam\n192.0.2.9 evil\x1b[2J\n",
        );
        for (ip, name) in [
            ("192.0.2.7", Some("NAS.lan")),
            ("2001:db8::7", Some("nas6")),
            ("192.0.2.8", Some("cam")),
            ("192.0.2.9", Some("evil\\u{1b}[2J")),
            ("192.0.2.10", None),
        ] {
            assert_eq!(hosts.name_of(ip.parse().unwrap()), name, "{ip}");
        }
    }
}
