//! Environment variables: `${NAME}` as the whole value.

use serde_json::json;

use super::{errors, in_ping, in_tcp, kind::KINDS, one, read_as, value_of};
use crate::services::Services;

#[test]
fn a_value_is_replaced_by_the_environment_variable() {
    let text = "\
x-mail: &mail '${MAILBOX}'
site:
  name: ${SITE}
  check_every_n_secs: ${EVERY}
  alarms: \"${ALARMS}\"
  email_server: {smtp_host: h, smtp_port: '${SMTP_PORT}', from_address: *mail}
  outage_emails: [{email: *mail}]
monitors:
- type: tcp
  name: a
  address: ${ADDRESS}
  lines: ['${SITE}', b]
  headers: {A: '${SITE}'}
";
    let variables = [
        ("SITE", "Lab: \"1\" # x"),
        ("EVERY", "30"),
        ("ALARMS", "off"),
        ("SMTP_PORT", "25"),
        ("MAILBOX", "a@b.example"),
        ("ADDRESS", "tcp://h:22"),
    ];
    let file = read_as(text, KINDS, &variables).unwrap();
    assert_eq!(file.name, "Lab: \"1\" # x");
    assert_eq!(file.site.alarms, Some(false));
    assert_eq!(file.channels[0].id, "mail:a@b.example");
    assert_eq!(file.monitors[0].check_every.value.get(), 30);
    let options = &file.monitors[0]
        .build(&Services::default())
        .watch()
        .address
        .clone();
    let options: serde_json::Value = serde_json::from_str(options).unwrap();
    assert_eq!(options["lines"], json!(["Lab: \"1\" # x", "b"]));
    assert_eq!(options["headers"], json!({"A": "Lab: \"1\" # x"}));
}

#[test]
fn the_value_of_a_variable_is_not_interpreted() {
    let variables = [("A", "${B}"), ("B", "b"), ("C", "null"), ("D", "")];
    for (name, value) in [("A", "${B}"), ("C", "null"), ("D", "")] {
        let text = in_tcp(&format!("send: ${{{name}}}"));
        let file = read_as(&text, KINDS, &variables).unwrap();
        let watch = file.monitors[0].build(&Services::default()).watch().clone();
        let options: serde_json::Value = serde_json::from_str(&watch.address).unwrap();
        assert_eq!(options["send"], json!(value));
    }
}

#[test]
fn all_other_text_stays_as_written() {
    for (written, value) in [
        ("${A} b", "${A} b"),
        ("b${A}", "b${A}"),
        ("${A}${B}", "${A}${B}"),
        ("$A", "$A"),
        ("${}", "${}"),
        ("${A-B}", "${A-B}"),
        ("${A:-b}", "${A:-b}"),
        ("${1A}", "${1A}"),
        ("${ A }", "${ A }"),
        ("${A", "${A"),
        ("$${A}", "${A}"),
        ("$${", "${"),
        ("$${A} b", "${A} b"),
        ("$$${A}", "$$${A}"),
        ("$$", "$$"),
        ("b$${A}", "b$${A}"),
    ] {
        assert_eq!(
            value_of(&in_tcp(&format!("send: '{written}'")), "send"),
            json!(value)
        );
    }
    // Keys are not replaced.
    assert_eq!(
        errors(&in_ping("'${A}': 1")),
        ["6:3: monitor \"a\": unknown option \"${A}\""]
    );
}

#[test]
fn an_unset_variable_causes_exactly_one_error() {
    let text = "\
x-every: &every ${EVERY}
site:
  name: ${SITE}
  email_server: ${SERVER}
  outage_emails: ${EMAILS}
  outage_webhooks: ['${WEBHOOK}']
monitors:
- {type: '${TYPE}', name: '${NAME}', address: '${ADDRESS}', expect: x}
- {type: port, name: b, address: '${ADDRESS}', port: '${PORT}', mac: '${MAC}'}
- {type: tcp, name: c, address: 'tcp://h:1', codes: ['${CODE}', 2], lines: '${LINES}'}
- {type: tcp, name: d, address: 'tcp://h:1', login: {user: '${USER}', password: p}, headers: {A: '${A}'}}
- {type: ping, name: e, address: h, check_every_n_secs: *every, notify_every_n_secs: 1}
- {type: ping, name: f, address: h, check_every_n_secs: *every, heartbeat_url: '${URL}', heartbeat_every_n_secs: 5}
- {type: ping, name: g, address: h, notify_every_n_secs: '${N}', after_every_n_notifications: 5, <<: '${BASE}'}
- ${MONITOR}
";
    let unset = |at: &str, name: &str| format!("{at}: the environment variable {name} is not set");
    assert_eq!(
        errors(text),
        [
            unset("1:17", "EVERY"),
            unset("3:9", "SITE"),
            unset("4:17", "SERVER"),
            unset("5:18", "EMAILS"),
            unset("6:21", "WEBHOOK"),
            unset("8:10", "TYPE"),
            unset("8:27", "NAME"),
            unset("8:47", "ADDRESS"),
            unset("9:34", "ADDRESS"),
            unset("9:54", "PORT"),
            unset("9:70", "MAC"),
            unset("10:54", "CODE"),
            unset("10:76", "LINES"),
            unset("11:60", "USER"),
            unset("11:98", "A"),
            unset("13:80", "URL"),
            unset("14:58", "N"),
            unset("14:102", "BASE"),
            unset("15:3", "MONITOR"),
        ]
    );
    for whole in ["site: ${SITE}\nmonitors: ${MONITORS}\n", "${FILE}\n"] {
        assert!(
            errors(whole).iter().all(|line| line.ends_with("is not set")),
            "{whole}"
        );
    }
}

#[test]
fn the_value_of_a_variable_is_not_quoted() {
    let text = in_tcp(
        "check_every_n_secs: ${V}\nalarms: ${V}\nshare: ${V}\ncontent_type: ${V}\nsend: a\ncodes: ['${V}']",
    );
    assert_eq!(
        read_as(&text, KINDS, &[("V", "hunter2")]).unwrap_err(),
        [
            "lab.yaml:6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not the value of ${V}",
            "lab.yaml:7:11: monitor \"a\": \"alarms\" must be yes or no, not the value of ${V}",
            "lab.yaml:8:10: monitor \"a\": \"share\" must be a number, not the value of ${V}",
            "lab.yaml:9:17: monitor \"a\": \"content_type\" must be text or hex or base64, not the value of ${V}",
            "lab.yaml:11:11: monitor \"a\": \"codes\" must be a whole number, not the value of ${V}",
        ]
    );
}

#[test]
fn the_environment_of_the_process_is_read() {
    use crate::config::{Environment as _, ProcessEnvironment};
    assert!(ProcessEnvironment.variable("PATH").is_some());
    assert!(ProcessEnvironment.variable("APMON_NO_SUCH_VARIABLE").is_none());
    assert_eq!(one(&in_ping("")).name, "a");
}
