//! The table of presets, one line each.

use std::{fmt, sync::LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{Preset, option::PresetOption};

pub(super) const FILES: [(&str, &str); 11] = [
    ("alertmanager", include_str!("alertmanager.json")),
    ("discord", include_str!("discord.json")),
    ("gotify", include_str!("gotify.json")),
    ("matrix", include_str!("matrix.json")),
    ("ntfy", include_str!("ntfy.json")),
    ("opsgenie", include_str!("opsgenie.json")),
    ("pagerduty", include_str!("pagerduty.json")),
    ("pushover", include_str!("pushover.json")),
    ("slack", include_str!("slack.json")),
    ("teams", include_str!("teams.json")),
    ("telegram", include_str!("telegram.json")),
];

/// The names of the presets, in the form that serde needs.
const NAMES: [&str; FILES.len()] = {
    let mut names = [""; FILES.len()];
    let mut i = 0;
    while i < FILES.len() {
        names[i] = FILES[i].0;
        i += 1;
    }
    names
};

/// All presets, by name.
pub(crate) fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let parsed = FILES.iter().map(|(name, text)| {
            let preset = serde_json::from_str(text).expect("a test reads every file of preset/");
            Preset { name, ..preset }
        });
        parsed.collect()
    });
    &PRESETS
}

/// The names of all options of presets, without duplicates.
pub(crate) fn option_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut names: Vec<&str> = Vec::new();
        for option in presets().iter().flat_map(|preset| &preset.options) {
            if !names.contains(&option.name.as_str()) {
                names.push(&option.name);
            }
        }
        names
    });
    &NAMES
}

/// The names of the options that name the file of another option's value, without duplicates.
pub(crate) fn file_option_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let options = presets().iter().flat_map(|preset| &preset.options);
        let mut names: Vec<String> = options
            .filter(|option| option.may_be_in_file())
            .map(PresetOption::file_option)
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| &*name.leak()).collect()
    });
    &NAMES
}

/// The names of those options of presets that are read in this way.
pub(crate) fn option_names_where(is_wanted: impl Fn(&PresetOption) -> bool) -> Vec<&'static str> {
    let options = || presets().iter().flat_map(|preset| &preset.options);
    let has = |name: &&&str| options().any(|option| option.name == **name && is_wanted(option));
    option_names().iter().filter(has).copied().collect()
}

/// A preset, identified by its name in a site file.
#[derive(Clone, Copy)]
pub struct PresetName(pub(crate) &'static Preset);

impl PresetName {
    /// Finds the preset with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        presets().iter().find(|preset| preset.name == name).map(Self)
    }

    /// All presets, ordered by name.
    pub fn all() -> impl Iterator<Item = Self> {
        presets().iter().map(Self)
    }

    /// The names of the preset's options, the required ones first.
    pub fn options(self) -> impl Iterator<Item = &'static str> {
        self.0.options.iter().map(|option| option.name.as_str())
    }

    /// The preset's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0.name
    }
}

impl PartialEq for PresetName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for PresetName {}

impl fmt::Debug for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl<'de> Deserialize<'de> for PresetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Preset", &NAMES, NameVisitor)
    }
}

struct NameVisitor;

impl<'de> de::Visitor<'de> for NameVisitor {
    type Value = PresetName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a preset")
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<PresetName, A::Error> {
        let (name, variant) = access.variant::<String>()?;
        de::VariantAccess::unit_variant(variant)?;
        PresetName::find(&name).ok_or_else(|| de::Error::unknown_variant(&name, &NAMES))
    }
}

impl JsonSchema for PresetName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Preset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": NAMES})
    }
}
