//! Values that keep their text, numbers, and switches.

use serde_json::json;

use super::{errors, in_monitor, in_ping, in_tcp, one, table, valid, value_of};

#[test]
fn the_type_that_reads_a_value_decides_what_its_text_means() {
    let digits = "1234567890".repeat(6) + "1234";
    for written in [
        "1234e10",
        &digits,
        "0123",
        "0x1F",
        "1_000",
        "1.10",
        "+5",
        "-0",
        ".5",
        "1e3",
        "yes",
        "No",
        "on",
        "off",
        "y",
        "true",
        "NaN",
        ".inf",
        "2026-02-11",
        "12:30:45",
        "a:b",
        "=",
        "~x",
        "nulls",
        "a#b",
        "00:00:00",
    ] {
        let text = in_tcp(&format!("send: {written}"));
        assert_eq!(value_of(&text, "send"), json!(written), "{written}");
    }
    let port = |mac: &str| in_monitor("port", "snmp://h", &format!("port: 0\nmac: {mac}"));
    for mac in [
        "18:12:29:45:10:11",
        "18:E8:29:45:F8:F7",
        "00:00:00:00:00:00",
        "18e829450811",
    ] {
        assert_eq!(value_of(&port(mac), "mac"), json!(mac));
    }
}

#[test]
fn quotes_and_blocks_follow_yaml() {
    for (written, value) in [
        (r#""EHLO apmon\r\n""#, "EHLO apmon\r\n"),
        (r#"'EHLO apmon\r\n'"#, r"EHLO apmon\r\n"),
        ("'it''s'", "it's"),
        (r#"'{"event": "test"}'"#, r#"{"event": "test"}"#),
        ("|\n  a\n  b", "a\nb\n"),
        ("|-\n  a\n  b", "a\nb"),
        (">\n  a\n  b", "a b\n"),
        ("a\n  b", "a b"),
        ("''", ""),
        ("'null'", "null"),
        ("!!str null", "null"),
        ("!!str", ""),
        ("\"~\"", "~"),
        ("a # comment", "a"),
        ("\"a # b\"", "a # b"),
        (r#""\u00e4\x41\/\U0001F600""#, "äA/😀"),
    ] {
        assert_eq!(
            value_of(&in_tcp(&format!("send: {written}")), "send"),
            json!(value),
            "{written}"
        );
    }
}

#[test]
fn an_empty_value_is_an_error() {
    for written in ["", "~", "null", "Null", "NULL", "# comment"] {
        let lines = errors(&in_tcp(&format!("send: {written}")));
        assert_eq!(lines.len(), 1, "{written}");
        let text = "monitor \"a\": \"send\" has no value; give one or remove the line";
        assert!(lines[0].ends_with(text), "{written}: {}", lines[0]);
    }
    assert_eq!(
        errors(&in_ping("email: ~\ncheck_every_n_secs:\nheartbeat_url: null")),
        [
            "6:10: monitor \"a\": \"email\" has no value; give one or remove the line",
            "7:21: monitor \"a\": \"check_every_n_secs\" has no value; give one or remove the line",
            "8:18: monitor \"a\": \"heartbeat_url\" has no value; give one or remove the line",
        ]
    );
}

#[test]
fn yes_and_no_can_be_written_in_eighteen_words_of_any_case() {
    let yes = ["true", "t", "yes", "y", "on", "ok", "good", "positive", "1"];
    let no = ["false", "f", "no", "n", "off", "bad", "fail", "negative", "0"];
    for (words, value) in [(yes, true), (no, false)] {
        for word in words {
            let mut capital = word.to_owned();
            capital[..1].make_ascii_uppercase();
            for word in [word.to_owned(), word.to_uppercase(), capital] {
                for quoted in [word.clone(), format!("'{word}'"), format!("\"{word}\"")] {
                    let entry = one(&in_ping(&format!("display: {quoted}")));
                    assert_eq!(entry.display.value, value, "{quoted}");
                }
            }
        }
    }
    for word in ["yes!", "ja", "2", "-1", "' yes'", "1.0", "''", "enabled", "nope"] {
        let text = word.trim_matches('\'');
        assert_eq!(
            errors(&in_ping(&format!("display: {word}"))),
            [format!(
                "6:12: monitor \"a\": \"display\" must be yes or no, not \"{text}\""
            )]
        );
    }
}

#[test]
fn numbers_outside_their_range_are_refused() {
    let entry = one(&in_ping(
        "check_every_n_secs: '007'\nmax_retries: +4\nmax_try_secs: 315360000",
    ));
    assert_eq!(entry.check_every.value.get(), 7);
    assert_eq!(entry.max_retries.value.get().get(), 4);
    assert_eq!(entry.max_try.value.get(), 315_360_000);
    table(
        |value| in_ping(&format!("check_every_n_secs: {value}")),
        &[
            ("1", &[]),
            (
                "0",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be 1 to 315360000 seconds, not 0"],
            ),
            (
                "-5",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be 1 to 315360000 seconds, not -5"],
            ),
            (
                "99999999999999999999",
                &[
                    "6:23: monitor \"a\": \"check_every_n_secs\" must be 1 to 315360000 seconds, not 99999999999999999999",
                ],
            ),
            (
                "99999999999999999999999999999999999999999",
                &[
                    "6:23: monitor \"a\": \"check_every_n_secs\" must be a number of at most 38 digits, not \"9999999999999999999999999999999999999999...\"",
                ],
            ),
            (
                "60s",
                &[
                    "6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"60s\"; write 60",
                ],
            ),
            (
                "1.5",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"1.5\""],
            ),
            (
                "1e3",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"1e3\""],
            ),
            (
                "0x10",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"0x10\""],
            ),
            (
                "''",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"\""],
            ),
            (
                "yes",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, not \"yes\""],
            ),
            (
                "[60]",
                &["6:23: monitor \"a\": \"check_every_n_secs\" must be a whole number, found a list"],
            ),
        ],
    );
    table(
        |value| in_tcp(&format!("share: {value}")),
        &[
            ("0.5", &[]),
            ("-1e3", &[]),
            ("7", &[]),
            (
                "inf",
                &["6:10: monitor \"a\": \"share\" must be a number, not \"inf\""],
            ),
            (
                "NaN",
                &["6:10: monitor \"a\": \"share\" must be a number, not \"NaN\""],
            ),
            (
                "1e999",
                &["6:10: monitor \"a\": \"share\" must be a number, not \"1e999\""],
            ),
            (
                "half",
                &["6:10: monitor \"a\": \"share\" must be a number, not \"half\""],
            ),
        ],
    );
}

#[test]
fn defaults_are_those_of_the_seed() {
    let file = valid("site: {name: Lab}\nmonitors: [{type: ping, name: a, address: h}]\n");
    let entry = &file.monitors[0];
    let numbers = [
        entry.check_every.value.get(),
        entry.notify_every.value.get(),
        entry.max_try.value.get(),
        entry.max_retries.value.get().get().into(),
        entry.after_every_n.value.get().get().into(),
    ];
    assert_eq!(numbers, [60, 600, 20, 3, 1]);
    assert!(entry.alarms.value && entry.email.value && entry.display.value);
    assert!(file.site.max_threads.is_none(), "no limit");
}
