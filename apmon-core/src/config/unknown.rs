//! What was probably meant by an option that does not exist, or by a value that cannot be right.

use std::collections::HashSet;

use super::{
    foreign::{self, Place},
    tree::{KeyValue, Value},
};
use crate::text::nearest;

/// An option that the section does not have.
pub(super) struct UnknownOption<'a> {
    /// Its name for display.
    pub(super) shown: &'a str,
    /// The part of it that was meant as a name.
    pub(super) word: &'a str,
    /// The options of the section.
    pub(super) known: &'a HashSet<&'static str>,
    /// Where it belongs, if it does somewhere.
    pub(super) elsewhere: Option<String>,
    /// Whether a similar word is searched for, which takes time.
    pub(super) is_searched: bool,
}

impl UnknownOption<'_> {
    /// The error, and the option that was meant. `has` says whether the section has an option
    /// already.
    pub(super) fn answer(self, has: impl Fn(&str) -> bool) -> (String, Option<&'static str>) {
        let Self { shown, word, .. } = self;
        // A word of another tool, unless what takes its place is there already.
        let fits = |place: &Place| match place {
            Place::Option(option) => self.known.contains(option) && !has(option),
            // Only monitors have an address.
            Place::Other(_) => self.known.contains("address"),
        };
        let place = self
            .is_searched
            .then(|| foreign::option(word).find(fits))
            .flatten();
        let near = || match self.is_searched {
            true => nearest(word, self.known.iter().copied()).and_then(|near| self.known.get(near)),
            false => None,
        };
        let foreign_near = || match self.is_searched {
            true => foreign::near_option(word).find(fits),
            false => None,
        };
        match (place, self.elsewhere) {
            (Some(Place::Option(option)), _) => return is_called(shown, option),
            (_, Some(text)) => return (format!("\"{shown}\" {text}"), None),
            (Some(Place::Other(text)), None) => return (format!("\"{shown}\" {text}"), None),
            (None, None) => {}
        }
        if let Some(near) = near() {
            let text = format!("unknown option \"{shown}\"; did you mean \"{near}\"?");
            return (text, Some(*near));
        }
        if let Some(Place::Option(option)) = foreign_near() {
            return is_called(shown, option);
        }
        let text = match shown {
            "***" => "unknown option, whose name is not shown because it may be a secret".to_owned(),
            _ => format!("unknown option \"{shown}\""),
        };
        (text, None)
    }
}

fn is_called(shown: &str, option: &'static str) -> (String, Option<&'static str>) {
    let text = format!("unknown option \"{shown}\"; it is called \"{option}\" here");
    (text, Some(option))
}

/// What may be wrong where a section was expected.
pub(super) fn instead_of_section(value: &Value) -> String {
    match value {
        Value::Null => "; are its options indented below it?".to_owned(),
        Value::Scalar(text) => match text.split_once(':') {
            // An address.
            Some((_, rest)) if rest.starts_with("//") => String::new(),
            Some((key, _)) if !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                format!("; write a space after the colon: \"{key}: ...\"")
            }
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// The error of an option without a value.
pub(super) const NO_VALUE: &str = "has no value; give one or remove the line";

/// The error about the value of a key, with more about it where the key says what was meant.
pub(super) fn explained(text: String, entry: &KeyValue) -> String {
    // The line of a required option must stay.
    if text == NO_VALUE && matches!(&*entry.key, "name" | "type" | "address") {
        return "has no value; give one".to_owned();
    }
    match &entry.value.value {
        Value::Scalar(value) if entry.key.ends_with("_secs") && entry.value.variable.is_none() => {
            match seconds(value) {
                Some(secs) => format!("{text}; write {secs}"),
                None => text,
            }
        }
        _ => text,
    }
}

/// The seconds of a time with a unit: 90 for `1.5m`.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let unit = match unit {
        "s" | "sec" | "secs" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hours" => 3600.0,
        "d" | "days" => 86_400.0,
        _ => return None,
    };
    let secs = number.trim().parse::<f64>().ok()? * unit;
    let is_whole = (1.0..1e9).contains(&secs) && secs.fract() == 0.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is in range
    is_whole.then_some(secs as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_a_unit_is_understood() {
        for (text, secs) in [
            ("5s", Some(5)),
            ("1m", Some(60)),
            ("1.5m", Some(90)),
            ("2 hours", Some(7200)),
            ("1d", Some(86_400)),
            ("1.5", None),
            ("0.5s", None),
            ("1w", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), secs, "{text}");
        }
    }
}
