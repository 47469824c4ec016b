//! `host:port`, and a connection to it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::LazyLock,
};

use apmon_core::{
    Attempts, Check, Failure, FailureClass, OwnNetwork as _, Phase,
    config::{Host, Remote, Section},
    errno,
};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

use crate::{local::Local, recorder::CheckRecorder};

/// The address of `remote` to check: itself, or that of its name whose turn it is.
pub(crate) fn address(
    remote: &Remote,
    check: &Check,
    recorder: &mut CheckRecorder,
) -> Result<IpAddr, Failure> {
    let ip = turn(remote, check).ok_or_else(|| {
        let text = format!("resolve: {} was not looked up for this check", remote.host);
        Failure::new(FailureClass::Resolver, text)
    })?;
    recorder.goes_to(ip);
    Ok(ip)
}

/// The address of `remote` whose turn it is; `None` if it is a name to which the check has gone
/// on, or which nobody has looked up.
fn turn(remote: &Remote, check: &Check) -> Option<IpAddr> {
    match &remote.host {
        Host::Address(ip) => {
            if check.is_reached() {
                check.moved_to(None);
            }
            Some(*ip)
        }
        Host::Name(_) => check.address().filter(|_| !check.is_reached()),
    }
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
    pub(crate) fn to(&self, check: &Check, recorder: &mut CheckRecorder) -> Result<SocketAddr, Failure> {
        Ok(SocketAddr::new(
            address(&self.remote, check, recorder)?,
            self.port,
        ))
    }

    /// The address to connect to; `None` if it must be looked up first ([`Self::onward`]).
    pub(crate) fn turn(&self, check: &Check) -> Option<SocketAddr> {
        Some(SocketAddr::new(turn(&self.remote, check)?, self.port))
    }

    /// The addresses of a host to which the check has gone on.
    pub(crate) async fn onward<'c>(
        &self,
        check: &'c Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<Attempts<'c>, Failure> {
        check.moved_to(None);
        let attempts = Attempts::onward(local.target(&self.remote), check).await?;
        recorder.done(Phase::Resolve);
        Ok(attempts)
    }

    /// Opens a TCP connection for an exchange of messages: each is sent at once.
    pub(crate) async fn connect(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        without_delay(self.open(check, recorder, local).await?)
    }

    /// Opens a TCP connection over which at most one message is sent.
    pub(crate) async fn open(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        match self.turn(check) {
            Some(to) => open(to, check, recorder, local).await,
            // Boxed: few checks are referred to another name.
            None => Box::pin(self.open_onward(check, recorder, local)).await,
        }
    }

    /// Connects to the first address of a host to which the check has gone on.
    async fn open_onward(
        &self,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        let mut attempts = self.onward(check, recorder, local).await?;
        while let Some(attempt) = attempts.next_check() {
            let Some(to) = self.turn(&attempt) else { break };
            match open(to, &attempt, recorder, local).await {
                Ok(stream) => {
                    recorder.arrives(&attempts, &attempt, check);
                    return Ok(stream);
                }
                Err(failure) if attempts.goes_on(&attempt, &failure) => {}
                Err(failure) => return Err(attempts.failure(&attempt, failure)),
            }
        }
        Err(attempts.all_failed())
    }
}

/// Opens a TCP connection to `to` for an exchange of messages.
#[cfg(feature = "dns")]
pub(crate) async fn connect(
    to: SocketAddr,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<TcpStream, Failure> {
    without_delay(open(to, check, recorder, local).await?)
}

fn without_delay(stream: TcpStream) -> Result<TcpStream, Failure> {
    stream
        .set_nodelay(true)
        .map_err(|error| errno::failure("connect", &error))?;
    Ok(stream)
}

/// Opens a TCP connection to `to`.
async fn open(
    to: SocketAddr,
    check: &Check,
    recorder: &mut CheckRecorder,
    local: &Local,
) -> Result<TcpStream, Failure> {
    recorder.goes_to(to.ip());
    check.step("connect", || format!("to {to}"));
    let failed = |error| {
        let network = check.network(&*local.network, to.ip());
        network.failure("connect", to.ip(), &error)
    };
    let socket = socket(to, check.source(to.ip())).map_err(failed)?;
    let stream = check
        .within("connect", socket.connect(to))
        .await?
        .map_err(failed)?;
    // A connection to a free port of this machine may connect to itself (RFC
    // 9293 section 3.5, simultaneous open): nothing listens there.
    if EPHEMERAL_PORTS.contains(&to.port()) && stream.local_addr().is_ok_and(|from| from == to) {
        return Err(Failure::new(FailureClass::Refused, "connect: connection refused"));
    }
    recorder.done(Phase::Connect);
    check.step("connect", || "connected".to_owned());
    check.reached();
    Ok(stream)
}

/// A socket for a connection to `to`, which is made from `source` if that is given.
fn socket(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpSocket> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        // The port is then chosen for the connection, and may serve several destinations.
        let _ = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true);
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket)
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
