//! What looks take from this machine: its names and its way out.

use std::sync::Arc;

use apmon_core::Services;

use crate::{network::Network, resolve::Resolver};

/// One for all probes: `services.shared()`.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) network: Arc<Network>,
}

/// Brings `services` this machine's resolver and its network, for kinds of other
/// crates: [`Services::names`], [`Services::network`]. The probes of this crate use
/// the same ones, and need no call of this.
pub fn install(services: &Services) {
    let local = services.shared::<Local>();
    services.provide_names(Arc::clone(&local.resolver) as _);
    services.provide_network(Arc::clone(&local.network) as _);
}
