//! Kinds of channels: each describes itself, reads its entries of the site file and
//! builds their notifiers. A new kind is one file and one line in a table.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    config::Section,
    mask::Mask,
    notification::{ChannelClass, DeliveryError, Notification, Notifier, Switches},
    section_value::SectionValue,
    services::Services,
};

/// A kind of channel, as tables hold it (`apmon_notify::CHANNELS`).
pub trait ChannelKind: Send + Sync {
    /// The first part of its channels' ids (`webhook` in `webhook:hooks.example.com`).
    fn name(&self) -> &'static str;

    /// The list of the section `site` that holds its entries (`outage_webhooks`).
    fn section(&self) -> &'static str;

    /// The nouns for one entry and for several (`webhook`, `webhooks`).
    fn nouns(&self) -> (&'static str, &'static str);

    /// A summary of one or two sentences for the operator.
    fn summary(&self) -> &'static str;

    /// An entry in the notation of a site file, without the dash.
    fn example(&self) -> &'static str;

    /// The section of `site` that its entries need (`email_server`).
    fn needs(&self) -> Option<&'static dyn SectionKind> {
        None
    }

    /// The JSON Schema of its own options, with the texts for the operator and the
    /// rules between options.
    fn schema(&self) -> schemars::Schema;

    /// Reads one entry. Errors are reported through `section`. `needed` is the value of
    /// the section that the kind [needs](Self::needs).
    fn read(&self, section: &mut Section<'_>, needed: Option<&SectionValue>) -> Option<ChannelBlueprint>;
}

/// A section of options that describes and reads itself: one that the entries
/// of a channel kind share (`site.email_server`), one of the process
/// (`apmon.web`), or a part of another section (`heartbeat_ssl_verify` and the like).
pub trait SectionKind: Send + Sync {
    /// Its key.
    fn name(&self) -> &'static str;

    /// A summary of one sentence for the operator.
    fn summary(&self) -> &'static str;

    /// Its options in the notation of a site file.
    fn example(&self) -> &'static str;

    /// The JSON Schema of its options, with the texts for the operator.
    fn schema(&self) -> schemars::Schema;

    /// Reads the section. Errors are reported through `section`.
    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue>;
}

/// The description of one channel, and how to build its notifier.
#[non_exhaustive]
pub struct ChannelBlueprint {
    /// What distinguishes the channel within its kind if it has no `name`: a host, an
    /// address. It is part of the id, so it must hold no secret and not change with a
    /// new token.
    pub identity: String,
    /// Whether the identity is part of the id even if the channel has a `name`. Ids are
    /// then compared without case (an e-mail address). Default: no.
    pub is_identity_fixed: bool,
    /// The label in listings if the kind's name is too general (a preset).
    pub label: Option<&'static str>,
    /// The destination, without secrets.
    pub target: String,
    /// The server that it sends through, which other channels may share
    /// (`mail.example.com:587 (STARTTLS), from ops@example.com`).
    pub via: Option<String>,
    /// The kinds of notifications it takes.
    pub switches: Switches,
    /// The class under which a monitor can switch it off.
    pub class: Option<ChannelClass>,
    /// Whether the receiver keeps an incident open under its key until it gets the end.
    pub keyed: bool,
    /// The timeout of one delivery, if the entry sets one.
    pub timeout: Option<Duration>,
    build: Box<BuildNotifier>,
    mask: Mask,
}

type BuildNotifier = dyn Fn(&Services, Duration) -> Arc<dyn Notifier> + Send + Sync;

impl ChannelBlueprint {
    /// Creates a channel that takes everything. `build` gets the timeout of one
    /// delivery.
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
            keyed: false,
            timeout: None,
            build: Box::new(build),
            mask: Mask::default(),
        }
    }

    /// Sets the secrets that are masked in what the notifier returns.
    pub(crate) fn set_mask(&mut self, mask: Mask) {
        self.mask = mask;
    }

    /// Builds the notifier. The timeout of one delivery is the entry's own, or else
    /// `timeout`. The secrets of its entry in the site file are masked in its errors and
    /// transcripts.
    #[must_use]
    pub fn build(&self, services: &Services, timeout: Duration) -> Arc<dyn Notifier> {
        let notifier = (self.build)(services, self.timeout.unwrap_or(timeout));
        if self.mask.is_empty() {
            return notifier;
        }
        Arc::new(MaskedNotifier {
            notifier,
            mask: self.mask.clone(),
        })
    }
}

/// Masks secrets in what a notifier returns, whatever the receiver repeats.
struct MaskedNotifier {
    notifier: Arc<dyn Notifier>,
    mask: Mask,
}

#[async_trait]
impl Notifier for MaskedNotifier {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        let result = self.notifier.deliver(notification, key).await;
        result.map_err(|error| self.mask.hide_error(error))
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        transcript: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let before = transcript.len();
        let result = self
            .notifier
            .deliver_with_transcript(notification, key, transcript)
            .await;
        for line in &mut transcript[before..] {
            // What was sent is known, and its secrets are masked already.
            if line.starts_with('<') {
                self.mask.hide_in(line);
            }
        }
        result.map_err(|error| self.mask.hide_error(error))
    }

    async fn test_connection(&self) -> Result<(), DeliveryError> {
        let result = self.notifier.test_connection().await;
        result.map_err(|error| self.mask.hide_error(error))
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
