//! Errors, warnings and debug output contain no secrets.

use std::path::Path;

use super::{
    Variables,
    channel_kind::CHANNELS,
    in_monitor, in_ping, in_site, in_tcp,
    kind::{KINDS, SEED},
};
use crate::config::parse;

const SECRET: &str = "hunter2";

/// Whether a file is valid, and everything that can be printed of it.
fn printed(text: &str) -> (bool, String) {
    let environment = Variables(&[("SECRET", SECRET)]);
    match parse(Path::new("lab.yaml"), text, KINDS, CHANNELS, &environment) {
        Ok(file) => {
            let warnings: String = file.warnings.iter().map(ToString::to_string).collect();
            let options: String = file.monitors.iter().map(|it| it.options().to_string()).collect();
            (true, format!("{file:?} {file:#?} {warnings} {options}"))
        }
        Err(error) => (false, format!("{error} {error:?}")),
    }
}

#[test]
fn printing_a_valid_file_shows_no_secrets() {
    let text = "\
site:
  name: Lab
  email_server: {smtp_host: h, smtp_port: 25, from_address: a@b.example, smtp_username: u, smtp_password: hunter2}
  outage_webhooks:
  - {endpoint_url: 'https://h/hunter2', request_method: POST, request_encoding: URL, request_prefix: 'token=hunter2&', request_suffix: hunter2}
monitors:
- {type: tcp, name: a, address: 'tcp://u:hunter2@h:1', token: hunter2, heartbeat_url: 'https://h/hunter2'}
- {type: tcp, name: b, address: 'tcp://h:1', login: {user: u, password: '${SECRET}'}}
- {type: port, name: c, address: 'snmp://hunter2@h', community: hunter2, port: 1, mac: m}
";
    let (ok, shown) = printed(text);
    assert!(ok, "{shown}");
    assert!(shown.contains("Lab") && !shown.contains(SECRET), "{shown}");
    assert!(shown.contains("tcp://u:***@h:1"), "{shown}");
}

#[test]
fn errors_of_an_invalid_file_show_no_secrets() {
    let server = |password: &str| {
        in_site(&format!(
            "email_server: {{smtp_host: h, smtp_port: 25, from_address: a@b.example, smtp_password: {password}}}"
        ))
    };
    let webhook = |url: &str| {
        in_site(&format!(
            "outage_webhooks: [{{endpoint_url: '{url}', request_method: POST, request_encoding: URL}}]"
        ))
    };
    let heartbeat = |url: &str| in_ping(&format!("heartbeat_url: '{url}'"));
    let mut files = vec![
        server("[hunter2]"),
        server("{hunter2: hunter2, a: hunter2}"),
        server("{a: hunter2}, smtp_port: x"),
        in_tcp("token: [hunter2]"),
        in_tcp("token: {a: hunter2}"),
        in_tcp("login: {user: [x], password: hunter2}"),
        in_tcp("login: hunter2"),
        in_tcp("login: {user: u, password: [hunter2]}"),
        in_tcp("check_every_n_secs: ${SECRET}"),
        in_tcp("alarms: ${SECRET}"),
        in_tcp("content_type: ${SECRET}"),
        // Nor do syntax errors.
        in_tcp("token: \"hunter2"),
        in_tcp("token: hunter2: hunter2"),
        in_tcp("token: @hunter2"),
        in_tcp("token: *hunter2"),
        in_tcp("token: \"hunter2\\q\""),
    ];
    for url in [
        "hunter2",
        "h/hunter2",
        "https:/h/hunter2",
        "https//h/hunter2?x=http://y",
        "ftp://h/hunter2",
        "hunter2 ://h",
        "https://h:port/hunter2",
        "https://u:hunter2@h:99999/",
        "https://u:hunter2@/",
        "https://hunter2@",
        "https://a b/hunter2",
        "https://h!{}/hunter2",
        "https:///hunter2",
        "https://hunter2.-/",
    ] {
        files.extend([webhook(url), heartbeat(url)]);
    }
    for address in [
        "tcp://u:hunter2@h:99999",
        "tcp://u:hun/hunter2@h:1",
        "u:hunter2@h:1",
        "tcp:/u:hunter2@h:1",
        "http://hunter2@h:1",
        "tcp://hunter2@:1",
    ] {
        files.push(in_monitor("tcp", address, ""));
        files.push(in_monitor("port", address, "port: 1\n  mac: m"));
    }
    for text in files {
        let (ok, shown) = printed(&text);
        assert!(!ok, "{text}");
        assert!(!shown.contains(SECRET), "{text}\n{shown}");
    }
}

#[test]
fn no_option_shows_a_value_from_the_environment() {
    let mut files = Vec::new();
    for option in [
        "content_type: ${SECRET}",
        "expect: ['${SECRET}', [a]]",
        "lines: {a: '${SECRET}'}",
        "login: {user: '${SECRET}', password: p, '${SECRET}': 1}",
        "address_family: ${SECRET}",
        "notify_every_n_secs: ${SECRET}",
        "heartbeat_url: ${SECRET}",
        "'${SECRET}': ${SECRET}",
    ] {
        files.push(in_tcp(option));
    }
    files.push(in_monitor("${SECRET}", "tcp://h:1", ""));
    for kind in ["tcp", "port"] {
        files.push(in_monitor(kind, "${SECRET}", ""));
    }
    for text in files {
        let (ok, shown) = printed(&text);
        assert!(!ok, "{text}");
        assert!(!shown.contains(SECRET), "{text}\n{shown}");
    }
    let (ok, shown) = printed(&in_tcp(
        "send: ${SECRET}\nexpect: ${SECRET}\nlines: ['${SECRET}']",
    ));
    assert!(ok && !shown.contains(SECRET), "{shown}");
}

#[test]
fn what_a_failure_must_say_is_not_masked_although_it_comes_from_the_environment() {
    let variables = [
        ("ENCODING", "base64"),
        ("STATION", "00:00:5e:00:53:01"),
        ("SENT", "s3cret-key"),
    ];
    let text = "\
site: {name: s}
monitors:
- {type: tcp, name: a, address: 'tcp://h:1', expect: ['${SENT}'], content_type: '${ENCODING}', send: '${SENT}'}
- {type: port, name: b, address: 'snmp://h', port: 1, mac: '${STATION}', community: '${SENT}'}
";
    let file = super::read_as(text, KINDS, &variables).unwrap();
    let services = crate::services::Services::default();
    for (entry, shown) in file
        .monitors
        .into_iter()
        .zip(["not base64, got ***", "not 00:00:5e:00:53:01, got ***"])
    {
        let monitor = entry.build(&services);
        let mask = &monitor.watch().mask;
        assert_eq!(mask.hide(&shown.replace("***", "s3cret-key")), shown);
    }
}

#[test]
fn an_address_from_the_environment_is_shown_without_its_path() {
    for (address, shown) in [
        ("https://h:8443/hunter2?x=hunter2", "https://h:8443/***"),
        ("https://h/", "https://h/"),
        ("tcp://h:1", "tcp://h:1"),
        ("https://u:hunter2@h", "https://u:***@h"),
    ] {
        let text = "site: {name: s}\nmonitors: [{type: http, name: a, address: '${A}'}]\n";
        let file = super::read_as(text, SEED, &[("A", address)]).unwrap();
        assert_eq!(file.monitors[0].address, shown);
    }
}

#[test]
fn a_key_that_contains_a_secret_is_masked() {
    for (option, shown) in [
        (
            "{'token:hunter2': 1}",
            "unknown option \"token***\"; did you mean \"token\"?",
        ),
        ("{'passwrod hunter2': 1}", "unknown option \"passwrod***\""),
        (
            "{hunter2: 1}",
            "unknown option, whose name is not shown because it may be a secret",
        ),
        (
            "{headers: {'X: hunter2': [a]}}",
            "\"headers.X***\" must be text, found a list",
        ),
        (
            "{'x: hunter2': 1, 'x: hunter2': 1}",
            "\"x***\" is already given on line 3",
        ),
        (
            "{login: {user: u, password: p, 'x=hunter2': 1}}",
            "has an unknown option \"x***\"",
        ),
    ] {
        let text = format!(
            "site: {{name: s}}\nmonitors:\n- {{<<: {option}, type: tcp, name: a, address: 'tcp://h:1'}}\n"
        );
        let errors = super::errors(&text).join("\n");
        assert!(errors.contains(shown) && !errors.contains(SECRET), "{errors}");
    }
    let (_, shown) = printed("site: {name: s}\n'hunter2: x': 1\napmon: {'hunter2=x': 1}\n");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn an_invalid_address_is_shown_with_its_secret_part_masked() {
    let lines = super::errors(&in_monitor("tcp", "tcp://u:p/w@h:1", ""));
    assert_eq!(
        lines,
        ["5:12: monitor \"a\": \"address\" has a port that is not between 1 and 65535 (here: tcp://***@h:1)"]
    );
}
