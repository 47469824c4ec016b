//! E-mail recipients as channels.

mod address;
mod dialogue;
mod email;
mod error;
mod folded;
mod login;
mod options;
mod server;
mod session;
mod tls;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{
    ChannelBlueprint, ChannelClass, ChannelKind, DeliveryError, Names, Notification, Notifier, SectionKind,
    SectionValue, Services, Switches,
    config::{Section, Text},
    local_zone,
    text::printable,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use url::Host;

use self::{address::is_email_address, email::Email, options::ReadServer, server::Server};
pub use self::{
    email::mail_subject,
    login::SmtpAuth,
    options::{MailOptions, MailServerOptions},
};
use crate::{
    schema::with,
    secret_file::SecretFile,
    trust::{ReceiverTlsOptions, ReceiverTrust},
};

/// The kind `mail`: entries of `site.outage_emails`.
pub struct MailKind;

impl ChannelKind for MailKind {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn section(&self) -> &'static str {
        "outage_emails"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("e-mail recipient", "e-mail recipients")
    }

    fn summary(&self) -> &'static str {
        "E-mail recipients, each a channel of its own. They receive nothing about a monitor with `email: no`."
    }

    fn example(&self) -> &'static str {
        "email: ops@example.com\nemail_reminders: no\n"
    }

    fn needs(&self) -> Option<&'static dyn SectionKind> {
        Some(&MailServerSection)
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(MailOptions)
    }

    fn read(&self, section: &mut Section<'_>, needed: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = options::read(section)?;
        let email = options.email.as_ref().map(Text::as_str)?;
        let to = ascii(email);
        if to.is_none() && !section.has_errors() {
            section.error("email", "must be an e-mail address");
        }
        let (to, server) = (to?, needed?.clone());
        let shared = server.get::<SharedServer>()?;
        let (origin, via) = (shared.origin(), shared.description());
        let mut blueprint = ChannelBlueprint::new(email, origin, move |services: &Services, timeout| {
            let server = server.get::<SharedServer>().expect("read above as this type");
            Arc::new(Mail {
                server: server.connect(services, timeout),
                to: to.clone(),
                zone: local_zone(),
            })
        });
        blueprint.is_identity_fixed = true;
        blueprint.via = Some(via);
        blueprint.class = Some(ChannelClass::EMAIL);
        blueprint.switches = Switches {
            outages: options.email_outages.unwrap_or(true),
            reminders: options.email_reminders.unwrap_or(true),
            recoveries: options.email_recoveries.unwrap_or(true),
        };
        Some(blueprint)
    }
}

/// The section `site.email_server`.
struct MailServerSection;

impl SectionKind for MailServerSection {
    fn name(&self) -> &'static str {
        "email_server"
    }

    fn summary(&self) -> &'static str {
        "The SMTP server through which e-mails are sent."
    }

    fn example(&self) -> &'static str {
        "smtp_host: mail.example.com\nsmtp_port: 587\nfrom_address: apmon@example.com\n"
    }

    fn schema(&self) -> schemars::Schema {
        with::<ReceiverTlsOptions>(schemars::schema_for!(MailServerOptions))
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        let shared = SharedServer {
            read: options::read_server(section)?,
            created: Mutex::default(),
        };
        // The actual resolver and timeout are set when channels are built.
        match shared.create(Services::default().names(), Duration::MAX) {
            Ok(_) => Some(SectionValue::new(shared)),
            Err(error) => {
                if !section.has_errors() {
                    section.error_text("smtp_host", error.to_string());
                }
                None
            }
        }
    }
}

/// The mail server of a site, created when the first recipient of a plan is built.
struct SharedServer {
    read: ReadServer,
    created: Mutex<Option<Created>>,
}

/// A server, and what it was created with.
struct Created {
    names: Arc<dyn Names>,
    timeout: Duration,
    server: MailServer,
}

impl SharedServer {
    fn connect(&self, services: &Services, timeout: Duration) -> MailServer {
        let names = services.names();
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        // A file may be planned again, with other services.
        if let Some(created) = &*created
            && Arc::ptr_eq(&created.names, &names)
            && created.timeout == timeout
        {
            return created.server.clone();
        }
        let server = self
            .create(Arc::clone(&names), timeout)
            .expect("the same options were valid before");
        *created = Some(Created {
            names,
            timeout,
            server: server.clone(),
        });
        server
    }

    fn create(&self, names: Arc<dyn Names>, timeout: Duration) -> Result<MailServer, MailError> {
        let ReadServer { options, file, trust } = &self.read;
        MailServer::with(options, file.clone(), trust.clone(), names, timeout)
    }

    /// Host and port: `mail.example.com:587`.
    fn origin(&self) -> String {
        let options = &self.read.options;
        let host = options.smtp_host.as_ref().map_or("", Text::as_str);
        let port = options.smtp_port.map_or(0, |port| port.get());
        format!("{host}:{port}")
    }

    /// A description for listings:
    /// `mail.example.com:587 (STARTTLS, login as ops), from ops@example.com`.
    fn description(&self) -> String {
        let options = &self.read.options;
        let from = options.from_address.as_ref().map_or("", Text::as_str);
        let text = format!("{} ({}), from {from}", self.origin(), options.description());
        printable(&text).into_owned()
    }
}

/// The mail server of a site, shared by all its recipients. It has at most four
/// connections at a time, and an idle one is kept for five seconds. A clone is the
/// same server.
#[derive(Clone)]
pub struct MailServer {
    server: Arc<Server>,
    from: Arc<str>,
}

/// One entry of `site.outage_emails`.
///
/// Each delivery is one e-mail to one recipient. Its `Message-ID` is derived from the
/// key, so a receiver can recognise a repeated e-mail.
pub struct Mail {
    server: MailServer,
    to: String,
    zone: TimeZone,
}

/// Why a mail server or a recipient cannot be created from its options. The options of
/// a valid site file cause none of these.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// A required option is missing.
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    /// The address cannot be used in an e-mail.
    #[error("\"{0}\" is not an e-mail address")]
    NotAnAddress(&'static str),
    /// The host is neither a name nor an address.
    #[error("\"smtp_host\" is neither a name nor an address")]
    NotAHost,
    /// The file of authorities cannot be used.
    #[error("\"ssl_ca_file\": {0}")]
    Authorities(String),
}

impl MailServer {
    /// Creates a server from its options. `names` resolves its name, and each delivery
    /// takes at most `timeout` in all. Paths are relative to the working directory.
    ///
    /// # Errors
    /// The options are invalid, which those of a valid site file never are.
    pub fn new(
        options: &MailServerOptions,
        names: Arc<dyn Names>,
        timeout: Duration,
    ) -> Result<Self, MailError> {
        let file = options.smtp_password_file.as_ref();
        let file = file.map(|path| SecretFile::new("smtp_password_file", path));
        let trust = ReceiverTrust::of(&options.tls()).map_err(MailError::Authorities)?;
        Self::with(options, file, trust, names, timeout)
    }

    fn with(
        options: &MailServerOptions,
        file: Option<SecretFile>,
        trust: ReceiverTrust,
        names: Arc<dyn Names>,
        timeout: Duration,
    ) -> Result<Self, MailError> {
        let from = options
            .from_address
            .as_ref()
            .ok_or(MailError::Missing("from_address"))?;
        let from = ascii(from.as_str()).ok_or(MailError::NotAnAddress("from_address"))?;
        Ok(Self {
            server: Arc::new(Server::new(options, file, trust, names, timeout)?),
            from: from.into(),
        })
    }

    /// The destination as it may be shown: host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.server.origin()
    }

    /// Connects and logs in, but sends nothing.
    ///
    /// # Errors
    /// The error with which a delivery would fail now.
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
    /// Creates a recipient from its options. Times are shown in `zone`.
    ///
    /// # Errors
    /// The options are invalid, which those of a valid site file never are.
    pub fn new(options: &MailOptions, server: MailServer, zone: TimeZone) -> Result<Self, MailError> {
        let to = options.email.as_ref().ok_or(MailError::Missing("email"))?;
        let to = ascii(to.as_str()).ok_or(MailError::NotAnAddress("email"))?;
        Ok(Self { server, to, zone })
    }

    /// Delivers a notification and returns the server's answer.
    ///
    /// # Errors
    /// Those of [`Notifier::deliver`].
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

    /// Records the e-mail as it is sent, and the server's last answer.
    async fn deliver_with_transcript(
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

    async fn test_connection(&self) -> Result<(), DeliveryError> {
        self.server.try_out().await
    }
}

/// The address in the form that every server accepts, with an international domain in
/// its ASCII form (RFC 5891). It contains nothing that could end a line or a `<>`.
fn ascii(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => Host::parse(domain).ok()?.to_string(),
    };
    let address = format!("{local}@{domain}");
    is_email_address(&address).then_some(address)
}

/// Reads `bytes` as a server's part of a dialogue, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    session::fuzz(bytes);
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

    #[test]
    fn the_recipients_of_a_plan_share_a_server_and_those_of_another_plan_do_not() {
        let options = serde_json::json!({
            "smtp_host": "mail.example.com",
            "smtp_port": 587,
            "from_address": "ops@example.com",
        });
        let options = serde_json::from_value(options).unwrap();
        let shared = SharedServer {
            read: ReadServer {
                options,
                file: None,
                trust: ReceiverTrust::default(),
            },
            created: Mutex::default(),
        };
        let (services, others) = (Services::default(), Services::default());
        let timeout = Duration::from_secs(20);
        let first = shared.connect(&services, timeout);
        let same = |other: &MailServer| Arc::ptr_eq(&first.server, &other.server);
        assert!(same(&shared.connect(&services, timeout)));
        assert!(!same(&shared.connect(&others, timeout)));
    }
}
