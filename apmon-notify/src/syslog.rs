//! Syslog as a channel: by UDP or TCP as in RFC 5424, by a socket of this
//! machine as the C library writes it.

mod options;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Names, Notification, Notifier, SectionValue, Services,
    config::{Seconds, Section},
    text::printable,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use self::options::SyslogAddress;
pub use self::options::{Facility, SyslogOptions};
use crate::{
    description::{severity, state},
    resolve,
};

/// So long a refusal of a datagram is waited for: on a LAN it is there at once.
const REFUSAL: Duration = Duration::from_millis(100);
/// So long a receiver may take to close after its last byte.
const CLOSING: Duration = Duration::from_secs(1);
/// A receiver must take 480 octets and should take 2048 (RFC 5424, section 6.1).
const LONGEST: usize = 2048;

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
        "Syslog messages: as RFC 3164 to this machine's socket, as RFC 5424 by UDP and TCP. (An addition.)"
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
        let facility = options.facility.unwrap_or_default();
        let mut blueprint = ChannelBlueprint::new(&shown, &shown, move |services: &Services, timeout| {
            Arc::new(Syslog {
                names: services.names(),
                address: address.clone(),
                facility,
                timeout,
            })
        });
        blueprint.timeout = options.timeout_secs.map(Seconds::duration);
        Some(blueprint)
    }
}

/// One entry of `site.outage_syslogs`.
///
/// By UDP and by the local socket no receiver confirms a message: sent is all
/// that is known, and only a refusal is noticed.
pub struct Syslog {
    names: Arc<dyn Names>,
    address: SyslogAddress,
    facility: Facility,
    timeout: Duration,
}

impl Syslog {
    /// A channel made from its options; each delivery takes at most `timeout`,
    /// unless they say otherwise. `None` where the address is invalid.
    #[must_use]
    pub fn new(options: &SyslogOptions, names: Arc<dyn Names>, timeout: Duration) -> Option<Self> {
        Some(Self {
            names,
            address: options.address().ok()?,
            facility: options.facility.unwrap_or_default(),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
        })
    }

    fn line(&self, message: &Notification) -> String {
        let severity = match severity(&message.kind) {
            "critical" => 2,
            "warning" => 4,
            _ => 5, // notice: worth a line
        };
        let priority = self.facility as u8 * 8 + severity;
        let head = match self.address {
            SyslogAddress::Local(_) => local_head(priority, message, TimeZone::system()),
            SyslogAddress::Udp(..) | SyslogAddress::Tcp(..) => head(priority, message),
        };
        let mut line = head + &printable(&message.text);
        line.truncate(line.floor_char_boundary(LONGEST));
        line
    }

    async fn send(&self, line: &str) -> io::Result<()> {
        match &self.address {
            SyslogAddress::Local(path) => local(path, line).await,
            SyslogAddress::Udp(host, port) => datagrams(&self.addresses(host, *port).await?, line).await,
            SyslogAddress::Tcp(host, port) => {
                let all = self.addresses(host, *port).await?;
                connection(connect(&all, self.timeout).await?, line).await
            }
        }
    }

    /// All addresses of the host.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let all = resolve::addresses(&*self.names, host)
            .await
            .map_err(io::Error::other)?;
        Ok(all.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// To the first that takes it within its share of the time, so that one that
/// does not answer leaves something for the others.
async fn connect(all: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let mut last = no_address();
    let share = timeout / u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
    for address in all {
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        };
    }
    Err(last)
}

/// To the first that does not refuse it.
async fn datagrams(all: &[SocketAddr], line: &str) -> io::Result<()> {
    let mut last = no_address();
    for address in all {
        last = match datagram(*address, line).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
    }
    Err(last)
}

/// Sent, and not refused at once.
async fn datagram(to: SocketAddr, line: &str) -> io::Result<()> {
    let own = match to {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(to).await?;
    socket.send(line.as_bytes()).await?;
    let mut nothing = [0; 1];
    match tokio::time::timeout(REFUSAL, socket.recv(&mut nothing)).await {
        Ok(Err(refused)) => Err(refused),
        _ => Ok(()),
    }
}

/// RFC 6587, section 3.4.1: octet counting.
async fn connection(mut stream: TcpStream, line: &str) -> io::Result<()> {
    let frame = format!("{} {line}", line.len());
    stream.write_all(frame.as_bytes()).await?;
    stream.shutdown().await?;
    let mut nothing = [0; 64];
    let closed = async {
        while stream.read(&mut nothing).await? > 0 {}
        io::Result::Ok(())
    };
    // One that does not close has it all the same.
    tokio::time::timeout(CLOSING, closed).await.unwrap_or(Ok(()))
}

/// RFC 5424, section 6: `<29>1 TIME HOST apmon PID MSGID - `.
fn head(priority: u8, message: &Notification) -> String {
    // Six digits are the most of a fraction that RFC 5424 has.
    let at = message.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let (host, pid) = (hostname(), std::process::id());
    let state = state(&message.kind);
    format!("<{priority}>1 {at} {host} apmon {pid} {state} - ")
}

/// `<29>Feb  1 15:18:00 apmon[PID]: `: RFC 3164 without a host and in local
/// time, as the C library's `syslog` does. It is what those behind a local
/// socket read: journald takes the head of RFC 5424 for text.
fn local_head(priority: u8, message: &Notification, zone: TimeZone) -> String {
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
    Err(io::Error::other("this system has no such sockets"))
}

fn no_address() -> io::Error {
    io::Error::other("the name has no address")
}

/// RFC 5424, section 6.2.4; `-` where it is not known.
fn hostname() -> String {
    #[cfg(unix)]
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    let name: String = name
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
    fn the_local_head_is_that_of_the_c_library() {
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
            ended: None,
        };
        let pid = std::process::id();
        let head = |zone| local_head(26, &message, zone);
        assert_eq!(head(TimeZone::UTC), format!("<26>Feb  1 23:18:09 apmon[{pid}]: "));
        let ahead = TimeZone::fixed(offset(2));
        assert_eq!(head(ahead), format!("<26>Feb  2 01:18:09 apmon[{pid}]: "));
    }

    const LOOPBACK: &str = "127.0.0.1:0";

    /// Where nobody listens.
    async fn refusing() -> SocketAddr {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.local_addr().unwrap()
    }

    /// A listener whose queue is full, and what fills it.
    async fn silent() -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(LOOPBACK.parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let to = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let moment = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(moment, TcpStream::connect(to)).await {
            queue.push(stream.unwrap());
            assert!(queue.len() < 1000, "the queue has no end");
        }
        (listener, queue)
    }

    #[tokio::test]
    async fn another_address_is_tried_after_one_that_refuses_or_is_silent() {
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        let (full, _queue) = silent().await;
        let good = listener.local_addr().unwrap();
        let all = [refusing().await, full.local_addr().unwrap(), good];
        let stream = connect(&all, Duration::from_secs(3)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let error = connect(&all[..2], Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{} does not answer", all[1]));
        let error = connect(&[], Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }

    #[tokio::test]
    async fn a_datagram_goes_to_the_first_that_does_not_refuse_it() {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        let all = [refusing().await, socket.local_addr().unwrap()];
        datagrams(&all, "told").await.unwrap();
        let mut bytes = [0; 16];
        let length = socket.recv(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], b"told");
        assert!(datagrams(&all[..1], "told").await.is_err());
    }
}
