//! Patterns for names, with `*` and `?`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name in which `*` matches any text and `?` one character. Case is ignored:
/// `vlan*` matches `Vlan1`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the pattern matches the whole of `name`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (folded(&self.0), folded(name));
        let (mut rest, mut left) = (pattern.as_ref(), name.as_ref());
        // The pattern after the last `*`, and the part of the name that this `*` has not
        // matched yet.
        let mut star: Option<(&str, &str)> = None;
        loop {
            let wanted = rest.chars().next();
            let given = left.chars().next();
            let is_fitting = given.is_some() && (wanted == Some('?') || wanted == given);
            if wanted == Some('*') {
                rest = &rest[1..];
                star = Some((rest, left));
            } else if is_fitting {
                rest = after_one(rest);
                left = after_one(left);
            } else if wanted.is_none() && given.is_none() {
                return true;
            } else if let Some((after, eaten)) = star.filter(|(_, left)| !left.is_empty()) {
                let eaten = after_one(eaten);
                star = Some((after, eaten));
                rest = after;
                left = eaten;
            } else {
                return false;
            }
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn folded(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => text.to_ascii_lowercase().into(),
        false => text.into(),
    }
}

fn after_one(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole() {
        let table = [
            ("Gi0/1", "Gi0/1", true),
            ("Gi0/1", "Gi0/10", false),
            ("Gi0/?", "Gi0/1", true),
            ("Gi0/?", "Gi0/", false),
            ("Gi0/?", "Gi0/10", false),
            ("Gi0/*", "Gi0/10", true),
            ("Gi0/*", "Gi0/", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("vlan*", "Vlan100", true),
            ("VETH*", "veth0a", true),
            ("*uplink*", "to the Uplink, 2nd", true),
            ("*uplink*", "to the link", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("a**?", "ab", true),
            ("?", "é", true),
            ("*é", "caffé", true),
            ("[ab]", "a", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(Pattern::from(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn no_pattern_takes_long_to_match() {
        let pattern = Pattern::from("*a".repeat(100).as_str());
        assert!(!pattern.matches(&"a".repeat(99)));
        assert!(!pattern.matches(&("a".repeat(20_000) + "b")));
    }
}
