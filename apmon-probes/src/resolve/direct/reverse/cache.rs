//! Names of addresses, and absences, from recent answers.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use tokio::time::Instant;

/// The most addresses that are remembered.
const MAX_NAMES: usize = 10_000;

/// The names of addresses. When it is full, the oldest entry goes.
#[derive(Default)]
pub(super) struct NameCache {
    entries: HashMap<IpAddr, Entry>,
    /// The addresses in the order in which they were added.
    order: BTreeMap<u64, IpAddr>,
    /// The number of the next entry.
    next: u64,
}

struct Entry {
    name: Option<String>,
    until: Instant,
    number: u64,
}

impl NameCache {
    /// What is remembered of `ip`, as long as it holds: its name, or that it has
    /// none.
    pub(super) fn name_of(&self, ip: IpAddr, now: Instant) -> Option<Option<String>> {
        let entry = self.entries.get(&ip)?;
        (now < entry.until).then(|| entry.name.clone())
    }

    pub(super) fn remember(&mut self, ip: IpAddr, name: Option<String>, until: Instant) {
        let number = self.next;
        self.next += 1;
        let entry = Entry { name, until, number };
        if let Some(before) = self.entries.insert(ip, entry) {
            self.order.remove(&before.number);
        }
        self.order.insert(number, ip);
        if self.entries.len() > MAX_NAMES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    fn ip(n: usize) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap()).into()
    }

    #[test]
    fn an_entry_that_has_expired_is_unknown() {
        let mut cache = NameCache::default();
        let until = Instant::now() + Duration::from_secs(60);
        let before = until - Duration::from_secs(1);
        cache.remember(ip(1), Some("nas".to_owned()), until);
        cache.remember(ip(2), None, until);
        assert_eq!(cache.name_of(ip(1), before), Some(Some("nas".to_owned())));
        assert_eq!(cache.name_of(ip(2), before), Some(None));
        assert_eq!(cache.name_of(ip(3), before), None);
        assert_eq!(cache.name_of(ip(1), until), None);
        assert_eq!(cache.name_of(ip(2), until), None);
    }

    #[test]
    fn a_full_cache_drops_its_oldest_entry() {
        let mut cache = NameCache::default();
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        for n in 0..MAX_NAMES {
            cache.remember(ip(n), None, until);
        }
        cache.remember(ip(0), Some("again".to_owned()), until);
        cache.remember(ip(MAX_NAMES), None, until);
        cache.remember(ip(MAX_NAMES + 1), None, until);
        assert_eq!((cache.entries.len(), cache.order.len()), (MAX_NAMES, MAX_NAMES));
        assert_eq!(cache.name_of(ip(0), now), Some(Some("again".to_owned())));
        for (n, known) in [(1, false), (2, false), (3, true), (MAX_NAMES + 1, true)] {
            assert_eq!(cache.name_of(ip(n), now).is_some(), known, "{n}");
        }
    }
}
