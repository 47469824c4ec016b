//! Webhooks as channels.

mod encode;
mod options;
mod preset;
mod schema;
mod template;

use std::{fmt, sync::Arc, time::Duration};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Mask, Notification, Notifier, Secret, SectionValue,
    Services,
    config::{Seconds, Section, StatusRange},
    text::printable,
};
use async_trait::async_trait;
use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use self::{
    options::MAX_HEADERS,
    preset::{Filled, Preset},
};
pub use self::{
    options::{RequestEncoding, RequestMethod, WebhookOptions},
    preset::table::PresetName,
};
use crate::{
    answer::{RetryAfter, SuccessCriteria, header_text},
    client::{Answer, HttpClient, Request},
    http_url::origin,
};

/// How many characters of an answer are shown when a channel is tried out.
const MAX_SHOWN: usize = 1024;

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
        let options = options::read(section)?;
        let prepared = match Prepared::of(&options) {
            Ok(prepared) => Arc::new(prepared),
            // Invalid options were reported above, each with its position.
            Err(_) if section.has_errors() => return None,
            Err(error) => {
                section.error_text("endpoint_url", error.to_string());
                return None;
            }
        };
        let mut blueprint = ChannelBlueprint::new(&prepared.host, &prepared.origin, {
            let prepared = Arc::clone(&prepared);
            move |services: &Services, timeout| {
                Arc::new(Webhook {
                    client: HttpClient::of(services),
                    timeout,
                    prepared: Arc::clone(&prepared),
                })
            }
        });
        blueprint.label = options.preset.map(PresetName::as_str);
        blueprint.keyed = options.preset.is_some_and(|PresetName(preset)| preset.is_keyed());
        blueprint.timeout = options.timeout_secs.map(Seconds::duration);
        Some(blueprint)
    }
}

/// One entry of `site.outage_webhooks`.
///
/// Each delivery is one request; a receiver can recognise a repeated one by its
/// `Idempotency-Key` header.
pub struct Webhook {
    client: HttpClient,
    timeout: Duration,
    prepared: Arc<Prepared>,
}

/// The options, prepared for requests.
struct Prepared {
    form: Form,
    /// Scheme, host and port.
    origin: String,
    host: String,
    headers: HeaderMap,
    statuses: Vec<StatusRange>,
    success_body: Option<Secret>,
}

/// How a request is built.
enum Form {
    Written {
        endpoint: Secret,
        url: Url,
        method: RequestMethod,
        encoding: RequestEncoding,
        prefix: Secret,
        suffix: Secret,
    },
    Preset {
        preset: &'static Preset,
        options: preset::Options,
    },
}

/// Why a webhook cannot be created from its options. The options of a valid site file
/// cause none of these.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// A required option is missing.
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    /// `endpoint_url` is not an http or https URL.
    #[error("\"endpoint_url\" is not an http:// or https:// URL")]
    NotAUrl,
    /// The `url` of a preset is not an http or https URL.
    #[error("\"url\" is not an http:// or https:// URL")]
    NotAnAddress,
    /// JSON can only be the body of a POST.
    #[error("\"request_encoding\" JSON needs request_method POST")]
    JsonByGet,
    /// A header is not valid.
    #[error("\"headers\": {0} is not a valid header")]
    Header(String),
    /// There are too many headers.
    #[error("\"headers\" contains {0} headers; use at most {MAX_HEADERS}")]
    Headers(usize),
}

impl Webhook {
    /// Creates a webhook from its options. `timeout` limits each delivery as a whole,
    /// unless the options set a timeout.
    ///
    /// # Errors
    /// The options are invalid, which those of a valid site file never are.
    pub fn new(
        options: &WebhookOptions,
        client: HttpClient,
        timeout: Duration,
    ) -> Result<Self, WebhookError> {
        Ok(Self {
            client,
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
            prepared: Arc::new(Prepared::of(options)?),
        })
    }

    /// The destination as it may be shown: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.prepared.origin.clone()
    }

    fn request(&self, notification: &Notification, key: &str) -> Result<Request, DeliveryError> {
        let mut request = match &self.prepared.form {
            Form::Written {
                endpoint,
                url,
                method,
                encoding,
                prefix,
                suffix,
            } => {
                let (text, prefix, suffix) = (&notification.text, prefix.reveal(), suffix.reveal());
                match method {
                    RequestMethod::Post => Request {
                        method: Method::POST,
                        url: url.clone(),
                        headers: content_type(encode::content_type(*encoding)),
                        body: Some(encode::body(*encoding, prefix, text, suffix)),
                        within_origin: true,
                    },
                    RequestMethod::Get => {
                        let url = encode::url(endpoint.reveal(), *encoding, prefix, text, suffix);
                        Request::get(self.url(&url)?)
                    }
                }
            }
            Form::Preset { preset, options } => {
                let filled = fill(preset, notification, key, options).map_err(|error| {
                    DeliveryError::permanent(format!("{}: {error}", self.prepared.origin))
                })?;
                let mut headers = content_type(filled.content_type);
                for (name, value) in filled.headers {
                    let name = HeaderName::from_bytes(name.as_bytes()).ok();
                    let value = HeaderValue::from_str(&header_text(&value)).ok();
                    headers.extend(name.zip(value));
                }
                Request {
                    method: filled.method.parse().unwrap_or(Method::POST),
                    url: self.url(&filled.url)?,
                    headers,
                    body: Some(filled.body),
                    within_origin: true,
                }
            }
        };
        request.within_origin |= !self.prepared.headers.is_empty();
        for (name, value) in &self.prepared.headers {
            request.headers.insert(name, value.clone());
        }
        if let Ok(key) = HeaderValue::from_str(&header_text(key)) {
            request.headers.insert("idempotency-key", key);
        }
        Ok(request)
    }

    fn url(&self, text: &str) -> Result<Url, DeliveryError> {
        Url::parse(text).map_err(|error| {
            DeliveryError::permanent(format!(
                "{}: the URL with the notification in it is not valid: {error}",
                self.prepared.origin
            ))
        })
    }

    async fn send(
        &self,
        notification: &Notification,
        key: &str,
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let request = self.request(notification, key)?;
        let retry_after = match &self.prepared.form {
            Form::Written { .. } => None,
            Form::Preset { preset, .. } => Some(|body: &[u8]| preset.retry_after(body)),
        };
        let criteria = SuccessCriteria {
            statuses: &self.prepared.statuses,
            text: self.prepared.success_body.as_ref().map(Secret::reveal),
            retry_after: retry_after.as_ref().map(|read| read as &RetryAfter),
        };
        self.client
            .attempt(request, &criteria, self.timeout, received)
            .await
    }

    /// The request as it may be shown: built again, with `***` for every secret.
    fn shown(&self, notification: &Notification, key: &str) -> Vec<String> {
        let (method, url, content_type, own, body) = match &self.prepared.form {
            Form::Written {
                method,
                encoding,
                prefix,
                suffix,
                ..
            } => {
                let mask = |text: &Secret| if text.reveal().is_empty() { "" } else { "***" };
                let (prefix, suffix) = (mask(prefix), mask(suffix));
                let body = encode::body(*encoding, prefix, &notification.text, suffix);
                match method {
                    RequestMethod::Post => {
                        let content_type = encode::content_type(*encoding);
                        let url = format!("{}/***", self.prepared.origin);
                        ("POST".to_owned(), url, Some(content_type), Vec::new(), Some(body))
                    }
                    RequestMethod::Get => {
                        let endpoint = format!("{}/***", self.prepared.origin);
                        let url = encode::url(&endpoint, *encoding, prefix, &notification.text, suffix);
                        ("GET".to_owned(), url, None, Vec::new(), None)
                    }
                }
            }
            Form::Preset { preset, options } => match fill(preset, notification, key, &options.masked()) {
                Ok(filled) => (
                    filled.method,
                    filled.url,
                    Some(filled.content_type),
                    filled.headers,
                    Some(filled.body),
                ),
                Err(error) => return vec![format!("the request cannot be built: {error}")],
            },
        };
        let mut lines = vec![format!("> {method} {url}")];
        lines.extend(content_type.map(|content_type| format!("> content-type: {content_type}")));
        lines.extend(
            own.iter()
                .map(|(name, value)| format!("> {}: {value}", name.to_lowercase())),
        );
        lines.extend(self.prepared.headers.keys().map(|name| format!("> {name}: ***")));
        lines.push(format!("> idempotency-key: {}", header_text(key)));
        lines.extend(body.map(|body| format!("> {body}")));
        lines
    }

    /// The answer as it may be shown. A receiver may repeat the secrets it was sent.
    fn shown_answer(&self, received: &Answer) -> Vec<String> {
        let Some(status) = received.status else {
            return Vec::new();
        };
        let mask = self.mask();
        let mut lines = vec![format!("< {status}")];
        let retry_after = received.retry_after.iter();
        lines.extend(retry_after.map(|wait| format!("< retry-after: {}", mask.hide(wait))));
        if !received.body.is_empty() {
            // Masked before it is cut: half a secret would not be recognised.
            let body = String::from_utf8_lossy(&received.body);
            let body = match received.is_complete {
                true => mask.hide(&body),
                false => mask.hide_cut(&body),
            };
            let shown: String = body.chars().take(MAX_SHOWN).collect();
            let ellipsis = if shown.len() < body.len() { "..." } else { "" };
            lines.push(format!("< {shown}{ellipsis}"));
        }
        lines.iter().map(|line| printable(line).into_owned()).collect()
    }

    fn mask(&self) -> Mask {
        let mut mask = Mask::default();
        match &self.prepared.form {
            Form::Written {
                endpoint,
                prefix,
                suffix,
                ..
            } => {
                mask.add_url(endpoint.reveal());
                mask.add(prefix.reveal());
                mask.add(suffix.reveal());
            }
            Form::Preset { options, .. } => options.hide_by(&mut mask),
        }
        let headers = self
            .prepared
            .headers
            .values()
            .filter_map(|value| value.to_str().ok());
        headers.for_each(|value| mask.add(value));
        mask
    }
}

impl Prepared {
    fn of(options: &WebhookOptions) -> Result<Self, WebhookError> {
        let (form, url) = match options.preset {
            Some(PresetName(preset)) => of_preset(options, preset)?,
            None => written(options)?,
        };
        Ok(Self {
            form,
            origin: origin(&url),
            host: url.host_str().unwrap_or_default().to_owned(),
            headers: headers(options)?,
            statuses: options.success_statuses.clone(),
            success_body: options.success_body.clone(),
        })
    }
}

/// The request that the options define in full.
fn written(options: &WebhookOptions) -> Result<(Form, Url), WebhookError> {
    let endpoint = options
        .endpoint_url
        .clone()
        .ok_or(WebhookError::Missing("endpoint_url"))?;
    let method = options
        .request_method
        .ok_or(WebhookError::Missing("request_method"))?;
    let encoding = options
        .request_encoding
        .ok_or(WebhookError::Missing("request_encoding"))?;
    if (method, encoding) == (RequestMethod::Get, RequestEncoding::Json) {
        return Err(WebhookError::JsonByGet);
    }
    let url = http_url(&endpoint).ok_or(WebhookError::NotAUrl)?;
    let text = |text: &Option<Secret>| text.clone().unwrap_or_else(|| Secret::new(""));
    let form = Form::Written {
        endpoint,
        url: url.clone(),
        method,
        encoding,
        prefix: text(&options.request_prefix),
        suffix: text(&options.request_suffix),
    };
    Ok((form, url))
}

fn of_preset(options: &WebhookOptions, preset: &'static Preset) -> Result<(Form, Url), WebhookError> {
    let mut required = preset.options.iter().filter(|option| option.required);
    if let Some(missing) = required.find(|option| !options.values.contains_key(&option.name)) {
        return Err(WebhookError::Missing(&missing.name));
    }
    let address = preset
        .address(&options.values)
        .ok_or(WebhookError::Missing("url"))?;
    let url = http_url(&address).ok_or(WebhookError::NotAnAddress)?;
    let form = Form::Preset {
        preset,
        options: preset::Options::of(&options.values, preset),
    };
    Ok((form, url))
}

fn http_url(text: &Secret) -> Option<Url> {
    let url = Url::parse(text.reveal()).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn headers(options: &WebhookOptions) -> Result<HeaderMap, WebhookError> {
    let mut headers = HeaderMap::new();
    if options.headers.len() > MAX_HEADERS {
        return Err(WebhookError::Headers(options.headers.len()));
    }
    for (name, value) in &options.headers {
        let wrong = || WebhookError::Header(printable(name).into_owned());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn content_type(text: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))])
}

/// The request of a preset. If its template cannot be filled, the plain text of the
/// notification is sent.
fn fill(
    preset: &Preset,
    notification: &Notification,
    key: &str,
    options: &preset::Options,
) -> Result<Filled, String> {
    preset.fill(notification, key, options).or_else(|error| {
        tracing::warn!("the template of the preset is broken, so the plain text is sent: {error}");
        preset
            .plain(notification, key, options)
            .map_err(|error| error.to_string())
    })
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Webhook");
        shown.field("origin", &self.prepared.origin);
        match &self.prepared.form {
            Form::Written { method, encoding, .. } => {
                shown.field("method", method).field("encoding", encoding);
            }
            Form::Preset { preset, .. } => {
                shown.field("preset", &preset.name);
            }
        }
        shown.finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        self.send(notification, key, &mut Answer::default()).await
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        shown.extend(self.shown(notification, key));
        let mut received = Answer::default();
        let result = self.send(notification, key, &mut received).await;
        shown.extend(self.shown_answer(&received));
        result
    }
}
