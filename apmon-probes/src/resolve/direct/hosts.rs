//! The hosts file, in both directions.

use std::{collections::HashMap, net::IpAddr};

use apmon_core::config::AddressFamily;
use hickory_resolver::{Hosts, proto::op::Query};

use super::{client::records, reverse::printable_name};
use crate::dns_name::dns_name;

/// The entries of a hosts file.
#[derive(Default)]
pub(crate) struct HostsFile {
    addresses: Hosts,
    /// The first name of the first line with an address; other names are aliases.
    names: HashMap<IpAddr, String>,
}

impl HostsFile {
    /// Reads the text of a hosts file that was cleaned before.
    pub(crate) fn read(text: &str) -> Self {
        let mut addresses = Hosts::default();
        // Reading from memory does not fail.
        let _ = addresses.read_hosts_conf(text.as_bytes());
        let mut names = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let Some(ip) = words.next().and_then(|word| word.parse().ok())
                && let Some(name) = words.next().and_then(printable_name)
            {
                names.entry(ip).or_insert(name);
            }
        }
        Self { addresses, names }
    }

    /// The addresses of `name`, IPv4 before IPv6; empty if the file has none.
    pub(super) fn addresses(&self, name: &str, family: AddressFamily) -> Vec<IpAddr> {
        let Some(name) = dns_name(name) else {
            return Vec::new();
        };
        let of_kind = |kind| {
            self.addresses
                .lookup_static_host(&Query::query(name.clone(), kind))
        };
        let answers = records(family).iter().filter_map(|kind| of_kind(*kind));
        answers
            .flat_map(|answer| {
                answer
                    .iter()
                    .filter_map(|record| record.ip_addr())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The name of `ip`.
    pub(super) fn name_of(&self, ip: IpAddr) -> Option<&str> {
        self.names.get(&ip).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::direct::cleaner;

    #[test]
    fn an_address_has_the_first_name_of_its_first_line() {
        let cleaned = cleaner::hosts(
            b"192.0.2.7 NAS.lan nas # the big one\n192.0.2.7 backup\n2001:db8::7 nas6\n192.0.2.8\n192.0.2.8 \xff cam\n192.0.2.9 evil\x1b[2J\n",
        );
        let hosts = HostsFile::read(&cleaned.text);
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

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines() {
        let hosts = HostsFile::read("2001:db8::7 nas\n192.0.2.7 nas\n192.0.2.8 nas\n");
        let addresses = |family| {
            let ips = hosts.addresses("nas", family).into_iter();
            ips.map(|ip| ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            addresses(AddressFamily::Any),
            ["192.0.2.7", "192.0.2.8", "2001:db8::7"]
        );
        assert_eq!(addresses(AddressFamily::Ipv6), ["2001:db8::7"]);
    }
}
