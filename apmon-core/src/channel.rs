//! A kind of channel: it describes itself, reads its entries of the site file
//! and builds their notifiers. A new kind is one file and one line in a table.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::{
    config::Section,
    notification::{ChannelClass, Notifier, Switches},
    services::Services,
};

/// A kind of channel, as tables hold it (`apmon_notify::CHANNELS`).
pub trait ChannelKind: Send + Sync {
    /// The first part of its channels' ids (`webhook` in `webhook:hooks.example.com`).
    fn name(&self) -> &'static str;

    /// The list of the section `site` that holds its entries (`outage_webhooks`).
    fn section(&self) -> &'static str;

    /// What one entry and several are called (`webhook`, `webhooks`).
    fn nouns(&self) -> (&'static str, &'static str);

    /// A sentence or two for the operator.
    fn summary(&self) -> &'static str;

    /// An entry as it stands in a site file, without the dash.
    fn example(&self) -> &'static str;

    /// The section of `site` that its entries cannot do without (`email_server`).
    fn needs(&self) -> Option<&'static dyn SectionKind> {
        None
    }

    /// JSON Schema of its own options, with the operator's texts and the rules
    /// between options.
    fn schema(&self) -> schemars::Schema;

    /// Reads one entry; errors are noted in `section`. `needed` is what was read
    /// of the section it [needs](Self::needs).
    fn read(&self, section: &mut Section<'_>, needed: Option<&SectionValue>) -> Option<ChannelBlueprint>;
}

/// A section of options that describes and reads itself: one that the entries
/// of a channel kind share (`site.email_server`), or one of the process
/// (`apmon.web`).
pub trait SectionKind: Send + Sync {
    /// Its key.
    fn name(&self) -> &'static str;

    /// A sentence for the operator.
    fn summary(&self) -> &'static str;

    /// Its options as they stand in a site file.
    fn example(&self) -> &'static str;

    /// JSON Schema of its options, with the operator's texts.
    fn schema(&self) -> schemars::Schema;

    /// Reads it; errors are noted in `section`.
    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue>;
}

/// What a [`SectionKind`] has read: a value of its own type.
#[derive(Clone)]
pub struct SectionValue(Arc<dyn Any + Send + Sync>);

impl SectionValue {
    /// Wraps a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value, if it is of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for SectionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SectionValue") // it may hold passwords
    }
}

/// One channel as its entry describes it, and how to build its notifier.
#[non_exhaustive]
pub struct ChannelBlueprint {
    /// What distinguishes it within its kind where it has no `name`: a host, an
    /// address. Part of its id, so it holds no secret and survives a new token.
    pub identity: String,
    /// Whether its identity is part of its id even where it has a `name`. Capitals
    /// then make no difference (a mailbox). Default no.
    pub is_identity_fixed: bool,
    /// What it is called in listings where the kind's name is too general (a
    /// preset).
    pub label: Option<&'static str>,
    /// Where it sends, without secrets.
    pub target: String,
    /// What it shares with other channels on the way there
    /// (`mail.example.com:587 (STARTTLS), from ops@example.com`).
    pub via: Option<String>,
    /// The kinds of notifications it takes.
    pub switches: Switches,
    /// The class under which a monitor can switch it off.
    pub class: Option<ChannelClass>,
    /// How long one delivery may take, where the entry says so.
    pub timeout: Option<Duration>,
    build: Box<BuildFn>,
}

type BuildFn = dyn Fn(&Services, Duration) -> Arc<dyn Notifier> + Send + Sync;

impl ChannelBlueprint {
    /// A channel that takes everything. `build` is given how long one delivery
    /// may take.
    pub fn new(
        identity: impl Into<String>,
        target: impl Into<String>,
        build: impl Fn(&Services, Duration) -> Arc<dyn Notifier> + Send + Sync + 'static,
    ) -> Self {
        Self {
            identity: identity.into(),
            is_identity_fixed: false,
            label: None,
            target: target.into(),
            via: None,
            switches: Switches::default(),
            class: None,
            timeout: None,
            build: Box::new(build),
        }
    }

    /// Builds the notifier. One delivery may take the entry's own time, or else
    /// `timeout`.
    #[must_use]
    pub fn build(&self, services: &Services, timeout: Duration) -> Arc<dyn Notifier> {
        (self.build)(services, self.timeout.unwrap_or(timeout))
    }
}

impl fmt::Debug for ChannelBlueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBlueprint")
            .field("identity", &self.identity)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
