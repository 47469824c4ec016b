//! Site files with one error each: the message is the one that its author needs.
#![cfg(all(feature = "dns", feature = "mail", feature = "quic", feature = "snmp"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::Lab;

/// The errors of a site file, without the name of the file.
fn errors(text: &str) -> Vec<String> {
    let lab = Lab::new();
    lab.write("site.yaml", text);
    let output = lab.run(&["--test-config", "site.yaml"]);
    output.assert_code(1);
    let lines = output.err.iter();
    lines
        .map(|line| {
            line.trim_start()
                .strip_prefix("ERROR site.yaml:")
                .unwrap_or(line)
                .to_owned()
        })
        .collect()
}

/// A site with this monitor.
fn monitor(options: &str) -> String {
    format!(
        "site:\n  name: Home\nmonitors:\n  - {}\n",
        options.replace('\n', "\n    ")
    )
}

#[test]
fn a_syntax_error_is_reported_where_it_was_made() {
    for (text, expected) in [
        (
            "site:\n  name: Home\n  outage_webhooks:\n    - {preset: slack, url: ${SLACK_URL}}\nmonitors: []\n".to_owned(),
            "4:28: ${SLACK_URL} must be in quotes within { } or [ ]: \"${SLACK_URL}\"",
        ),
        (
            monitor("type: http\nname: web\naddress: \"http://127.0.0.1:80/\nexpect: it's"),
            "6:14: the quote \" that begins here is not closed",
        ),
        (
            monitor("type: http\nname: web\naddress: \"http://127.0.0.1:80/\nexpect: \"it\""),
            "6:14: the quote \" that begins here is not closed",
        ),
        (
            monitor("type:ping\nname: gw\naddress: 127.0.0.1"),
            "4:10: write a space after the colon: \"type: ...\"",
        ),
        (
            "site:\n  name: Home\nmonitors:\n  - type: ping\n      name: gw\n".to_owned(),
            "5:7: this line is indented deeper than the one above, which has a value already; indent both alike",
        ),
        (
            "site:\n  name: Home\nmonitors:\n  - type: ping\n   name: gw\n".to_owned(),
            "5:4: expected a list entry (\"- \") here; is the line indented like those above?",
        ),
    ] {
        assert_eq!(errors(&text), [expected], "{text}");
    }
}

#[test]
fn options_that_are_not_indented_are_named() {
    assert_eq!(
        errors("site:\nname: Home\nmonitors:\n- type: ping\nname: gw\naddress: 127.0.0.1\n"),
        [
            "1:5: site: must be a section of options, found nothing; are its options indented below it?",
            "2:1: \"name\" is an option, not a section: indent it below \"site\", or below the \"- \" of its monitor",
            "4:3: monitor 1: \"name\" is missing",
            "4:3: monitor 1: \"address\" is missing",
            "5:1: \"name\" is already given on line 2",
            "6:1: \"address\" is an option, not a section: indent it below \"site\", or below the \"- \" of its monitor",
        ]
    );
    assert_eq!(
        errors("site: {name: Home}\nmonitors:\n- type:ping\n"),
        [
            "3:3: monitor 1: must be a section of options, found a single value; write a space after the colon: \"type: ...\""
        ]
    );
}

#[test]
fn words_of_other_tools_are_answered_with_those_of_a_site_file() {
    let text = "site:\n  name: Home\n  intervall: 60\nmonitors:\n  - type: ping\n    name: gw\n    adress: 127.0.0.1\n    interval: 60\n    \
                retries: 3\n    timeout: 5\n    tags: [a]\n    enabled: yes\n  - type: http\n    name: web\n    url: http://127.0.0.1/\n    basic_auth: a:b\n";
    assert_eq!(
        errors(text),
        [
            "3:3: site: unknown option \"intervall\"; it is called \"check_every_n_secs\" here",
            "7:5: monitor \"gw\": unknown option \"adress\"; did you mean \"address\"?",
            "8:5: monitor \"gw\": unknown option \"interval\"; it is called \"check_every_n_secs\" here",
            "9:5: monitor \"gw\": unknown option \"retries\"; it is called \"max_retries\" here",
            "10:5: monitor \"gw\": unknown option \"timeout\"; it is called \"max_try_secs\" here",
            "11:5: monitor \"gw\": \"tags\" is not an option: apmon has no tags; a comment (# ...) can take their place",
            "12:5: monitor \"gw\": \"enabled\" is not an option: remove a monitor that is not to be checked, or silence it with alarms: no",
            "15:5: monitor \"web\": unknown option \"url\"; it is called \"address\" here",
            "16:5: monitor \"web\": \"basic_auth\" is not an option: write the login into the address, http://USER:PASSWORD@HOST/",
        ]
    );
    for (kind, expected) in [
        ("icmp", "not \"icmp\"; did you mean ping?"),
        ("https", "not \"https\"; did you mean http?"),
        ("docker", "not \"docker\""),
        ("snmp", "type 'snmp' is not valid. Did you mean type: ports?"),
        ("switch", "type 'switch' is not valid. Did you mean type: ports?"),
    ] {
        let errors = errors(&monitor(&format!("type: {kind}\nname: a\naddress: 127.0.0.1")));
        assert!(errors.len() == 1 && errors[0].ends_with(expected), "{errors:?}");
    }
}

#[test]
fn values_that_are_nearly_right_say_what_to_write() {
    let with = |option: &str| monitor(&format!("type: ping\nname: gw\naddress: 127.0.0.1\n{option}"));
    for (text, expected) in [
        (
            with("check_every_n_secs: 1m"),
            "7:25: monitor \"gw\": \"check_every_n_secs\" must be a whole number, not \"1m\"; write 60",
        ),
        (
            with("max_try_secs: 5s"),
            "7:19: monitor \"gw\": \"max_try_secs\" must be a whole number, not \"5s\"; write 5",
        ),
        (
            with("notify_every_n_secs: 1.5"),
            "7:26: monitor \"gw\": \"notify_every_n_secs\" must be a whole number, not \"1.5\"",
        ),
        (
            with("max_retries: 0"),
            "7:18: monitor \"gw\": \"max_retries\" must be 1 to 4294967295, not 0",
        ),
        (
            monitor("type: ping\nname:\naddress: 127.0.0.1"),
            "5:9: monitor 1: \"name\" has no value; give one",
        ),
        (
            monitor("type: ping\nname: gw\naddress: 127.0.0.256"),
            "6:14: monitor \"gw\": \"address\" is not an IPv4 address, which consists of four numbers from 0 to 255",
        ),
        (
            monitor("type: port\nname: p\naddress: snmp://127.0.0.1\nport: 1\nmac: FF:FF:FF:FF:FF:FF"),
            "8:10: monitor \"p\": \"mac\" must be the address of one station, not a broadcast address",
        ),
        (
            monitor("type: port\nname: p\naddress: snmp://127.0.0.1\nport: 1\nmac: 01:00:5E:00:00:FB"),
            "8:10: monitor \"p\": \"mac\" must be the address of one station, not a multicast address",
        ),
        (
            monitor("type: tcp\nname: t\naddress: tcp://127.0.0.1:22\nignore_ssl_expiry: yes"),
            "7:5: monitor \"t\": \"ignore_ssl_expiry\" needs",
        ),
        (
            monitor("type: http\nname: t\naddress: http://127.0.0.1/\nignore_ssl_expiry: yes"),
            "7:5: monitor \"t\": \"ignore_ssl_expiry\" needs an address that begins with https://",
        ),
    ] {
        let errors = errors(&text);
        assert!(
            errors.len() == 1 && errors[0].starts_with(expected),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn what_may_surprise_is_a_hint() {
    let lab = Lab::new();
    let zeros = "0".repeat(64);
    lab.write(
        "site.yaml",
        format!(
            "site:\n  name: Home\n  notify_every_n_secs: 30\n  outage_webhooks:\n  - endpoint_url: https://api.pushover.net/1/messages.json\n    \
             request_method: POST\n    request_encoding: JSON\n    request_prefix: token=t0ken&user=us3r&message=\nmonitors:\n\
             - {{type: http, name: web, address: 'https://127.0.0.1/', ssl_fingerprint: '{zeros}', expect: 200}}\n\
             - {{type: ports, name: switch, address: 'snmp://127.0.0.1', community: public}}\n\
             - {{type: ping, name: own, address: 127.0.0.1, check_every_n_secs: 40}}\n"
        ),
    );
    let output = lab.run(&["--test-config", "site.yaml"]);
    output.assert_code(0);
    for expected in [
        "site.yaml:3:24: site: \"notify_every_n_secs\" is less than check_every_n_secs (30 < 60): ",
        "\"request_prefix\" consists of form fields",
        "\"ssl_fingerprint\" is all zeros",
        "\"expect\" is searched in the body of the answer; for the status use expect_status: 200",
        "\"community\" is public",
        "monitor \"own\": \"check_every_n_secs\" is more than notify_every_n_secs (40 > 30, the site's value): ",
    ] {
        let found = output.err.iter().filter(|line| line.contains(expected));
        assert_eq!(found.count(), 1, "{expected}: {}", output.text());
    }
    assert!(!output.text().contains("t0ken"), "{}", output.text());
}
