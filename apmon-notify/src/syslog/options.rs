//! The options of one entry of `site.outage_syslogs`.

use std::fmt;

use apmon_core::config::{Host, Seconds, Section, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of one entry of `site.outage_syslogs`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct SyslogOptions {
    /// The destination: a socket of this machine (`/dev/log`), `udp://host:514` or
    /// `tcp://host:601`. UDP does not confirm that a message arrived. Default
    /// `/dev/log`.
    pub address: Option<Text>,
    /// The facility of the messages. Default `daemon`.
    pub facility: Option<Facility>,
    /// Timeout of one attempt in seconds. Default: `max_try_secs`.
    pub timeout_secs: Option<Seconds>,
}

/// The facilities of RFC 5424, table 1, that a service may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    /// 1
    User = 1,
    /// 3
    #[default]
    Daemon = 3,
    /// 16
    Local0 = 16,
    /// 17
    Local1,
    /// 18
    Local2,
    /// 19
    Local3,
    /// 20
    Local4,
    /// 21
    Local5,
    /// 22
    Local6,
    /// 23
    Local7,
}

/// The destination of syslog messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SyslogAddress {
    /// A socket of this machine.
    Local(String),
    /// Datagrams to a host and port.
    Udp(String, u16),
    /// A connection to a host and port.
    Tcp(String, u16),
}

impl SyslogOptions {
    pub(super) fn address(&self) -> Result<SyslogAddress, &'static str> {
        let text = self.address.as_ref().map_or("/dev/log", Text::as_str);
        SyslogAddress::parse(text)
    }
}

impl SyslogAddress {
    /// Parses an address; the error says what is wrong with it.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be a path such as /dev/log, udp://host:port or tcp://host:port";
        if text.starts_with('/') {
            return Ok(Self::Local(text.to_owned()));
        }
        let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
        let usual = match scheme {
            "udp" => 514,
            "tcp" => 601,
            _ => return Err(WRONG),
        };
        // The last colon may be inside the brackets of an IPv6 address.
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => {
                let digits = port.bytes().all(|digit| digit.is_ascii_digit());
                let port = port.parse().ok().filter(|port| digits && *port > 0);
                (host, port.ok_or("has a port that is not between 1 and 65535")?)
            }
            None => (rest, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = Host::parse(host).map(|_| host.to_owned()).ok_or(WRONG)?;
        Ok(match scheme {
            "udp" => Self::Udp(host, port),
            _ => Self::Tcp(host, port),
        })
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Local(path) => return f.write_str(path),
            Self::Udp(host, port) => ("udp", host, port),
            Self::Tcp(host, port) => ("tcp", host, port),
        };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// Reads an entry and its address.
pub(super) fn read(section: &mut Section<'_>) -> Option<(SyslogOptions, SyslogAddress)> {
    let options = section.read::<SyslogOptions>()?;
    match options.address() {
        Ok(address) => Some((options, address)),
        Err(text) => {
            section.error("address", text);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_a_host() {
        for (text, shown) in [
            ("/dev/log", "/dev/log"),
            ("udp://10.0.0.5", "udp://10.0.0.5:514"),
            ("udp://log.lan:5140", "udp://log.lan:5140"),
            ("tcp://log.lan", "tcp://log.lan:601"),
            ("tcp://[::1]:514", "tcp://[::1]:514"),
            ("tcp://[::1]", "tcp://[::1]:601"),
        ] {
            let address = SyslogAddress::parse(text);
            assert_eq!(
                address.map(|address| address.to_string()),
                Ok(shown.into()),
                "{text}"
            );
        }
        for text in [
            "log.lan",
            "tls://log.lan",
            "udp://",
            "udp://a b",
            "udp://h:0",
            "udp://h:x",
            "tcp://h:+1",
        ] {
            assert!(SyslogAddress::parse(text).is_err(), "{text}");
        }
    }
}
