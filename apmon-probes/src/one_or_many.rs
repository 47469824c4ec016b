//! The schema of options that are one value or a list of them.

use schemars::JsonSchema;

/// One value or a list of them, as [`apmon_core::config::one_or_many`] reads it.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
#[allow(dead_code)] // only its schema is used
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}
