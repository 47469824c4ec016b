//! The services whose requests are known: what an entry must say of each.
//!
//! How they are asked stands in `apmon-notify`, one file each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service whose request is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// Prometheus Alertmanager, API v2.
    Alertmanager,
    /// Discord, a channel's webhook.
    Discord,
    /// Gotify, an application.
    Gotify,
    /// A room of a Matrix homeserver.
    Matrix,
    /// A topic of ntfy.
    Ntfy,
    /// Opsgenie, an API integration.
    Opsgenie,
    /// PagerDuty, Events API v2.
    Pagerduty,
    /// Pushover, an application and a user or group.
    Pushover,
    /// Slack, an incoming webhook; Mattermost takes the same.
    Slack,
    /// Microsoft Teams, a workflow that "posts to a channel when a webhook request is received".
    Teams,
    /// Telegram, a bot and a chat.
    Telegram,
}

/// The options of presets, of which each has its few.
pub(super) const OPTIONS: [&str; 7] = ["url", "token", "chat_id", "user", "room", "topic", "routing_key"];

impl Preset {
    /// All of them, by name.
    pub const ALL: [Self; 11] = [
        Self::Alertmanager,
        Self::Discord,
        Self::Gotify,
        Self::Matrix,
        Self::Ntfy,
        Self::Opsgenie,
        Self::Pagerduty,
        Self::Pushover,
        Self::Slack,
        Self::Teams,
        Self::Telegram,
    ];

    /// As it is written in a site file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The options it cannot do without.
    #[must_use]
    pub const fn needs(self) -> &'static [&'static str] {
        self.row().1
    }

    /// The options it takes besides.
    #[must_use]
    pub const fn takes(self) -> &'static [&'static str] {
        self.row().2
    }

    /// Its `url` is the webhook itself, not the server that paths are added to.
    pub(super) const fn is_hook(self) -> bool {
        matches!(self, Self::Discord | Self::Slack | Self::Teams)
    }

    /// Its `token` is sent in a header.
    const fn has_token_header(self) -> bool {
        matches!(
            self,
            Self::Alertmanager | Self::Gotify | Self::Matrix | Self::Ntfy | Self::Opsgenie
        )
    }

    /// What the service cannot take `value` for; the value is not repeated.
    pub(super) fn error_in(self, name: &str, value: &str) -> Option<&'static str> {
        match (self, name) {
            (Self::Ntfy, "topic") if !is_topic(value) => {
                Some("must be 1 to 64 of the characters A-Z, a-z, 0-9, - and _")
            }
            (Self::Matrix, "room") if !value.starts_with('!') => {
                Some("must be the room's id, which begins with \"!\"; an alias (#room:server) will not do")
            }
            (_, "token") if self.has_token_header() && value != value.trim() => {
                Some("must not begin or end with a blank")
            }
            (_, "token") if self.has_token_header() && !value.chars().all(is_in_header) => {
                Some("holds characters that no header may hold")
            }
            _ => None,
        }
    }

    const fn row(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Alertmanager => ("alertmanager", &["url"], &["token"]),
            Self::Discord => ("discord", &["url"], &[]),
            Self::Gotify => ("gotify", &["url", "token"], &[]),
            Self::Matrix => ("matrix", &["url", "token", "room"], &[]),
            Self::Ntfy => ("ntfy", &["topic"], &["url", "token"]),
            Self::Opsgenie => ("opsgenie", &["token"], &["url"]),
            Self::Pagerduty => ("pagerduty", &["routing_key"], &["url"]),
            Self::Pushover => ("pushover", &["token", "user"], &["url"]),
            Self::Slack => ("slack", &["url"], &[]),
            Self::Teams => ("teams", &["url"], &[]),
            Self::Telegram => ("telegram", &["token", "chat_id"], &["url"]),
        }
    }
}

/// What ntfy takes for a topic's name.
fn is_topic(text: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(is_one)
}

/// RFC 9110, section 5.5, without its obsolete part.
pub(super) fn is_in_header(c: char) -> bool {
    c == '\t' || (' '..='~').contains(&c)
}
