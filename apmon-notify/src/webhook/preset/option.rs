//! The options of presets, and the rules for their values.

use serde::Deserialize;

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
    /// The error for a value that breaks one of these three rules.
    rule: Option<String>,
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
}

impl PresetOption {
    /// Whether the value is a URL.
    pub(crate) fn is_url(&self) -> bool {
        matches!(self.form, ValueUse::Hook | ValueUse::Base)
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
        if !(begins && consists && is_short) {
            return Some(
                self.rule
                    .as_deref()
                    .unwrap_or("has a value that the service refuses"),
            );
        }
        match self.form {
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

/// Whether a header value may contain `c` (RFC 9110, section 5.5, without obs-text).
pub(crate) fn is_in_header(c: char) -> bool {
    c == '\t' || (' '..='~').contains(&c)
}
