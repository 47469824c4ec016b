//! `apmon pacing`: when the reminders of an outage would be sent.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use serde_json::{Value, json};
use support::Lab;

fn pacing(options: &str) -> String {
    let arguments: Vec<_> = ["pacing"].into_iter().chain(options.split(' ')).collect();
    let output = Lab::new().run(&arguments);
    output.assert_code(0);
    assert_eq!(output.err, [""; 0]);
    output.out.join("\n")
}

#[test]
fn waits_grow_to_the_longest_interval() {
    assert_eq!(
        pacing("--notify-every-n-secs 8 --after-every-n-notifications 4 --count 5"),
        "\
NOTIFICATION  WAIT (secs)  AFTER (secs)  DOWN FOR
outage        0            0             0 secs
reminder 1    3.5          3.5           3 secs
reminder 2    6            9.5           9 secs
reminder 3    7.5          17            17 secs
reminder 4    8            25            25 secs
reminder 5    8            33            33 secs"
    );
}

#[test]
fn by_default_all_waits_are_the_same() {
    assert_eq!(
        pacing("--notify-every-n-secs 3600"),
        "\
NOTIFICATION  WAIT (secs)  AFTER (secs)  DOWN FOR
outage        0            0             0 secs
reminder 1    3600         3600          1 hrs 0 mins
reminder 2    3600         7200          2 hrs 0 mins
reminder 3    3600         10800         3 hrs 0 mins
reminder 4    3600         14400         4 hrs 0 mins"
    );
}

#[test]
fn the_table_as_json() {
    let json: Value = serde_json::from_str(&pacing(
        "--notify-every-n-secs 8 --after-every-n-notifications 4 --count 5 --json",
    ))
    .unwrap();
    let point = |reminder: u32, wait: f64, after: f64| json!({"reminder": reminder, "wait_secs": wait, "after_secs": after});
    assert_eq!(
        json,
        json!([
            point(1, 3.5, 3.5),
            point(2, 6.0, 9.5),
            point(3, 7.5, 17.0),
            point(4, 8.0, 25.0),
            point(5, 8.0, 33.0)
        ])
    );
}

#[test]
fn invalid_numbers_are_usage_errors() {
    for (options, part) in [
        (
            "--notify-every-n-secs 0",
            "must be a number of seconds greater than 0",
        ),
        ("--notify-every-n-secs -1", "-1"),
        (
            "--notify-every-n-secs soon",
            "must be a number of seconds greater than 0",
        ),
        (
            "--notify-every-n-secs inf",
            "must be a number of seconds greater than 0",
        ),
        (
            "--notify-every-n-secs 8 --after-every-n-notifications 0",
            "invalid value '0'",
        ),
        ("--notify-every-n-secs 8 --count 0", "invalid value '0'"),
        ("--notify-every-n-secs 8 --count 10001", "invalid value '10001'"),
        ("--after-every-n-notifications 3", "--notify-every-n-secs <S>"),
    ] {
        let arguments: Vec<_> = ["pacing"].into_iter().chain(options.split(' ')).collect();
        let output = Lab::new().run(&arguments);
        output.assert_code(2);
        assert_eq!(output.out, [""; 0], "{options}");
        assert!(
            output.err.join("\n").contains(part),
            "{options}: {}",
            output.text()
        );
    }
}
