//! Syslog as a channel: by UDP or TCP in the format of RFC 5424, through a socket of
//! this machine in the format of the C library.

mod options;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Names, Notification, Notifier, SectionValue, Services,
    config::{Seconds, Section},
    local_zone,
    text::printable,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::Instant,
};

use self::options::SyslogAddress;
pub use self::options::{Facility, SyslogOptions};
use crate::{
    connect::{ConnectErrors, Destination, connect},
    description::{severity, state},
    hostname::hostname,
    resolve,
};

/// How long to wait for the refusal of a datagram; on a LAN it comes at once.
const MAX_REFUSAL_WAIT: Duration = Duration::from_millis(100);
/// How long to wait until the receiver closes the connection.
const MAX_CLOSE_WAIT: Duration = Duration::from_secs(1);
/// How often the receiver is read meanwhile, 64 bytes at a time.
const MAX_READS: usize = 1_000;
/// The maximum length of a message. A receiver must accept 480 octets and should accept
/// 2048 (RFC 5424, section 6.1).
const MAX_LENGTH: usize = 2048;

/// The kind `syslog`: entries of `site.outage_syslogs`.
pub struct SyslogKind;

impl ChannelKind for SyslogKind {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn section(&self) -> &'static str {
        "outage_syslogs"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("syslog receiver", "syslog receivers")
    }

    fn summary(&self) -> &'static str {
        "Syslog messages: in the format of RFC 3164 through a socket of this machine, in that of RFC 5424 over UDP and TCP. (An addition.)"
    }

    fn example(&self) -> &'static str {
        "address: udp://192.168.1.20:514\nfacility: local3\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(SyslogOptions)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let (options, address) = options::read(section)?;
        let shown = address.to_string();
        let own_timeout = options.timeout_secs.map(Seconds::duration);
        let mut blueprint = ChannelBlueprint::new(&shown, &shown, move |services: &Services, timeout| {
            Arc::new(Syslog::to(address.clone(), &options, services.names(), timeout))
        });
        blueprint.timeout = own_timeout;
        Some(blueprint)
    }
}

/// One entry of `site.outage_syslogs`.
///
/// Neither UDP nor the local socket confirms a message: a delivery succeeds once it is
/// sent and not refused.
pub struct Syslog {
    names: Arc<dyn Names>,
    address: SyslogAddress,
    facility: Facility,
    timeout: Duration,
}

impl Syslog {
    /// Creates a channel from its options. `timeout` limits each delivery, unless the
    /// options set a timeout. Returns `None` if the address is invalid.
    #[must_use]
    pub fn new(options: &SyslogOptions, names: Arc<dyn Names>, timeout: Duration) -> Option<Self> {
        Some(Self::to(options.address().ok()?, options, names, timeout))
    }

    /// Creates a channel that sends to `address`, which is that of the options.
    fn to(address: SyslogAddress, options: &SyslogOptions, names: Arc<dyn Names>, timeout: Duration) -> Self {
        Self {
            names,
            address,
            facility: options.facility.unwrap_or_default(),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
        }
    }

    fn line(&self, message: &Notification) -> String {
        let severity = match severity(&message.kind) {
            "critical" => 2,
            "warning" => 4,
            _ => 5, // notice
        };
        let priority = self.facility as u8 * 8 + severity;
        let head = match self.address {
            SyslogAddress::Local(_) => local_header(priority, message, local_zone()),
            SyslogAddress::Udp(..) | SyslogAddress::Tcp(..) => header(priority, message),
        };
        let mut line = head + &printable(&message.text);
        line.truncate(line.floor_char_boundary(MAX_LENGTH));
        line
    }

    async fn send(&self, line: &str) -> io::Result<()> {
        match &self.address {
            SyslogAddress::Local(path) => local(path, line).await,
            SyslogAddress::Udp(host, port) => datagrams(&self.destination(host, *port).await?, line).await,
            SyslogAddress::Tcp(host, port) => {
                let deadline = Instant::now() + self.timeout;
                let destination = self.destination(host, *port).await?;
                connection(connect(&destination, deadline).await?, line).await
            }
        }
    }

    /// All addresses of the host.
    async fn destination(&self, host: &str, port: u16) -> io::Result<Destination> {
        let all = resolve::addresses(&*self.names, host)
            .await
            .map_err(io::Error::other)?;
        Ok(Destination {
            addresses: all.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            of_name: host.parse::<IpAddr>().is_err(),
        })
    }
}

/// Sends a datagram to the first address that does not refuse it.
async fn datagrams(to: &Destination, line: &str) -> io::Result<()> {
    let mut errors = ConnectErrors::default();
    for address in &to.addresses {
        match datagram(*address, line).await {
            Ok(()) => return Ok(()),
            Err(error) => errors.add(*address, error),
        }
    }
    Err(errors.into_error(to.of_name))
}

/// Sends a datagram, and waits for a refusal for a short time.
async fn datagram(to: SocketAddr, line: &str) -> io::Result<()> {
    let own = match to {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(to).await?;
    socket.send(line.as_bytes()).await?;
    let mut nothing = [0; 1];
    match tokio::time::timeout(MAX_REFUSAL_WAIT, socket.recv(&mut nothing)).await {
        Ok(Err(refused)) => Err(refused),
        _ => Ok(()),
    }
}

/// Sends a message over TCP with octet counting (RFC 6587, section 3.4.1).
async fn connection(mut stream: TcpStream, line: &str) -> io::Result<()> {
    let frame = format!("{} {line}", line.len());
    stream.write_all(frame.as_bytes()).await?;
    stream.shutdown().await?;
    let mut nothing = [0; 64];
    let closed = async {
        // A receiver that talks all the time has received the message too.
        for _ in 0..MAX_READS {
            if stream.read(&mut nothing).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // A receiver that does not close the connection has received the message too.
    tokio::time::timeout(MAX_CLOSE_WAIT, closed)
        .await
        .unwrap_or(Ok(()))
}

/// The header of RFC 5424, section 6: `<29>1 TIME HOST apmon PID MSGID - `.
fn header(priority: u8, message: &Notification) -> String {
    // RFC 5424 allows at most six digits for fractions of a second.
    let at = message.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let (host, pid) = (shown_hostname(), std::process::id());
    let state = state(&message.kind);
    format!("<{priority}>1 {at} {host} apmon {pid} {state} - ")
}

/// The header of the C library's `syslog`, that of RFC 3164 without a host and in local
/// time: `<29>Feb  1 15:18:00 apmon[PID]: `. Readers of a local socket expect it:
/// journald takes the header of RFC 5424 for text.
fn local_header(priority: u8, message: &Notification, zone: TimeZone) -> String {
    let at = message.at.to_zoned(zone);
    let at = at.strftime("%b %e %H:%M:%S");
    format!("<{priority}>{at} apmon[{}]: ", std::process::id())
}

#[cfg(unix)]
async fn local(path: &str, line: &str) -> io::Result<()> {
    let socket = tokio::net::UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.send(line.as_bytes()).await.map(|_| ())
}

#[cfg(not(unix))]
async fn local(_: &str, _: &str) -> io::Result<()> {
    Err(io::Error::other("this system has no UNIX sockets"))
}

/// The host name as RFC 5424, section 6.2.4, wants it, or `-` if it is not known.
fn shown_hostname() -> String {
    let name: String = hostname()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(255)
        .collect();
    match name.is_empty() {
        true => "-".into(),
        false => name,
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Syslog {
    async fn deliver(&self, notification: &Notification, _: &str) -> Result<(), DeliveryError> {
        let line = self.line(notification);
        let address = printable(&self.address.to_string()).into_owned();
        match tokio::time::timeout(self.timeout, self.send(&line)).await {
            Ok(result) => result.map_err(|error| DeliveryError::retryable(format!("{address}: {error}"))),
            Err(_) => Err(DeliveryError::retryable(format!(
                "{address}: not accepted within {} secs",
                self.timeout.as_secs_f64()
            ))),
        }
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        shown.push(format!("> {}", self.line(notification)));
        self.deliver(notification, key).await
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::NotificationKind;
    use jiff::tz::offset;

    use super::*;

    #[test]
    fn the_local_header_is_that_of_the_c_library() {
        let message = Notification {
            id: "abc-1".into(),
            incident: "abc".into(),
            kind: NotificationKind::Outage,
            site: "HomeLab".into(),
            monitor: "web".into(),
            address: "h".into(),
            text: "web is down".into(),
            number: 1,
            at: "2026-02-01T23:18:09Z".parse().unwrap(),
            since: None,
            lasted: None,
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
            ended: None,
        };
        let pid = std::process::id();
        let head = |zone| local_header(26, &message, zone);
        assert_eq!(head(TimeZone::UTC), format!("<26>Feb  1 23:18:09 apmon[{pid}]: "));
        let ahead = TimeZone::fixed(offset(2));
        assert_eq!(head(ahead), format!("<26>Feb  2 01:18:09 apmon[{pid}]: "));
    }

    const LOOPBACK: &str = "127.0.0.1:0";

    /// An address on which nothing listens.
    async fn refusing() -> SocketAddr {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_datagram_is_sent_to_the_first_address_that_does_not_refuse_it() {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        let mut to = Destination {
            addresses: vec![refusing().await, socket.local_addr().unwrap()],
            of_name: true,
        };
        datagrams(&to, "sent").await.unwrap();
        let mut bytes = [0; 16];
        let length = socket.recv(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], b"sent");
        to.addresses.pop();
        let error = datagrams(&to, "sent").await.unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.1: Connection refused (os error 111)");
    }
}
