use std::collections::BTreeSet;

use apmon_core::NotificationKind;
use serde_json::json;

use super::{table::FILES, *};

fn notification() -> Notification {
    Notification {
        id: "abc-3".into(),
        incident: "abc".into(),
        kind: NotificationKind::Reminder,
        site: "HomeLab".into(),
        monitor: "web".into(),
        address: "http://h/".into(),
        text: "web in HomeLab is down: a \"b\" (http://h/)".into(),
        number: 3,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:00:00Z".parse().unwrap()),
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

fn options() -> Options {
    let url = Secret::new("https://h.example/hook/s3cret");
    Options([("url", Some(url)), ("token", None)].into_iter().collect())
}

fn preset_of(value: Value) -> Preset {
    serde_json::from_value(value).unwrap()
}

fn preset(name: &str) -> &'static Preset {
    table::PresetName::find(name).unwrap().0
}

#[test]
fn every_preset_has_a_valid_file() {
    assert_eq!(table::presets().len(), FILES.len());
    for preset in table::presets() {
        let required = preset.options.iter().map(|option| option.required);
        assert!(
            required.rev().is_sorted(),
            "{}: required options first",
            preset.name
        );
    }
}

#[test]
fn the_services_that_keep_incidents_by_their_ids_are_known() {
    let keyed = table::presets().iter().filter(|preset| preset.is_keyed());
    let names: Vec<_> = keyed.map(|preset| preset.name).collect();
    assert_eq!(names, ["alertmanager", "opsgenie", "pagerduty"]);
}

/// The options of a preset in the site file are those that its request uses.
#[test]
fn the_options_of_a_preset_are_those_its_request_uses() {
    for (name, text) in FILES {
        let used = |option: &&&str| {
            let url = **option == "url" && text.contains("{{base}}");
            url || text.contains(&format!("{{{{{option}}}}}"))
        };
        let used: BTreeSet<_> = table::option_names().iter().filter(used).copied().collect();
        let preset = preset(name);
        let known: BTreeSet<_> = preset.options.iter().map(|option| option.name.as_str()).collect();
        assert_eq!(used, known, "{name}");
        let needs_url = preset
            .options
            .iter()
            .any(|option| option.name == "url" && option.required);
        assert_ne!(needs_url, preset.url.is_some(), "{name}");
    }
}

#[test]
fn a_broken_template_sends_the_plain_text() {
    let broken = preset_of(json!({
        "about": "",
        "options": [],
        "request": {
            "method": "POST",
            "url": "{{url}}",
            "headers": {"X-Id": "{{id}}", "X-Wrong": "{{wrong}}"},
            "json": {"text": "{{txet}}"},
        },
    }));
    let (notification, options) = (notification(), options());
    assert!(broken.fill(&notification, "key", &options).is_err());
    let plain = broken.plain(&notification, "key", &options).unwrap();
    assert_eq!(plain.url, "https://h.example/hook/s3cret");
    assert_eq!(plain.headers, [("X-Id".into(), "abc-3".into())]);
    assert_eq!(plain.body, notification.text);
}

/// What a service shows to people must not be able to lie about what it is.
#[test]
fn names_are_escaped_in_every_request() {
    let notification = Notification {
        site: "Home\u{202e}Lab".into(),
        monitor: "web\u{200b}\u{2066}".into(),
        address: "http://h\u{feff}/".into(),
        ..notification()
    };
    for preset in table::presets() {
        let value = Some(Secret::new("https://h.example/1"));
        let options = preset.options.iter();
        let options = options.map(|option| (option.name.as_str(), value.clone()));
        let filled = preset
            .fill(&notification, "key", &Options(options.collect()))
            .unwrap();
        let all = format!("{} {:?} {}", filled.url, filled.headers, filled.body);
        for hidden in ["\u{202e}", "\u{200b}", "\u{2066}", "\u{feff}"] {
            let encoded = utf8_percent_encode(hidden, NON_ALPHANUMERIC).to_string();
            let is_escaped = !all.contains(hidden) && !all.contains(&encoded);
            assert!(is_escaped, "{}: {all}", preset.name);
        }
    }
}

#[test]
fn masked_options_show_only_the_host() {
    let masked = options().masked();
    let shown: Vec<_> = masked.0.values().flatten().map(Secret::reveal).collect();
    assert_eq!(shown, ["https://h.example/***"]);
}

#[test]
fn an_answer_may_state_when_to_retry() {
    let telegram = preset("telegram");
    let body = br#"{"ok":false,"error_code":429,"parameters":{"retry_after":35}}"#;
    assert_eq!(telegram.retry_after(body), Some(Duration::from_secs(35)));
    let matrix = preset("matrix");
    let body = br#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#;
    assert_eq!(matrix.retry_after(body), Some(Duration::from_secs(2)));
    for body in [&b"{}"[..], b"", b"[1]", br#"{"retry_after_ms":-5}"#] {
        assert_eq!(matrix.retry_after(body), None);
    }
}

#[test]
fn a_notice_begins_when_it_was_decided() {
    let mut notification = notification();
    assert_eq!(since(&notification).to_string(), "2026-02-11T14:00:00Z");
    notification.kind = NotificationKind::Notice("CERTIFICATE".into());
    assert_eq!(since(&notification), notification.at);
    notification.kind = NotificationKind::Known;
    notification.since = Some("2026-02-11T15:00:00Z".parse().unwrap());
    assert_eq!(since(&notification), notification.at, "a clock that was set back");
}
