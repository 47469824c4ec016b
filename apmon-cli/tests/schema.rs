//! The JSON Schema and the reader of site files agree, according to an independent
//! validator.
#![cfg(all(feature = "dns", feature = "mail", feature = "quic", feature = "snmp"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use support::{Lab, test_file};

/// The validator's result for each file.
fn validated(lab: &Lab, files: &[PathBuf]) -> Vec<String> {
    let schema = lab.run(&["reference", "schema"]);
    schema.assert_code(0);
    lab.write("schema.json", schema.out.join("\n"));
    // Only Debian's python finds Debian's modules.
    let has_modules = |python: &&str| {
        let import = Command::new(python)
            .args(["-c", "import jsonschema, yaml"])
            .output();
        import.is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has_modules);
    let output =
        Command::new(python.expect("python3-jsonschema and python3-yaml: `cargo xtask test` installs them"))
            .arg(test_file("schema.py"))
            .arg(lab.path("schema.json"))
            .args(files)
            .output()
            .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(
        lines.len(),
        files.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
}

fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_examples_conform_to_the_schema() {
    let files = yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    assert!(files.len() >= 2, "{files:?}");
    for (file, result) in files.iter().zip(validated(&Lab::new(), &files)) {
        assert_eq!(result, "ok", "{}", file.display());
    }
}

#[test]
fn the_schema_and_the_reader_agree_on_options() {
    let digits = "1".repeat(64);
    let accepted = [
        "ignore_ssl_expiry: yes",
        "ignore_ssl_expiry: OFF",
        "ignore_ssl_expiry: true",
        "ignore_ssl_expiry: 0",
        "ignore_ssl_expiry: \"1\"",
        "alarms: ${APMON_TEST}",
        "check_every_n_secs: \"60\"",
        "check_every_n_secs: ${APMON_TEST}",
        "expect: 200",
        "expect: 1.50",
        "expect: true",
        "expect_status: 200",
        "expect_status: [200, 300-399, '404']",
        &format!("ssl_fingerprint: {digits}"),
        &format!("ssl_fingerprint: [{digits}, {}]", "ab".repeat(32)),
    ];
    let rejected = [
        "ignore_ssl_expiry: maybe",
        "ignore_ssl_expiry: 2",
        "ignore_ssl_expiry:",
        "check_every_n_secs: null",
        "check_every_n_secs: 0",
        "check_every_n_secs: soon",
        "check_every_n_secs: 1.5",
        "expect: ~",
        "expect: \"\"",
        "expect_status: 99",
        "expect_status: abc",
        "ssl_fingerprint: abc",
        "ssl_fingerprint: null",
        "colour: red",
    ];
    agree(&accepted, &rejected, |option| {
        format!(
            "site: {{name: 7}}\nmonitors:\n  - type: http\n    name: 8\n    address: https://h/\n    {option}\n"
        )
    });
}

#[test]
fn the_schema_and_the_reader_agree_on_channels() {
    let hook = |more: &str| {
        format!(
            "outage_webhooks: [{{endpoint_url: 'https://h/', request_method: POST, request_encoding: URL{more}}}]"
        )
    };
    let preset = |options: &str| format!("outage_webhooks: [{{{options}}}]");
    let server = "email_server: {smtp_host: h, smtp_port: 25, from_address: a@b.c}";
    let accepted = [
        hook(""),
        hook(", success_statuses: 200"),
        hook(", success_statuses: 200-299"),
        hook(", success_statuses: [200, 302-303, '404']"),
        hook(", success_statuses: 999"),
        hook(", headers: {X-A: 1}, timeout_secs: 5, success_body: ok, request_suffix: ''"),
        "outage_webhooks: [{endpoint_url: 'https://h/', request_method: '${APMON_METHOD}', request_encoding: '${APMON_ENCODING}'}]".into(),
        preset("preset: slack, url: 'https://h/x', headers: {X-A: b}"),
        preset("preset: ntfy, topic: t, token: 5"),
        preset("preset: '${APMON_PRESET}', url: 'https://h/x'"),
        preset("preset: telegram, token: t, chat_id: -7, url: 'https://h'"),
        preset("preset: slack, url: 'https://h/x', name: a, then: b, after_secs: 60}, {preset: slack, url: 'https://h/x', name: b"),
        "outage_commands: [{program: /bin/true, args: [1, yes], timeout_secs: '5'}]".into(),
        "outage_syslogs: [{}, {facility: local3}, {facility: '${APMON_FACILITY}'}]".into(),
        format!("{server}\n  outage_emails: [{{email: a@b.c, email_reminders: no}}]"),
        "heartbeat_every_n_secs: 5\n  heartbeat_url: 'https://h/'".into(),
        "address_family: ${APMON_FAMILY}".into(),
    ];
    let rejected = [
        hook(", success_statuses: 99"),
        hook(", success_statuses: 1000"),
        hook(", success_statuses: 2xx"),
        hook(", colour: red"),
        hook(", token: t"),
        hook(", after_secs: 60"),
        hook("").replace("POST", "GET").replace("URL", "JSON"),
        hook("").replace("POST", "PUT"),
        hook("").replace("POST", "'${APMON'"),
        preset("endpoint_url: 'https://h/', request_method: POST"),
        preset("endpoint_url: 'https://h/', request_encoding: URL"),
        preset("request_method: POST, request_encoding: URL"),
        preset(""),
        preset("preset: slack"),
        preset("preset: slakc, url: 'https://h/x'"),
        preset("preset: slack, url: 'https://h/x', endpoint_url: 'https://h/'"),
        preset("preset: telegram, token: t"),
        preset("preset: ntfy, topic: t, chat_id: c"),
        preset("preset: gotify, url: 'https://h/x', token: ' '"),
        "outage_commands: [{args: [x]}]".into(),
        "outage_commands: [{program: x, arguments: [x]}]".into(),
        "outage_syslogs: [{facility: local8}]".into(),
        "outage_syslogs: [{port: 514}]".into(),
        "outage_emails: [{email: a@b.c}]".into(),
        format!("{server}\n  outage_emails: [{{email_reminders: no}}]"),
        format!("{server}\n  outage_emails: [{{email: a@b.c, mail: no}}]"),
        server.replace("smtp_port", "smtp_prot"),
        server.replace("a@b.c", "a@b.c, colour: red"),
        "heartbeat_every_n_secs: 5".into(),
    ];
    let (accepted, rejected): (Vec<_>, Vec<_>) = (
        accepted.iter().map(String::as_str).collect(),
        rejected.iter().map(String::as_str).collect(),
    );
    agree(&accepted, &rejected, |option| {
        format!("site:\n  name: 7\n  {option}\nmonitors:\n  - {{type: ping, name: gw, address: 10.0.0.1}}\n")
    });
}

/// Asserts that both the reader and the schema accept and reject these options.
fn agree(accepted: &[&str], rejected: &[&str], text: impl Fn(&str) -> String) {
    let lab = Lab::new();
    let mut files = Vec::new();
    for (i, option) in accepted.iter().chain(rejected).enumerate() {
        let name = format!("{i}.yaml");
        lab.write(&name, text(option));
        let mut command = lab.apmon(&["--test-config", &name]);
        for (variable, value) in [
            ("APMON_TEST", "1"),
            ("APMON_METHOD", "POST"),
            ("APMON_ENCODING", "JSON"),
            ("APMON_PRESET", "slack"),
            ("APMON_FACILITY", "local3"),
            ("APMON_FAMILY", "ipv4"),
        ] {
            command.env(variable, value);
        }
        let is_accepted = i < accepted.len();
        let output = support::run(command);
        assert_eq!(
            output.code,
            Some(i32::from(!is_accepted)),
            "the reader: {option}: {}",
            output.text()
        );
        files.push(lab.path(&name));
    }
    let results = validated(&lab, &files);
    for (i, (option, result)) in accepted.iter().chain(rejected).zip(results).enumerate() {
        assert_eq!(
            result == "ok",
            i < accepted.len(),
            "the schema: {option}: {result}"
        );
    }
}
