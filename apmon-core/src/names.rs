//! Names to addresses and back, for every crate that looks at hosts. Who does
//! it is brought along: `apmon_probes::install` brings a resolver that holds no
//! thread.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    config::{Host, Remote, ResolveOptions},
    outcome::{Failure, FailureClass},
    probe::Check,
};

/// Names to addresses and back. Monitors get it from
/// [`Services::names`](crate::Services::names).
#[async_trait]
pub trait Names: Send + Sync {
    /// The one address of `name` to look at, found the `resolve` the site file
    /// says, before the look's deadline.
    ///
    /// # Errors
    /// [`FailureClass::NoSuchName`] where it is known that there is none; a
    /// class of our own trouble (`Resolver`, `Resources`) where nobody knows.
    async fn address(&self, check: &Check, name: &str, resolve: ResolveOptions) -> Result<IpAddr, Failure>;

    /// The name of `ip` by the hosts file or a PTR record; `None` where there
    /// is none, or nobody knows before `deadline`. It is looked up to the end
    /// all the same and remembered for the next time: with a deadline of now
    /// one learns what is known already.
    ///
    /// Whoever runs the reverse zone chose the name. It is printable, and at
    /// most 256 characters long; that it is true, nobody says.
    async fn name_of(&self, ip: IpAddr, deadline: Instant) -> Option<String>;
}

impl Remote {
    /// The one address to look at. A step `resolve` of the look tells of a name.
    ///
    /// # Errors
    /// Those of [`Names::address`]; a literal address has none.
    pub async fn address(&self, check: &Check, names: &dyn Names) -> Result<IpAddr, Failure> {
        match &self.host {
            Host::Address(ip) => Ok(*ip),
            Host::Name(name) => {
                let ip = names.address(check, name, self.resolve).await?;
                check.step("resolve", || format!("{name} is {ip}"));
                Ok(ip)
            }
        }
    }

    /// The same, with a port.
    ///
    /// # Errors
    /// Those of [`Names::address`].
    pub async fn socket_address(
        &self,
        check: &Check,
        names: &dyn Names,
        port: u16,
    ) -> Result<SocketAddr, Failure> {
        Ok(SocketAddr::new(self.address(check, names).await?, port))
    }
}

/// Where nobody has brought any: literal addresses work, names are our trouble.
/// (tokio's own look-up holds a thread for each name a silent server does not
/// answer, so it is no stopgap.)
pub(crate) struct NoNames;

#[async_trait]
impl Names for NoNames {
    async fn address(&self, _: &Check, name: &str, _: ResolveOptions) -> Result<IpAddr, Failure> {
        Err(Failure::new(
            FailureClass::Resolver,
            format!("resolve: this program has no resolver (Tools::provide_names), and {name} is a name"),
        ))
    }

    async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        outcome::{Outcome, Verdict},
        probe::Trace,
        services::Services,
        time::{Clock as _, SystemClock},
    };

    /// Knows one name.
    struct One;

    #[async_trait]
    impl Names for One {
        async fn address(&self, _: &Check, name: &str, resolve: ResolveOptions) -> Result<IpAddr, Failure> {
            assert_eq!((name, resolve), ("switch.lan", ResolveOptions::default()));
            Ok("2001:db8::6".parse().unwrap())
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
    async fn a_name_is_asked_for_and_shown_and_a_literal_address_is_neither() {
        let services = Services::default();
        services.provide_names(Arc::new(One));
        let names = services.names();
        let trace = Trace::start();
        let check = check().with_trace(Arc::clone(&trace));
        for (host, to) in [
            ("switch.lan", "[2001:db8::6]:161"),
            ("192.0.2.6", "192.0.2.6:161"),
            ("[2001:db8::7]", "[2001:db8::7]:161"),
        ] {
            let found = remote(host).socket_address(&check, &*names, 161).await.unwrap();
            assert_eq!(found.to_string(), to);
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
    async fn without_a_resolver_a_name_is_our_trouble_and_an_address_works() {
        let names = Services::default().names();
        let check = check();
        assert!(remote("192.0.2.6").address(&check, &*names).await.is_ok());
        let failure = remote("switch.lan").address(&check, &*names).await.unwrap_err();
        assert_eq!(
            failure.reason,
            "resolve: this program has no resolver (Tools::provide_names), and switch.lan is a name"
        );
        assert_eq!(Outcome::failed(failure).verdict(), Verdict::Unknown);
        assert_eq!(names.name_of([192, 0, 2, 6].into(), Instant::now()).await, None);
    }
}
