//! One recipient of mail as a channel.

mod email;
mod error;
mod server;
mod session;
mod stream;
mod tls;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use apmon_core::{
    DeliveryError, Notification, Notifier,
    config::{EmailServer, OutageEmail, is_email_address},
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use url::Host;

pub use self::email::mail_subject;
use self::{email::Email, server::Server};

/// The mail server of a site, shared by all its recipients: at most four
/// connections at once, and one that was used is used again for five seconds.
/// A clone is the same server.
#[derive(Clone)]
pub struct MailServer {
    server: Arc<Server>,
    from: Arc<str>,
}

/// One entry of `site.outage_emails`.
///
/// Each delivery is one mail to one recipient. Its `Message-ID` follows from
/// the key, so a receiver may tell a repeated one.
pub struct Mail {
    server: MailServer,
    to: String,
    zone: TimeZone,
}

/// Why options make no mail server or no recipient. A site file that was read
/// without mistakes has none of these.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// An option that must be given is not.
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    /// It cannot stand in a mail.
    #[error("\"{0}\" is no e-mail address")]
    NotAnAddress(&'static str),
    /// It can be neither looked up nor connected to.
    #[error("\"smtp_host\" is neither a name nor an address")]
    NotAHost,
}

impl MailServer {
    /// From its options; each delivery takes at most `timeout` in all.
    ///
    /// # Errors
    /// When they were not checked by the site file's reader and are wrong.
    pub fn new(options: &EmailServer, timeout: Duration) -> Result<Self, MailError> {
        let from = options
            .from_address
            .as_ref()
            .ok_or(MailError::Missing("from_address"))?;
        let from = ascii(from.as_str()).ok_or(MailError::NotAnAddress("from_address"))?;
        Ok(Self {
            server: Arc::new(Server::new(options, timeout)?),
            from: from.into(),
        })
    }

    /// What may be shown of where it sends: host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.server.origin()
    }

    /// Connects, greets and logs in, and sends nothing.
    ///
    /// # Errors
    /// As a delivery would end now.
    pub async fn try_out(&self) -> Result<(), DeliveryError> {
        self.server.try_out().await
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailServer")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}

impl Mail {
    /// From its options; `zone` is that in which times are shown.
    ///
    /// # Errors
    /// When they were not checked by the site file's reader and are wrong.
    pub fn new(options: &OutageEmail, server: MailServer, zone: TimeZone) -> Result<Self, MailError> {
        let to = options.email.as_ref().ok_or(MailError::Missing("email"))?;
        let to = ascii(to.as_str()).ok_or(MailError::NotAnAddress("email"))?;
        Ok(Self { server, to, zone })
    }

    /// Delivers, and gives what the server said to it.
    ///
    /// # Errors
    /// As [`Notifier::deliver`].
    pub async fn send(&self, notification: &Notification, key: &str) -> Result<String, DeliveryError> {
        self.send_bytes(&self.bytes(notification, key)).await
    }

    fn bytes(&self, notification: &Notification, key: &str) -> Vec<u8> {
        let email = Email {
            from: &self.server.from,
            to: &self.to,
            notification,
            key,
            zone: &self.zone,
        };
        email.bytes()
    }

    async fn send_bytes(&self, bytes: &[u8]) -> Result<String, DeliveryError> {
        self.server.server.send(&self.server.from, &self.to, bytes).await
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("server", &self.server)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Mail {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        self.send(notification, key).await.map(drop)
    }

    /// The mail as it is sent, and the server's last answer.
    async fn deliver_shown(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let bytes = self.bytes(notification, key);
        let text = String::from_utf8_lossy(&bytes);
        shown.extend(text.lines().map(|line| format!("> {line}")));
        let answer = self.send_bytes(&bytes).await?;
        shown.push(format!("< {answer}"));
        Ok(())
    }
}

/// The channels' ids, in the order of `emails`: `mail:<address>`, and
/// `mail:<address>#2` for the second of the same address.
#[must_use]
pub fn mail_channel_ids(emails: &[OutageEmail]) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    emails
        .iter()
        .map(|email| {
            let address = email.email.as_ref().map_or("", |email| email.as_str());
            let count = seen.entry(address.to_lowercase()).or_default();
            *count += 1;
            match *count {
                1 => format!("mail:{address}"),
                n => format!("mail:{address}#{n}"),
            }
        })
        .collect()
}

/// An address as every server takes it: a domain of other letters in its ASCII
/// form (RFC 5891). It holds nothing that could end a line or a `<>`.
fn ascii(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => Host::parse(domain).ok()?.to_string(),
    };
    let address = format!("{local}@{domain}");
    is_email_address(&address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sent_in_ascii() {
        assert_eq!(ascii("ops@example.com").unwrap(), "ops@example.com");
        assert_eq!(ascii("root@my_nas").unwrap(), "root@my_nas");
        assert_eq!(
            ascii("ops@münchen.example").unwrap(),
            "ops@xn--mnchen-3ya.example"
        );
        for bad in ["ops", "a b@c", "a@b\r\nRCPT TO:<c@d", "a>@b", "ü@b"] {
            assert_eq!(ascii(bad), None, "{bad}");
        }
    }
}
