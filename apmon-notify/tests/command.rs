//! A program as a channel: its input, and the meaning of its exit status.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod timing;

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier, Secret, Stopwatch};
use apmon_notify::{Command, CommandOptions};
use timing::{LONG, STALL};

const HOSTILE: &str = "R&D's \"web\"\n$(touch /tmp/x) `id` {{text}} ünï";

fn notification() -> Notification {
    Notification {
        id: "abc-1".into(),
        incident: "abc".into(),
        kind: NotificationKind::Outage,
        site: "HomeLab".into(),
        monitor: HOSTILE.into(),
        address: "http://h/".into(),
        text: "web in HomeLab new outage: x".into(),
        number: 1,
        at: "2026-02-11T14:18:00Z".parse().unwrap(),
        since: Some("2026-02-11T14:18:00Z".parse().unwrap()),
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

fn options(program: &str, args: &[&str]) -> CommandOptions {
    CommandOptions {
        program: Some(serde_json::from_value(program.into()).unwrap()),
        args: args.iter().map(|text| Secret::new(*text)).collect(),
        ..CommandOptions::default()
    }
}

async fn run(options: &CommandOptions, timeout: Duration) -> Result<(), DeliveryError> {
    let command = Command::new(options, timeout).unwrap();
    command.deliver(&notification(), "abc-1-exec:sh").await
}

async fn sh(script: &str) -> Result<(), DeliveryError> {
    run(&options("/bin/sh", &["-c", script]), LONG).await
}

#[tokio::test]
async fn the_notification_is_on_stdin_and_in_variables() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("received");
    let script =
        "cat > \"$0\"; printf '%s' \"$APMON_MONITOR|$APMON_STATE|$APMON_LABEL|$APMON_KEY\" > \"$0.env\"";
    let options = options("/bin/sh", &["-c", script, file.to_str().unwrap()]);
    run(&options, LONG).await.unwrap();
    let received: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(received["monitor"], HOSTILE);
    assert_eq!(received["text"], "web in HomeLab new outage: x");
    assert_eq!(received["state"], "down");
    assert_eq!(received["label"], "NEW OUTAGE");
    assert!(received["lasted_secs"].is_null() && received.as_object().unwrap().contains_key("lasted_secs"));
    assert_eq!(received["since"], "2026-02-11T14:18:00Z");
    let variables = std::fs::read_to_string(file.with_extension("env")).unwrap();
    // No control character reaches the environment.
    let escaped = HOSTILE.replace('\n', "\\n");
    assert_eq!(variables, format!("{escaped}|down|NEW OUTAGE|abc-1-exec:sh"));
}

#[tokio::test]
async fn a_long_text_is_complete_on_stdin_and_cut_in_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("received");
    let script = "cat > \"$0\"; printf '%s' \"$APMON_TEXT\" > \"$0.env\"";
    let options = options("/bin/sh", &["-c", script, file.to_str().unwrap()]);
    let mut notification = notification();
    notification.kind = NotificationKind::Recovery;
    notification.lasted = Some(Duration::from_millis(600_500));
    notification.text = format!("x{}", "ü".repeat(150_000));
    let command = Command::new(&options, LONG).unwrap();
    command.deliver(&notification, "key").await.unwrap();
    let received: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(received["text"], notification.text);
    assert_eq!(
        (&received["label"], &received["lasted_secs"]),
        (&"RECOVERY".into(), &600.into())
    );
    let variable = std::fs::read_to_string(file.with_extension("env")).unwrap();
    assert_eq!(variable.len(), 99_999);
    assert!(notification.text.starts_with(&variable));
}

#[tokio::test]
async fn the_exit_status_decides_whether_to_try_again() {
    for (script, expected) in [
        ("exit 0", "delivered"),
        ("exec <&-; exit 0", "delivered"),
        (
            "echo busy >&2; exit 75",
            "retryable sh: asks for a retry (status 75): busy",
        ),
        (
            "echo no such number; exit 1",
            "permanent sh: status 1: no such number",
        ),
        ("kill -KILL $$", "retryable sh: signal: 9 (SIGKILL)"),
    ] {
        let outcome = match sh(script).await {
            Ok(()) => "delivered".to_owned(),
            Err(error @ DeliveryError::Retryable { .. }) => format!("retryable {error}"),
            Err(error) => format!("permanent {error}"),
        };
        assert_eq!(outcome, expected, "{script}");
    }
    let error = run(&options("/no/such/program", &[]), LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "{error}");
}

/// Needs CAP_NET_RAW, which root has; fails without it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_inherits_no_capabilities() {
    use rustix::thread::{
        CapabilitySet, capabilities, capability_is_in_ambient_set, configure_capability_in_ambient_set,
        set_capabilities,
    };
    // As under systemd's AmbientCapabilities, but for this thread only.
    let mut sets = capabilities(None).unwrap();
    sets.inheritable |= CapabilitySet::NET_RAW;
    set_capabilities(None, sets).unwrap();
    configure_capability_in_ambient_set(CapabilitySet::NET_RAW, true).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("status");
    let script = format!("grep CapAmb /proc/self/status > {}", file.display());
    sh(&script).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "CapAmb:\t0000000000000000\n"
    );
    let kept = capability_is_in_ambient_set(CapabilitySet::NET_RAW);
    assert_eq!(kept, Ok(true), "apmon keeps its own capabilities");
}

/// Set when the test runs itself again.
const SYSTEMD: &str = "APMON_TEST_UNDER_SYSTEMD";

#[tokio::test]
async fn variables_of_systemd_are_not_passed_on() {
    const NAMES: [&str; 6] = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ];
    if std::env::var_os(SYSTEMD).is_some() {
        let script = "env | grep -E '^(NOTIFY|WATCHDOG|LISTEN|KEPT)_' >&2; exit 1";
        let error = sh(script).await.unwrap_err();
        assert_eq!(error.to_string(), "sh: status 1: KEPT_ONE=1");
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again
        .args(["variables_of_systemd_are_not_passed_on", "--exact"])
        .env(SYSTEMD, "1")
        .env("KEPT_ONE", "1");
    let output = again.envs(NAMES.map(|name| (name, "1"))).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

#[tokio::test]
async fn an_error_that_will_recur_is_permanent() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, "echo no interpreter is named\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (script, plain) = (file("script", 0o755), file("plain", 0o644));
    let long = "x".repeat(200_000);
    for (program, argument, expected) in [
        (script.as_str(), "", "Exec format error"),
        (&plain, "", "Permission denied"),
        (&format!("{plain}/x"), "", "Not a directory"),
        ("/no/such/program", "", "No such file"),
        ("/bin/sh", &long, "Argument list too long"),
    ] {
        let error = run(&options(program, &[argument]), LONG).await.unwrap_err();
        let is_final = matches!(error, DeliveryError::Permanent { .. });
        assert!(is_final && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn at_the_timeout_every_process_it_started_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let watch = Stopwatch::start();
    let error = run(&options("/bin/sh", &["-c", &script]), STALL)
        .await
        .unwrap_err();
    assert_eq!(error, DeliveryError::retryable("sh: killed after 5 secs"));
    assert!(watch.elapsed() < LONG, "{:?}", watch.elapsed());
    let pid = std::fs::read_to_string(&file).unwrap();
    // A killed process dies when it is scheduled next. A zombie that init has not
    // reaped yet is dead as well.
    let killed = Stopwatch::start();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            break;
        }
        assert!(killed.elapsed() < LONG, "{status}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_delays_nothing() {
    let watch = Stopwatch::start();
    sh("sleep 30 & exit 0").await.unwrap();
    assert!(watch.elapsed() < LONG / 2, "{:?}", watch.elapsed());
}

#[tokio::test]
async fn only_the_beginning_of_a_long_output_is_kept() {
    let error = sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; exit 1")
        .await
        .unwrap_err();
    assert!(error.to_string().len() < 3000, "{}", error.to_string().len());
}

#[tokio::test]
async fn arguments_are_never_shown() {
    let options = options("/bin/sh", &["-c", "echo \"wrong key $0\"; exit 1", "s3cret"]);
    let command = Command::new(&options, LONG).unwrap();
    let mut lines = Vec::new();
    let error = command
        .deliver_with_transcript(&notification(), "key", &mut lines)
        .await
        .unwrap_err();
    let all = format!("{error} {error:?} {command:?} {lines:?} {options:?}");
    assert!(!all.contains("s3cret"), "{all}");
    assert!(lines[0].starts_with("> /bin/sh *** *** ***"), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("< wrong key ***"));
}

#[tokio::test]
async fn no_part_of_an_argument_is_shown_at_the_end_of_a_cut_output() {
    let secret = format!("S3CRET{}", "x".repeat(4000));
    for before in ["1020", "1024", "5", "0"] {
        // Masked arguments before it shorten the output, but do not extend what is kept.
        let script =
            "head -c $0 /dev/zero | tr '\\0' . >&2; for i in 1 2 3; do printf %s \"$1\" >&2; done; exit 1";
        let options = options("/bin/sh", &["-c", script, before, &secret]);
        let command = Command::new(&options, LONG).unwrap();
        let mut lines = Vec::new();
        let error = command
            .deliver_with_transcript(&notification(), "key", &mut lines)
            .await
            .unwrap_err();
        let all = format!("{error} {lines:?}");
        assert!(!all.contains("S3C") && !all.contains("xxx"), "{before}: {all}");
    }
}
