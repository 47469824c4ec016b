//! Resolves names to addresses and back, for the probes and channels of all crates.
//! The resolver is provided: `apmon_probes::install` provides one that blocks no
//! thread.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    config::ResolveOptions,
    outcome::{Failure, FailureClass},
};

/// A resolver: names to addresses and back. Monitors and channels get it from
/// [`Services::names`](crate::Services::names).
#[async_trait]
pub trait Names: Send + Sync {
    /// The addresses of `name`, IPv4 before IPv6, and never none.
    /// [`in_turn`](crate::in_turn) orders them for trying one after the other.
    ///
    /// # Errors
    /// [`FailureClass::NoSuchName`] if the name is known to have no such address;
    /// a failure of our own (`Resolver`, `Resources`) if no answer came before
    /// `deadline`.
    async fn addresses(
        &self,
        name: &str,
        options: ResolveOptions,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, Failure>;

    /// The name of `ip` from the hosts file or a PTR record; `None` if it has none, or
    /// if none is known before `deadline`. The look-up continues after the deadline and
    /// its answer is cached, so a deadline of now returns only what is cached.
    ///
    /// The name is chosen by the operator of the reverse zone and need not be
    /// true. It is printable, and at most 256 characters long.
    async fn name_of(&self, ip: IpAddr, deadline: Instant) -> Option<String>;
}

/// The resolver that a program provides, at any time: what was built before uses it
/// too. Until then names fail as our own fault. (tokio's look-up holds a thread for
/// each name that a silent name server does not answer, so it is not a fallback.)
#[derive(Default)]
pub(crate) struct ProvidedNames(RwLock<Option<Arc<dyn Names>>>);

impl ProvidedNames {
    pub(crate) fn set(&self, names: Arc<dyn Names>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(names);
    }

    fn get(&self) -> Option<Arc<dyn Names>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Names for ProvidedNames {
    async fn addresses(
        &self,
        name: &str,
        options: ResolveOptions,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, Failure> {
        match self.get() {
            Some(names) => names.addresses(name, options, deadline).await,
            None => Err(Failure::new(
                FailureClass::Resolver,
                format!(
                    "resolve: cannot look up {name}: this program has no resolver (Services::provide_names)"
                ),
            )),
        }
    }

    async fn name_of(&self, ip: IpAddr, deadline: Instant) -> Option<String> {
        self.get()?.name_of(ip, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::{Outcome, Verdict},
        services::Services,
    };

    /// A resolver that knows one name.
    struct OneName;

    #[async_trait]
    impl Names for OneName {
        async fn addresses(
            &self,
            name: &str,
            options: ResolveOptions,
            _: Instant,
        ) -> Result<Vec<IpAddr>, Failure> {
            assert_eq!((name, options), ("switch.lan", ResolveOptions::default()));
            Ok(vec!["2001:db8::6".parse().unwrap()])
        }

        async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
            Some("switch.lan".to_owned())
        }
    }

    async fn addresses(names: &dyn Names) -> Result<Vec<IpAddr>, Failure> {
        let options = ResolveOptions::default();
        names.addresses("switch.lan", options, Instant::now()).await
    }

    #[tokio::test]
    async fn without_a_resolver_a_name_is_our_own_fault() {
        let names = Services::default().names();
        let failure = addresses(&*names).await.unwrap_err();
        assert_eq!(
            failure.reason,
            "resolve: cannot look up switch.lan: this program has no resolver (Services::provide_names)"
        );
        assert_eq!(Outcome::failed(failure).verdict(), Verdict::Unknown);
        assert_eq!(names.name_of([192, 0, 2, 6].into(), Instant::now()).await, None);
    }

    #[tokio::test]
    async fn a_resolver_that_is_provided_later_is_used_from_then_on() {
        let services = Services::default();
        let names = services.names();
        services.provide_names(Arc::new(OneName));
        assert_eq!(addresses(&*names).await.unwrap().len(), 1);
    }
}
