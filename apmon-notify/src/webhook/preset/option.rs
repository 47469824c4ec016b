//! The options of presets: what an entry gives, and what a value must be.

use serde::Deserialize;

/// One option of a preset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresetOption {
    /// Its name in the site file.
    pub(crate) name: String,
    /// What it is, to follow "Of `preset`: ".
    pub(crate) about: String,
    /// An entry cannot do without it.
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) form: Form,
    /// What its value begins with.
    begins: Option<String>,
    /// What its value consists of, beside ASCII letters and digits.
    letters: Option<String>,
    /// The most characters of its value.
    at_most: Option<usize>,
    /// What is said of a value that breaks one of these three.
    rule: Option<String>,
}

/// What a value is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// A text.
    #[default]
    Text,
    /// The URL that is requested.
    Hook,
    /// The URL of the service, to which paths are added.
    Base,
    /// Sent in a header.
    Header,
}

impl PresetOption {
    /// It is a URL.
    pub(crate) fn is_url(&self) -> bool {
        matches!(self.form, Form::Hook | Form::Base)
    }

    /// Why the service cannot take `value`; the value is not repeated.
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
        if !(begins && consists && is_short) {
            return Some(
                self.rule
                    .as_deref()
                    .unwrap_or("has a value that the service refuses"),
            );
        }
        match self.form {
            Form::Header if value != value.trim() => Some("must not begin or end with a blank"),
            Form::Header if !value.chars().all(is_in_header) => {
                Some("holds characters that are not allowed in a header")
            }
            Form::Base if value.contains(['?', '#']) => {
                Some("must be the address of the service, without \"?\" and \"#\": apmon adds the path")
            }
            _ => None,
        }
    }
}

/// RFC 9110, section 5.5, without its obsolete part.
pub(crate) fn is_in_header(c: char) -> bool {
    c == '\t' || (' '..='~').contains(&c)
}
