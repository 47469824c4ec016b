//! Names to addresses, by the resolver that was handed in.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{Names, config::ResolveOptions};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

/// The longest look-up. The timeout of a delivery usually comes first.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why a name has no address, in an operator's words.
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
        .addresses(host, ResolveOptions::default(), Instant::now() + DEADLINE)
        .await
        .map_err(|failure| ResolveError(failure.reason))
}

/// Resolves for reqwest, whose own resolver holds a thread for each name that a
/// silent name server does not answer.
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
