//! The options of channels: all errors with their positions, and the channels of
//! valid entries.

#![cfg(feature = "mail")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod site;

use site::{errors, ids, read, valid};

#[test]
fn presets_are_checked() {
    let text = "\
outage_webhooks:
- {preset: slack, url: 'https://h/x', headers: {X-A: b}, timeout_secs: 5, success_body: ok}
- {preset: slakc, url: 'https://h/x'}
- {preset: telegram, token: t}
- {preset: ntfy, topic: t, chat_id: c, endpoint_url: 'https://h/x'}
- {preset: gotify, url: h/x, token: ' '}
- {preset: pagerduty, routing_key: r, rooting_key: r}";
    assert_eq!(
        errors(text),
        [
            "5:14: outage_webhooks 2: \"preset\" must be alertmanager or discord or gotify or matrix or ntfy or opsgenie or pagerduty or pushover or slack or teams or telegram, not \"slakc\"; did you mean slack?",
            "6:14: outage_webhooks 3: \"chat_id\" is missing; preset telegram needs it",
            "7:30: outage_webhooks 4: \"chat_id\" is not an option of preset ntfy (topic, priority, tags, url, token)",
            "7:42: outage_webhooks 4: \"endpoint_url\" cannot be combined with preset, which replaces it",
            "8:27: outage_webhooks 5: \"url\" must be a URL that begins with http:// or https://",
            "8:39: outage_webhooks 5: \"token\" must not be empty",
            "9:41: outage_webhooks 6: unknown option \"rooting_key\"; did you mean \"routing_key\"?",
        ]
    );
}

/// A value that the service would refuse, or that would change the path, is reported
/// when the file is read.
#[test]
fn a_value_that_a_preset_cannot_send_is_an_error() {
    let hook = |options: &str| format!("outage_webhooks: [{{preset: {options}}}]");
    for valid in [
        "discord, url: 'https://h/x?thread_id=1'",
        "teams, url: 'https://h/x?sig=1#a'",
        "gotify, url: 'https://h/sub/path/', token: t",
        "ntfy, topic: Abc_9-x",
        "telegram, token: ' 1:x ', chat_id: c",
    ] {
        assert!(read(&hook(valid)).is_ok(), "{valid}");
    }
    let base = "\"url\" must be the address of the service, without \"?\" and \"#\": apmon adds the path";
    let topic = "\"topic\" must be 1 to 64 of the characters A-Z, a-z, 0-9, - and _";
    let room =
        "\"room\" must be the room's id, which begins with \"!\"; an alias (#room:server) does not work";
    let ends = "\"token\" must not begin or end with whitespace";
    let long = format!("ntfy, topic: {}", "t".repeat(65));
    for (wrong, text) in [
        ("gotify, url: 'https://h/?a=s3cret', token: t", base),
        ("ntfy, topic: t, url: 'https://h/#s3cret'", base),
        ("matrix, url: 'https://h/?', token: t, room: '!r:h'", base),
        ("pushover, url: 'https://h/?a', token: t, user: u", base),
        ("pagerduty, url: 'https://h/?a', routing_key: r", base),
        ("opsgenie, url: 'https://h/?a', token: t", base),
        ("telegram, url: 'https://h/?a', token: t, chat_id: c", base),
        ("alertmanager, url: 'https://h/?a'", base),
        ("ntfy, topic: s3cret/x", topic),
        (&long, topic),
        ("matrix, url: 'https://h/', token: t, room: '#s3cret:h'", room),
        ("opsgenie, token: 's3cret '", ends),
        ("ntfy, topic: t, token: \"s3cret\\n\"", ends),
        ("alertmanager, url: 'https://h/', token: ' s3cret'", ends),
        (
            "gotify, url: 'https://h/', token: \"s3\\ncret\"",
            "\"token\" contains characters that are not allowed in a header",
        ),
        (
            "matrix, url: 'https://h/', room: '!r:h', token: s3crét",
            "\"token\" contains characters that are not allowed in a header",
        ),
    ] {
        let errors = errors(&hook(wrong));
        assert_eq!(errors.len(), 1, "{wrong} {errors:?}");
        assert!(errors[0].ends_with(text), "{errors:?}");
    }
}

#[test]
fn the_other_options_of_a_webhook_are_checked() {
    let hook = |more: &str| {
        format!(
            "outage_webhooks: [{{endpoint_url: 'https://h/', request_method: POST, request_encoding: URL, {more}}}]"
        )
    };
    for valid in [
        "success_statuses: 200-299",
        "success_statuses: [200, 302-303]",
        "success_body: 'OK: '",
        "headers: {Authorization: Bearer x}",
    ] {
        assert!(read(&hook(valid)).is_ok(), "{valid}");
    }
    for (wrong, text) in [
        (
            "success_statuses: 2xx",
            "\"success_statuses\" must be a status such as 200, a range such as 200-299, or a list of them",
        ),
        ("success_body: ''", "\"success_body\" must not be empty"),
        (
            "timeout_secs: 0",
            "\"timeout_secs\" must be 1 to 315360000 seconds, not 0",
        ),
        (
            "headers: {'a b': x}",
            "\"headers\" contains \"a b\", which is not a valid header name",
        ),
        (
            "headers: {Content-Length: 5}",
            "\"headers\" must not contain Content-Length, which apmon sets itself",
        ),
        (
            "headers: {X: \"s3cret\\n\"}",
            "\"headers\" X contains characters that are not allowed in a header",
        ),
        (
            "headers: {X-a: 1, x-A: 2}",
            "\"headers\" contains x-A twice: the case of a name makes no difference",
        ),
    ] {
        let errors = errors(&hook(wrong));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].ends_with(text), "{errors:?}");
    }
}

#[test]
fn commands_and_syslogs_are_checked() {
    let text = "\
outage_commands:
- {program: /usr/local/bin/sms, args: [--to, 49], timeout_secs: 5}
- {args: [x]}
- {program: sms --to 49}
outage_syslogs:
- {}
- {address: 'tcp://log.lan:6514', facility: local3}
- {address: log.lan, facility: local8}";
    assert_eq!(
        errors(text),
        [
            "5:5: outage_commands 2: \"program\" is missing",
            "6:15: outage_commands 3: \"program\" contains a space: no shell is involved, so arguments belong in \"args\"",
            "10:15: outage_syslogs 3: \"address\" must be a path such as /dev/log, udp://host:port or tcp://host:port",
            "10:34: outage_syslogs 3: \"facility\" must be user or daemon or local0 or local1 or local2 or local3 or local4 or local5 or local6 or local7, not \"local8\"; did you mean local0?",
        ]
    );
}

#[test]
fn an_incomplete_login_of_a_mail_server_is_a_warning() {
    let warned = |options: &str| -> Vec<String> {
        let server = format!("email_server: {{smtp_host: h, from_address: a@b, {options}}}");
        let file = valid(&server);
        file.warnings.iter().map(ToString::to_string).collect()
    };
    let of = |text: &str| vec![format!("email_server: {text}")];
    let clear = of(
        "\"smtp_password\" is sent in clear text because use_tls is no: anyone who sees the traffic can read it",
    );
    assert_eq!(
        warned("smtp_port: 25, smtp_username: u, smtp_password: p, use_tls: no"),
        clear
    );
    for fine in [
        "smtp_port: 25, use_tls: no",
        "smtp_port: 587, smtp_username: u, smtp_password: p",
        "smtp_port: 465, smtp_username: u, smtp_password: p, use_tls: no",
        "smtp_port: 25, smtp_verify_tls: no",
    ] {
        assert_eq!(warned(fine), [""; 0], "{fine}");
    }
    assert_eq!(
        warned("smtp_port: 587, smtp_username: u"),
        of("\"smtp_username\" is set without smtp_password; authentication is skipped")
    );
    assert_eq!(
        warned("smtp_port: 587, smtp_password: p"),
        of("\"smtp_password\" is set without smtp_username; authentication is skipped")
    );
}

#[test]
fn rule_7_recipients_are_e_mail_addresses() {
    let text = "\
email_server: {smtp_host: mail, smtp_port: 25, from_address: apmon}
outage_emails:
- email: a@b.example
- email: a@b@c
- email: ops@
- email: 'Ops <ops@b.example>'
- email: ''
- email_outages: yes";
    assert_eq!(
        errors(text),
        [
            "3:64: email_server: \"from_address\" must be an e-mail address",
            "6:12: outage_emails 2: \"email\" must be an e-mail address",
            "7:12: outage_emails 3: \"email\" must be an e-mail address",
            "8:12: outage_emails 4: \"email\" must be an e-mail address",
            "9:12: outage_emails 5: \"email\" must not be empty",
            "10:5: outage_emails 6: \"email\" is missing",
        ]
    );
}

#[test]
fn rules_10_to_12_mail_needs_a_server_and_a_server_needs_three_options() {
    let rows: &[(&str, &[&str])] = &[
        (
            "outage_emails: [{email: a@b.example}]",
            &["3:3: site: \"outage_emails\" needs \"email_server\""],
        ),
        (
            "email_server: {}",
            &[
                "3:17: email_server: \"smtp_host\" is missing",
                "3:17: email_server: \"smtp_port\" is missing",
                "3:17: email_server: \"from_address\" is missing",
            ],
        ),
        (
            "email_server: {smtp_host: 1.2.3, smtp_port: 0, from_address: a@b.example}",
            &[
                "3:29: email_server: \"smtp_host\" must be a host name or an address",
                "3:47: email_server: \"smtp_port\" must be a port, 1 to 65535, not 0",
            ],
        ),
        (
            "email_server: {smtp_host: '::1', smtp_port: 25, from_address: a@b.example}",
            &[],
        ),
        (
            "email_server: {smtp_host: h, smtp_port: 587, from_address: a@b.example, smtp_username: 7, smtp_password: 0123, use_tls: off}",
            &[],
        ),
        (
            "email_server:",
            &[
                "3:15: email_server: must be a section of options, found nothing; are its options indented below it?",
            ],
        ),
        (
            "email_server: mail.example",
            &["3:17: email_server: must be a section of options, found a single value"],
        ),
    ];
    for (lines, expected) in rows {
        let found = read(lines).err().unwrap_or_default();
        assert_eq!(found, *expected, "{lines}");
    }
}

#[test]
fn webhooks_are_checked() {
    let text = "\
outage_webhooks:
- {endpoint_url: 'https://h/x', request_method: POST, request_encoding: JSON}
- {endpoint_url: 'https://h/x', request_method: GET, request_encoding: JSON}
- {endpoint_url: h/x, request_method: post, request_encoding: CSV}
- {endpoint_url: 'https://h/x', request_method: PUT, request_encoding: HTML, request_prefix: [x]}
- {url: 'https://h/x'}";
    assert_eq!(
        errors(text),
        [
            "5:74: outage_webhooks 2: \"request_encoding\" JSON needs request_method POST",
            "6:20: outage_webhooks 3: \"endpoint_url\" must be a URL that begins with http:// or https://",
            "6:41: outage_webhooks 3: \"request_method\" must be GET or POST, not \"post\"; did you mean POST?",
            "6:65: outage_webhooks 3: \"request_encoding\" must be URL or HTML or JSON or CSVQUOTED, not \"CSV\"",
            "7:51: outage_webhooks 4: \"request_method\" must be GET or POST, not \"PUT\"",
            "7:96: outage_webhooks 4: \"request_prefix\" must be text, found a list",
            "8:5: outage_webhooks 5: \"endpoint_url\" is missing",
            "8:5: outage_webhooks 5: \"request_method\" is missing",
            "8:5: outage_webhooks 5: \"request_encoding\" is missing",
            "8:6: outage_webhooks 5: \"url\" is an option of presets, but no preset is given",
        ]
    );
    assert!(read("outage_webhooks: []").is_ok());
}

const SERVER: &str = "email_server: {smtp_host: h, smtp_port: 25, from_address: a@b, use_tls: no}";

#[test]
fn the_id_of_a_channel_is_its_kind_and_destination() {
    assert_eq!(
        ids("\
outage_webhooks:
- {preset: slack, url: 'https://hooks.slack.com/services/T0KEN'}
- {preset: telegram, token: t, chat_id: c}
- {preset: telegram, token: t, chat_id: d}
- {preset: ntfy, topic: t, name: chat}
outage_commands:
- {program: /a/sms}
- {program: /c/sms, name: night}
- {program: /b/sms, args: [x]}
- {program: mail}
- {program: /opt/pager//}
- {program: /}
outage_syslogs:
- {}
- {address: 'udp://log.lan'}
- {address: 'udp://log.lan:514'}
- {address: 'tcp://[::1]'}"),
        [
            "webhook:hooks.slack.com",
            "webhook:api.telegram.org",
            "webhook:api.telegram.org#2",
            "webhook:chat",
            "exec:sms",
            "exec:night",
            "exec:sms#2",
            "exec:mail",
            "exec:pager",
            "exec:/",
            "syslog:/dev/log",
            "syslog:udp://log.lan:514",
            "syslog:udp://log.lan:514#2",
            "syslog:tcp://[::1]:601",
        ]
    );
}

#[test]
fn channels_keep_their_ids_when_a_token_changes() {
    let webhooks = |token: &str| {
        let urls = [
            "https://a.example/",
            "http://b.example:81/?t=",
            "https://A.example/x/",
            "https://a.example:8443/",
        ];
        let entry = |url| {
            format!("\n- {{endpoint_url: '{url}{token}', request_method: POST, request_encoding: URL}}")
        };
        ids(&format!("outage_webhooks:{}", urls.map(entry).concat()))
    };
    let expected = [
        "webhook:a.example",
        "webhook:b.example",
        "webhook:a.example#2",
        "webhook:a.example#3",
    ];
    assert_eq!(webhooks("one"), expected);
    assert_eq!(webhooks("two"), expected);
}

/// The name is used by `then` only; pending e-mails are identified by their recipient.
#[test]
fn the_id_of_a_recipient_is_its_address() {
    let emails =
        "outage_emails: [{email: Ops@b.example}, {email: ops@b.example, name: ops}, {email: dev@b.example}]";
    assert_eq!(
        ids(&format!("{SERVER}\n{emails}")),
        ["mail:Ops@b.example", "mail:ops@b.example#2", "mail:dev@b.example"]
    );
}

#[test]
fn a_missing_program_is_a_hint() {
    let file = valid(
        "outage_commands: [{program: /no/such/program}, {program: no-such-program}, {program: /etc}, {program: sh}]",
    );
    let hints: Vec<_> = file.hints.iter().map(ToString::to_string).collect();
    assert_eq!(
        hints,
        [
            "outage_commands 1: \"program\" does not exist: /no/such/program",
            "outage_commands 2: \"program\" is not in PATH: no-such-program",
            "outage_commands 3: \"program\" is not executable: /etc",
        ]
    );
}

#[test]
fn a_recipient_shows_its_mail_server() {
    let via = |server: &str| {
        let file = valid(&format!(
            "email_server: {{{server}}}\noutage_emails: [{{email: a@b.example}}]"
        ));
        file.channels[0].blueprint.via.clone().unwrap()
    };
    assert_eq!(
        via("smtp_host: mail, smtp_port: 587, from_address: a@b, smtp_username: ops, smtp_password: s3cret"),
        "mail:587 (STARTTLS, login as ops), from a@b"
    );
    assert_eq!(
        via("smtp_host: mail, smtp_port: 465, from_address: a@b, smtp_verify_tls: no"),
        "mail:465 (TLS, certificate not verified), from a@b"
    );
    assert_eq!(
        via("smtp_host: '::1', smtp_port: 25, from_address: a@b, use_tls: no, smtp_verify_tls: no"),
        "::1:25 (clear text), from a@b"
    );
}

#[test]
fn a_webhook_with_24577_headers_is_one_error() {
    let headers: Vec<_> = (0..24_577).map(|at| format!("h{at}: x")).collect();
    let errors = errors(&format!(
        "outage_webhooks:\n- endpoint_url: http://h/\n  request_method: POST\n  request_encoding: JSON\n  headers: {{{}}}",
        headers.join(", ")
    ));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("contains 24577 headers; use at most 1000"),
        "{}",
        errors[0]
    );
}
