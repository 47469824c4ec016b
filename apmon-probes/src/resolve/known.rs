//! Addresses that were found a while ago.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use apmon_core::config::AddressFamily;
use tokio::time::Instant;

/// Names whose address is remembered.
const MAX_NAMES: usize = 50_000;

/// Names and their addresses, for each choice of a family.
type Names = [HashMap<Box<str>, (IpAddr, Instant)>; 3];

#[derive(Default)]
pub(super) struct Known(Mutex<Names>);

impl Known {
    /// What a recent answer said, as long as it holds.
    pub(super) fn address(&self, name: &str, family: AddressFamily) -> Option<IpAddr> {
        let (ip, until) = *self.lock()[family as usize].get(name)?;
        (Instant::now() < until).then_some(ip)
    }

    pub(super) fn remember(&self, name: &str, family: AddressFamily, ip: IpAddr, until: Instant) {
        let names = &mut self.lock()[family as usize];
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.insert(name.into(), (ip, until));
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
