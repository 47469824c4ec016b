//! What looks take from this machine: its names and its way out.

use crate::{network::Network, resolve::Resolver};

/// One for all probes: `tools.shared()`.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) resolver: Resolver,
    pub(crate) network: Network,
}
