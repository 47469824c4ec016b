//! The channels of a site: the options of every channel, and one entry of the
//! site file.

mod id;
mod list;

use std::{fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::list::Lists;
use super::{
    position::Position,
    value::{Seconds, Text},
};
use crate::{
    channel::ChannelBlueprint,
    notification::{ChannelClass, Notifier},
    services::Services,
};

/// Options that every channel has.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// A name for the channel: other channels refer to it in `then`, and it is
    /// part of the channel's id (`webhook:NAME`), so that waiting notifications
    /// stay with their entry when the entries are reordered. (An addition.)
    pub name: Option<Text>,
    /// The fallback: the `name` of another channel. It receives each notification
    /// that this channel refuses, immediately, and all notifications once this
    /// channel has failed for `after_secs`. It receives nothing else. (An
    /// addition.)
    pub then: Option<Text>,
    /// Seconds for which this channel must have failed before its fallback is
    /// used; less than `notify_expire_secs`. Default 300. Needs `then`. (An
    /// addition.)
    pub after_secs: Option<Seconds>,
}

impl ChannelOptions {
    /// How long the channel must have failed before its fallback is used.
    #[must_use]
    pub fn after(&self) -> Seconds {
        self.after_secs.unwrap_or(const { Seconds::new(300) })
    }
}

/// One channel of a site file, read and checked.
#[non_exhaustive]
pub struct ChannelEntry {
    /// Its id in the outbox: `kind:name`, or `kind:` and its identity.
    pub id: String,
    /// Its kind's name.
    pub kind: &'static str,
    /// The list that holds it.
    pub section: &'static str,
    /// Its position in the file.
    pub at: Position,
    /// The options of every channel.
    pub options: ChannelOptions,
    /// Its description, and how to build its notifier.
    pub blueprint: ChannelBlueprint,
}

impl ChannelEntry {
    /// Its `name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.options.name.as_ref().map(Text::as_str)
    }

    /// Its label in listings: the name of its preset, or else of its kind.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.blueprint.label.unwrap_or(self.kind)
    }

    /// The class under which a monitor can switch it off.
    #[must_use]
    pub fn class(&self) -> Option<&ChannelClass> {
        self.blueprint.class.as_ref()
    }

    /// Builds its notifier. `timeout` limits one delivery, unless the entry sets a
    /// timeout of its own.
    #[must_use]
    pub fn build(&self, services: &Services, timeout: Duration) -> Arc<dyn Notifier> {
        self.blueprint.build(services, timeout)
    }
}

impl fmt::Debug for ChannelEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelEntry")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("target", &self.blueprint.target)
            .finish_non_exhaustive()
    }
}
