//! The rules of APMonitor that core checks, each with its number.

use super::{errors, in_monitor, in_ping, in_site, in_tcp, one, table, valid};
use crate::config::Origin;

#[test]
fn rule_1_names_are_unique() {
    let text = "\
site: {name: Lab}
monitors:
- {type: ping, name: a, address: 10.0.0.1}
- {type: ping, name: b, address: 10.0.0.1}
- {type: tcp, address: 'tcp://h:1', name: a}
- {name: a}
";
    assert_eq!(
        errors(text),
        [
            "5:43: monitor \"a\": \"name\" is already used by the monitor on line 3",
            "6:3: monitor \"a\": \"type\" is missing",
            "6:3: monitor \"a\": \"address\" is missing",
            "6:10: monitor \"a\": \"name\" is already used by the monitor on line 3",
        ]
    );
}

#[test]
fn names_that_differ_in_case_or_spaces_are_different() {
    let text = "\
site: {name: Lab}
monitors:
- {type: ping, name: a, address: 10.0.0.1}
- {type: ping, name: A, address: 10.0.0.1}
- {type: ping, name: 'a ', address: 10.0.0.1}
";
    assert_eq!(valid(text).monitors.len(), 3);
}

#[test]
fn rules_2_3_and_9_one_option_needs_another() {
    table(
        in_ping,
        &[
            ("check_every_n_secs: 60\nnotify_every_n_secs: 60", &[]),
            (
                "check_every_n_secs: 60\nnotify_every_n_secs: 59",
                &[
                    "7:24: monitor \"a\": \"notify_every_n_secs\" must not be less than check_every_n_secs (59 < 60)",
                ],
            ),
            // Across sections it is a warning.
            ("notify_every_n_secs: 1", &[]),
            ("check_every_n_secs: 3600", &[]),
            (
                "heartbeat_url: https://hc.example/x\nheartbeat_every_n_secs: 5",
                &[],
            ),
            ("heartbeat_url: https://hc.example/x", &[]),
            (
                "heartbeat_every_n_secs: 5",
                &["6:3: monitor \"a\": \"heartbeat_every_n_secs\" needs \"heartbeat_url\""],
            ),
            // An invalid URL is still present.
            (
                "heartbeat_every_n_secs: 5\nheartbeat_url: hc.example",
                &[
                    "7:18: monitor \"a\": \"heartbeat_url\" must be a URL that begins with http:// or https://",
                ],
            ),
            ("notify_every_n_secs: 60\nafter_every_n_notifications: 5", &[]),
            (
                "after_every_n_notifications: 5",
                &["6:3: monitor \"a\": \"after_every_n_notifications\" needs \"notify_every_n_secs\""],
            ),
        ],
    );
    table(
        in_site,
        &[
            ("check_every_n_secs: 60\nnotify_every_n_secs: 600", &[]),
            // APMonitor has the rule for monitors only.
            ("check_every_n_secs: 60\nnotify_every_n_secs: 30", &[]),
            // A site has a default for the other option.
            ("after_every_n_notifications: 5", &[]),
        ],
    );
}

#[test]
fn rule_2_is_a_warning_where_the_values_come_from_different_sections() {
    let why = "reminders would repeat the result of an old check";
    for (text, expected) in [
        (in_ping("check_every_n_secs: 60"), vec![]),
        (
            in_ping("check_every_n_secs: 3600"),
            vec![format!(
                "6:23: monitor \"a\": \"check_every_n_secs\" is more than notify_every_n_secs (3600 > 600, the default): {why}"
            )],
        ),
        (
            in_ping("notify_every_n_secs: 1"),
            vec![format!(
                "6:24: monitor \"a\": \"notify_every_n_secs\" is less than check_every_n_secs (1 < 60, the default): {why}"
            )],
        ),
        (
            in_site("notify_every_n_secs: 30"),
            vec![format!(
                "3:24: site: \"notify_every_n_secs\" is less than check_every_n_secs (30 < 60): {why}"
            )],
        ),
        (
            in_site("check_every_n_secs: 900"),
            vec![format!(
                "3:23: site: \"check_every_n_secs\" is more than notify_every_n_secs (900 > 600, the default): {why}"
            )],
        ),
    ] {
        let warnings = valid(&text).warnings;
        let warnings: Vec<_> = warnings
            .iter()
            .map(|warning| format!("{}:{}: {warning}", warning.at.line, warning.at.column))
            .collect();
        assert_eq!(warnings, expected, "{text}");
    }
}

#[test]
fn rule_6_urls_have_a_scheme_and_a_host() {
    table(
        |address| in_monitor("tcp", address, ""),
        &[
            ("tcp://h:22", &[]),
            ("'tcp://[::1]:22'", &[]),
            (
                "h:22",
                &["5:12: monitor \"a\": \"address\" must be a URL that begins with tcp:// (here: h:22)"],
            ),
            (
                "http://h:22",
                &["5:12: monitor \"a\": \"address\" must begin with tcp://, not http:// (here: http://h:22)"],
            ),
            (
                "tcp://:22",
                &["5:12: monitor \"a\": \"address\" has no host (here: tcp://:22)"],
            ),
            (
                "tcp://h:70000",
                &[
                    "5:12: monitor \"a\": \"address\" has a port that is not between 1 and 65535 (here: tcp://h:70000)",
                ],
            ),
            (
                "tcp://h:0",
                &[
                    "5:12: monitor \"a\": \"address\" has a port that is not between 1 and 65535 (here: tcp://h:0)",
                ],
            ),
            (
                "tcp://a b:22",
                &[
                    "5:12: monitor \"a\": \"address\" must not contain spaces or control characters; write %20 for a space (here: tcp://a b:22)",
                ],
            ),
            (
                "tcp://a..b:22",
                &[
                    "5:12: monitor \"a\": \"address\" has a host that is neither a name nor an address (here: tcp://a..b:22)",
                ],
            ),
        ],
    );
    let url = |url: &str| in_ping(&format!("heartbeat_url: {url}"));
    table(
        url,
        &[
            ("http://h/x", &[]),
            ("HTTPS://h", &[]),
            (
                "ftp://h",
                &["6:18: monitor \"a\": \"heartbeat_url\" must begin with http:// or https://, not ftp://"],
            ),
            (
                "https:///x",
                &["6:18: monitor \"a\": \"heartbeat_url\" has no host"],
            ),
        ],
    );
}

#[test]
fn rules_13_14_35_and_36_switches_accept_words() {
    for (word, value) in [
        ("true", true),
        ("YES", true),
        ("on", true),
        ("1", true),
        ("\"no\"", false),
        ("Off", false),
        ("0", false),
    ] {
        let server = "email_server: {smtp_host: h, smtp_port: 25, from_address: a@b.example}";
        let flags = format!("email_outages: {word}, email_recoveries: {word}, email_reminders: {word}");
        let file = valid(&in_site(&format!(
            "{server}\noutage_emails: [{{email: a@b.example, {flags}}}]\nalarms: {word}"
        )));
        let switches = file.channels[0].blueprint.switches;
        let flags = [switches.outages, switches.recoveries, switches.reminders];
        assert_eq!(flags, [value; 3], "{word}");
        assert_eq!(file.site.alarms, Some(value), "{word}");

        let monitor = one(&in_ping(&format!(
            "email: {word}\ndisplay: {word}\nalarms: {word}"
        )));
        let flags = [monitor.email.value, monitor.display.value, monitor.alarms.value];
        assert_eq!(flags, [value; 3], "{word}");
    }
    table(
        in_ping,
        &[(
            "email: perhaps\ndisplay: 2\nalarms: [no]",
            &[
                "6:10: monitor \"a\": \"email\" must be yes or no, not \"perhaps\"",
                "7:12: monitor \"a\": \"display\" must be yes or no, not \"2\"",
                "8:11: monitor \"a\": \"alarms\" must be yes or no, found a list",
            ],
        )],
    );
}

#[test]
fn rule_36_a_monitor_overrides_its_site() {
    let text = "\
site: {name: Lab, alarms: no, check_every_n_secs: 300}
monitors:
- {type: ping, name: a, address: 10.0.0.1}
- {type: ping, name: b, address: 10.0.0.1, alarms: yes, check_every_n_secs: 5}
";
    let monitors = valid(text).monitors;
    let alarms = monitors
        .iter()
        .map(|monitor| (monitor.alarms.value, monitor.alarms.origin));
    assert_eq!(
        alarms.collect::<Vec<_>>(),
        [(false, Origin::Site), (true, Origin::Monitor)]
    );
    let every = monitors.iter().map(|monitor| monitor.check_every.value.get());
    assert_eq!(every.collect::<Vec<_>>(), [300, 5]);
    assert_eq!(monitors[0].max_try.origin, Origin::Default);
}

#[test]
fn rule_34_the_type_snmp_is_now_ports() {
    assert_eq!(
        errors(&in_monitor("snmp", "snmp://h", "")),
        ["3:9: monitor \"a\": type 'snmp' is not valid. Did you mean type: ports?"]
    );
    assert_eq!(
        errors(&in_monitor("switch", "snmp://h", "")),
        ["3:9: monitor \"a\": type 'switch' is not valid. Did you mean type: ports?"]
    );
}

#[test]
fn an_unknown_type_is_reported_with_the_known_ones() {
    table(
        |kind| in_monitor(kind, "h", ""),
        &[
            (
                "pnig",
                &[
                    "3:9: monitor \"a\": \"type\" must be one of ping, tcp, port, not \"pnig\"; did you mean ping?",
                ],
            ),
            (
                "TCP",
                &[
                    "3:9: monitor \"a\": \"type\" must be one of ping, tcp, port, not \"TCP\"; did you mean tcp?",
                ],
            ),
            (
                "smtp-banner",
                &["3:9: monitor \"a\": \"type\" must be one of ping, tcp, port, not \"smtp-banner\""],
            ),
            (
                "[ping]",
                &["3:9: monitor \"a\": \"type\" must be text, found a list"],
            ),
        ],
    );
}

#[test]
fn an_option_of_another_kind_is_reported_with_that_kind() {
    table(
        in_ping,
        &[
            (
                "expect: x\nmac: 18:12:29:45:10:11",
                &[
                    "6:3: monitor \"a\": \"expect\" is not an option of type ping; it belongs to tcp",
                    "7:3: monitor \"a\": \"mac\" is not an option of type ping; it belongs to port",
                ],
            ),
            // Its value is not checked.
            (
                "send: [1, 2]",
                &["6:3: monitor \"a\": \"send\" is not an option of type ping; it belongs to tcp"],
            ),
        ],
    );
    table(
        in_tcp,
        &[(
            "content_type: hex",
            &["6:3: monitor \"a\": \"content_type\" needs \"send\""],
        )],
    );
}

#[test]
fn reserved_names_are_refused() {
    for name in ["apmon", "execution_time", "execution_ms"] {
        let text = format!("site: {{name: Lab}}\nmonitors:\n- {{type: ping, address: h, name: {name}}}\n");
        assert_eq!(
            errors(&text),
            [format!(
                "3:34: monitor \"{name}\": \"name\" must not be one of apmon, execution_time, execution_ms: \
                 the state file reserves these names"
            )]
        );
    }
}

#[test]
fn all_missing_options_are_reported_together() {
    table(
        str::to_owned,
        &[
            (
                "site: {}\nmonitors:\n- {}\n- type: port\n",
                &[
                    "1:7: site: \"name\" is missing",
                    "3:3: monitor 1: \"name\" is missing",
                    "3:3: monitor 1: \"type\" is missing",
                    "3:3: monitor 1: \"address\" is missing",
                    "4:3: monitor 2: \"name\" is missing",
                    "4:3: monitor 2: \"address\" is missing",
                    "4:3: monitor 2: \"port\" is missing",
                    "4:3: monitor 2: \"mac\" is missing",
                ],
            ),
            // An invalid option is not reported as missing too.
            (
                "site: {name: ''}\nmonitors:\n- {type: port, name: [], address: {}, port: -1, mac: ''}\n",
                &[
                    "1:14: site: \"name\" must not be empty",
                    "3:22: monitor 1: \"name\" must be text, found a list",
                    "3:35: monitor 1: \"address\" must be text, found a section",
                    "3:45: monitor 1: \"port\" must be 0 to 4294967295, not \"-1\"",
                    "3:54: monitor 1: \"mac\" must not be empty",
                ],
            ),
        ],
    );
}
