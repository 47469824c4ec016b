//! Kinds of monitors: each describes itself, reads its own options and builds its
//! monitors. A new kind is one file and one line in a table.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    blueprint::Blueprint,
    config::{Diagnostic, MonitorEntry, Section, fields_of},
    secret,
};

/// A kind of monitor, as its author implements it.
pub trait Kind: Send + Sync + 'static {
    /// The kind's own options: a struct, or [`Both`] of two. The doc comments are the
    /// operator's reference. A required field is an `Option` that is marked
    /// `#[schemars(required)]` and checked with [`Section::require`], so that a
    /// missing one is reported together with all other errors.
    type Options: OptionSet;

    /// The kind's name, the value of `type`.
    fn name(&self) -> &'static str;

    /// A summary of one line for the operator.
    fn summary(&self) -> &'static str;

    /// The form of an address, for the reference.
    fn address(&self) -> &'static str;

    /// A monitor of this kind in the notation of a site file, without the dash.
    fn example(&self) -> &'static str;

    /// The schemes by which `apmon check <address>` recognises this kind; `""` stands
    /// for a bare host.
    fn schemes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks what types cannot (the address, one option against another) and returns
    /// how to build the monitor. Errors are reported through `section`.
    fn compile(&self, options: Self::Options, section: &mut Section<'_>) -> Option<Blueprint>;

    /// Checks all monitors of this kind together, for example that no two claim the
    /// same port. They may come from several site files of a process.
    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>) {
        let _ = (monitors, errors); // most kinds have nothing to check
    }
}

/// The options of a kind: one struct, or several that kinds share. Implemented for
/// every struct that implements the traits of serde and schemars.
pub trait OptionSet: Sized {
    /// The names of the options.
    fn fields() -> Vec<&'static str>;
    /// The JSON Schema of the options, with the texts for the operator.
    fn schema() -> schemars::Schema;
    /// Reads the options.
    fn read(section: &mut Section<'_>) -> Option<Self>;
    /// The values of the options, for the checksum; secrets are hashed.
    fn values(&self) -> serde_json::Value;
}

impl<T: DeserializeOwned + Serialize + JsonSchema> OptionSet for T {
    fn fields() -> Vec<&'static str> {
        fields_of::<T>().to_vec()
    }

    fn schema() -> schemars::Schema {
        schemars::schema_for!(T)
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.read()
    }

    fn values(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Two sets of options side by side in one section. (serde's `flatten` would lose
/// the types that decide how a text is read.)
#[derive(Debug, Default)]
pub struct Both<A, B>(pub A, pub B);

impl<A: OptionSet, B: OptionSet> OptionSet for Both<A, B> {
    fn fields() -> Vec<&'static str> {
        [A::fields(), B::fields()].concat()
    }

    fn schema() -> schemars::Schema {
        let (mut whole, part) = (A::schema(), B::schema());
        for key in ["properties", "$defs"] {
            let more = part.get(key).and_then(|value| value.as_object()).cloned();
            let into = whole
                .ensure_object()
                .entry(key)
                .or_insert_with(|| serde_json::json!({}));
            if let Some(into) = into.as_object_mut() {
                into.extend(more.unwrap_or_default());
            }
        }
        let required = part.get("required").and_then(|value| value.as_array()).cloned();
        if let Some(more) = required {
            let into = whole
                .ensure_object()
                .entry("required")
                .or_insert_with(|| serde_json::json!([]));
            if let Some(into) = into.as_array_mut() {
                into.extend(more);
            }
        }
        whole
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        let (a, b) = (A::read(section), B::read(section));
        Some(Self(a?, b?))
    }

    fn values(&self) -> serde_json::Value {
        serde_json::json!([self.0.values(), self.1.values()])
    }
}

/// A kind of monitor, as tables hold it. Implemented for every [`Kind`].
pub trait MonitorKind: Send + Sync {
    /// The kind's name, the value of `type`.
    fn name(&self) -> &'static str;
    /// A summary of one line for the operator.
    fn summary(&self) -> &'static str;
    /// The form of an address.
    fn address(&self) -> &'static str;
    /// A monitor of this kind in the notation of a site file.
    fn example(&self) -> &'static str;
    /// The schemes by which an address alone identifies this kind.
    fn schemes(&self) -> &'static [&'static str];
    /// The names of the kind's own options.
    fn fields(&self) -> Vec<&'static str>;
    /// The JSON Schema of the kind's own options, with the texts for the operator.
    fn schema(&self) -> schemars::Schema;
    /// Reads the kind's own options.
    fn read(&self, section: &mut Section<'_>) -> Option<Compiled>;
    /// See [`Kind::check_together`].
    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>);
    /// Whether this kind can have monitors. A kind that was left out of a build may be in
    /// a table to refuse its monitors with the reason; it is not offered as a `type`.
    fn is_built(&self) -> bool {
        true
    }
}

/// The result of reading a kind's own options.
#[derive(Debug)]
pub struct Compiled {
    /// The values of the options, for the checksum; secrets are hashed.
    pub options: serde_json::Value,
    /// The effective values of the options by name, for display; secrets are `***`,
    /// options without a value are absent.
    pub masked: serde_json::Value,
    /// How to build the monitor.
    pub blueprint: Blueprint,
}

/// The options of a kind by name: they are one set, or several side by side.
fn flat(options: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match options {
        serde_json::Value::Object(options) => options,
        serde_json::Value::Array(sets) => sets.into_iter().flat_map(flat).collect(),
        _ => serde_json::Map::new(),
    }
}

impl<K: Kind> MonitorKind for K {
    fn name(&self) -> &'static str {
        Kind::name(self)
    }

    fn summary(&self) -> &'static str {
        Kind::summary(self)
    }

    fn address(&self) -> &'static str {
        Kind::address(self)
    }

    fn example(&self) -> &'static str {
        Kind::example(self)
    }

    fn schemes(&self) -> &'static [&'static str] {
        Kind::schemes(self)
    }

    fn fields(&self) -> Vec<&'static str> {
        K::Options::fields()
    }

    fn schema(&self) -> schemars::Schema {
        K::Options::schema()
    }

    fn read(&self, section: &mut Section<'_>) -> Option<Compiled> {
        let options = K::Options::read(section)?;
        let values = options.values();
        let mut masked = secret::masked(|| flat(options.values()));
        let blueprint = self.compile(options, section)?;
        for (key, value) in section.take_effective() {
            masked.insert(key.to_owned(), value);
        }
        masked.retain(|_, value| !value.is_null());
        Some(Compiled {
            options: values,
            masked: masked.into(),
            blueprint,
        })
    }

    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>) {
        Kind::check_together(self, monitors, errors);
    }
}
