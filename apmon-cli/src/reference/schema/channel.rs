//! What an entry of a channel must and must not hold, beyond its options.

use std::collections::BTreeSet;

use apmon_core::config::Preset;
use serde_json::{Map, Value, json};

/// What a webhook without a preset cannot do without.
const NEEDED: [&str; 3] = ["endpoint_url", "request_method", "request_encoding"];

/// What a preset stands for.
const REQUEST: [&str; 5] = [
    "endpoint_url",
    "request_method",
    "request_encoding",
    "request_prefix",
    "request_suffix",
];

/// The rules of every channel.
pub(super) fn rules(entry: &mut Value) {
    entry["additionalProperties"] = json!(false);
    entry["dependentRequired"] = json!({"after_secs": ["then"]});
}

/// Those of webhooks besides: each preset has its few options, and without one
/// the request is written out.
pub(super) fn webhook_rules(entry: &mut Value) {
    let own = |preset: Preset| preset.needs().iter().chain(preset.takes()).copied();
    let options: BTreeSet<&str> = Preset::ALL.into_iter().flat_map(own).collect();
    let mut rules = vec![
        json!({
            "if": {"required": ["preset"]},
            "then": {"properties": each(REQUEST, &json!(false))},
            "else": {"required": NEEDED, "properties": each(options.iter().copied(), &json!(false))},
        }),
        json!({
            "if": {
                "required": ["request_method", "request_encoding"],
                "properties": {"request_method": {"const": "GET"}, "request_encoding": {"const": "JSON"}},
            },
            "then": {"properties": {"request_encoding": {"not": {"const": "JSON"}}}},
        }),
    ];
    rules.extend(Preset::ALL.map(|preset| {
        let own: BTreeSet<&str> = own(preset).collect();
        let mut properties = each(options.difference(&own).copied(), &json!(false));
        properties.extend(each(own, &json!({"pattern": "\\S"})));
        json!({
            "if": {"required": ["preset"], "properties": {"preset": {"const": preset.name()}}},
            "then": {"required": preset.needs(), "properties": properties},
        })
    }));
    entry["allOf"] = Value::Array(rules);
}

/// The same of each option.
fn each<'a>(names: impl IntoIterator<Item = &'a str>, rule: &Value) -> Map<String, Value> {
    let names = names.into_iter();
    names.map(|name| (name.to_owned(), rule.clone())).collect()
}
