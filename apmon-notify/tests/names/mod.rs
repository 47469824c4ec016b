//! A resolver for tests: it knows `localhost` alone.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use apmon_core::{Failure, FailureClass, Names, config::ResolveOptions};
use async_trait::async_trait;
use tokio::time::Instant;

struct Localhost;

#[async_trait]
impl Names for Localhost {
    async fn addresses(&self, name: &str, _: ResolveOptions, _: Instant) -> Result<Vec<IpAddr>, Failure> {
        match name {
            "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            _ => Err(Failure::new(
                FailureClass::NoSuchName,
                format!("resolve: no such name: {name}"),
            )),
        }
    }

    async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
        None
    }
}

pub fn names() -> Arc<dyn Names> {
    Arc::new(Localhost)
}
