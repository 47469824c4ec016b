//! The options of `site.email_server` and of one entry of `site.outage_emails`.

use apmon_core::{
    Secret,
    config::{Host, PortNumber, Section, Text},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::address::is_email_address;

/// Options of `site.email_server`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct MailServerOptions {
    /// Host name or address of the SMTP server.
    #[schemars(required)]
    pub smtp_host: Option<Text>,
    /// Port of the SMTP server: 587 (STARTTLS), 465 (TLS) or 25.
    #[schemars(required)]
    pub smtp_port: Option<PortNumber>,
    /// User name, for servers that require a login. Needs `smtp_password`.
    pub smtp_username: Option<Text>,
    /// Password, for servers that require a login. Needs `smtp_username`.
    pub smtp_password: Option<Secret>,
    /// Sender address of the e-mails.
    #[schemars(required)]
    pub from_address: Option<Text>,
    /// Whether the connection is encrypted: `yes` requires STARTTLS and sends nothing
    /// without it, `no` sends in clear text. Port 465 always uses TLS from the first
    /// byte. Default yes.
    pub use_tls: Option<bool>,
    /// Whether the server's certificate must be issued for the host by an authority
    /// that this machine trusts. `no` accepts any certificate, such as a self-signed
    /// one. Default yes. (An addition.)
    pub smtp_verify_tls: Option<bool>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MailProtection {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS; nothing is sent without it.
    StartTls,
    /// Clear text.
    None,
}

impl MailServerOptions {
    /// The port on which TLS begins with the first byte (RFC 8314 section 3.3).
    const TLS_PORT: u16 = 465;

    /// The protection of the connection.
    pub(super) fn protection(&self) -> MailProtection {
        if self.smtp_port.is_some_and(|port| port.get() == Self::TLS_PORT) {
            MailProtection::Tls
        } else if self.use_tls.unwrap_or(true) {
            MailProtection::StartTls
        } else {
            MailProtection::None
        }
    }

    /// A description of the connection for listings: `STARTTLS, login as ops`.
    pub(super) fn description(&self) -> String {
        let mut text = match self.protection() {
            MailProtection::Tls => "TLS",
            MailProtection::StartTls => "STARTTLS",
            MailProtection::None => "clear text",
        }
        .to_owned();
        if self.smtp_verify_tls == Some(false) && self.protection() != MailProtection::None {
            text.push_str(", certificate not verified");
        }
        if let (Some(name), Some(_)) = (&self.smtp_username, &self.smtp_password) {
            text.push_str(&format!(", login as {}", name.as_str()));
        }
        text
    }
}

/// Options of one entry of `site.outage_emails`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct MailOptions {
    /// The recipient's address.
    #[schemars(required)]
    pub email: Option<Text>,
    /// Whether outages are sent, and all other notifications without a switch of
    /// their own. Default yes.
    pub email_outages: Option<bool>,
    /// Whether recoveries are sent. Default yes.
    pub email_recoveries: Option<bool>,
    /// Whether reminders are sent. Default yes.
    pub email_reminders: Option<bool>,
}

/// Reads `site.email_server`, and checks what types cannot.
pub(super) fn read_server(section: &mut Section<'_>) -> Option<MailServerOptions> {
    let options = section.read::<MailServerOptions>()?;
    section.require("smtp_host", options.smtp_host.as_ref());
    section.require("smtp_port", options.smtp_port);
    section.require("from_address", options.from_address.as_ref());
    if let Some(host) = &options.smtp_host
        && Host::parse(host.as_str()).is_none()
    {
        section.error("smtp_host", "must be a host name or an address");
    }
    if let Some(from) = &options.from_address
        && !is_email_address(from.as_str())
    {
        section.error("from_address", "must be an e-mail address");
    }
    match (&options.smtp_username, &options.smtp_password) {
        (Some(_), None) => section.warn(
            "smtp_username",
            "is set without smtp_password; authentication is skipped",
        ),
        (None, Some(_)) => section.warn(
            "smtp_password",
            "is set without smtp_username; authentication is skipped",
        ),
        (Some(_), Some(_)) if options.protection() == MailProtection::None => section.warn(
            "smtp_password",
            "is sent in clear text because use_tls is no: anyone who sees the traffic can read it",
        ),
        _ => {}
    }
    Some(options)
}

/// Reads an entry, and checks what types cannot.
pub(super) fn read(section: &mut Section<'_>) -> Option<MailOptions> {
    let options = section.read::<MailOptions>()?;
    section.require("email", options.email.as_ref());
    if let Some(email) = &options.email
        && !is_email_address(email.as_str())
    {
        section.error("email", "must be an e-mail address");
    }
    Some(options)
}
