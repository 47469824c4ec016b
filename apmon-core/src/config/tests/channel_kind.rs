//! Small kinds of channels for the tests, which use sections as the real ones do.

use std::time::Duration;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{
    SectionValue,
    channel::{ChannelBlueprint, ChannelKind, SectionKind},
    config::{Host, PortNumber, Seconds, Section, Text},
    notification::{ChannelClass, Switches},
    secret::Secret,
    testing::Recorder,
};

pub(super) const CHANNELS: &[&dyn ChannelKind] = &[&Hook, &Log, &Mail];

/// A channel whose target is its options, so that a test can read them.
fn blueprint(options: &impl Serialize) -> ChannelBlueprint {
    let text = serde_json::to_string(options).unwrap();
    ChannelBlueprint::new("here", text, |_, _| Recorder::new())
}

struct Hook;

#[derive(Deserialize, Serialize, JsonSchema)]
struct HookOptions {
    endpoint_url: Option<Secret>,
    request_method: Option<Text>,
    request_encoding: Option<Text>,
    request_prefix: Option<Secret>,
    request_suffix: Option<Secret>,
    timeout_secs: Option<Seconds>,
}

impl ChannelKind for Hook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn section(&self) -> &'static str {
        "outage_webhooks"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("webhook", "webhooks")
    }

    fn summary(&self) -> &'static str {
        "requests"
    }

    fn example(&self) -> &'static str {
        "endpoint_url: https://h/"
    }

    fn schema(&self) -> schemars::Schema {
        schema_for!(HookOptions)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = section.read::<HookOptions>()?;
        let url = section.require("endpoint_url", options.endpoint_url.as_ref());
        if let Some(url) = url {
            section.check_url("endpoint_url", url.reveal(), &["http", "https"]);
        }
        let mut blueprint = blueprint(&options);
        blueprint.timeout = options.timeout_secs.map(Seconds::duration);
        Some(blueprint)
    }
}

struct Log;

#[derive(Deserialize, Serialize, JsonSchema)]
struct LogOptions {
    address: Option<Text>,
}

impl ChannelKind for Log {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn section(&self) -> &'static str {
        "outage_syslogs"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("syslog", "syslogs")
    }

    fn summary(&self) -> &'static str {
        "lines"
    }

    fn example(&self) -> &'static str {
        "address: /dev/log"
    }

    fn schema(&self) -> schemars::Schema {
        schema_for!(LogOptions)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        section.read::<LogOptions>().map(|options| blueprint(&options))
    }
}

struct Mail;

#[derive(Deserialize, Serialize, JsonSchema)]
struct MailOptions {
    email: Option<Text>,
    email_outages: Option<bool>,
    email_recoveries: Option<bool>,
    email_reminders: Option<bool>,
}

impl ChannelKind for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn section(&self) -> &'static str {
        "outage_emails"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("e-mail", "e-mails")
    }

    fn summary(&self) -> &'static str {
        "messages"
    }

    fn example(&self) -> &'static str {
        "email: a@b.example"
    }

    fn needs(&self) -> Option<&'static dyn SectionKind> {
        Some(&Server)
    }

    fn schema(&self) -> schemars::Schema {
        schema_for!(MailOptions)
    }

    fn read(&self, section: &mut Section<'_>, needed: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = section.read::<MailOptions>()?;
        section.require("email", options.email.as_ref());
        let email = options.email.as_ref().map_or("", Text::as_str).to_owned();
        if !email.is_empty() && email.matches('@').count() != 1 {
            section.error("email", "must be an e-mail address");
        }
        let server = needed?.get::<ServerOptions>()?;
        let mut blueprint = blueprint(&options);
        blueprint.identity = email;
        blueprint.is_identity_fixed = true;
        blueprint.via = server.smtp_host.as_ref().map(|host| host.as_str().to_owned());
        blueprint.class = Some(ChannelClass::EMAIL);
        blueprint.switches = Switches {
            outages: options.email_outages.unwrap_or(true),
            reminders: options.email_reminders.unwrap_or(true),
            recoveries: options.email_recoveries.unwrap_or(true),
        };
        Some(blueprint)
    }
}

pub(super) struct Server;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ServerOptions {
    pub(super) smtp_host: Option<Text>,
    pub(super) smtp_port: Option<PortNumber>,
    smtp_username: Option<Text>,
    smtp_password: Option<Secret>,
    from_address: Option<Text>,
    #[allow(dead_code)] // read only to be checked
    use_tls: Option<bool>,
}

impl SectionKind for Server {
    fn name(&self) -> &'static str {
        "email_server"
    }

    fn summary(&self) -> &'static str {
        "a server"
    }

    fn example(&self) -> &'static str {
        "smtp_host: h\nsmtp_port: 25\nfrom_address: a@b.example"
    }

    fn schema(&self) -> schemars::Schema {
        schema_for!(ServerOptions)
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        let options = section.read::<ServerOptions>()?;
        section.require("smtp_host", options.smtp_host.as_ref());
        section.require("smtp_port", options.smtp_port);
        section.require("from_address", options.from_address.as_ref());
        if let Some(host) = &options.smtp_host
            && Host::parse(host.as_str()).is_none()
        {
            section.error("smtp_host", "must be a host name or an address");
        }
        if let Some(from) = &options.from_address
            && from.as_str().matches('@').count() != 1
        {
            section.error("from_address", "must be an e-mail address");
        }
        if options.smtp_username.is_some() && options.smtp_password.is_none() {
            section.warn("smtp_username", "is set without smtp_password");
        }
        Some(SectionValue::new(options))
    }
}

/// The timeout of a delivery in these tests.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
