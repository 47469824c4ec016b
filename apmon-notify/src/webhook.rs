//! One webhook as a channel.

use std::{collections::HashMap, fmt, time::Duration};

use apmon_core::{
    DeliveryError, Notification, Notifier, Secret,
    config::{OutageWebhook, RequestEncoding, RequestMethod},
};
use async_trait::async_trait;
use reqwest::Method;
use url::Url;

use crate::{
    client::{HttpClient, Request, origin},
    encode,
};

/// One entry of `site.outage_webhooks`.
///
/// Each delivery is one request; a receiver may tell a repeated one by its
/// `Idempotency-Key` header.
pub struct Webhook {
    client: HttpClient,
    timeout: Duration,
    endpoint: Secret,
    url: Url,
    method: RequestMethod,
    encoding: RequestEncoding,
    prefix: Secret,
    suffix: Secret,
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
    /// JSON is the body of a POST.
    #[error("\"request_encoding\" JSON needs request_method POST")]
    JsonByGet,
}

impl Webhook {
    /// From its options; each delivery takes at most `timeout` in all.
    ///
    /// # Errors
    /// When they were not checked by the site file's reader and are wrong.
    pub fn new(options: &OutageWebhook, client: HttpClient, timeout: Duration) -> Result<Self, WebhookError> {
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
        let url = Url::parse(endpoint.reveal())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(WebhookError::NotAUrl)?;
        let text = |text: &Option<Secret>| text.clone().unwrap_or_else(|| Secret::new(""));
        Ok(Self {
            client,
            timeout,
            endpoint,
            url,
            method,
            encoding,
            prefix: text(&options.request_prefix),
            suffix: text(&options.request_suffix),
        })
    }

    /// What may be shown of where it sends: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(&self.url)
    }

    fn request<'k>(&self, text: &str, key: &'k str) -> Result<Request<'k>, DeliveryError> {
        let (prefix, suffix) = (self.prefix.reveal(), self.suffix.reveal());
        Ok(match self.method {
            RequestMethod::Post => Request {
                method: Method::POST,
                url: self.url.clone(),
                content: Some((
                    encode::content_type(self.encoding),
                    encode::body(self.encoding, prefix, text, suffix),
                )),
                key: Some(key),
            },
            RequestMethod::Get => {
                let url = encode::url(self.endpoint.reveal(), self.encoding, prefix, text, suffix);
                let url = Url::parse(&url).map_err(|error| {
                    DeliveryError::permanent(format!(
                        "{}: no valid URL with the message in it: {error}",
                        self.origin()
                    ))
                })?;
                Request {
                    method: Method::GET,
                    url,
                    content: None,
                    key: Some(key),
                }
            }
        })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("origin", &self.origin())
            .field("method", &self.method)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        let request = self.request(&notification.text, key)?;
        self.client.attempt(request, self.timeout).await
    }
}

/// The channels' ids, in the order of `webhooks`: `webhook:<host>`, and
/// `webhook:<host>#2` for the second on the same host. They hold no token, so
/// that what waits for a channel finds it after its token was changed.
#[must_use]
pub fn channel_ids(webhooks: &[OutageWebhook]) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    webhooks
        .iter()
        .map(|webhook| {
            let host = webhook
                .endpoint_url
                .as_ref()
                .and_then(|url| Url::parse(url.reveal()).ok())
                .and_then(|url| url.host_str().map(str::to_owned))
                .unwrap_or_default();
            let count = seen.entry(host.clone()).or_default();
            *count += 1;
            match *count {
                1 => format!("webhook:{host}"),
                n => format!("webhook:{host}#{n}"),
            }
        })
        .collect()
}
