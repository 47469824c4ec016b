//! What a site file says of its channels, without anything secret.

use std::time::Duration;

use apmon_core::{
    Services,
    config::{ChannelOptions, OutageCommand, OutageWebhook, Seconds, SiteFile, SyslogPlace},
};
use apmon_notify::{HttpClient, Webhook, channel_ids, command_ids, mail_channel_ids, syslog_ids};

use crate::site;

/// Which list of the site file a channel stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    Webhook,
    Program,
    Syslog,
    Mail,
}

/// One channel, as its entry has it.
pub(crate) struct Entry<'a> {
    pub(crate) id: String,
    pub(crate) sort: Sort,
    /// The preset where there is one, else the sort.
    pub(crate) kind: &'static str,
    /// Where it sends, as far as that is no secret.
    pub(crate) place: String,
    /// So long may one try take; `None` where the site decides.
    pub(crate) timeout: Option<Seconds>,
    pub(crate) common: &'a ChannelOptions,
}

impl Entry<'_> {
    /// The entry's `name`.
    pub(crate) fn name(&self) -> Option<&str> {
        self.common.name.as_ref().map(|name| name.as_str())
    }

    /// Whether it is this one that is asked for.
    pub(crate) fn is(&self, id_or_name: &str) -> bool {
        self.id == id_or_name || self.name() == Some(id_or_name)
    }
}

/// All of a site, in the order of [`super::all`].
pub(crate) fn entries(file: &SiteFile) -> Vec<Entry<'_>> {
    let within = site::delivery_timeout(file);
    let webhooks = &file.outage_webhooks;
    let webhooks = channel_ids(webhooks)
        .into_iter()
        .zip(webhooks)
        .map(|(id, options)| Entry {
            id,
            sort: Sort::Webhook,
            kind: options.preset.map_or("webhook", |preset| preset.name()),
            place: origin(options, within),
            timeout: options.timeout_secs,
            common: &options.common,
        });
    let commands = &file.outage_commands;
    let commands = command_ids(commands)
        .into_iter()
        .zip(commands)
        .map(|(id, options)| Entry {
            id,
            sort: Sort::Program,
            kind: "program",
            place: program(options).to_owned(),
            timeout: options.timeout_secs,
            common: &options.common,
        });
    let syslogs = &file.outage_syslogs;
    let syslogs = syslog_ids(syslogs).into_iter().zip(syslogs).map(|(id, options)| {
        let address = options
            .address
            .as_ref()
            .map_or("/dev/log", |address| address.as_str());
        Entry {
            id,
            sort: Sort::Syslog,
            kind: "syslog",
            place: SyslogPlace::parse(address).map_or_else(str::to_owned, |place| place.to_string()),
            timeout: options.timeout_secs,
            common: &options.common,
        }
    });
    let server = file.email_server.as_ref().map_or_else(String::new, |server| {
        let host = server.smtp_host.as_ref().map_or("", |host| host.as_str());
        let port = server.smtp_port.map_or(0, |port| port.get());
        format!("{host}:{port}")
    });
    let emails = &file.outage_emails;
    let emails = mail_channel_ids(emails)
        .into_iter()
        .zip(emails)
        .map(|(id, options)| Entry {
            id,
            sort: Sort::Mail,
            kind: "mail",
            place: server.clone(),
            timeout: None,
            common: &options.common,
        });
    webhooks.chain(commands).chain(syslogs).chain(emails).collect()
}

/// Scheme, host and port: all else may be a token.
fn origin(options: &OutageWebhook, within: Duration) -> String {
    match Webhook::new(options, HttpClient::new(Services::default().names()), within) {
        Ok(webhook) => webhook.origin(),
        Err(error) => error.to_string(),
    }
}

/// Its program.
pub(super) fn program(options: &OutageCommand) -> &str {
    options.program.as_ref().map_or("", |program| program.as_str())
}
