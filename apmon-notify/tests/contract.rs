//! The contract of every kind of channel. A new kind is tested as soon as it is in the
//! table.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod site;

use std::{collections::HashSet, time::Duration};

use apmon_core::{Notification, NotificationKind, Services, Stopwatch};
use apmon_notify::CHANNELS;
use serde_json::Value;
use site::valid;

/// A site whose only channel is a kind's example.
fn example(kind: &dyn apmon_core::ChannelKind) -> String {
    let needed = kind.needs().map_or_else(String::new, |section| {
        let lines = section.example().trim_end().replace('\n', "\n  ");
        format!("{}:\n  {lines}\n", section.name())
    });
    let lines = kind.example().trim_end().replace('\n', "\n  ");
    format!("{needed}{}:\n- {lines}", kind.section())
}

#[test]
fn every_example_is_a_valid_channel_of_its_kind() {
    for kind in CHANNELS {
        let file = valid(&example(*kind));
        assert_eq!(file.warnings, [], "{}", kind.name());
        let [channel] = &file.channels[..] else {
            panic!("{}", kind.name())
        };
        assert_eq!((channel.kind, channel.section), (kind.name(), kind.section()));
        assert!(
            channel.id.starts_with(&format!("{}:", kind.name())),
            "{}",
            channel.id
        );
        assert!(!channel.blueprint.target.is_empty(), "{}", kind.name());
    }
}

#[test]
fn names_and_sections_are_used_once() {
    let (mut names, mut sections) = (HashSet::new(), HashSet::new());
    for kind in CHANNELS {
        assert!(names.insert(kind.name()), "{}", kind.name());
        assert!(sections.insert(kind.section()), "{}", kind.section());
        let (one, many) = kind.nouns();
        assert!(
            one != many && kind.summary().ends_with(['.', ')']),
            "{}",
            kind.name()
        );
    }
}

#[test]
fn every_option_is_described() {
    let described = |name: &str, schema: schemars::Schema| {
        let schema = schema.to_value();
        for (option, property) in schema["properties"].as_object().unwrap() {
            let text = property["description"].as_str().unwrap_or("");
            assert!(text.len() > 10, "{name} {option}: {text:?}");
        }
    };
    for kind in CHANNELS {
        described(kind.name(), kind.schema());
        if let Some(section) = kind.needs() {
            described(section.name(), section.schema());
        }
    }
}

/// The options of the schema are exactly those that a site file may contain.
#[test]
fn the_schema_lists_the_options_that_are_read() {
    for kind in CHANNELS {
        let schema = kind.schema().to_value();
        for option in schema["properties"].as_object().unwrap().keys() {
            let text = format!("{}\n  {option}: {{unexpected: section}}", example(*kind));
            let errors = site::read(&text).err().unwrap_or_default().join("\n");
            assert!(
                !errors.contains("unknown option"),
                "{} {option}: {errors}",
                kind.name()
            );
        }
        let text = format!("{}\n  no_such_option: x", example(*kind));
        let errors = site::errors(&text).join("\n");
        assert!(
            errors.contains("unknown option \"no_such_option\""),
            "{}: {errors}",
            kind.name()
        );
    }
}

fn notification() -> Notification {
    Notification {
        id: "abc-1".into(),
        incident: "abc".into(),
        kind: NotificationKind::Outage,
        site: "Lab".into(),
        monitor: "door".into(),
        address: "front".into(),
        text: "door in Lab new outage: open (front) at 2:15 PM, down for 0 secs".into(),
        number: 1,
        at: "2026-02-11T14:15:00Z".parse().unwrap(),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

/// The receiver of an example does not exist (no resolver knows its name), so an attempt
/// fails with a reason and within its timeout. A datagram to another network may be lost
/// without a word, and then nothing fails; this machine refuses it.
#[tokio::test]
async fn an_attempt_without_a_receiver_fails_in_time_with_a_reason() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    for kind in CHANNELS {
        let file = valid(&example(*kind).replace("192.168.1.20", "127.0.0.1"));
        let notifier = file.channels[0].build(&Services::default(), TIMEOUT);
        let stopwatch = Stopwatch::start();
        let result = notifier.deliver(&notification(), "abc-1-key").await;
        let error = result.expect_err(kind.name());
        // The machine may be suspended meanwhile, which is not the channel's fault.
        assert!(
            stopwatch.elapsed() < TIMEOUT + Duration::from_secs(10),
            "{}",
            kind.name()
        );
        assert!(error.to_string().len() > 10, "{}: {error}", kind.name());
    }
}

/// Options that contain secrets are not shown anywhere.
#[test]
fn no_secret_is_printed() {
    for kind in CHANNELS {
        let schema = kind.schema().to_value();
        let is_text = |property: &Value| property["type"] == "string" || property["type"][0] == "string";
        for (option, property) in schema["properties"].as_object().unwrap() {
            if !is_text(property) {
                continue;
            }
            let text = format!(
                "{}\n  {option}: [s3cret]",
                example(*kind).replace(&format!("{option}:"), "x-was:")
            );
            let errors = site::errors(&text).join("\n");
            assert!(!errors.contains("s3cret"), "{} {option}: {errors}", kind.name());
        }
        let file = valid(&example(*kind));
        let shown = format!("{file:?} {:?}", file.channels[0].blueprint);
        assert!(!shown.contains("TOKEN"), "{}: {shown}", kind.name());
    }
}
