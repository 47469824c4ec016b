//! The options of one entry of `site.outage_webhooks`.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{
    Secret,
    config::{Seconds, Section, StatusRange, Text, one_or_many},
    text::{excerpt, shown_name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::preset::{
    Preset,
    option::{ValueUse, is_in_header},
    table::{PresetName, file_option_names, option_names, option_names_where},
};
use crate::{
    secret_file::SecretFile,
    trust::{Encryption, RECEIVER, ReceiverTlsOptions, ReceiverTrust},
};

/// The method of a webhook's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RequestMethod {
    /// The notification is part of the URL.
    Get,
    /// The notification is the body.
    Post,
}

/// The encoding of a webhook's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RequestEncoding {
    /// Percent-encoded.
    Url,
    /// HTML-escaped.
    Html,
    /// `{"message": ...}`; POST only.
    Json,
    /// Quoted as in CSV.
    Csvquoted,
}

/// Options of one entry of `site.outage_webhooks`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct WebhookOptions {
    /// The URL to send to. It may contain a token, so only its host is ever shown.
    /// Required without `preset`, as are `request_method` and `request_encoding`.
    pub endpoint_url: Option<Secret>,
    /// Path of a file that contains `endpoint_url`, relative to the site file, or the name of a
    /// credential of systemd. It is read at each delivery; a newline at its end is ignored. The
    /// name of the file is then part of the channel's id, instead of the host. (An addition.)
    pub endpoint_url_file: Option<Text>,
    /// The method of the request.
    pub request_method: Option<RequestMethod>,
    /// How the text is encoded. JSON needs POST.
    pub request_encoding: Option<RequestEncoding>,
    /// Text that precedes the encoded text of the notification.
    pub request_prefix: Option<Secret>,
    /// Text that follows the encoded text of the notification.
    pub request_suffix: Option<Secret>,
    /// A service that apmon knows, instead of the options above.
    pub preset: Option<PresetName>,
    /// The values of the preset's options, by name.
    #[serde(skip)]
    pub values: BTreeMap<String, Secret>,
    /// The files of those values that are in files, by the option's name without `_file`.
    #[serde(skip)]
    pub value_files: BTreeMap<String, Text>,
    /// Which certificate of the receiver is accepted.
    #[serde(skip)]
    pub tls: ReceiverTlsOptions,
    /// Additional headers, at most 1,000, each `Name: value`. Their values are never
    /// shown. (An addition.)
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Timeout of one attempt in seconds. Default: `max_try_secs`. (An addition.)
    pub timeout_secs: Option<Seconds>,
    /// The statuses that count as delivered: `200`, `200-299`, or a list of these.
    /// Default: any 2xx. (An addition.)
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Statuses")]
    pub success_statuses: Vec<StatusRange>,
    /// Text that the response must also contain (within its first 64 KiB,
    /// case-sensitive); otherwise the delivery is retried. It is meant for gateways
    /// that report errors with status 200. (An addition.)
    pub success_body: Option<Secret>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)] // only its schema is used
enum Statuses {
    One(StatusRange),
    Many(Vec<StatusRange>),
}

/// The most headers of a webhook. Receivers accept about a hundred.
pub(super) const MAX_HEADERS: usize = 1000;

/// Headers that frame the body or belong to the connection, and those that apmon sets.
const RESERVED_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The options that a preset replaces.
pub(super) const REQUEST: [&str; 6] = [
    "endpoint_url",
    "endpoint_url_file",
    "request_method",
    "request_encoding",
    "request_prefix",
    "request_suffix",
];

/// One entry, as it was read.
pub(super) struct ReadEntry {
    pub(super) options: WebhookOptions,
    /// The files of values that are in files.
    pub(super) files: Vec<SecretFile>,
    pub(super) trust: ReceiverTrust,
}

/// Reads an entry, and checks what types cannot.
pub(super) fn read(section: &mut Section<'_>) -> Option<ReadEntry> {
    let values = read_values(section);
    let value_files = section.read_each::<Text>(file_option_names());
    let mut options = section.read::<WebhookOptions>()?;
    options.values = values;
    options.value_files = value_files
        .into_iter()
        .filter_map(|(name, path)| Some((name.strip_suffix("_file")?.to_owned(), path)))
        .collect();
    options.tls = section.read::<ReceiverTlsOptions>().unwrap_or_default();
    let files: Vec<_> = options
        .files()
        .map(|(option, path)| SecretFile::of(section, &option, path))
        .collect();
    match options.preset {
        Some(PresetName(preset)) => check_preset(section, &options, preset),
        // The preset is invalid, so its options are not known.
        None if section.has("preset") => {}
        None => check_request(section, &options),
    }
    check_headers(section, &options.headers);
    if options
        .success_body
        .as_ref()
        .is_some_and(|text| text.reveal().is_empty())
    {
        section.error("success_body", "must not be empty");
    }
    let trust = ReceiverTrust::read(section, &options.tls, &RECEIVER, options.encryption())?;
    Some(ReadEntry {
        options,
        files,
        trust,
    })
}

/// Reads the values of the presets' options, each by its own type.
fn read_values(section: &mut Section<'_>) -> BTreeMap<String, Secret> {
    /// A list, or its items in one text.
    struct Items(String);

    impl<'de> Deserialize<'de> for Items {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let items: Vec<String> = one_or_many(deserializer)?;
            Ok(Self(items.join(",")))
        }
    }

    let secret = option_names_where(|option| option.is_secret());
    let mut values = section.read_each::<Secret>(&secret);
    let plain = option_names_where(|option| !option.is_secret() && option.form != ValueUse::List);
    let plain = section.read_each::<Text>(&plain);
    values.extend(
        plain
            .into_iter()
            .map(|(name, text)| (name, Secret::new(text.as_str()))),
    );
    let lists = option_names_where(|option| option.form == ValueUse::List);
    let lists = section.read_each::<Items>(&lists);
    values.extend(
        lists
            .into_iter()
            .map(|(name, Items(text))| (name, Secret::new(text))),
    );
    values
}

impl WebhookOptions {
    /// The options that name files, and the paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, &Text)> {
        let endpoint = self.endpoint_url_file.as_ref();
        let endpoint = endpoint.map(|path| ("endpoint_url_file".to_owned(), path));
        let values = self.value_files.iter();
        endpoint
            .into_iter()
            .chain(values.map(|(name, path)| (format!("{name}_file"), path)))
    }

    /// Whether what is sent is encrypted. A GET may be redirected to where it is.
    pub(super) fn encryption(&self) -> Encryption {
        const MISSING: &str = "needs a URL that begins with https://";
        let url = match self.preset {
            Some(_) => self.values.get("url"),
            None => self.endpoint_url.as_ref(),
        };
        let url = url.and_then(|url| Url::parse(url.reveal()).ok());
        if url.is_none_or(|url| url.scheme() != "http") {
            return Encryption::Always;
        }
        match self.preset.is_none() && self.request_method == Some(RequestMethod::Get) {
            true => Encryption::AfterRedirect(MISSING),
            false => Encryption::Never(MISSING),
        }
    }
}

fn check_headers(section: &mut Section<'_>, headers: &BTreeMap<String, Secret>) {
    if headers.len() > MAX_HEADERS {
        let count = headers.len();
        let words = format!("contains {count} headers; use at most {MAX_HEADERS}");
        section.error("headers", words);
        return;
    }
    let mut names = BTreeSet::new();
    for (name, value) in headers {
        let shown = excerpt(name, 60);
        let lower = name.to_ascii_lowercase();
        let error = if names.contains(&lower) {
            format!("contains {shown} twice: the case of a name makes no difference")
        } else if !is_token(name) {
            let shown = shown_name(name, 60);
            format!("contains \"{shown}\", which is not a valid header name")
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            format!("must not contain {shown}, which apmon sets itself")
        } else if !value.reveal().chars().all(is_in_header) {
            format!("{shown} contains characters that are not allowed in a header")
        } else {
            names.insert(lower);
            continue;
        };
        names.insert(lower);
        section.error("headers", error);
    }
}

fn check_request(section: &mut Section<'_>, options: &WebhookOptions) {
    if section.has("endpoint_url_file") {
        refuse_both(section, "endpoint_url");
    } else {
        section.require("endpoint_url", options.endpoint_url.as_ref());
    }
    section.require("request_method", options.request_method);
    section.require("request_encoding", options.request_encoding);
    if let Some(url) = &options.endpoint_url {
        section.check_url("endpoint_url", url.reveal(), &["http", "https"]);
    }
    if (options.request_method, options.request_encoding)
        == (Some(RequestMethod::Get), Some(RequestEncoding::Json))
    {
        section.error("request_encoding", "JSON needs request_method POST");
    }
    let prefix = options.request_prefix.as_ref().map(Secret::reveal);
    if options.request_encoding == Some(RequestEncoding::Json) && prefix.is_some_and(is_form) {
        section.hint(
            "request_prefix",
            "consists of form fields (name=value&...), which request_encoding: JSON sends inside the text of the \
             message; use request_encoding: URL, or the preset of the service",
        );
    }
    for name in option_names().iter().chain(file_option_names()) {
        if section.has(name) {
            section.misplaced(name, "is an option of presets, but no preset is given");
        }
    }
}

/// Refuses a value that is given both itself and in a file.
fn refuse_both(section: &mut Section<'_>, name: &str) {
    let file = format!("{name}_file");
    if section.has(name) && section.has(&file) {
        section.misplaced(
            &file,
            format!("cannot be combined with {name}; remove one of them"),
        );
    }
}

/// Whether a prefix begins a form: `token=...&message=`.
fn is_form(prefix: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    prefix.ends_with('=')
        && prefix
            .split('&')
            .all(|field| field.split_once('=').is_some_and(|(name, _)| is_name(name)))
}

fn check_preset(section: &mut Section<'_>, options: &WebhookOptions, preset: &Preset) {
    for name in REQUEST {
        if section.has(name) {
            section.misplaced(name, "cannot be combined with preset, which replaces it");
        }
    }
    for option in preset.options.iter().filter(|option| option.required) {
        let is_in_file = option.may_be_in_file() && section.has(&option.file_option());
        if !section.has(&option.name) && !is_in_file {
            let text = format!("\"{}\" is missing; preset {} needs it", option.name, preset.name);
            section.error_text("preset", text);
        }
    }
    let all = || {
        let names = preset.options.iter().map(|option| option.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    for file in file_option_names() {
        let mut own = preset.options.iter().filter(|option| option.may_be_in_file());
        match own.find(|option| option.file_option() == **file) {
            Some(option) => refuse_both(section, &option.name),
            None if section.has(file) => {
                let text = format!("is not an option of preset {} ({})", preset.name, all());
                section.misplaced(file, text);
            }
            None => {}
        }
    }
    for name in option_names() {
        let Some(option) = preset.options.iter().find(|option| option.name == *name) else {
            if section.has(name) {
                let text = format!("is not an option of preset {} ({})", preset.name, all());
                section.misplaced(name, text);
            }
            continue;
        };
        let Some(value) = options.values.get(*name).map(Secret::reveal) else {
            continue;
        };
        if value.trim().is_empty() {
            section.error(name, "must not be empty");
        } else if (!option.is_url() || section.check_url(name, value, &["http", "https"]))
            && let Some(text) = option.error_in(value)
        {
            section.error(name, text);
        }
    }
}

/// Whether `name` is a token (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_one)
}
