//! Names to addresses by the system's resolver alone, in a build without `hickory`.

use std::net::IpAddr;

use apmon_core::{Failure, Names, config::ResolveOptions};
use async_trait::async_trait;
use tokio::time::Instant;

use super::getaddrinfo::SystemResolver;

/// The resolver of a process.
#[derive(Default)]
pub(crate) struct Resolver {
    system: SystemResolver,
}

#[async_trait]
impl Names for Resolver {
    /// By `getaddrinfo`, also where the site does not say `resolver: system`.
    async fn addresses(
        &self,
        name: &str,
        options: ResolveOptions,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, Failure> {
        self.system.addresses(name, options.family, deadline).await
    }

    /// Unknown: a thread that hangs is too much for what is an extra.
    async fn name_of(&self, _ip: IpAddr, _deadline: Instant) -> Option<String> {
        None
    }
}
