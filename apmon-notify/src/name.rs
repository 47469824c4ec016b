//! Host names, looked up without a thread.

use std::net::SocketAddr;

use hickory_resolver::{
    ResolveError, TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    name_server::TokioConnectionProvider,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks the name servers of `/etc/resolv.conf` after the hosts file. reqwest's
/// own way is getaddrinfo on tokio's blocking pool, where a silent name server
/// holds a thread for each look-up.
///
/// The configuration is read for each look-up: a daemon outlives the network
/// it was started in. Connections are kept, so look-ups are few.
#[derive(Debug)]
pub(crate) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Without a readable configuration the hosts file still counts.
            let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
                TokioResolver::builder_with_config(ResolverConfig::new(), TokioConnectionProvider::default())
            });
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            let found = builder.build().lookup_ip(name.as_str()).await;
            let found = found.map_err(Unresolved::from)?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Why a name has no address, in an operator's words.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error("the name does not exist")]
    Unknown,
    #[error("the name has no address")]
    Empty,
    #[error("the name could not be looked up: {0}")]
    Failed(String),
}

impl From<ResolveError> for Unresolved {
    fn from(error: ResolveError) -> Self {
        if error.is_nx_domain() {
            Self::Unknown
        } else if error.is_no_records_found() {
            Self::Empty
        } else {
            Self::Failed(error.to_string())
        }
    }
}
