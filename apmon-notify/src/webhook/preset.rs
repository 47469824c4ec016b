//! Presets: services that apmon knows, each one file of `preset/` and one line in
//! [`table`].
//!
//! A file contains the source of the request's format (`about`), the options of an
//! entry (`options`), the request (`request`), another one for the end of an incident
//! if the service needs one (`end_request`), the address of the service (`url`), words
//! that depend on the state (`words`; `ended` is for a first notification whose incident
//! ended before it could be delivered), how values are escaped (`escape`), and the
//! place in an answer that states when to retry (`retry_after`).

pub(super) mod option;
pub(super) mod table;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use apmon_core::{Mask, Notification, Secret, text::printable};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use self::option::PresetOption;
use super::template::{self, Filling, TemplateError};
use crate::{
    description::{severity, since, state, subject},
    http_url::origin,
};

/// The characters that must be encoded in a segment of a path (RFC 3986, section 3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The end of an incident that lasts, counted from the notification, for services that
/// require an end: they close the incident then if no recovery is sent.
const INCIDENT_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The same for notices, which have no end.
const NOTICE_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// A service that apmon knows: a file of `preset/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The preset's name in a site file.
    #[serde(skip)]
    pub(crate) name: &'static str,
    /// Where the format of the request is published.
    #[allow(dead_code)] // for readers of the file
    about: String,
    /// The options of an entry, the required ones first.
    pub(super) options: Vec<PresetOption>,
    url: Option<String>,
    #[serde(default)]
    escape: Escape,
    #[serde(default)]
    words: BTreeMap<String, Map<String, Value>>,
    pub(crate) retry_after: Option<String>,
    request: Shape,
    end_request: Option<Shape>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Escape {
    #[default]
    None,
    /// `& < >` as entities.
    Entities,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    method: String,
    url: String,
    /// Added to the query of the URL.
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body as a JSON tree; without it, `form` is the body.
    json: Option<Value>,
    #[serde(default)]
    form: Map<String, Value>,
}

/// A request built from a preset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Filled {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// The values of the preset's options in one entry.
#[derive(Clone, Default)]
pub(crate) struct Options(BTreeMap<&'static str, Option<Secret>>);

impl Options {
    pub(crate) fn of(values: &BTreeMap<String, Secret>, preset: &'static Preset) -> Self {
        let names = preset.options.iter().map(|option| option.name.as_str());
        let mut all: BTreeMap<_, _> = names.map(|name| (name, values.get(name).cloned())).collect();
        all.insert("url", preset.address(values));
        Self(all)
    }

    /// The options with each value as `***`, except for the host of the service.
    pub(crate) fn masked(&self) -> Self {
        let masked = |name: &str, value: &Secret| match name {
            "url" => match Url::parse(value.reveal()) {
                Ok(url) if url.path() == "/" && url.query().is_none() => origin(&url),
                Ok(url) => format!("{}/***", origin(&url)),
                Err(_) => "***".into(),
            },
            _ => "***".into(),
        };
        let all = self.0.iter();
        Self(
            all.map(|(name, value)| {
                let value = value.as_ref().map(|value| Secret::new(masked(name, value)));
                (*name, value)
            })
            .collect(),
        )
    }

    /// Adds the values to `mask`, so that they are not shown.
    pub(crate) fn hide_by(&self, mask: &mut Mask) {
        for (name, value) in &self.0 {
            match (*name, value) {
                (_, None) => {}
                ("url", Some(url)) => mask.add_url(url.reveal()),
                (_, Some(value)) => mask.add(value.reveal()),
            }
        }
    }
}

impl Preset {
    /// The URL of the service for an entry with these values.
    pub(super) fn address(&self, values: &BTreeMap<String, Secret>) -> Option<Secret> {
        let own = || self.url.clone().map(Secret::new);
        values.get("url").cloned().or_else(own)
    }

    /// Whether the service keeps an incident open under its id until it gets the end.
    pub(super) fn is_keyed(&self) -> bool {
        let shapes = [Some(&self.request), self.end_request.as_ref()];
        shapes.into_iter().flatten().any(|shape| {
            let body = shape.json.as_ref().map(Value::to_string).unwrap_or_default();
            [shape.url.as_str(), &body]
                .iter()
                .any(|text| text.contains("{{incident}}"))
        })
    }

    fn shape(&self, notification: &Notification) -> &Shape {
        let end = self.end_request.as_ref().filter(|_| is_over(notification));
        end.unwrap_or(&self.request)
    }

    fn target(
        &self,
        notification: &Notification,
        key: &str,
        options: &Options,
    ) -> Result<(String, String), TemplateError> {
        let shape = self.shape(notification);
        let lookup = |name: &str| self.value(name, notification, key, options);
        let in_path = |name: &str, text: &str| match name {
            "url" | "base" => text.to_owned(),
            _ => utf8_percent_encode(text, SEGMENT).to_string(),
        };
        let url = template::text(&shape.url, &lookup, &in_path)?;
        let url = with_query(url.unwrap_or_default(), &shape.query);
        Ok((shape.method.clone(), url))
    }

    /// Builds the request.
    pub(crate) fn fill(
        &self,
        notification: &Notification,
        key: &str,
        options: &Options,
    ) -> Result<Filled, TemplateError> {
        let (method, url) = self.target(notification, key, options)?;
        let shape = self.shape(notification);
        let lookup = |name: &str| self.value(name, notification, key, options);
        let as_is = |_: &str, text: &str| text.to_owned();
        let mut headers = Vec::new();
        for (name, value) in &shape.headers {
            let value = template::text(value, &lookup, &as_is)?;
            headers.extend(value.map(|value| (name.clone(), value)));
        }
        let in_body = |_: &str, text: &str| match self.escape {
            Escape::None => text.to_owned(),
            Escape::Entities => entities(text),
        };
        let (content_type, body) = match &shape.json {
            Some(body) => {
                let body = template::tree(body, &lookup, &in_body)?.unwrap_or_default();
                ("application/json", body.to_string())
            }
            None => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in &shape.form {
                    if let Some(Value::String(value)) = template::tree(value, &lookup, &in_body)? {
                        form.append_pair(name, &value);
                    }
                }
                ("application/x-www-form-urlencoded", form.finish())
            }
        };
        Ok(Filled {
            method,
            url,
            headers,
            content_type,
            body,
        })
    }

    /// A request with the plain text of the notification and those headers that can be
    /// filled, so that a broken template loses no alert.
    pub(crate) fn plain(
        &self,
        notification: &Notification,
        key: &str,
        options: &Options,
    ) -> Result<Filled, TemplateError> {
        let (method, url) = self.target(notification, key, options)?;
        let lookup = |name: &str| self.value(name, notification, key, options);
        let as_is = |_: &str, text: &str| text.to_owned();
        let headers = &self.shape(notification).headers;
        let valid = headers.iter().filter_map(|(name, value)| {
            let value = template::text(value, &lookup, &as_is).ok()??;
            Some((name.clone(), value))
        });
        Ok(Filled {
            method,
            url,
            headers: valid.collect(),
            content_type: "text/plain; charset=utf-8",
            body: notification.text.clone(),
        })
    }

    /// The wait that the body of an answer asks for, if this service states it there.
    pub(crate) fn retry_after(&self, body: &[u8]) -> Option<Duration> {
        let pointer = self.retry_after.as_ref()?;
        let answer: Value = serde_json::from_slice(body).ok()?;
        let wait = answer.pointer(pointer)?.as_u64()?;
        Some(match pointer.ends_with("_ms") {
            true => Duration::from_millis(wait),
            false => Duration::from_secs(wait),
        })
    }

    fn value<'a>(
        &'a self,
        name: &str,
        notification: &'a Notification,
        key: &'a str,
        options: &'a Options,
    ) -> Option<Filling<'a>> {
        if let Some(value) = options.0.get(name) {
            let revealed = value.as_ref().map(|value| Filling::Text(value.reveal().into()));
            return Some(revealed.unwrap_or(Filling::Absent));
        }
        if let Some(words) = self.words.get(name) {
            let ended = ended(notification).and_then(|_| words.get("ended"));
            let word = ended.or_else(|| words.get(state(&notification.kind)));
            let word = word.or_else(|| words.get("_"))?;
            return Some(Filling::Whole(word));
        }
        let text: Cow<'a, str> = match name {
            "base" => {
                let url = options.0.get("url")?.as_ref()?;
                url.reveal().trim_end_matches('/').into()
            }
            "text" => notification.text.as_str().into(),
            "subject" => subject(notification).into(),
            "site" => printable(&notification.site),
            "monitor" => printable(&notification.monitor),
            "address" => printable(&notification.address),
            "state" => state(&notification.kind).into(),
            "severity" => severity(&notification.kind).into(),
            "incident" => notification.incident.as_str().into(),
            "id" => notification.id.as_str().into(),
            "key" => key.into(),
            "at" => notification.at.to_string().into(),
            "at_unix" => notification.at.as_second().to_string().into(),
            "since" => since(notification).to_string().into(),
            "until" => until(notification).to_string().into(),
            _ => return None,
        };
        Some(Filling::Text(text))
    }
}

/// Adds parameters to the query of `url`, replacing those of the same names.
fn with_query(url: String, query: &BTreeMap<String, String>) -> String {
    let (Ok(mut url), false) = (Url::parse(&url), query.is_empty()) else {
        return url;
    };
    let kept: Vec<_> = url.query_pairs().into_owned().collect();
    let kept = kept.iter().filter(|(name, _)| !query.contains_key(name));
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(query);
    url.into()
}

fn entities(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Whether the incident of the notification is over. A first notification that is delivered after
/// the end of its incident must not open an alert that nothing closes.
fn is_over(notification: &Notification) -> bool {
    matches!(state(&notification.kind), "up" | "known" | "unwatched") || ended(notification).is_some()
}

/// When the incident ended, if that was before this notification of its beginning was
/// delivered.
fn ended(notification: &Notification) -> Option<Timestamp> {
    let is_beginning = matches!(state(&notification.kind), "down" | "unknown");
    notification.ended.filter(|_| is_beginning)
}

/// The end of the incident for services that require one. For a recovery it is the
/// beginning of the incident: an end of now would be in the future for a service whose
/// clock is slow, and an end in the future closes nothing.
fn until(notification: &Notification) -> Timestamp {
    let began = since(notification);
    if let Some(ended) = ended(notification) {
        return ended.max(began);
    }
    let lifetime = match state(&notification.kind) {
        "down" | "unknown" => INCIDENT_LIFETIME,
        "notice" => NOTICE_LIFETIME,
        _ => return began,
    };
    notification
        .at
        .saturating_add(lifetime)
        .unwrap_or(notification.at)
}

#[cfg(test)]
mod tests;
