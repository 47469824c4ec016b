//! The stations that are allowed on a device, as a list or in a file.

use std::collections::BTreeSet;

use apmon_core::{
    Mac,
    config::Section,
    input_file::{InputFileError, read_text_file},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest file accepted as a list of stations, in bytes: a larger one is another file
/// given by mistake.
const LONGEST_LIST: u64 = 16 * 1024 * 1024;

/// The stations allowed on a device.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AllowMacs {
    /// A list of MAC addresses.
    List(Vec<Mac>),
    /// The path of a file of MAC addresses, relative to the site file.
    File(String),
}

impl<'de> Deserialize<'de> for AllowMacs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = AllowMacs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of MAC addresses or the path of a file")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<AllowMacs, E> {
                Ok(AllowMacs::File(path.to_owned()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<AllowMacs, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(AllowMacs::List)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl AllowMacs {
    /// Returns the stations. Errors in the file are added to `section`.
    pub(super) fn read(self, section: &mut Section<'_>) -> Option<BTreeSet<Mac>> {
        let path = match self {
            Self::List(macs) => return Some(macs.into_iter().collect()),
            Self::File(path) => section.path(&path),
        };
        let mut wrong = |text: String| section.error("allow_macs", format!("{}: {text}", path.display()));
        let text = match read_text_file(&path, LONGEST_LIST) {
            Ok(text) => text,
            Err(InputFileError::TooLarge { limit, .. }) => {
                wrong(format!(
                    "larger than {limit} bytes; give a file with one MAC address per line"
                ));
                return None;
            }
            Err(error) => {
                wrong(format!("cannot be read: {error}"));
                return None;
            }
        };
        let mut macs = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            let word = line.split([' ', '\t', ',', ';', '#']).next().unwrap_or("");
            match word.parse() {
                _ if word.is_empty() => {}
                Ok(mac) => _ = macs.insert(mac),
                Err(error) => {
                    wrong(format!("line {}: {error}", number + 1));
                    return None;
                }
            }
        }
        section.depends_on(&macs);
        Some(macs)
    }
}
