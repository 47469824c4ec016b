//! The channels of a site file: who is told, and by what.

mod listing;
mod warning;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use apmon_core::{
    Channel,
    config::{ChannelOptions, MailProtection, Seconds, SiteFile},
    text::printable,
};
use apmon_notify::{
    Command, Mail, MailServer, Syslog, Webhook, channel_ids, command_ids, mail_channel_ids, syslog_ids,
};
use jiff::tz::TimeZone;

pub(crate) use self::{
    listing::{Entry, Sort, entries},
    warning::warnings,
};
use crate::site::{self, Process};

/// All of them. One delivery may take `timeout` where an entry does not say.
pub(crate) fn all(file: &SiteFile, process: &Process, timeout: Duration) -> anyhow::Result<Vec<Channel>> {
    let mut channels = Stood::default();
    let within = |secs: Option<Seconds>| secs.map(Seconds::duration);
    let webhooks = &file.outage_webhooks;
    for (id, options) in channel_ids(webhooks).into_iter().zip(webhooks) {
        let webhook = Webhook::new(options, process.http.clone(), timeout)
            .with_context(|| format!("outage_webhooks: {id}"))?;
        let channel = Channel::new(id, Arc::new(webhook)).within(within(options.timeout_secs));
        channels.push(channel, &options.common);
    }
    let commands = &file.outage_commands;
    for (id, options) in command_ids(commands).into_iter().zip(commands) {
        let command = Command::new(options, timeout).context("outage_commands: no program")?;
        let channel = Channel::new(id, Arc::new(command)).within(within(options.timeout_secs));
        channels.push(channel, &options.common);
    }
    let syslogs = &file.outage_syslogs;
    for (id, options) in syslog_ids(syslogs).into_iter().zip(syslogs) {
        let syslog =
            Syslog::new(options, process.services.names(), timeout).context("outage_syslogs: no address")?;
        let channel = Channel::new(id, Arc::new(syslog)).within(within(options.timeout_secs));
        channels.push(channel, &options.common);
    }
    for (channel, options) in recipients(file, process)?.into_iter().zip(&file.outage_emails) {
        channels.push(channel, &options.common);
    }
    Ok(channels.linked())
}

/// Channels, and what their entries say of names and stand-ins.
#[derive(Default)]
struct Stood<'a> {
    channels: Vec<Channel>,
    options: Vec<&'a ChannelOptions>,
}

impl<'a> Stood<'a> {
    fn push(&mut self, channel: Channel, options: &'a ChannelOptions) {
        self.channels.push(channel);
        self.options.push(options);
    }

    /// Names become ids.
    fn linked(self) -> Vec<Channel> {
        let named = |name: &str| {
            let is_it =
                |options: &&ChannelOptions| options.name.as_ref().is_some_and(|own| own.as_str() == name);
            let at = self.options.iter().position(is_it)?;
            Some(self.channels[at].id.clone())
        };
        let linked = self.channels.iter().zip(&self.options).map(|(channel, options)| {
            let channel = channel.clone();
            match options.then.as_ref().and_then(|then| named(then.as_str())) {
                Some(to) => channel.or_else(to, options.after().duration()),
                None => channel,
            }
        });
        linked.collect()
    }
}

/// The recipients of mail, each a channel of its own.
fn recipients(file: &SiteFile, process: &Process) -> anyhow::Result<Vec<Channel>> {
    let Some(server) = mail_server(file, process)? else {
        return Ok(Vec::new());
    };
    let emails = &file.outage_emails;
    let entries = mail_channel_ids(emails).into_iter().zip(emails);
    entries
        .map(|(id, options)| {
            let mail = Mail::new(options, server.clone(), TimeZone::system())
                .with_context(|| format!("outage_emails: {id}"))?;
            Ok(Channel {
                outages: options.email_outages.unwrap_or(true),
                reminders: options.email_reminders.unwrap_or(true),
                recoveries: options.email_recoveries.unwrap_or(true),
                is_mail: true,
                ..Channel::new(id, Arc::new(mail))
            })
        })
        .collect()
}

/// The site's mail server, where somebody is to be told by it.
pub(crate) fn mail_server(file: &SiteFile, process: &Process) -> anyhow::Result<Option<MailServer>> {
    let wanted = file
        .email_server
        .as_ref()
        .filter(|_| !file.outage_emails.is_empty());
    wanted
        .map(|options| MailServer::new(options, process.services.names(), site::delivery_timeout(file)))
        .transpose()
        .context("email_server")
}

/// `mail.example.com:587 (STARTTLS, login as ops), from ops@example.com`.
pub(crate) fn described(file: &SiteFile, server: &MailServer) -> String {
    let Some(options) = &file.email_server else {
        return server.origin().to_owned();
    };
    let mut manner = match options.protection() {
        MailProtection::Tls => "TLS",
        MailProtection::StartTls => "STARTTLS",
        MailProtection::None => "in clear",
    }
    .to_owned();
    if options.smtp_verify_tls == Some(false) && options.protection() != MailProtection::None {
        manner.push_str(", certificate not verified");
    }
    if let (Some(name), Some(_)) = (&options.smtp_username, &options.smtp_password) {
        manner.push_str(&format!(", login as {}", name.as_str()));
    }
    let from = options.from_address.as_ref().map_or("", |from| from.as_str());
    printable(&format!("{} ({manner}), from {from}", server.origin())).into_owned()
}
