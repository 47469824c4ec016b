//! A program as a channel: what it is given, and what its end means.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::time::Duration;

use apmon_core::{
    DeliveryError, Notification, NotificationKind, Notifier, Secret, Stopwatch, config::OutageCommand,
};
use apmon_notify::{Command, command_ids};

const NASTY: &str = "R&D's \"web\"\n$(touch /tmp/x) `id` {{text}} ünï";

fn message() -> Notification {
    Notification {
        id: "abc-1".into(),
        incident: "abc".into(),
        kind: NotificationKind::Outage,
        site: "HomeLab".into(),
        monitor: NASTY.into(),
        address: "http://h/".into(),
        text: "web in HomeLab new outage: x".into(),
        number: 1,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:18:00Z".parse().unwrap()),
        lasted: None,
        next_reminder: None,
        ended: None,
    }
}

fn options(program: &str, args: &[&str]) -> OutageCommand {
    OutageCommand {
        program: Some(serde_json::from_value(program.into()).unwrap()),
        args: args.iter().map(|text| Secret::new(*text)).collect(),
        ..OutageCommand::default()
    }
}

async fn run(options: &OutageCommand, timeout: Duration) -> Result<(), DeliveryError> {
    let command = Command::new(options, timeout).unwrap();
    command.deliver(&message(), "abc-1-exec:sh").await
}

async fn sh(script: &str) -> Result<(), DeliveryError> {
    run(&options("/bin/sh", &["-c", script]), Duration::from_secs(20)).await
}

#[tokio::test]
async fn the_message_comes_on_stdin_and_in_variables() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("got");
    let script = "cat > \"$0\"; printf '%s' \"$APMON_MONITOR|$APMON_STATE|$APMON_KEY\" > \"$0.env\"";
    let options = options("/bin/sh", &["-c", script, file.to_str().unwrap()]);
    run(&options, Duration::from_secs(20)).await.unwrap();
    let got: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(got["monitor"], NASTY);
    assert_eq!(got["text"], "web in HomeLab new outage: x");
    assert_eq!(got["state"], "down");
    assert_eq!(got["since"], "2026-02-11T14:18:00Z");
    let variables = std::fs::read_to_string(file.with_extension("env")).unwrap();
    assert_eq!(variables, format!("{NASTY}|down|abc-1-exec:sh"));
}

#[tokio::test]
async fn its_end_decides_whether_another_try_is_worth_it() {
    for (script, expected) in [
        ("exit 0", "delivered"),
        ("exec <&-; exit 0", "delivered"),
        (
            "echo busy >&2; exit 75",
            "retryable sh: asks for another try (status 75): busy",
        ),
        (
            "echo no such number; exit 1",
            "permanent sh: status 1: no such number",
        ),
        ("kill -KILL $$", "retryable sh: signal: 9 (SIGKILL)"),
    ] {
        let found = match sh(script).await {
            Ok(()) => "delivered".to_owned(),
            Err(error @ DeliveryError::Retryable { .. }) => format!("retryable {error}"),
            Err(error) => format!("permanent {error}"),
        };
        assert_eq!(found, expected, "{script}");
    }
    let error = run(&options("/no/such/program", &[]), Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "{error}");
}

#[tokio::test]
async fn at_the_timeout_all_it_started_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let began = Stopwatch::start();
    let error = run(&options("/bin/sh", &["-c", &script]), Duration::from_millis(700))
        .await
        .unwrap_err();
    assert_eq!(error, DeliveryError::retryable("sh: killed after 0.7 secs"));
    assert!(began.elapsed() < Duration::from_secs(5));
    let pid = std::fs::read_to_string(&file).unwrap();
    // A zombie that init has not reaped yet is dead as well.
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");
}

#[tokio::test]
async fn a_child_that_holds_the_output_open_holds_nobody_up() {
    let began = Stopwatch::start();
    sh("sleep 3 & exit 0").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn of_much_output_the_beginning_is_kept() {
    let error = sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; exit 1")
        .await
        .unwrap_err();
    assert!(error.to_string().len() < 3000, "{}", error.to_string().len());
}

#[tokio::test]
async fn its_arguments_are_never_shown() {
    let options = options("/bin/sh", &["-c", "echo \"wrong key $0\"; exit 1", "s3cret"]);
    let command = Command::new(&options, Duration::from_secs(20)).unwrap();
    let mut lines = Vec::new();
    let error = command
        .deliver_shown(&message(), "key", &mut lines)
        .await
        .unwrap_err();
    let all = format!("{error} {error:?} {command:?} {lines:?} {options:?}");
    assert!(!all.contains("s3cret"), "{all}");
    assert!(lines[0].starts_with("> /bin/sh *** *** ***"), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("< wrong key ***"));
}

#[tokio::test]
async fn no_part_of_an_argument_is_shown_where_the_output_is_cut() {
    let secret = format!("S3CRET{}", "x".repeat(4000));
    for before in ["1020", "1024", "5", "0"] {
        // Many masked ones before it make the whole shorter, not what is kept longer.
        let script =
            "head -c $0 /dev/zero | tr '\\0' . >&2; for i in 1 2 3; do printf %s \"$1\" >&2; done; exit 1";
        let options = options("/bin/sh", &["-c", script, before, &secret]);
        let command = Command::new(&options, Duration::from_secs(20)).unwrap();
        let mut lines = Vec::new();
        let error = command
            .deliver_shown(&message(), "key", &mut lines)
            .await
            .unwrap_err();
        let all = format!("{error} {lines:?}");
        assert!(!all.contains("S3C") && !all.contains("xxx"), "{before}: {all}");
    }
}

#[test]
fn a_command_is_known_by_its_name_or_program() {
    let mut named = options("/c/sms", &[]);
    named.common.name = Some(serde_json::from_value("night".into()).unwrap());
    let all = [
        options("/a/sms", &[]),
        named,
        options("/b/sms", &["x"]),
        options("mail", &[]),
        options("/opt/pager//", &[]),
        options("/", &[]),
    ];
    assert_eq!(
        command_ids(&all),
        [
            "exec:sms",
            "exec:night",
            "exec:sms#2",
            "exec:mail",
            "exec:pager",
            "exec:/"
        ]
    );
}
