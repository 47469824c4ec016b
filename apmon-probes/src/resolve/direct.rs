//! Names to addresses and back, without a thread: the hosts file, then DNS.
//!
//! `getaddrinfo` would hold a thread for each name that a silent name server
//! does not answer; here such a look-up is one waiting future. What nsswitch
//! adds to files and DNS (mDNS, LDAP) is asked only with `resolver: system`, on
//! a few threads ([`super::getaddrinfo`]).

mod cleaner;
mod client;
mod hosts;
mod reverse;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use apmon_core::{
    Failure, Names,
    config::{NameResolution, ResolveOptions},
    input_file::read_file,
};
use async_trait::async_trait;
use hickory_resolver::{
    config::{ResolverConfig, ResolverOpts},
    system_conf::parse_resolv_conf,
};
use tokio::time::Instant;

use self::{cleaner::Cleaned, client::DnsClient, hosts::HostsFile, reverse::Reverse};
use super::{getaddrinfo::SystemResolver, resolver_failure, time_until};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const FILES: [&str; 2] = [RESOLV_CONF, HOSTS];

/// The largest of these files; lists of blocked hosts take some megabytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A change of these files may go unnoticed for this long.
const REREAD: Duration = Duration::from_secs(5);

/// The resolver of a process.
#[derive(Default)]
pub(crate) struct Resolver {
    current: Mutex<Current>,
    system: SystemResolver,
    reverse: Arc<Reverse>,
}

#[derive(Default)]
struct Current {
    sources: Option<Arc<Sources>>,
    /// When the files were last examined, and their versions; `None` if the
    /// sources were given.
    read: Option<(Instant, [Option<Version>; 2])>,
}

/// Identifies one version of a file.
type Version = (Option<SystemTime>, u64);

/// The hosts file and the name servers.
pub(crate) struct Sources {
    hosts: HostsFile,
    dns: Result<DnsClient, String>,
}

impl Resolver {
    /// A resolver with given sources, whatever this machine's files say.
    #[cfg(test)]
    pub(crate) fn fixed(sources: Sources) -> Self {
        Self {
            current: Mutex::new(Current {
                sources: Some(Arc::new(sources)),
                read: None,
            }),
            ..Self::default()
        }
    }

    /// The sources, read again when their files have changed: a resolv.conf that
    /// DHCP rewrites must not need a restart.
    fn sources(&self) -> Arc<Sources> {
        let now = Instant::now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sources) = &current.sources {
            match &current.read {
                None => return Arc::clone(sources),
                Some((at, _)) if now.duration_since(*at) < REREAD => return Arc::clone(sources),
                Some((_, versions)) if *versions == FILES.map(version) => {
                    let sources = Arc::clone(sources);
                    if let Some((at, _)) = &mut current.read {
                        *at = now;
                    }
                    return sources;
                }
                Some(_) => {}
            }
        }
        let versions = FILES.map(version);
        let sources = Arc::new(Sources::system());
        current.sources = Some(Arc::clone(&sources));
        current.read = Some((now, versions));
        sources
    }
}

#[async_trait]
impl Names for Resolver {
    async fn addresses(
        &self,
        name: &str,
        options: ResolveOptions,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, Failure> {
        let family = options.family;
        if options.by == NameResolution::System {
            return self.system.addresses(name, family, deadline).await;
        }
        let sources = self.sources();
        let known = sources.hosts.addresses(name, family);
        if !known.is_empty() {
            return Ok(known);
        }
        // RFC 6761 section 6.3: never asked of a name server.
        if is_localhost(name) {
            let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(both.into_iter().filter(|ip| family.has(*ip)).collect());
        }
        let dns = sources.dns.as_ref().map_err(|reason| resolver_failure(reason))?;
        let time = time_until(deadline);
        match tokio::time::timeout_at(deadline, dns.addresses(name, family)).await {
            Ok(answer) => answer,
            Err(_) => Err(resolver_failure(&format!(
                "no answer from the name server within {time}"
            ))),
        }
    }

    /// By the hosts file or a PTR record, also where the site says `resolver:
    /// system`: what that knows beyond them is not worth a thread that hangs.
    async fn name_of(&self, ip: IpAddr, deadline: Instant) -> Option<String> {
        let ip = ip.to_canonical();
        let sources = self.sources();
        match sources.hosts.name_of(ip) {
            Some(name) => Some(name.to_owned()),
            None => self.reverse.name_of(&sources, ip, deadline).await,
        }
    }
}

fn version(path: &str) -> Option<Version> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok(), file.len()))
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

impl Sources {
    /// The sources of this machine. Without a usable resolv.conf the hosts file
    /// still works.
    fn system() -> Self {
        let [resolv_conf, hosts] = FILES.map(|path| read_file(path.as_ref(), MAX_BYTES));
        Self::of_files(
            resolv_conf.map_err(|error| error.to_string()),
            &hosts.unwrap_or_default(),
        )
    }

    /// From the contents of the two files, read as the C library reads them.
    fn of_files(resolv_conf: Result<Vec<u8>, String>, hosts: &[u8]) -> Self {
        let hosts = cleaner::hosts(hosts);
        warn_of_ignored(HOSTS, &hosts);
        let hosts = HostsFile::read(&hosts.text);
        // A file without a name server is refused: each line is tried beside one.
        let accepts = |line: &str| parse_resolv_conf(format!("nameserver 127.0.0.1\n{line}\n")).is_ok();
        let config = resolv_conf.and_then(|bytes| {
            let cleaned = cleaner::resolv_conf(&bytes, accepts);
            warn_of_ignored(RESOLV_CONF, &cleaned);
            parse_resolv_conf(&cleaned.text).map_err(|error| error.to_string())
        });
        match config {
            Ok((config, options)) => Self::new(hosts, config, options),
            Err(error) => Self {
                hosts,
                dns: Err(format!("no usable {RESOLV_CONF} ({error})")),
            },
        }
    }

    /// From a hosts file and the settings of DNS.
    pub(crate) fn new(hosts: HostsFile, config: ResolverConfig, options: ResolverOpts) -> Self {
        Self {
            hosts,
            dns: Ok(DnsClient::new(config, options)),
        }
    }
}

fn warn_of_ignored(path: &str, cleaned: &Cleaned) {
    if !cleaned.ignored.is_empty() {
        let lines = cleaned.ignored.iter().map(|line| format!("{path}:{line}"));
        let lines = lines.collect::<Vec<_>>().join(", ");
        tracing::warn!("ignoring what cannot be parsed: {lines}");
    }
}

#[cfg(test)]
mod tests;
