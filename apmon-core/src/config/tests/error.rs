//! Errors in the content: all are reported together, each with its position.

use super::{errors, in_ping, in_site, read, table, valid};

#[test]
fn all_errors_of_a_file_are_reported_in_its_order() {
    let text = "\
site:
  name: Lab
  chek_every_n_secs: 5
  max_threads: 0
  max_retries: -3
  max_try_secs: 20.0
  notify_every_n_secs: 400000000
  check_every_n_secs:
  alarms: maybe
  email_server:
    smtp_host: bad host
    smtp_port: 70000
    smtp_password: [a]
    use_tls:
      a: b
  outage_emails:
    - email: a@b@c
      email_outages: perhaps
    - just text
    -
monitors:
  - type: ping
    name: a
    address: 1.2.3
    heartbeat_every_n_secs: 5
    expect: foo
  - type: prot
    name: a
    check_every_n_sec: 3
    comunity: x
  - just text
  -
  - name: apmon
  - type: tcp
    name: t
    address: tcp://h
    codes: [1, x, 70000, 2]
    content_type: Text
    send: a
";
    assert_eq!(
        errors(text),
        [
            "3:3: site: unknown option \"chek_every_n_secs\"; did you mean \"check_every_n_secs\"?",
            "4:16: site: \"max_threads\" must be 1 to 4294967295, not 0",
            "5:16: site: \"max_retries\" must be 1 to 4294967295, not -3",
            "6:17: site: \"max_try_secs\" must be a whole number, not \"20.0\"",
            "7:24: site: \"notify_every_n_secs\" must be 1 to 315360000 seconds, not 400000000",
            "8:21: site: \"check_every_n_secs\" has no value; give one or remove the line",
            "9:11: site: \"alarms\" must be yes or no, not \"maybe\"",
            "11:5: email_server: \"from_address\" is missing",
            "11:16: email_server: \"smtp_host\" must be a host name or an address",
            "12:16: email_server: \"smtp_port\" must be a port, 1 to 65535, not 70000",
            "13:20: email_server: \"smtp_password\" must be text, found a list",
            "15:7: email_server: \"use_tls\" must be yes or no, found a section",
            "17:14: outage_emails 1: \"email\" must be an e-mail address",
            "18:22: outage_emails 1: \"email_outages\" must be yes or no, not \"perhaps\"",
            "19:7: outage_emails 2: must be a section of options, found a single value",
            "20:6: outage_emails 3: must be a section of options, found nothing; are its options indented below it?",
            "24:14: monitor \"a\": \"address\" must be a host name or an address",
            "25:5: monitor \"a\": \"heartbeat_every_n_secs\" needs \"heartbeat_url\"",
            "26:5: monitor \"a\": \"expect\" is not an option of type ping; it belongs to tcp",
            "27:5: monitor \"a\": \"address\" is missing",
            "27:11: monitor \"a\": \"type\" must be one of ping, tcp, port, not \"prot\"; did you mean port?",
            "28:11: monitor \"a\": \"name\" is already used by the monitor on line 22",
            "29:5: monitor \"a\": unknown option \"check_every_n_sec\"; did you mean \"check_every_n_secs\"?",
            "30:5: monitor \"a\": unknown option \"comunity\"; did you mean \"community\"?",
            "31:5: monitor 3: must be a section of options, found a single value",
            "32:4: monitor 4: must be a section of options, found nothing; are its options indented below it?",
            "33:5: monitor \"apmon\": \"type\" is missing",
            "33:5: monitor \"apmon\": \"address\" is missing",
            "33:11: monitor \"apmon\": \"name\" must not be one of apmon, execution_time, execution_ms: the state file reserves these names",
            "37:16: monitor \"t\": \"codes\" must be a whole number, not \"x\"",
            "37:19: monitor \"t\": \"codes\" must be 0 to 65535, not \"70000\"",
            "38:19: monitor \"t\": \"content_type\" must be text or hex or base64, not \"Text\"; did you mean text?",
        ]
    );
}

#[test]
fn missing_and_malformed_sections_are_reported() {
    table(
        str::to_owned,
        &[
            (
                "{}",
                &[
                    "1:1: the section \"site\" is missing",
                    "1:1: the section \"monitors\" is missing",
                ],
            ),
            (
                "- site\n- monitors\n",
                &["1:1: a site file must have the sections site and monitors, found a list"],
            ),
            (
                "hello\n",
                &["1:1: a site file must have the sections site and monitors, found a single value"],
            ),
            (
                "null\n",
                &["1:1: a site file must have the sections site and monitors, found nothing"],
            ),
            (
                "site: Lab\nmonitors: {a: b}\n",
                &[
                    "1:7: site: must be a section of options, found a single value",
                    "2:11: \"monitors\" must be a list, found a section; begin each monitor with \"- \"",
                ],
            ),
            (
                "site: {name: a}\nmonitors:\n",
                &["2:9: \"monitors\" must be a list, found nothing"],
            ),
            (
                "site: {name: a}\nmonitors: []\n",
                &["2:11: \"monitors\" is empty: there is nothing to monitor"],
            ),
            (
                "Site: {name: a}\nmonitor: []\n",
                &[
                    "1:1: the section \"site\" is missing; should \"Site\" on line 1 be \"site\"?",
                    "2:1: the section \"monitors\" is missing; should \"monitor\" on line 2 be \"monitors\"?",
                ],
            ),
        ],
    );
    table(
        in_site,
        &[(
            "outage_emails: a@b.example\noutage_webhooks: {}\nemail_server: {smtp_host: h, smtp_port: 1, from_address: a@b}",
            &[
                "3:18: site: \"outage_emails\" must be a list, found a single value",
                "4:20: site: \"outage_webhooks\" must be a list, found a section",
            ],
        )],
    );
}

#[test]
fn an_unknown_option_is_reported_with_the_most_similar_one() {
    table(
        in_ping,
        &[(
            "max_retrys: 3\nCHECK_EVERY_N_SECS: 5\nzzz: 1\nalarm: no\n'': 1\n~: 2",
            &[
                "6:3: monitor \"a\": unknown option \"max_retrys\"; did you mean \"max_retries\"?",
                "7:3: monitor \"a\": unknown option \"CHECK_EVERY_N_SECS\"; did you mean \"check_every_n_secs\"?",
                "8:3: monitor \"a\": unknown option \"zzz\"",
                "9:3: monitor \"a\": unknown option \"alarm\"; did you mean \"alarms\"?",
                "10:3: monitor \"a\": unknown option \"\"",
                "11:3: monitor \"a\": unknown option \"~\"",
            ],
        )],
    );
    let long = "k".repeat(500);
    assert_eq!(
        errors(&in_ping(&format!("{long}: 1"))),
        [format!(
            "6:3: monitor \"a\": unknown option \"{}...\"",
            "k".repeat(60)
        )]
    );
}

#[test]
fn an_unknown_top_level_key_is_a_warning_unless_it_is_private() {
    let text = "\
x-anything: [1, 2]
x-: 3
notes: hello
moniters: []
site: {name: Lab}
monitors:
- {type: tcp, name: a, address: 'tcp://h:1', login: {user: u, password: p}}
";
    let file = valid(text);
    let warnings = file
        .warnings
        .iter()
        .map(|warning| format!("{}:{}: {warning}", warning.at.line, warning.at.column));
    assert_eq!(
        warnings.collect::<Vec<_>>(),
        [
            "3:1: unknown section \"notes\" is ignored",
            "4:1: unknown section \"moniters\" is ignored; did you mean \"monitors\"?",
            "7:53: monitor \"a\": \"login\" is sent unencrypted",
        ]
    );
}

#[test]
fn control_characters_in_names_are_escaped() {
    let text = "site: {name: Lab}\nmonitors:\n- {name: \"a\\e[2J\\n\\u202Eb\", \"k\\x07\": \"\\e\", type: \"\\e]0;x\"}\n";
    assert_eq!(
        errors(text),
        [
            "3:3: monitor \"a\\u{1b}[2J\\n\\u{202e}b\": \"address\" is missing",
            "3:29: monitor \"a\\u{1b}[2J\\n\\u{202e}b\": unknown option \"k\\u{7}\"",
            "3:50: monitor \"a\\u{1b}[2J\\n\\u{202e}b\": \"type\" must be one of ping, tcp, port, not \"\\u{1b}]0;x\"",
        ]
    );
    let long = "n".repeat(3000);
    let text = format!("site: {{name: Lab}}\nmonitors:\n- {{name: {long}, type: ping}}\n");
    assert_eq!(
        errors(&text),
        [format!(
            "3:3: monitor \"{}...\": \"address\" is missing",
            "n".repeat(80)
        )]
    );
}

#[test]
fn of_thousands_of_errors_only_the_first_are_shown() {
    let text = format!("site: {{name: Lab}}\nmonitors:\n{}", "- {}\n".repeat(1000));
    let lines = read(&text).unwrap_err();
    assert_eq!(lines.len(), 201);
    assert_eq!(lines[199], "lab.yaml:69:3: monitor 67: \"type\" is missing");
    assert_eq!(lines[200], "lab.yaml: and 2800 more errors");
}

#[test]
fn columns_count_characters() {
    let text = "site: {name: Zürich 東京 😀, alarms: x}\nmonitors: [{type: ping, name: ä, address: h}]\n";
    assert_eq!(
        errors(text),
        ["1:35: site: \"alarms\" must be yes or no, not \"x\""]
    );
}

#[test]
fn a_file_of_another_tool_is_recognised() {
    let gatus = "endpoints:\n- {name: web, url: \"http://h/\"}\n";
    let hint = "; \"endpoints\" on line 1 is a section of Gatus, whose files have to be rewritten";
    assert_eq!(
        errors(gatus),
        [
            format!("1:1: the section \"site\" is missing{hint}"),
            format!("1:1: the section \"monitors\" is missing{hint}"),
        ]
    );
    // Its other keys are not options of ours.
    let kuma = errors("version: 1\nmonitorList: []\n");
    assert_eq!(kuma.len(), 2, "{kuma:?}");
}

#[test]
fn a_misplaced_section_and_a_list_that_is_none_are_explained() {
    let inside = "site:\n  name: Lab\n  monitors:\n  - {type: ping, name: a, address: h}\n";
    assert_eq!(
        errors(inside)[0],
        "1:1: the section \"monitors\" is missing; the one on line 3 is indented, but begins at the start of a line"
    );
    let section = "site: {name: Lab}\nmonitors:\n  type: ping\n  name: a\n  address: h\n";
    assert_eq!(
        errors(section),
        ["3:3: \"monitors\" must be a list, found a section; begin each monitor with \"- \""]
    );
}
