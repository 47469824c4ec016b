//! Resolves names to addresses, with the resolver of the process.

use std::{net::IpAddr, time::Duration};

use apmon_core::{Names, config::ResolveOptions, in_turn};
use tokio::time::Instant;

/// The timeout of a look-up. The timeout of a delivery usually comes first.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why a name has no address, as a text for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ResolveError(String);

/// The addresses of `host`, a name or an address, in the order in which to try
/// them.
pub(crate) async fn addresses(names: &dyn Names, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    names
        .addresses(host, ResolveOptions::default(), Instant::now() + TIMEOUT)
        .await
        .map(in_turn)
        .map_err(|failure| ResolveError(failure.reason))
}
