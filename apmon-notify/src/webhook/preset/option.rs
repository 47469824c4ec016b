//! The options of presets, and the rules for their values.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// One option of a preset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresetOption {
    /// The option's name in the site file.
    pub(crate) name: String,
    /// The description, which follows "For `preset`: ".
    pub(crate) about: String,
    /// Whether an entry must have it.
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) form: ValueUse,
    /// The text with which a value must begin.
    begins: Option<String>,
    /// The characters that a value may contain in addition to ASCII letters and digits.
    letters: Option<String>,
    /// The maximum length of a value in characters.
    at_most: Option<usize>,
    /// The values there are, and what is sent for each.
    #[serde(default)]
    values: BTreeMap<String, Value>,
    /// The error for a value that breaks one of these four rules.
    rule: Option<String>,
    /// The highest number for notifications that report no outage.
    most_when_up: Option<i64>,
    /// What else the service requires beside a value, by what is sent for it.
    #[serde(default)]
    pub(crate) needs: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The use of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueUse {
    /// A text.
    #[default]
    Text,
    /// The URL that is requested.
    Hook,
    /// The URL of the service, to which paths are added.
    Base,
    /// Sent in a header.
    Header,
    /// A text that may be shown.
    Plain,
    /// A number that may be shown.
    Number,
    /// Texts that may be shown, as a list or separated by commas.
    List,
}

impl PresetOption {
    /// Whether the value is a URL.
    pub(crate) fn is_url(&self) -> bool {
        matches!(self.form, ValueUse::Hook | ValueUse::Base)
    }

    /// Whether the value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        !matches!(self.form, ValueUse::Plain | ValueUse::Number | ValueUse::List)
    }

    /// Whether the value may be in a file.
    pub(crate) fn may_be_in_file(&self) -> bool {
        self.is_secret() && self.form != ValueUse::Base
    }

    /// The option that names the file.
    pub(crate) fn file_option(&self) -> String {
        format!("{}_file", self.name)
    }

    /// What is sent for the value of an option that may be shown.
    pub(crate) fn sent(&self, value: &str, reports_outage: bool) -> Value {
        let sent = match self.values.get(value) {
            Some(sent) => sent.clone(),
            None => match self.form {
                ValueUse::Number => value.trim().parse::<i64>().map_or(value.into(), Value::from),
                ValueUse::List => items(value).collect(),
                _ => value.into(),
            },
        };
        match (sent.as_i64(), self.most_when_up) {
            (Some(number), Some(most)) if !reports_outage => json!(number.min(most)),
            _ => sent,
        }
    }

    /// Why the service would refuse `value`. The text does not contain the value.
    pub(crate) fn error_in(&self, value: &str) -> Option<&str> {
        let begins = self
            .begins
            .as_deref()
            .is_none_or(|begins| value.starts_with(begins));
        let consists = self.letters.as_deref().is_none_or(|letters| {
            let fits = |c: char| c.is_ascii_alphanumeric() || letters.contains(c);
            value.chars().all(fits)
        });
        let is_short = self.at_most.is_none_or(|most| value.chars().count() <= most);
        let is_known = self.values.is_empty() || self.values.contains_key(value);
        if !(begins && consists && is_short && is_known) {
            return Some(
                self.rule
                    .as_deref()
                    .unwrap_or("has a value that the service refuses"),
            );
        }
        match self.form {
            ValueUse::Number if self.values.is_empty() && value.trim().parse::<i64>().is_err() => {
                Some("must be a whole number")
            }
            ValueUse::List if items(value).next().is_none() => Some("must not be an empty list"),
            ValueUse::Header if value != value.trim() => Some("must not begin or end with whitespace"),
            ValueUse::Header if !value.chars().all(is_in_header) => {
                Some("contains characters that are not allowed in a header")
            }
            ValueUse::Base if value.contains(['?', '#']) => {
                Some("must be the address of the service, without \"?\" and \"#\": apmon adds the path")
            }
            _ => None,
        }
    }
}

/// The items of a list that is written as one text.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Whether a header value may contain `c` (RFC 9110, section 5.5, without obs-text).
pub(crate) fn is_in_header(c: char) -> bool {
    c == '\t' || (' '..='~').contains(&c)
}
