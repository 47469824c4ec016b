//! Names to addresses and back.

mod cache;
#[cfg(feature = "hickory")]
mod direct;
mod getaddrinfo;
#[cfg(not(feature = "hickory"))]
mod system;

use std::time::Duration;

use apmon_core::{Failure, FailureClass, config::AddressFamily};
use tokio::time::Instant;

#[cfg(feature = "hickory")]
pub(crate) use self::direct::Resolver;
#[cfg(not(feature = "hickory"))]
pub(crate) use self::system::Resolver;
use crate::recorder::seconds;

/// An answer is remembered for at most this long, whatever its TTL: a monitor
/// that trusts an hour-old answer watches the past.
const MAX_TTL: Duration = Duration::from_secs(60);

/// The time left until `deadline`, to a tenth of a second, as reasons show it.
fn time_until(deadline: Instant) -> String {
    let left = deadline.saturating_duration_since(Instant::now());
    let tenths = (left + Duration::from_millis(50)).as_millis() / 100;
    seconds(Duration::from_millis(
        u64::try_from(tenths).unwrap_or(u64::MAX).saturating_mul(100),
    ))
}

/// A look-up failed through our own fault or the name server's: `Unknown`.
fn resolver_failure(text: &str) -> Failure {
    Failure::new(FailureClass::Resolver, format!("resolve: {text}"))
}

fn no_such_name(name: &str, family: AddressFamily) -> Failure {
    let what = match family {
        AddressFamily::Any => "no such name",
        AddressFamily::Ipv4 => "no IPv4 address for that name",
        AddressFamily::Ipv6 => "no IPv6 address for that name",
    };
    Failure::new(FailureClass::NoSuchName, format!("resolve: {what}: {name}"))
}
