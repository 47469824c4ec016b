//! `host:port`, and a connection to it.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::LazyLock,
};

use apmon_core::{
    Check, Failure, FailureClass, OwnNetwork as _, Phase,
    config::{Host, Remote, Section},
    errno,
};
use tokio::net::TcpStream;
use url::Url;

use crate::{local::Local, recorder::CheckRecorder};

/// The address of `remote` to check.
pub(crate) async fn address(
    remote: &Remote,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<IpAddr, Failure> {
    let ip = remote.address(check, &*local.resolver).await?;
    if matches!(remote.host, Host::Name(_)) {
        recorder.done(Phase::Resolve);
    }
    recorder.goes_to(ip);
    Ok(ip)
}

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    pub(crate) remote: Remote,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads an address `scheme://host:port`.
    pub(crate) fn read(section: &mut Section<'_>, scheme: &str) -> Option<Self> {
        let url = section.address_url(&[scheme])?;
        Self::of(&url, section, None)
    }

    /// Takes host and port from an address that is a URL already.
    pub(crate) fn of(url: &Url, section: &mut Section<'_>, default_port: Option<u16>) -> Option<Self> {
        let scheme = url.scheme();
        let host = url.host_str().and_then(Host::parse)?;
        let surplus = match url.path() {
            _ if !url.username().is_empty() || url.password().is_some() => Some("a user name or password"),
            "" | "/" if url.query().is_some() || url.fragment().is_some() => Some("a query"),
            "" | "/" => None,
            _ => Some("a path"),
        };
        if let Some(surplus) = surplus {
            section.error(
                "address",
                format!("must not contain {surplus}; write {scheme}://host:port"),
            );
            return None;
        }
        let Some(port) = url.port().or(default_port) else {
            section.error("address", format!("has no port; write {scheme}://host:port"));
            return None;
        };
        Some(Self {
            remote: Remote::read(section, host)?,
            port,
        })
    }

    /// The address to check.
    pub(crate) async fn resolve(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<SocketAddr, Failure> {
        let ip = address(&self.remote, check, recorder, local).await?;
        Ok(SocketAddr::new(ip, self.port))
    }

    /// Opens a TCP connection for an exchange of messages: each is sent at once.
    pub(crate) async fn connect(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        let stream = self.open(check, recorder, local).await?;
        stream
            .set_nodelay(true)
            .map_err(|error| errno::failure("connect", &error))?;
        Ok(stream)
    }

    /// Opens a TCP connection over which at most one message is sent.
    pub(crate) async fn open(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        let to = self.resolve(check, recorder, local).await?;
        check.step("connect", || format!("to {to}"));
        let failed = |error| local.network.failure("connect", to.ip(), &error);
        let stream = check
            .within("connect", TcpStream::connect(to))
            .await?
            .map_err(failed)?;
        // A connection to a free port of this machine may connect to itself (RFC
        // 9293 section 3.5, simultaneous open): nothing listens there.
        if EPHEMERAL_PORTS.contains(&to.port()) && stream.local_addr().is_ok_and(|from| from == to) {
            return Err(Failure::new(FailureClass::Refused, "connect: connection refused"));
        }
        recorder.done(Phase::Connect);
        check.step("connect", || "connected".to_owned());
        Ok(stream)
    }
}

/// The ports that the kernel gives to outgoing connections; all that need no privileges where
/// it does not say.
static EPHEMERAL_PORTS: LazyLock<RangeInclusive<u16>> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    port_range(&text).unwrap_or(1024..=u16::MAX)
});

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ports = text.split_whitespace().map(str::parse);
    Some(ports.next()?.ok()?..=ports.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_range_of_ports_is_read() {
        assert_eq!(port_range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(port_range("32768"), None);
        assert_eq!(port_range("many few"), None);
    }
}
