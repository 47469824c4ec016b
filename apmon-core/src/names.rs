//! Resolves names to addresses and back, for the probes and channels of all crates.
//! The resolver is provided: `apmon_probes::install` provides one that blocks no
//! thread.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    config::{Host, Remote, ResolveOptions},
    outcome::{Failure, FailureClass},
    probe::Check,
};

/// A resolver: names to addresses and back. Monitors and channels get it from
/// [`Services::names`](crate::Services::names).
#[async_trait]
pub trait Names: Send + Sync {
    /// The addresses of `name` in the order in which to try them: IPv4 before
    /// IPv6, and never none.
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

impl Remote {
    /// The address to check: the host itself, or the first address of its name, which is
    /// recorded as the step `resolve` of the check.
    ///
    /// # Errors
    /// Those of [`Names::addresses`]; a literal address does not fail.
    pub async fn address(&self, check: &Check, names: &dyn Names) -> Result<IpAddr, Failure> {
        match &self.host {
            Host::Address(ip) => Ok(*ip),
            Host::Name(name) => {
                let ips = names.addresses(name, self.resolve, check.deadline()).await?;
                let ip = ips.first().copied().ok_or_else(|| {
                    Failure::new(
                        FailureClass::NoSuchName,
                        format!("resolve: no address for {name}"),
                    )
                })?;
                check.step("resolve", || format!("{name} is {ip}"));
                Ok(ip)
            }
        }
    }

    /// The address to check, with a port.
    ///
    /// # Errors
    /// Those of [`Names::addresses`].
    pub async fn socket_address(
        &self,
        check: &Check,
        names: &dyn Names,
        port: u16,
    ) -> Result<SocketAddr, Failure> {
        Ok(SocketAddr::new(self.address(check, names).await?, port))
    }
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
    use std::time::Duration;

    use super::*;
    use crate::{
        outcome::{Outcome, Verdict},
        probe::Trace,
        services::Services,
        time::{Clock as _, SystemClock},
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
            Ok(vec![
                "2001:db8::6".parse().unwrap(),
                "2001:db8::7".parse().unwrap(),
            ])
        }

        async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
            Some("switch.lan".to_owned())
        }
    }

    fn remote(host: &str) -> Remote {
        Remote {
            host: Host::parse(host).unwrap(),
            resolve: ResolveOptions::default(),
        }
    }

    fn check() -> Check {
        let now = SystemClock::new().now();
        Check::new(now.mono, now, Duration::from_secs(5))
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_traced_and_a_literal_address_is_not() {
        let services = Services::default();
        services.provide_names(Arc::new(OneName));
        let names = services.names();
        let trace = Trace::start();
        let check = check().with_trace(Arc::clone(&trace));
        for (host, to) in [
            ("switch.lan", "[2001:db8::6]:161"),
            ("192.0.2.6", "192.0.2.6:161"),
            ("[2001:db8::7]", "[2001:db8::7]:161"),
        ] {
            let address = remote(host).socket_address(&check, &*names, 161).await.unwrap();
            assert_eq!(address.to_string(), to);
        }
        let steps: Vec<_> = trace
            .steps()
            .into_iter()
            .map(|step| (step.name, step.text))
            .collect();
        assert_eq!(
            steps,
            [("resolve".to_owned(), "switch.lan is 2001:db8::6".to_owned())]
        );
    }

    #[tokio::test]
    async fn without_a_resolver_a_name_is_our_own_fault_and_an_address_works() {
        let names = Services::default().names();
        let check = check();
        assert!(remote("192.0.2.6").address(&check, &*names).await.is_ok());
        let failure = remote("switch.lan").address(&check, &*names).await.unwrap_err();
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
        assert!(remote("switch.lan").address(&check(), &*names).await.is_ok());
    }
}
