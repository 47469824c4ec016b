//! The name servers of resolv.conf.

use std::{net::IpAddr, pin::pin, time::Duration};

use apmon_core::{Failure, config::AddressFamily};
use hickory_resolver::{
    Name, ResolveError, TokioResolver,
    config::{ResolveHosts, ResolverConfig, ResolverOpts},
    name_server::TokioConnectionProvider,
    proto::{ProtoErrorKind, op::ResponseCode, rr::RecordType},
};
use tokio::time::{Instant, timeout};

use crate::{
    dns_name::dns_name,
    pace::Pace,
    resolve::{MAX_TTL, cache::AddressCache, no_such_name, resolver_failure},
};

/// An absence is remembered for at most this long: a name that comes back is
/// noticed soon.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(10);

/// Ten queries a millisecond: a home router drops what comes faster, and ten
/// thousand monitors may start in the same instant.
const QUERY_INTERVAL: Duration = Duration::from_micros(100);

/// Once IPv4 addresses are known, IPv6 ones are waited for no longer than this:
/// some name servers never answer for AAAA (RFC 8305 section 3).
const IPV6_DELAY: Duration = Duration::from_millis(50);

/// A DNS client with its settings and its cache.
pub(super) struct DnsClient {
    pub(super) client: TokioResolver,
    cache: AddressCache,
    pub(super) pace: Pace,
    search: Vec<Name>,
    pub(super) ndots: usize,
}

/// Why a query brought no address.
pub(super) enum QueryFailure {
    /// The name server knows that there is none.
    Absent,
    /// The name server does not know; another name may fare better.
    Refused(String),
    /// The name server does not answer.
    Silent(String),
}

/// The addresses of one answer, and how long they hold.
struct Resolved {
    ips: Vec<IpAddr>,
    until: Instant,
}

impl DnsClient {
    pub(super) fn new(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        options.use_hosts_file = ResolveHosts::Never; // read before DNS is asked
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        let mut search = config.search().to_vec();
        search.extend(config.domain().filter(|_| search.is_empty()).cloned());
        let ndots = options.ndots;
        let client = TokioResolver::builder_with_config(config, TokioConnectionProvider::default())
            .with_options(options)
            .build();
        Self {
            client,
            cache: AddressCache::default(),
            pace: Pace::every(QUERY_INTERVAL),
            search,
            ndots,
        }
    }

    /// The addresses of `name`, IPv4 before IPv6. Goes through the search list by
    /// itself, because one candidate's absence must not hide that another could
    /// not be looked up.
    pub(super) async fn addresses(&self, name: &str, family: AddressFamily) -> Result<Vec<IpAddr>, Failure> {
        if let Some(ips) = self.cache.addresses(name, family) {
            return Ok(ips);
        }
        let mut refused = None;
        for candidate in self.candidates(name) {
            let answers = match family {
                AddressFamily::Any => self.query_both(candidate).await,
                AddressFamily::Ipv4 => vec![self.query(candidate, RecordType::A).await],
                AddressFamily::Ipv6 => vec![self.query(candidate, RecordType::AAAA).await],
            };
            let mut ips = Vec::new();
            let mut until = Instant::now() + MAX_TTL;
            for answer in answers {
                match answer {
                    Ok(answer) => {
                        ips.extend(answer.ips);
                        until = until.min(answer.until);
                    }
                    Err(QueryFailure::Absent) => {}
                    Err(_) if !ips.is_empty() => {} // IPv4 will do
                    Err(QueryFailure::Refused(text)) => refused = Some(text),
                    Err(QueryFailure::Silent(text)) => return Err(resolver_failure(&text)),
                }
            }
            if !ips.is_empty() {
                self.cache.remember(name, family, &ips, until);
                return Ok(ips);
            }
        }
        match refused {
            Some(text) => Err(resolver_failure(&text)),
            None => Err(no_such_name(name, family)),
        }
    }

    /// Queries for both families at the same time.
    async fn query_both(&self, name: Name) -> Vec<Result<Resolved, QueryFailure>> {
        let mut v4 = pin!(self.query(name.clone(), RecordType::A));
        let mut v6 = pin!(self.query(name, RecordType::AAAA));
        let mut second = None;
        let first = loop {
            tokio::select! {
                biased;
                answer = &mut v4 => break answer,
                answer = &mut v6, if second.is_none() => second = Some(answer),
            }
        };
        if second.is_none() {
            second = match &first {
                Ok(answer) if !answer.ips.is_empty() => timeout(IPV6_DELAY, v6).await.ok(),
                Err(QueryFailure::Silent(_)) => None,
                _ => Some(v6.await),
            };
        }
        [Some(first), second].into_iter().flatten().collect()
    }

    async fn query(&self, name: Name, kind: RecordType) -> Result<Resolved, QueryFailure> {
        self.pace.turn().await;
        match self.client.lookup(name, kind).await {
            Ok(answer) => Ok(Resolved {
                ips: answer.iter().filter_map(|record| record.ip_addr()).collect(),
                until: answer.valid_until().into(),
            }),
            Err(error) => Err(QueryFailure::of(&error)),
        }
    }

    /// The names to query for, in resolv.conf's order (`search`, `ndots`).
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

impl QueryFailure {
    pub(super) fn of(error: &ResolveError) -> Self {
        let Some(error) = error.proto() else {
            return Self::Silent(error.to_string());
        };
        match error.kind() {
            ProtoErrorKind::NoRecordsFound {
                response_code: ResponseCode::NXDomain,
                ..
            } => Self::Absent,
            // Without an SOA the answer does not say that there is none (RFC 2308
            // section 2.2): a server that knows nothing of the name answers so.
            ProtoErrorKind::NoRecordsFound {
                response_code: ResponseCode::NoError,
                soa,
                ..
            } => match soa {
                Some(_) => Self::Absent,
                None => Self::Refused(
                    "the name server returns no address, but does not state that there is none".into(),
                ),
            },
            ProtoErrorKind::NoRecordsFound { response_code, .. } => {
                Self::Refused(format!("the name server answered {response_code}"))
            }
            ProtoErrorKind::Timeout => Self::Silent("no answer from the name server".to_owned()),
            ProtoErrorKind::Io(error) => Self::Silent(format!("name server: {error}")),
            other => Self::Silent(format!("name server: {other}")),
        }
    }
}

/// The record types of a family, in the order of preference.
pub(super) fn records(family: AddressFamily) -> &'static [RecordType] {
    match family {
        AddressFamily::Any => &[RecordType::A, RecordType::AAAA],
        AddressFamily::Ipv4 => &[RecordType::A],
        AddressFamily::Ipv6 => &[RecordType::AAAA],
    }
}
