//! The parts of this machine that checks use: its resolver and its network.

use std::sync::Arc;

use apmon_core::{ProbeTarget, Services, config::Remote};

use crate::{network::Network, resolve::Resolver};

/// The resolver and the network, shared by all probes: `services.shared()`.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) network: Arc<Network>,
}

impl Local {
    /// The host that a probe checks, with what finds its addresses.
    pub(crate) fn target<'a>(&'a self, remote: &'a Remote) -> ProbeTarget<'a> {
        ProbeTarget {
            remote,
            names: &*self.resolver,
            network: &*self.network,
        }
    }
}

/// Provides `services` with this machine's resolver and network, for channels and
/// for kinds of other crates: [`Services::names`], [`Services::network`]. The
/// probes of this crate use the same ones, and need no call of this.
pub fn install(services: &Services) {
    let local = services.shared::<Local>();
    services.provide_names(Arc::clone(&local.resolver) as _);
    services.provide_network(Arc::clone(&local.network) as _);
}
