//! Addresses of recent answers.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use apmon_core::config::AddressFamily;
use tokio::time::Instant;

/// The most names that are remembered.
const MAX_NAMES: usize = 50_000;

/// Names and their addresses, for each choice of a family.
type Entries = [HashMap<Box<str>, (Box<[IpAddr]>, Instant)>; 3];

/// The addresses of names, each for as long as its answer holds.
#[derive(Default)]
pub(super) struct AddressCache(Mutex<Entries>);

impl AddressCache {
    /// The addresses of a recent answer, as long as it holds.
    pub(super) fn addresses(&self, name: &str, family: AddressFamily) -> Option<Vec<IpAddr>> {
        let entries = self.lock();
        let (ips, until) = entries[family as usize].get(name)?;
        (Instant::now() < *until).then(|| ips.to_vec())
    }

    pub(super) fn remember(&self, name: &str, family: AddressFamily, ips: &[IpAddr], until: Instant) {
        let entries = &mut self.lock()[family as usize];
        if entries.len() >= MAX_NAMES {
            entries.clear();
        }
        entries.insert(name.into(), (ips.into(), until));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
