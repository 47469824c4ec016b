//! JSON Schemas of options that are read from one section but belong to several structs.

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

/// Adds the options of `More` to a schema.
pub(crate) fn with<More: JsonSchema>(mut schema: Schema) -> Schema {
    let mut more = schema_for!(More);
    let object = schema.ensure_object();
    for part in ["properties", "$defs"] {
        let Some(Value::Object(added)) = more.ensure_object().remove(part) else {
            continue;
        };
        let all = object
            .entry(part)
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(all) = all {
            all.extend(added);
        }
    }
    schema
}
