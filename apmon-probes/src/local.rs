//! The parts of this machine that checks use: its resolver and its network.

use std::sync::Arc;

use apmon_core::Services;

use crate::{network::Network, resolve::Resolver};

/// The resolver and the network, shared by all probes: `services.shared()`.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) network: Arc<Network>,
}

/// Provides `services` with this machine's resolver and network, for channels and
/// for kinds of other crates: [`Services::names`], [`Services::network`]. The
/// probes of this crate use the same ones, and need no call of this.
pub fn install(services: &Services) {
    let local = services.shared::<Local>();
    services.provide_names(Arc::clone(&local.resolver) as _);
    services.provide_network(Arc::clone(&local.network) as _);
}
