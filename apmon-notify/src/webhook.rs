//! One webhook as a channel.

use std::{fmt, time::Duration};

use apmon_core::{
    DeliveryError, Notification, Notifier, Secret,
    config::{OutageWebhook, Preset, RequestEncoding, RequestMethod, Seconds, StatusRange},
    text::printable,
};
use async_trait::async_trait;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use crate::{
    answer::{SuccessCriteria, header_text},
    client::{HttpClient, Request, Seen, origin},
    encode, id,
    mask::Mask,
    preset::{self, Filled},
};

/// So much of an answer is shown to whoever tries a channel out.
const SHOWN_BYTES: usize = 1024;

/// One entry of `site.outage_webhooks`.
///
/// Each delivery is one request; a receiver may tell a repeated one by its
/// `Idempotency-Key` header.
pub struct Webhook {
    client: HttpClient,
    timeout: Duration,
    form: Form,
    origin: String,
    headers: HeaderMap,
    statuses: Vec<StatusRange>,
    success_body: Option<Secret>,
}

/// How the request is made.
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
        preset: Preset,
        file: Box<preset::File>,
        options: preset::Options,
    },
}

/// Why options make no webhook. A site file that was read without mistakes
/// has none of these.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// An option that must be given is not.
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    /// `endpoint_url` is no http or https URL.
    #[error("\"endpoint_url\" is no http:// or https:// URL")]
    NotAUrl,
    /// The same of a preset's `url`.
    #[error("\"url\" is no http:// or https:// URL")]
    NotAnAddress,
    /// JSON is the body of a POST.
    #[error("\"request_encoding\" JSON needs request_method POST")]
    JsonByGet,
    /// A header that cannot be sent.
    #[error("\"headers\": {0} is no header")]
    Header(String),
    /// A preset without a file of its own: a bug.
    #[error("preset {0} is not known here")]
    NoPreset(&'static str),
}

impl Webhook {
    /// From its options; each delivery takes at most `timeout` in all, unless
    /// they say otherwise.
    ///
    /// # Errors
    /// When they were not checked by the site file's reader and are wrong.
    pub fn new(options: &OutageWebhook, client: HttpClient, timeout: Duration) -> Result<Self, WebhookError> {
        let (form, origin) = match options.preset {
            Some(preset) => of_preset(options, preset)?,
            None => written(options)?,
        };
        Ok(Self {
            client,
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
            form,
            origin,
            headers: headers(options)?,
            statuses: options.success_statuses.clone(),
            success_body: options.success_body.clone(),
        })
    }

    /// What may be shown of where it sends: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    fn request(&self, message: &Notification, key: &str) -> Result<Request, DeliveryError> {
        let mut request = match &self.form {
            Form::Written {
                endpoint,
                url,
                method,
                encoding,
                prefix,
                suffix,
            } => {
                let (text, prefix, suffix) = (&message.text, prefix.reveal(), suffix.reveal());
                match method {
                    RequestMethod::Post => Request {
                        method: Method::POST,
                        url: url.clone(),
                        headers: content_type(encode::content_type(*encoding)),
                        body: Some(encode::body(*encoding, prefix, text, suffix)),
                        stays: true,
                    },
                    RequestMethod::Get => {
                        let url = encode::url(endpoint.reveal(), *encoding, prefix, text, suffix);
                        Request::get(self.url(&url)?)
                    }
                }
            }
            Form::Preset { file, options, .. } => {
                let filled = fill(file, message, key, options)
                    .map_err(|error| DeliveryError::permanent(format!("{}: {error}", self.origin)))?;
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
                    stays: true,
                }
            }
        };
        request.stays |= !self.headers.is_empty();
        for (name, value) in &self.headers {
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
                "{}: no valid URL with the message in it: {error}",
                self.origin
            ))
        })
    }

    async fn send(&self, message: &Notification, key: &str, seen: &mut Seen) -> Result<(), DeliveryError> {
        let request = self.request(message, key)?;
        let wanted = SuccessCriteria {
            statuses: &self.statuses,
            text: self.success_body.as_ref().map(Secret::reveal),
            preset: match &self.form {
                Form::Written { .. } => None,
                Form::Preset { file, .. } => Some(file),
            },
        };
        self.client.attempt(request, &wanted, self.timeout, seen).await
    }

    /// The request as it may be shown: made anew, with `***` for every secret.
    fn shown(&self, message: &Notification, key: &str) -> Vec<String> {
        let (method, url, content_type, own, body) = match &self.form {
            Form::Written {
                method,
                encoding,
                prefix,
                suffix,
                ..
            } => {
                let mask = |text: &Secret| if text.reveal().is_empty() { "" } else { "***" };
                let (prefix, suffix) = (mask(prefix), mask(suffix));
                let body = encode::body(*encoding, prefix, &message.text, suffix);
                match method {
                    RequestMethod::Post => {
                        let content_type = encode::content_type(*encoding);
                        let url = format!("{}/***", self.origin);
                        ("POST".to_owned(), url, Some(content_type), Vec::new(), Some(body))
                    }
                    RequestMethod::Get => {
                        let endpoint = format!("{}/***", self.origin);
                        let url = encode::url(&endpoint, *encoding, prefix, &message.text, suffix);
                        ("GET".to_owned(), url, None, Vec::new(), None)
                    }
                }
            }
            Form::Preset { file, options, .. } => match fill(file, message, key, &options.masked()) {
                Ok(filled) => (
                    filled.method,
                    filled.url,
                    Some(filled.content_type),
                    filled.headers,
                    Some(filled.body),
                ),
                Err(error) => return vec![format!("no request: {error}")],
            },
        };
        let mut lines = vec![format!("> {method} {url}")];
        lines.extend(content_type.map(|content_type| format!("> content-type: {content_type}")));
        lines.extend(
            own.iter()
                .map(|(name, value)| format!("> {}: {value}", name.to_lowercase())),
        );
        lines.extend(self.headers.keys().map(|name| format!("> {name}: ***")));
        lines.push(format!("> idempotency-key: {}", header_text(key)));
        lines.extend(body.map(|body| format!("> {body}")));
        lines
    }

    /// The answer as it may be shown: a receiver may send back what it was sent.
    fn shown_answer(&self, seen: &Seen) -> Vec<String> {
        let Some(status) = seen.status else {
            return Vec::new();
        };
        let mask = self.mask();
        let mut lines = vec![format!("< {status}")];
        let retry_after = seen.retry_after.iter();
        lines.extend(retry_after.map(|wait| format!("< retry-after: {}", mask.hide(wait))));
        if !seen.body.is_empty() {
            // Masked before it is cut: half a secret would not be found.
            let body = String::from_utf8_lossy(&seen.body);
            let body = match seen.whole {
                true => mask.hide(&body),
                false => mask.hide_cut(&body),
            };
            let shown: String = body.chars().take(SHOWN_BYTES).collect();
            let dots = if shown.len() < body.len() { "..." } else { "" };
            lines.push(format!("< {shown}{dots}"));
        }
        lines.iter().map(|line| printable(line).into_owned()).collect()
    }

    fn mask(&self) -> Mask {
        let mut mask = Mask::default();
        match &self.form {
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
        let headers = self.headers.values().filter_map(|value| value.to_str().ok());
        headers.for_each(|value| mask.add(value));
        mask
    }
}

/// Of options that name no preset.
fn written(options: &OutageWebhook) -> Result<(Form, String), WebhookError> {
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
    let origin = origin(&url);
    let form = Form::Written {
        endpoint,
        url,
        method,
        encoding,
        prefix: text(&options.request_prefix),
        suffix: text(&options.request_suffix),
    };
    Ok((form, origin))
}

fn of_preset(options: &OutageWebhook, preset: Preset) -> Result<(Form, String), WebhookError> {
    let file = preset::file(preset).ok_or(WebhookError::NoPreset(preset.name()))?;
    if let Some(missing) = preset.needs().iter().find(|name| options.option(name).is_none()) {
        return Err(WebhookError::Missing(missing));
    }
    let address = preset::address(options).ok_or(WebhookError::Missing("url"))?;
    let url = http_url(&address).ok_or(WebhookError::NotAnAddress)?;
    let form = Form::Preset {
        preset,
        file: Box::new(file),
        options: preset::Options::of(options, preset),
    };
    Ok((form, origin(&url)))
}

fn http_url(text: &Secret) -> Option<Url> {
    let url = Url::parse(text.reveal()).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn headers(options: &OutageWebhook) -> Result<HeaderMap, WebhookError> {
    let mut headers = HeaderMap::new();
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

/// A preset that cannot be filled sends the plain sentence.
fn fill(
    file: &preset::File,
    message: &Notification,
    key: &str,
    options: &preset::Options,
) -> Result<Filled, String> {
    file.fill(message, key, options).or_else(|error| {
        tracing::warn!("the preset is broken, the plain sentence is sent: {error}");
        file.plain(message, key, options)
            .map_err(|error| error.to_string())
    })
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Webhook");
        shown.field("origin", &self.origin);
        match &self.form {
            Form::Written { method, encoding, .. } => {
                shown.field("method", method).field("encoding", encoding);
            }
            Form::Preset { preset, .. } => {
                shown.field("preset", preset);
            }
        }
        shown.finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        self.send(notification, key, &mut Seen::default()).await
    }

    async fn deliver_shown(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        shown.extend(self.shown(notification, key));
        let mut seen = Seen::default();
        let result = self.send(notification, key, &mut seen).await;
        shown.extend(self.shown_answer(&seen));
        result
    }
}

/// The channels' ids, in the order of `webhooks`: `webhook:<name>`; without a
/// name `webhook:<host>`, and `webhook:<host>#2` for the second of those on the
/// same host. They hold no token, so that what waits for a channel finds it
/// after its token was changed.
#[must_use]
pub fn channel_ids(webhooks: &[OutageWebhook]) -> Vec<String> {
    let entries = webhooks.iter().map(|webhook| {
        let url = webhook.endpoint_url.clone().or_else(|| preset::address(webhook));
        let host = url
            .and_then(|url| Url::parse(url.reveal()).ok())
            .and_then(|url| url.host_str().map(str::to_owned));
        (&webhook.common, host.unwrap_or_default())
    });
    id::ids("webhook", entries)
}
