//! Webhooks as channels.

mod encode;
mod options;
mod prepared;
mod preset;
mod schema;
mod source;
mod template;

use std::{fmt, sync::Arc, time::Duration};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Notification, Notifier, Secret, SectionValue, Services,
    config::{Seconds, Section},
};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use self::{
    options::ReadEntry,
    prepared::{Form, Prepared},
    source::Source,
};
pub use self::{
    options::{RequestEncoding, RequestMethod, WebhookOptions},
    prepared::WebhookError,
    preset::table::PresetName,
};
use crate::{
    answer::{Accepts, Answer, RetryAfter, SuccessCriteria},
    client::HttpClient,
    secret_file::SecretFile,
    trust::ReceiverTrust,
};

/// The kind `webhook`: entries of `site.outage_webhooks`.
pub struct WebhookKind;

impl ChannelKind for WebhookKind {
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
        "HTTP requests, either to a service that apmon knows (`preset`) or as the entry defines them. \
         Any 2xx status means delivered."
    }

    fn example(&self) -> &'static str {
        "preset: slack\nurl: https://hooks.slack.com/services/T000/B000/TOKEN\n"
    }

    fn schema(&self) -> schemars::Schema {
        schema::schema()
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let ReadEntry {
            options,
            files,
            trust,
        } = options::read(section)?;
        let timeout = options.timeout_secs.map(Seconds::duration);
        let source = match Source::new(options, files) {
            Ok(source) => Arc::new(source),
            // Invalid options were reported above, each with its position.
            Err(_) if section.has_errors() => return None,
            Err(error) => {
                section.error_text("endpoint_url", error.to_string());
                return None;
            }
        };
        let mut blueprint = ChannelBlueprint::new(source.identity(), source.origin(), {
            let source = Arc::clone(&source);
            move |services: &Services, timeout| {
                Arc::new(Webhook {
                    client: HttpClient::of(services).trusting(&trust),
                    timeout,
                    source: Arc::clone(&source),
                })
            }
        });
        blueprint.label = source.preset().map(PresetName::as_str);
        blueprint.keyed = source
            .preset()
            .is_some_and(|PresetName(preset)| preset.is_keyed());
        blueprint.timeout = timeout;
        Some(blueprint)
    }
}

/// One entry of `site.outage_webhooks`.
///
/// Each delivery is one request; a receiver can recognise a repeated one by its
/// `Idempotency-Key` header. Only the end of an alert is sent twice to a receiver whose clock is
/// slow.
pub struct Webhook {
    client: HttpClient,
    timeout: Duration,
    source: Arc<Source>,
}

impl Webhook {
    /// Creates a webhook from its options. `timeout` limits each delivery as a whole,
    /// unless the options set a timeout. Paths are relative to the working directory.
    ///
    /// # Errors
    /// The options are invalid, which those of a valid site file never are.
    pub fn new(
        options: &WebhookOptions,
        client: HttpClient,
        timeout: Duration,
    ) -> Result<Self, WebhookError> {
        let files = options.files();
        let files = files.map(|(option, path)| SecretFile::new(&option, path));
        let trust = ReceiverTrust::of(&options.tls).map_err(WebhookError::Authorities)?;
        Ok(Self {
            client: client.trusting(&trust),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
            source: Arc::new(Source::new(options.clone(), files.collect())?),
        })
    }

    /// The destination as it may be shown: scheme, host and port, or the file that contains the
    /// URL.
    #[must_use]
    pub fn origin(&self) -> String {
        self.source.origin().to_owned()
    }

    async fn send(
        &self,
        prepared: &Prepared,
        notification: &Notification,
        key: &str,
        deadline: Instant,
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        self.attempt(prepared, notification, key, None, deadline, received)
            .await?;
        let Form::Preset { preset, .. } = &prepared.form else {
            return Ok(());
        };
        let stated = preset::stated_end(preset, notification);
        match stated.zip(received.date) {
            // The service takes an end in the future for none, and keeps the alert open.
            Some((end, now)) if now < end => {
                *received = Answer::default();
                self.attempt(prepared, notification, key, Some(now), deadline, received)
                    .await
            }
            _ => Ok(()),
        }
    }

    async fn attempt(
        &self,
        prepared: &Prepared,
        notification: &Notification,
        key: &str,
        their_now: Option<Timestamp>,
        deadline: Instant,
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let request = prepared.request(notification, key, their_now)?;
        let preset = match prepared.form {
            Form::Written { .. } => None,
            Form::Preset { preset, .. } => Some(preset),
        };
        let retry_after = preset.map(|preset| move |body: &[u8]| preset.retry_after(body));
        let acceptance = preset.and_then(|preset| preset.acceptance());
        let accepts = acceptance.map(|acceptance| move |body: &[u8]| acceptance.has(body));
        let criteria = SuccessCriteria {
            statuses: &prepared.statuses,
            text: prepared.success_body.as_ref().map(Secret::reveal),
            retry_after: retry_after.as_ref().map(|read| read as &RetryAfter),
            accepts: accepts.as_ref().map(|accepts| accepts as &Accepts),
            mask: Some(&prepared.mask),
        };
        self.client
            .attempt(request, &criteria, (self.timeout, deadline), received)
            .await
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Webhook");
        shown.field("origin", &self.source.origin());
        if let Some(preset) = self.source.preset() {
            shown.field("preset", &preset);
        }
        shown.finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let prepared = self.source.prepare(deadline).await?;
        let mut received = Answer::default();
        self.send(&prepared, notification, key, deadline, &mut received)
            .await
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let prepared = self.source.prepare(deadline).await?;
        shown.extend(prepared.shown(notification, key));
        let mut received = Answer::default();
        let result = self
            .send(&prepared, notification, key, deadline, &mut received)
            .await;
        shown.extend(prepared.shown_answer(&received));
        result
    }
}
/// Judges `bytes` as the answer of each known service, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    for PresetName(preset) in PresetName::all() {
        let accepts = preset.acceptance().map(|acceptance| acceptance.has(bytes));
        std::hint::black_box((accepts, preset.retry_after(bytes)));
    }
}
