//! Resolves names to addresses, with the resolver of the process.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{Names, config::ResolveOptions};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
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
        .map_err(|failure| ResolveError(failure.reason))
}

/// A resolver for reqwest, whose own one blocks a thread for each name that a name
/// server does not answer.
pub(crate) struct HttpResolver(pub(crate) Arc<dyn Names>);

impl Resolve for HttpResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = addresses(&*names, name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
