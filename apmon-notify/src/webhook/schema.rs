//! The JSON Schema of one entry of `site.outage_webhooks`: its options, those of the
//! presets, and the rules between them.

use std::collections::BTreeSet;

use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use super::{
    options::{REQUEST, WebhookOptions},
    preset::{Preset, table},
};

/// The options that are required without a preset.
const REQUIRED: [&str; 3] = ["endpoint_url", "request_method", "request_encoding"];

pub(super) fn schema() -> Schema {
    let mut schema = schema_for!(WebhookOptions);
    let object = schema.ensure_object();
    if let Some(Value::Object(options)) = object.remove("properties") {
        let mut all = Map::new();
        for (name, mut option) in options {
            let is_preset = name == "preset";
            if is_preset {
                option["description"] = presets().into();
            }
            all.insert(name, option);
            if is_preset {
                all.extend(preset_options());
            }
        }
        object.insert("properties".into(), all.into());
    }
    object.insert("allOf".into(), rules());
    schema
}

/// The description of the option `preset`.
fn presets() -> String {
    let each = table::presets().iter().map(|preset| {
        let options = preset.options.iter().map(|option| match option.required {
            true => format!("`{}`", option.name),
            false => format!("optionally `{}`", option.name),
        });
        let options: Vec<_> = options.collect();
        format!("`{}` ({})", preset.name, options.join(", "))
    });
    let each: Vec<_> = each.collect();
    format!(
        "A service that apmon knows, instead of the options above. Each has a few options of its own: {}. (An addition.)",
        each.join(", ")
    )
}

/// The options of all presets, each with its meaning for each preset.
fn preset_options() -> impl Iterator<Item = (String, Value)> {
    table::option_names().iter().map(|name| {
        let mut meanings: Vec<(&str, Vec<&str>)> = Vec::new();
        for preset in table::presets() {
            let Some(option) = preset.options.iter().find(|option| option.name == *name) else {
                continue;
            };
            match meanings.iter_mut().find(|(about, _)| *about == option.about) {
                Some((_, presets)) => presets.push(preset.name),
                None => meanings.push((&option.about, vec![preset.name])),
            }
        }
        let meanings = meanings.iter().map(|(about, presets)| {
            let presets: Vec<_> = presets.iter().map(|preset| format!("`{preset}`")).collect();
            format!("For {}: {about}.", presets.join(", "))
        });
        let meanings: Vec<_> = meanings.collect();
        let description = format!("{} (An addition.)", meanings.join(" "));
        let option = json!({"description": description, "type": ["string", "null"]});
        ((*name).to_owned(), option)
    })
}

/// The rules between options: each preset has options of its own, and without a preset
/// the request must be defined in full.
fn rules() -> Value {
    let own = |preset: &'static Preset| preset.options.iter().map(|option| option.name.as_str());
    let all: BTreeSet<&str> = table::option_names().iter().copied().collect();
    let mut rules = vec![
        json!({
            "if": {"required": ["preset"]},
            "then": {"properties": each(REQUEST, &json!(false))},
            "else": {"required": REQUIRED, "properties": each(all.iter().copied(), &json!(false))},
        }),
        json!({
            "if": {
                "required": ["request_method", "request_encoding"],
                "properties": {"request_method": {"const": "GET"}, "request_encoding": {"const": "JSON"}},
            },
            "then": {"properties": {"request_encoding": {"not": {"const": "JSON"}}}},
        }),
    ];
    rules.extend(table::presets().iter().map(|preset| {
        let own: BTreeSet<&str> = own(preset).collect();
        let required = preset.options.iter().filter(|option| option.required);
        let required: Vec<&str> = required.map(|option| option.name.as_str()).collect();
        let mut properties = each(all.difference(&own).copied(), &json!(false));
        properties.extend(each(own, &json!({"pattern": "\\S"})));
        json!({
            "if": {"required": ["preset"], "properties": {"preset": {"const": preset.name}}},
            "then": {"required": required, "properties": properties},
        })
    }));
    Value::Array(rules)
}

/// Maps each option to the same rule.
fn each<'a>(names: impl IntoIterator<Item = &'a str>, rule: &Value) -> Map<String, Value> {
    let names = names.into_iter();
    names.map(|name| (name.to_owned(), rule.clone())).collect()
}
