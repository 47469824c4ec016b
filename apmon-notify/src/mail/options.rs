//! The options of `site.email_server` and of one entry of `site.outage_emails`.

use apmon_core::{
    Secret,
    config::{Host, PortNumber, Section, Text},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{address::is_email_address, login::SmtpAuth};
use crate::{
    secret_file::SecretFile,
    trust::{self, Encryption, ReceiverTlsOptions, ReceiverTrust},
};

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
    /// Path of a file that contains `smtp_password`, relative to the site file, or the name of
    /// a credential of systemd. It is read at each delivery; a newline at its end is ignored.
    /// (An addition.)
    pub smtp_password_file: Option<Text>,
    /// How to log in: `plain`, `login`, `cram-md5`, or `xoauth2` with an access token in place
    /// of the password. Default: the first of these that the server offers, in clear text
    /// `cram-md5` before the others; `xoauth2` only if it offers no other. (An addition.)
    pub smtp_auth: Option<SmtpAuth>,
    /// Sender address of the e-mails.
    #[schemars(required)]
    pub from_address: Option<Text>,
    /// Whether the connection is encrypted: `yes` requires STARTTLS and sends nothing
    /// without it, `no` sends in clear text. Port 465 always uses TLS from the first
    /// byte. Default yes.
    pub use_tls: Option<bool>,
    /// Whether the server's certificate must be issued for the host by an authority
    /// that this machine trusts. `no` accepts any certificate, such as a self-signed
    /// one. Default yes. The same as `ssl_verify`. (An addition.)
    pub smtp_verify_tls: Option<bool>,
    /// Which certificate of the server is accepted.
    #[serde(skip)]
    pub tls: ReceiverTlsOptions,
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

    /// Which certificate of the server is accepted, by whatever names.
    pub(super) fn tls(&self) -> ReceiverTlsOptions {
        let mut tls = self.tls.clone();
        tls.ssl_verify = tls.ssl_verify.or(self.smtp_verify_tls);
        tls
    }

    /// A description of the connection for listings: `STARTTLS, login as ops`.
    pub(super) fn description(&self) -> String {
        let mut text = match self.protection() {
            MailProtection::Tls => "TLS",
            MailProtection::StartTls => "STARTTLS",
            MailProtection::None => "clear text",
        }
        .to_owned();
        if self.protection() != MailProtection::None {
            let tls = self.tls();
            match (tls.ssl_fingerprint.is_empty(), tls.ssl_verify) {
                (false, _) => text.push_str(", certificate pinned"),
                (true, Some(false)) => text.push_str(", certificate not verified"),
                (true, _) => {}
            }
        }
        let has_password = self.smtp_password.is_some() || self.smtp_password_file.is_some();
        if let Some(name) = self.smtp_username.as_ref().filter(|_| has_password) {
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

/// What `site.email_server` contains.
pub(super) struct ReadServer {
    pub(super) options: MailServerOptions,
    /// The file of the password.
    pub(super) file: Option<SecretFile>,
    pub(super) trust: ReceiverTrust,
}

/// Reads `site.email_server`, and checks what types cannot.
pub(super) fn read_server(section: &mut Section<'_>) -> Option<ReadServer> {
    let mut options = section.read::<MailServerOptions>()?;
    options.tls = section.read::<ReceiverTlsOptions>().unwrap_or_default();
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
    let file = options.smtp_password_file.as_ref();
    let file = file.map(|path| SecretFile::of(section, "smtp_password_file", path));
    check_login(section, &options);
    let names = match section.has("smtp_verify_tls") {
        true => trust::Names {
            verify: "smtp_verify_tls",
            ..trust::RECEIVER
        },
        false => trust::RECEIVER,
    };
    if section.has("smtp_verify_tls") && section.has("ssl_verify") {
        section.misplaced(
            "smtp_verify_tls",
            "cannot be combined with ssl_verify; remove one of them",
        );
    }
    let trust = match options.protection() {
        // `smtp_verify_tls` beside `use_tls: no` has always been valid.
        MailProtection::None => {
            let none = Encryption::Never("needs TLS, but use_tls is no");
            ReceiverTrust::read(section, &options.tls, &trust::RECEIVER, none)?
        }
        _ => ReceiverTrust::read(section, &options.tls(), &names, Encryption::Always)?,
    };
    Some(ReadServer { options, file, trust })
}

fn check_login(section: &mut Section<'_>, options: &MailServerOptions) {
    let password = match (&options.smtp_password, &options.smtp_password_file) {
        (Some(_), Some(_)) => {
            section.misplaced(
                "smtp_password_file",
                "cannot be combined with smtp_password; remove one of them",
            );
            return;
        }
        (Some(_), None) => Some("smtp_password"),
        (None, Some(_)) => Some("smtp_password_file"),
        (None, None) => None,
    };
    match (&options.smtp_username, password) {
        (Some(_), None) => section.warn(
            "smtp_username",
            "is set without smtp_password; authentication is skipped",
        ),
        (None, Some(password)) => section.warn(
            password,
            "is set without smtp_username; authentication is skipped",
        ),
        (Some(_), Some(password))
            if options.protection() == MailProtection::None
                && options.smtp_auth != Some(SmtpAuth::CramMd5) =>
        {
            section.warn(
                password,
                "is sent in clear text because use_tls is no: anyone who sees the traffic can read it",
            );
        }
        (None, None) if options.smtp_auth.is_some() => {
            section.misplaced("smtp_auth", "needs \"smtp_username\" and \"smtp_password\"");
        }
        _ => {}
    }
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
