//! The JSON Schema of one entry of `site.outage_webhooks`: its options, those of the
//! presets, and the rules between them.

use std::collections::BTreeSet;

use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use super::{
    options::{REQUEST, WebhookOptions},
    preset::{
        Preset,
        option::{PresetOption, ValueUse},
        table,
    },
};
use crate::{schema::with, trust::ReceiverTlsOptions};

/// The options that are required without a preset.
const REQUIRED: [&str; 2] = ["request_method", "request_encoding"];

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
    with::<ReceiverTlsOptions>(schema)
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

/// The options of all presets, each with its meaning for each preset, and those that name the
/// file of a value.
fn preset_options() -> impl Iterator<Item = (String, Value)> {
    let values = table::option_names().iter().map(|name| {
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
        let mut options = table::presets().iter().flat_map(|preset| &preset.options);
        let form = options
            .find(|option| option.name == *name)
            .map(|option| option.form);
        let option = match form {
            Some(ValueUse::Number) => {
                json!({"description": description, "type": ["integer", "string", "null"]})
            }
            Some(ValueUse::List) => json!({
                "description": description,
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            }),
            _ => json!({"description": description, "type": ["string", "null"]}),
        };
        ((*name).to_owned(), option)
    });
    let files = table::file_option_names().iter().map(|name| {
        let value = name.trim_end_matches("_file");
        let description = format!(
            "Path of a file that contains `{value}`, relative to the site file, or the name of a credential of \
             systemd. It is read at each delivery; a newline at its end is ignored. (An addition.)"
        );
        ((*name).to_owned(), json!({"description": description, "type": ["string", "null"]}))
    });
    values.chain(files)
}

/// Requires a value, itself or in a file.
fn either(name: &str) -> Value {
    json!({"anyOf": [{"required": [name]}, {"required": [format!("{name}_file")]}]})
}

/// The rules between options: each preset has options of its own, and without a preset
/// the request must be defined in full.
fn rules() -> Value {
    let names = |preset: &'static Preset| {
        let own = preset.options.iter().map(|option| option.name.clone());
        let files = preset.options.iter().filter(|option| option.may_be_in_file());
        own.chain(files.map(PresetOption::file_option))
            .collect::<BTreeSet<String>>()
    };
    let all = table::option_names().iter().chain(table::file_option_names());
    let all: BTreeSet<String> = all.map(|name| (*name).to_owned()).collect();
    let without_preset = json!({
        "required": REQUIRED,
        "properties": each(all.iter().map(String::as_str), &json!(false)),
        "allOf": [either("endpoint_url")],
    });
    let mut rules = vec![
        json!({
            "if": {"required": ["preset"]},
            "then": {"properties": each(REQUEST, &json!(false))},
            "else": without_preset,
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
        let own = names(preset);
        let (in_file, itself): (Vec<_>, Vec<_>) = preset
            .options
            .iter()
            .filter(|option| option.required)
            .partition(|option| option.may_be_in_file());
        let required: Vec<&str> = itself.iter().map(|option| option.name.as_str()).collect();
        let in_file: Vec<Value> = in_file.iter().map(|option| either(&option.name)).collect();
        let mut properties = each(all.difference(&own).map(String::as_str), &json!(false));
        properties.extend(each(own.iter().map(String::as_str), &json!({"pattern": "\\S"})));
        let mut then = json!({"required": required, "properties": properties});
        if !in_file.is_empty() {
            then["allOf"] = in_file.into();
        }
        json!({
            "if": {"required": ["preset"], "properties": {"preset": {"const": preset.name}}},
            "then": then,
        })
    }));
    Value::Array(rules)
}

/// Maps each option to the same rule.
fn each<'a>(names: impl IntoIterator<Item = &'a str>, rule: &Value) -> Map<String, Value> {
    let names = names.into_iter();
    names.map(|name| (name.to_owned(), rule.clone())).collect()
}
