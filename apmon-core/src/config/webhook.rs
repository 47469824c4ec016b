//! One entry of `site.outage_webhooks`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    deserializer::one_or_many,
    fallback::ChannelOptions,
    preset::{OPTIONS, Preset, is_in_header},
    section::Section,
    status::StatusRange,
    value::Seconds,
};
use crate::{secret::Secret, text::excerpt};

/// How a webhook is requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RequestMethod {
    /// The message is part of the URL.
    Get,
    /// The message is the body.
    Post,
}

/// How a webhook's message is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RequestEncoding {
    /// Percent-encoded.
    Url,
    /// HTML-escaped.
    Html,
    /// `{"message": ...}`; POST only.
    Json,
    /// Quoted as in CSV.
    Csvquoted,
}

/// Options of one entry of `site.outage_webhooks`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct OutageWebhook {
    /// Where to send; it may hold a token, so it is never printed whole.
    /// Needed without `preset`, as are the next two.
    pub endpoint_url: Option<Secret>,
    /// How to request it.
    pub request_method: Option<RequestMethod>,
    /// How to encode the message. JSON needs POST.
    pub request_encoding: Option<RequestEncoding>,
    /// Stands before the encoded message.
    pub request_prefix: Option<Secret>,
    /// Stands after the encoded message.
    pub request_suffix: Option<Secret>,
    /// A service whose request is known, instead of the options above. Each
    /// has its few options: `alertmanager` (`url`, perhaps `token`), `discord`
    /// (`url`), `gotify` (`url`, `token`), `matrix` (`url`, `token`, `room`),
    /// `ntfy` (`topic`, perhaps `url` and `token`), `opsgenie` (`token`,
    /// perhaps `url`), `pagerduty` (`routing_key`, perhaps `url`), `pushover`
    /// (`token`, `user`, perhaps `url`), `slack` (`url`), `teams` (`url`),
    /// `telegram` (`token`, `chat_id`, perhaps `url`). (An addition.)
    pub preset: Option<Preset>,
    /// Of a preset: the webhook's URL, or where the service is (your own
    /// server, or the service's other region). (An addition.)
    pub url: Option<Secret>,
    /// Of a preset: the token, or API key. (An addition.)
    pub token: Option<Secret>,
    /// Of `telegram`: the chat. (An addition.)
    pub chat_id: Option<Secret>,
    /// Of `pushover`: the user's or group's key. (An addition.)
    pub user: Option<Secret>,
    /// Of `matrix`: the room's id, `!abc:example.org`. (An addition.)
    pub room: Option<Secret>,
    /// Of `ntfy`: the topic. (An addition.)
    pub topic: Option<Secret>,
    /// Of `pagerduty`: the integration key. (An addition.)
    pub routing_key: Option<Secret>,
    /// Headers to send besides, each `Name: value`; values are never printed. (An addition.)
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Seconds that one try may take in all. Default: `max_try_secs`. (An addition.)
    pub timeout_secs: Option<Seconds>,
    /// The statuses that mean delivered: `200`, `200-299`, or a list of both.
    /// Default: any 2xx. (An addition.)
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Statuses")]
    pub success_statuses: Vec<StatusRange>,
    /// Must stand in the answer as well (in its first 64 KiB, in this very
    /// case), or the message is tried again: for gateways that answer 200 and
    /// say `ERROR`. (An addition.)
    pub success_body: Option<Secret>,
    /// What every channel has.
    #[serde(skip)]
    pub common: ChannelOptions,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)] // only its schema is used
enum Statuses {
    One(StatusRange),
    Many(Vec<StatusRange>),
}

/// What tells where a message ends, or what becomes of the connection.
const KEPT: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a preset stands for.
const REQUEST: [&str; 5] = [
    "endpoint_url",
    "request_method",
    "request_encoding",
    "request_prefix",
    "request_suffix",
];

impl OutageWebhook {
    /// A preset's option by its name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&Secret> {
        let option = match name {
            "url" => &self.url,
            "token" => &self.token,
            "chat_id" => &self.chat_id,
            "user" => &self.user,
            "room" => &self.room,
            "topic" => &self.topic,
            "routing_key" => &self.routing_key,
            _ => &None,
        };
        option.as_ref()
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<OutageWebhook> {
    let webhook = section.read::<OutageWebhook>()?;
    match webhook.preset {
        Some(preset) => of_preset(section, &webhook, preset),
        // What was meant is not known.
        None if section.has("preset") => {}
        None => of_request(section, &webhook),
    }
    let mut names = BTreeSet::new();
    for name in webhook.headers.keys() {
        let shown = excerpt(name, 60);
        if !names.insert(name.to_ascii_lowercase()) {
            section.error(
                "headers",
                format!("holds {shown} twice: capitals make no difference"),
            );
        } else if !is_token(name) {
            section.error(
                "headers",
                format!("holds \"{shown}\", which is no name of a header"),
            );
        } else if KEPT.contains(&name.to_ascii_lowercase().as_str()) {
            section.error("headers", format!("must not hold {shown}, apmon sets it itself"));
        } else if !webhook.headers[name].reveal().chars().all(is_in_header) {
            section.error(
                "headers",
                format!("{shown} holds characters that no header may hold"),
            );
        }
    }
    if webhook
        .success_body
        .as_ref()
        .is_some_and(|text| text.reveal().is_empty())
    {
        section.error("success_body", "must not be empty");
    }
    Some(webhook)
}

fn of_request(section: &mut Section<'_>, webhook: &OutageWebhook) {
    section.require("endpoint_url", webhook.endpoint_url.as_ref());
    section.require("request_method", webhook.request_method);
    section.require("request_encoding", webhook.request_encoding);
    if let Some(url) = &webhook.endpoint_url {
        section.check_url("endpoint_url", url.reveal(), &["http", "https"]);
    }
    if (webhook.request_method, webhook.request_encoding)
        == (Some(RequestMethod::Get), Some(RequestEncoding::Json))
    {
        section.error("request_encoding", "JSON needs request_method POST");
    }
    for name in OPTIONS {
        if section.has(name) {
            section.misplaced(name, "is an option of presets, and there is no preset");
        }
    }
}

fn of_preset(section: &mut Section<'_>, webhook: &OutageWebhook, preset: Preset) {
    for name in REQUEST {
        if section.has(name) {
            section.misplaced(name, "does not go with preset, which stands for it");
        }
    }
    for name in preset.needs() {
        if !section.has(name) {
            let text = format!("\"{name}\" is missing, preset {} needs it", preset.name());
            section.error_text("preset", text);
        }
    }
    for name in OPTIONS {
        if preset.needs().contains(&name) || preset.takes().contains(&name) {
            let Some(value) = webhook.option(name).map(Secret::reveal) else {
                continue;
            };
            if value.trim().is_empty() {
                section.error(name, "must not be empty");
            } else if let Some(text) = preset.error_in(name, value) {
                section.error(name, text);
            }
        } else if section.has(name) {
            let all: Vec<_> = preset.needs().iter().chain(preset.takes()).copied().collect();
            section.misplaced(
                name,
                format!("is no option of preset {} ({})", preset.name(), all.join(", ")),
            );
        }
    }
    if let Some(url) = webhook.url.as_ref().filter(|url| !url.reveal().trim().is_empty()) {
        let is_url = section.check_url("url", url.reveal(), &["http", "https"]);
        if is_url && !preset.is_hook() && url.reveal().contains(['?', '#']) {
            section.error(
                "url",
                "must be where the service is, without \"?\" and \"#\": apmon adds the path",
            );
        }
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_one)
}
