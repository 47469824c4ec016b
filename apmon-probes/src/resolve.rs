//! Names to addresses and back, without a thread: hosts file, then DNS.
//!
//! `getaddrinfo` would hold a thread for each name a silent name server does
//! not answer; here such a look-up is one waiting future. What nsswitch adds
//! beyond files and DNS (mDNS, LDAP) is asked only with `resolver: system`, on
//! a few threads (`system`).

mod hosts;
mod known;
mod reverse;
mod system;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use apmon_core::{
    Check, Failure, FailureClass, Names,
    config::{AddressFamily, NameResolution, ResolveOptions},
    name_file,
};
use async_trait::async_trait;
use hickory_resolver::{
    Name, ResolveError, TokioResolver,
    config::{ResolveHosts, ResolverConfig, ResolverOpts},
    name_server::TokioConnectionProvider,
    proto::{ProtoErrorKind, op::ResponseCode, rr::RecordType},
    system_conf::parse_resolv_conf,
};
use tokio::time::Instant;

use self::{hosts::HostsFile, known::Known, reverse::Reverse, system::System};
use crate::{pace::Pace, recorder::seconds};

const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// So long a change of these files may go unnoticed.
const REREAD: Duration = Duration::from_secs(5);

/// A name that comes back, or moves, is noticed after this long, whatever its
/// records say: a monitor that trusts an hour-old answer watches the past.
const REMEMBER: Duration = Duration::from_secs(60);
const REMEMBER_ABSENCE: Duration = Duration::from_secs(10);

/// Ten questions a millisecond: a home router drops what comes faster, and
/// ten thousand monitors may start in the same instant.
const PACE: Duration = Duration::from_micros(100);

/// The resolver of a process.
#[derive(Default)]
pub(crate) struct Resolver {
    current: Mutex<Current>,
    system: System,
    reverse: Arc<Reverse>,
}

#[derive(Default)]
struct Current {
    sources: Option<Arc<Sources>>,
    /// When the files were last looked at, and as what; `None` where the
    /// sources are none of theirs.
    read: Option<(Instant, [Option<Stamp>; 2])>,
}

/// Tells one version of a file from another.
type Stamp = (Option<SystemTime>, u64);

/// Where answers come from.
pub(crate) struct Sources {
    hosts: HostsFile,
    dns: Result<Dns, String>,
}

struct Dns {
    client: TokioResolver,
    known: Known,
    pace: Pace,
    search: Vec<Name>,
    ndots: usize,
}

impl Resolver {
    /// One that asks `sources`, whatever this machine's files say.
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

    /// The sources, read again when their files have changed: an address book
    /// that DHCP rewrites must not need a restart.
    fn sources(&self) -> Arc<Sources> {
        let now = Instant::now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sources) = &current.sources {
            match &current.read {
                None => return Arc::clone(sources),
                Some((at, _)) if now.duration_since(*at) < REREAD => return Arc::clone(sources),
                Some((_, stamps)) if *stamps == FILES.map(stamp) => {
                    let sources = Arc::clone(sources);
                    if let Some((at, _)) = &mut current.read {
                        *at = now;
                    }
                    return sources;
                }
                Some(_) => {}
            }
        }
        let stamps = FILES.map(stamp);
        let sources = Arc::new(Sources::system());
        current.sources = Some(Arc::clone(&sources));
        current.read = Some((now, stamps));
        sources
    }
}

#[async_trait]
impl Names for Resolver {
    /// The address of `name`; of several IPv4 before IPv6.
    async fn address(&self, check: &Check, name: &str, resolve: ResolveOptions) -> Result<IpAddr, Failure> {
        let family = resolve.family;
        if resolve.by == NameResolution::System {
            return self.system.address(check, name, family).await;
        }
        let sources = self.sources();
        if let Some(ip) = sources.hosts.address(name, family) {
            return Ok(ip);
        }
        // RFC 6761 section 6.3: never asked of a name server.
        if is_localhost(name) {
            return Ok(match family {
                AddressFamily::Ipv6 => Ipv6Addr::LOCALHOST.into(),
                _ => Ipv4Addr::LOCALHOST.into(),
            });
        }
        let dns = sources.dns.as_ref().map_err(|reason| trouble(reason))?;
        if let Some(ip) = dns.known.address(name, family) {
            return Ok(ip);
        }
        match tokio::time::timeout_at(check.deadline(), dns.ask(name, family)).await {
            Ok(answer) => answer,
            Err(_) => Err(trouble(&format!(
                "no answer from the name server within {}",
                seconds(check.timeout)
            ))),
        }
    }

    /// By the hosts file or a PTR record, also where the site has `resolver: system`:
    /// what that knows beyond them is not worth a thread that hangs.
    async fn name_of(&self, ip: IpAddr, deadline: Instant) -> Option<String> {
        let ip = ip.to_canonical();
        let sources = self.sources();
        match sources.hosts.name_of(ip) {
            Some(name) => Some(name.to_owned()),
            None => self.reverse.name_of(&sources, ip, deadline).await,
        }
    }
}

/// What to ask for, in this order.
fn records(family: AddressFamily) -> &'static [RecordType] {
    match family {
        AddressFamily::Any => &[RecordType::A, RecordType::AAAA],
        AddressFamily::Ipv4 => &[RecordType::A],
        AddressFamily::Ipv6 => &[RecordType::AAAA],
    }
}

fn stamp(path: &str) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok(), file.len()))
}

/// `text` as a name that can be asked for. What is ASCII is taken as it is:
/// IDNA (RFC 5891) knows no `_`, which LANs and SRV records have.
pub(crate) fn dns_name(text: &str) -> Option<Name> {
    let name = match text.is_ascii() {
        true => Name::from_ascii(text),
        false => Name::from_utf8(text),
    };
    name.ok()
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

fn trouble(text: &str) -> Failure {
    Failure::new(FailureClass::Resolver, format!("resolve: {text}"))
}

fn no_such_name(name: &str, family: AddressFamily) -> Failure {
    let what = match family {
        AddressFamily::Any => "no such name",
        AddressFamily::Ipv4 => "no IPv4 address of that name",
        AddressFamily::Ipv6 => "no IPv6 address of that name",
    };
    Failure::new(FailureClass::NoSuchName, format!("resolve: {what}: {name}"))
}

impl Sources {
    /// This machine's. Without a usable resolv.conf the hosts file still works.
    fn system() -> Self {
        let [resolv_conf, hosts] = FILES.map(std::fs::read);
        Self::of_files(
            resolv_conf.map_err(|error| error.to_string()),
            &hosts.unwrap_or_default(),
        )
    }

    /// From the two files, read as the C library does.
    fn of_files(resolv_conf: Result<Vec<u8>, String>, hosts: &[u8]) -> Self {
        // A file without a name server is refused: a line is tried beside one.
        let accepts = |line: &str| parse_resolv_conf(format!("nameserver 127.0.0.1\n{line}\n")).is_ok();
        let hosts = HostsFile::read(hosts);
        let config = resolv_conf.and_then(|bytes| {
            let sound = name_file::resolv_conf(&bytes, accepts);
            parse_resolv_conf(&sound.text).map_err(|error| error.to_string())
        });
        match config {
            Ok((config, options)) => Self::new(hosts, config, options),
            Err(error) => Self {
                hosts,
                dns: Err(format!("no usable {} ({error})", FILES[0])),
            },
        }
    }

    /// From their parts.
    pub(crate) fn new(hosts: HostsFile, config: ResolverConfig, mut options: ResolverOpts) -> Self {
        options.use_hosts_file = ResolveHosts::Never; // asked before
        options.positive_max_ttl = Some(REMEMBER);
        options.negative_max_ttl = Some(REMEMBER_ABSENCE);
        let mut search = config.search().to_vec();
        search.extend(config.domain().filter(|_| search.is_empty()).cloned());
        let ndots = options.ndots;
        let client = TokioResolver::builder_with_config(config, TokioConnectionProvider::default())
            .with_options(options)
            .build();
        let dns = Dns {
            client,
            known: Known::default(),
            pace: Pace::every(PACE),
            search,
            ndots,
        };
        Self { hosts, dns: Ok(dns) }
    }
}

/// What an answer without an address means.
enum Lack {
    /// The name server knows: there is none.
    Absent,
    /// It does not know; another name may fare better.
    Refused(String),
    /// It does not answer.
    Silent(String),
}

impl Dns {
    /// Walks the search list by itself: a failure to learn about one name must
    /// not be covered by another name's absence.
    async fn ask(&self, name: &str, family: AddressFamily) -> Result<IpAddr, Failure> {
        let mut unsure = None;
        for candidate in self.candidates(name) {
            for kind in records(family) {
                self.pace.turn().await;
                match self.client.lookup(candidate.clone(), *kind).await {
                    Ok(answer) => {
                        if let Some(ip) = answer.iter().find_map(|record| record.ip_addr()) {
                            self.known.remember(name, family, ip, answer.valid_until().into());
                            return Ok(ip);
                        }
                    }
                    Err(error) => match lack(&error) {
                        Lack::Absent => {}
                        Lack::Refused(text) => unsure = Some(text),
                        Lack::Silent(text) => return Err(trouble(&text)),
                    },
                }
            }
        }
        match unsure {
            Some(text) => Err(trouble(&text)),
            None => Err(no_such_name(name, family)),
        }
    }

    /// The names to ask for, in resolv.conf's way (`search`, `ndots`).
    fn candidates(&self, text: &str) -> Vec<Name> {
        let Some(mut name) = dns_name(text) else {
            return Vec::new();
        };
        if name.is_fqdn() {
            return vec![name];
        }
        let dots = text.matches('.').count();
        let mut names: Vec<Name> = self
            .search
            .iter()
            .filter_map(|domain| name.clone().append_domain(domain).ok())
            .collect();
        name.set_fqdn(true);
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, name);
        names
    }
}

fn lack(error: &ResolveError) -> Lack {
    let Some(error) = error.proto() else {
        return Lack::Silent(error.to_string());
    };
    match error.kind() {
        ProtoErrorKind::NoRecordsFound {
            response_code: ResponseCode::NXDomain,
            ..
        } => Lack::Absent,
        // Without an SOA it does not say that there is none (RFC 2308 section
        // 2.2): a server that knows nothing of the name answers like that.
        ProtoErrorKind::NoRecordsFound {
            response_code: ResponseCode::NoError,
            soa,
            ..
        } => match soa {
            Some(_) => Lack::Absent,
            None => {
                Lack::Refused("the name server gives no address, and does not say that there is none".into())
            }
        },
        ProtoErrorKind::NoRecordsFound { response_code, .. } => {
            Lack::Refused(format!("the name server answered {response_code}"))
        }
        ProtoErrorKind::Timeout => Lack::Silent("no answer from the name server".to_owned()),
        ProtoErrorKind::Io(error) => Lack::Silent(format!("name server: {error}")),
        other => Lack::Silent(format!("name server: {other}")),
    }
}

#[cfg(test)]
mod tests;
