//! The request of a webhook: the options, prepared for it, and how it may be shown.

use apmon_core::{DeliveryError, Mask, Notification, Secret, config::StatusRange, text::printable};
use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use jiff::Timestamp;
use url::Url;

use super::{
    encode,
    options::{MAX_HEADERS, RequestEncoding, RequestMethod, WebhookOptions},
    preset::{self, Filled, Preset, Sending, table::PresetName},
};
use crate::{
    answer::{Answer, header_text},
    client::Request,
    http_url::origin,
    trust::RECEIVER,
};

/// How many characters of an answer are shown when a channel is tried out.
const MAX_SHOWN: usize = 1024;

/// The options, prepared for requests.
pub(super) struct Prepared {
    pub(super) form: Form,
    /// Scheme, host and port.
    pub(super) origin: String,
    pub(super) host: String,
    headers: HeaderMap,
    pub(super) statuses: Vec<StatusRange>,
    pub(super) success_body: Option<Secret>,
    /// The secrets in all of it.
    pub(super) mask: Mask,
}

/// How a request is built.
pub(super) enum Form {
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
    /// The file of authorities cannot be used.
    #[error("\"ssl_ca_file\": {0}")]
    Authorities(String),
    /// An option of TLS promises what does not hold, since the URL begins with `http://`.
    #[error("\"{0}\" needs a URL that begins with https://")]
    Unencrypted(&'static str),
    /// There are too many headers.
    #[error("\"headers\" contains {0} headers; use at most {MAX_HEADERS}")]
    Headers(usize),
}

impl Prepared {
    /// The request for a notification. `their_now` is the time by the receiver's clock, if that
    /// one is slow.
    pub(super) fn request(
        &self,
        notification: &Notification,
        key: &str,
        their_now: Option<Timestamp>,
    ) -> Result<Request, DeliveryError> {
        let mut request = match &self.form {
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
                        legacy_option: RECEIVER.legacy,
                    },
                    RequestMethod::Get => {
                        let url = encode::url(endpoint.reveal(), *encoding, prefix, text, suffix);
                        Request::get(self.url(&url)?)
                    }
                }
            }
            Form::Preset { preset, options } => {
                let sending = Sending {
                    notification,
                    key,
                    options,
                    their_now,
                };
                let filled = fill(preset, sending)
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
                    within_origin: true,
                    legacy_option: RECEIVER.legacy,
                }
            }
        };
        request.within_origin |= !self.headers.is_empty();
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
                "{}: the URL with the notification in it is not valid: {error}",
                self.origin
            ))
        })
    }

    /// The request as it may be shown: built again, with `***` for every secret.
    pub(super) fn shown(&self, notification: &Notification, key: &str) -> Vec<String> {
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
                let body = encode::body(*encoding, prefix, &notification.text, suffix);
                match method {
                    RequestMethod::Post => {
                        let content_type = encode::content_type(*encoding);
                        let url = format!("{}/***", self.origin);
                        ("POST".to_owned(), url, Some(content_type), Vec::new(), Some(body))
                    }
                    RequestMethod::Get => {
                        let endpoint = format!("{}/***", self.origin);
                        let url = encode::url(&endpoint, *encoding, prefix, &notification.text, suffix);
                        ("GET".to_owned(), url, None, Vec::new(), None)
                    }
                }
            }
            Form::Preset { preset, options } => match fill(
                preset,
                Sending {
                    notification,
                    key,
                    options: &options.masked(),
                    their_now: None,
                },
            ) {
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
        lines.extend(self.headers.keys().map(|name| format!("> {name}: ***")));
        lines.push(format!("> idempotency-key: {}", header_text(key)));
        lines.extend(body.map(|body| format!("> {body}")));
        lines
    }

    /// The answer as it may be shown. A receiver may repeat the secrets it was sent.
    pub(super) fn shown_answer(&self, received: &Answer) -> Vec<String> {
        let Some(status) = received.status else {
            return Vec::new();
        };
        let mask = &self.mask;
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
}

impl Form {
    fn mask(&self, headers: &HeaderMap) -> Mask {
        let mut mask = Mask::default();
        match self {
            Self::Written {
                endpoint,
                prefix,
                suffix,
                ..
            } => {
                mask.add_url(endpoint.reveal());
                mask.add(prefix.reveal());
                mask.add(suffix.reveal());
            }
            Self::Preset { options, .. } => options.hide_by(&mut mask),
        }
        let headers = headers.values().filter_map(|value| value.to_str().ok());
        headers.for_each(|value| mask.add(value));
        mask
    }
}

impl Prepared {
    pub(super) fn of(options: &WebhookOptions) -> Result<Self, WebhookError> {
        let (form, url) = match options.preset {
            Some(PresetName(preset)) => of_preset(options, preset)?,
            None => written(options)?,
        };
        if let Some((option, _)) = options.tls.vain(options.encryption()) {
            return Err(WebhookError::Unencrypted(option));
        }
        let headers = headers(options)?;
        Ok(Self {
            mask: form.mask(&headers),
            form,
            origin: origin(&url),
            host: url.host_str().unwrap_or_default().to_owned(),
            headers,
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
fn fill(preset: &Preset, sending: Sending<'_>) -> Result<Filled, String> {
    preset.fill(sending).or_else(|error| {
        tracing::warn!("the template of the preset is broken, so the plain text is sent: {error}");
        preset.plain(sending).map_err(|error| error.to_string())
    })
}
