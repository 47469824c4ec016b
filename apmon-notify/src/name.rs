//! Host names, looked up without a thread.

use std::net::{IpAddr, SocketAddr};

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
            let addresses: Vec<_> = addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// The addresses of a name or of an address.
pub(crate) async fn addresses(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let (resolver, without) = system::resolver();
    let found = resolver.lookup_ip(host).await;
    // Without a configuration the hosts file still counts.
    let found = found.map_err(|error| match without {
        Some(reason) => Unresolved::Failed(reason),
        None => Unresolved::from(error),
    })?;
    Ok(found.iter().collect())
}

/// A resolver, and why it knows no name servers.
type Found = (TokioResolver, Option<String>);

fn by(config: Result<(ResolverConfig, hickory_resolver::config::ResolverOpts), String>) -> Found {
    let (config, mut options, without) = match config {
        Ok((config, options)) => (config, options, None),
        Err(reason) => (ResolverConfig::new(), Default::default(), Some(reason)),
    };
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let builder = TokioResolver::builder_with_config(config, TokioConnectionProvider::default());
    (builder.with_options(options).build(), without)
}

#[cfg(unix)]
mod system {
    use std::{
        collections::BTreeSet,
        fs,
        sync::{Arc, Mutex, PoisonError},
    };

    use apmon_core::name_file::{self, Sound};
    use hickory_resolver::{Hosts, config::ResolveHosts, system_conf::parse_resolv_conf};

    use super::Found;

    const RESOLV_CONF: &str = "/etc/resolv.conf";
    const HOSTS: &str = "/etc/hosts";

    /// By this machine's files, read as the C library does.
    pub(super) fn resolver() -> Found {
        let read = |path| fs::read(path).map_err(|error| format!("no usable {path}: {error}"));
        resolver_by(read(RESOLV_CONF), &read(HOSTS).unwrap_or_default())
    }

    pub(super) fn resolver_by(resolv_conf: Result<Vec<u8>, String>, hosts: &[u8]) -> Found {
        // A file without a name server is refused: a line is tried beside one.
        let accepts = |line: &str| parse_resolv_conf(format!("nameserver 127.0.0.1\n{line}\n")).is_ok();
        let config = resolv_conf.and_then(|bytes| {
            let sound = name_file::resolv_conf(&bytes, accepts);
            warn(RESOLV_CONF, &sound);
            let parsed = parse_resolv_conf(&sound.text);
            parsed.map_err(|error| format!("no usable {RESOLV_CONF}: {error}"))
        });
        let config = config.map(|(config, mut options)| {
            options.use_hosts_file = ResolveHosts::Never; // it is set below
            (config, options)
        });
        let (mut resolver, without) = super::by(config);
        let sound = name_file::hosts(hosts);
        warn(HOSTS, &sound);
        let mut known = Hosts::default();
        // Reading from memory does not fail.
        let _ = known.read_hosts_conf(sound.text.as_bytes());
        resolver.set_hosts(Arc::new(known));
        (resolver, without)
    }

    /// Says once what was passed over: the files are read for each look-up.
    fn warn(path: &str, sound: &Sound) {
        static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        if sound.passed_over.is_empty() {
            return;
        }
        let lines = sound.passed_over.iter();
        let places: Vec<_> = lines.map(|line| format!("{path}:{line}")).collect();
        let places = places.join(", ");
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(places.clone()) {
            tracing::warn!("passed over, for it makes no sense: {places}");
        }
    }
}

#[cfg(not(unix))]
mod system {
    use hickory_resolver::system_conf::read_system_conf;

    use super::Found;

    /// By this machine's settings.
    pub(super) fn resolver() -> Found {
        super::by(read_system_conf().map_err(|error| error.to_string()))
    }
}

/// Why a name has no address, in an operator's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
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

#[cfg(all(test, unix))]
mod tests {
    use super::system::resolver_by;

    #[test]
    fn what_glibc_passes_over_disables_no_names() {
        let file = b"# r\xe9seau\noptions foo ndots:3\ndomain\nsearch lan\nnameserver 127.0.0.53\nrubbish\n";
        let (resolver, without) = resolver_by(Ok(file.to_vec()), b"");
        assert_eq!(without, None);
        assert_eq!(resolver.options().ndots, 3);
        assert_eq!(resolver.config().name_servers().len(), 2, "udp and tcp");
        assert_eq!(resolver.config().search().len(), 1);
    }

    #[test]
    fn without_a_name_server_the_cause_is_known() {
        let (_, without) = resolver_by(Ok(b"search lan\n".to_vec()), b"");
        let without = without.unwrap();
        assert!(without.starts_with("no usable /etc/resolv.conf: "), "{without}");
    }

    #[tokio::test]
    async fn one_bad_byte_in_the_hosts_file_costs_one_name() {
        let hosts = b"10.0.0.9 n\xe4s\n10.0.0.2 hook.test\n";
        let (resolver, _) = resolver_by(Err("none".into()), hosts);
        let found = resolver.lookup_ip("hook.test.").await.unwrap();
        assert_eq!(
            found.iter().map(|ip| ip.to_string()).collect::<Vec<_>>(),
            ["10.0.0.2"]
        );
    }
}
