//! What looks take from this machine: its names and its way out.

use std::sync::Arc;

use apmon_core::Tools;

use crate::{network::Network, resolve::Resolver};

/// One for all probes: `tools.shared()`.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) network: Arc<Network>,
}

/// Brings `tools` this machine's resolver and its network, for kinds of other
/// crates: [`Tools::names`], [`Tools::network`]. The probes of this crate use
/// the same ones, and need no call of this.
pub fn equip(tools: &Tools) {
    let local = tools.shared::<Local>();
    tools.provide_names(Arc::clone(&local.resolver) as _);
    tools.provide_network(Arc::clone(&local.network) as _);
}
