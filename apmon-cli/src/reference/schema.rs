//! JSON Schema of a site file: what its options are, as they may be written.

use apmon_core::config::{ChannelOptions, MonitorOptions};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use super::{of_site, with_heartbeat};
use crate::kinds;

/// JSON Schema of a whole site file, for editors.
pub(super) fn schema() -> Value {
    let mut definitions = Map::new();
    let mut inline = |schema: Schema| {
        let mut value = schema.to_value();
        if let Some(object) = value.as_object_mut() {
            object.remove("$schema");
            object.remove("title");
            if let Some(Value::Object(own)) = object.remove("$defs") {
                definitions.extend(own);
            }
        }
        value
    };
    let mut site = inline(of_site());
    let common = inline(schema_for!(ChannelOptions))["properties"].take();
    let mut needs = json!({"heartbeat_every_n_secs": ["heartbeat_url"]});
    for name in [
        "heartbeat_ssl_fingerprint",
        "heartbeat_ssl_verify",
        "heartbeat_ssl_ca_file",
        "heartbeat_ssl_legacy",
    ] {
        needs[name] = json!(["heartbeat_url"]);
    }
    for kind in kinds::channels() {
        let mut entry = inline(kind.schema());
        if let (Some(all), Some(common)) = (entry["properties"].as_object_mut(), common.as_object()) {
            all.extend(common.clone());
        }
        entry["additionalProperties"] = json!(false);
        entry["dependentRequired"] = json!({"after_secs": ["then"]});
        site["properties"][kind.section()] = json!({"type": "array", "items": entry});
        if let Some(needed) = kind.needs() {
            let mut section = inline(needed.schema());
            section["additionalProperties"] = json!(false);
            site["properties"][needed.name()] = section;
            needs[kind.section()] = json!([needed.name()]);
        }
    }
    site["additionalProperties"] = json!(false);
    site["dependentRequired"] = needs;
    let mut process = json!({"type": "object", "properties": {}, "additionalProperties": false});
    for kind in kinds::tables().process {
        let mut section = inline(kind.schema());
        section["additionalProperties"] = json!(false);
        process["properties"][kind.name()] = section;
    }
    let common = inline(with_heartbeat(schema_for!(MonitorOptions)));
    let kinds: Vec<_> = kinds::all()
        .iter()
        .map(|kind| {
            let mut monitor = common.clone();
            let own = inline(kind.schema());
            if let (Some(all), Some(own)) = (
                monitor["properties"].as_object_mut(),
                own["properties"].as_object(),
            ) {
                all.extend(own.clone());
            }
            if let (Some(all), Some(own)) = (monitor["required"].as_array_mut(), own["required"].as_array()) {
                all.extend(own.clone());
            }
            monitor["properties"]["type"] = json!({"const": kind.name(), "description": kind.summary()});
            monitor["additionalProperties"] = json!(false);
            monitor
        })
        .collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "apmon site file",
        "type": "object",
        "required": ["site", "monitors"],
        "properties": {
            "site": site,
            "monitors": {"type": "array", "minItems": 1, "items": {"oneOf": kinds}},
            "apmon": process,
        },
        "patternProperties": {"^x-": {}},
        "$defs": definitions,
    });
    as_written(&mut schema);
    schema["$defs"]["YesOrNo"] = yes_or_no();
    let status = &mut schema["$defs"]["StatusRange"];
    *status = status_range(status);
    schema
}

/// A value that the environment holds.
const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}";

/// From what an option is to how it may be written: the reader takes any
/// scalar by its text, whatever YAML makes of it (an all-digit fingerprint is a
/// number there, a quoted number is none), and knows no null.
fn as_written(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(as_written),
        Value::Object(object) => {
            // What an option is, and not the name of one.
            let is_option = object.get("type").is_some_and(|kind| !kind.is_object());
            if is_option || object.contains_key("anyOf") {
                without_null(object);
                loosen(object);
            }
            or_variable(object);
            object
                .iter_mut()
                .filter(|(key, _)| !["enum", "required", "default", "anyOf"].contains(&key.as_str()))
                .for_each(|(_, inner)| as_written(inner));
            if let Some(Value::Array(choices)) = object.get_mut("anyOf")
                && !choices.iter().any(|choice| choice.get("pattern").is_some())
            {
                choices.iter_mut().for_each(as_written);
            }
        }
        _ => {}
    }
}

/// A word of a few may come from the environment as well.
fn or_variable(object: &mut Map<String, Value>) {
    let variable = json!({"type": "string", "pattern": format!("^{VARIABLE}$")});
    if let Some(Value::Array(words)) = object.get_mut("oneOf")
        && words.iter().all(|word| word.get("const").is_some())
    {
        words.push(variable);
    } else if let Some(words) = object.remove("enum") {
        object.remove("type");
        object.insert("anyOf".into(), json!([{"enum": words}, variable]));
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = &kinds[..] {
            let one = one.clone();
            object.insert("type".into(), one);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice["type"] != "null");
    if let [Value::Object(one)] = &choices[..] {
        let one = one.clone();
        object.remove("anyOf");
        for (key, value) in one {
            object.entry(key).or_insert(value);
        }
    }
}

fn loosen(object: &mut Map<String, Value>) {
    let kind = object.get("type").and_then(Value::as_str).map(str::to_owned);
    match kind.as_deref() {
        Some("boolean") => {
            object.remove("type");
            object.insert("$ref".into(), "#/$defs/YesOrNo".into());
        }
        Some(kind @ ("integer" | "number")) => {
            let pattern = match kind {
                "integer" => r"[+]?[0-9]+",
                _ => r"[+-]?[0-9]*[.]?[0-9]+([eE][+-]?[0-9]+)?",
            };
            let mut number = Map::new();
            for key in ["type", "minimum", "maximum"] {
                number.extend(object.remove(key).map(|value| (key.to_owned(), value)));
            }
            object.remove("format");
            let text = json!({"type": "string", "pattern": format!("^({pattern}|{VARIABLE})$")});
            object.insert("anyOf".into(), json!([number, text]));
        }
        Some("string") if object.contains_key("const") || object.contains_key("enum") => {}
        Some("string") => {
            let mut kinds = json!(["string", "number", "boolean"]);
            if let Some(Value::String(pattern)) = object.get_mut("pattern") {
                *pattern = format!("{pattern}|^{VARIABLE}$");
                kinds = json!(["string", "number"]); // digits, and perhaps one e
            }
            object.insert("type".into(), kinds);
        }
        _ => {}
    }
}

/// One status is a number there, and as such has a range.
fn status_range(as_text: &Value) -> Value {
    json!({
        "description": as_text["description"],
        "anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 999},
            {"type": "string", "pattern": as_text["pattern"]},
        ],
    })
}

/// APMonitor's words, in any case: a pattern has no way to say so but this.
fn yes_or_no() -> Value {
    let words = "true t yes y on ok good positive 1 false f no n off bad fail negative 0";
    let any_case = |word: &str| -> String {
        word.chars()
            .map(|c| match c.is_ascii_alphabetic() {
                true => format!("[{}{c}]", c.to_ascii_uppercase()),
                false => c.to_string(),
            })
            .collect()
    };
    let words: Vec<_> = words.split(' ').map(any_case).collect();
    json!({
        "description": "yes or no",
        "anyOf": [
            {"type": "boolean"},
            {"type": "integer", "minimum": 0, "maximum": 1},
            {"type": "string", "pattern": format!("^({}|{VARIABLE})$", words.join("|"))},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_of_one_kind_does_not_replace_that_of_another() {
        let mut schemas = vec![
            of_site(),
            schema_for!(ChannelOptions),
            schema_for!(MonitorOptions),
        ];
        schemas.extend(kinds::all().iter().map(|kind| kind.schema()));
        for kind in kinds::channels() {
            schemas.push(kind.schema());
            schemas.extend(kind.needs().map(|section| section.schema()));
        }
        let mut known = Map::new();
        for schema in schemas {
            let definitions = schema.get("$defs").and_then(Value::as_object).cloned();
            for (name, definition) in definitions.unwrap_or_default() {
                let first = known.entry(&name).or_insert_with(|| definition.clone());
                assert_eq!(*first, definition, "{name}");
            }
        }
        assert!(known.contains_key("Text"), "there are definitions: {known:?}");
    }
}
