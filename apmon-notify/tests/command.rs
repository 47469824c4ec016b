//! A program as a channel: what it is given, and what its end means.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod patience;

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use apmon_core::{DeliveryError, Notification, NotificationKind, Notifier, Secret, Stopwatch};
use apmon_notify::{Command, CommandOptions};
use patience::{LONG, STALL};

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

fn options(program: &str, args: &[&str]) -> CommandOptions {
    CommandOptions {
        program: Some(serde_json::from_value(program.into()).unwrap()),
        args: args.iter().map(|text| Secret::new(*text)).collect(),
        ..CommandOptions::default()
    }
}

async fn run(options: &CommandOptions, timeout: Duration) -> Result<(), DeliveryError> {
    let command = Command::new(options, timeout).unwrap();
    command.deliver(&message(), "abc-1-exec:sh").await
}

async fn sh(script: &str) -> Result<(), DeliveryError> {
    run(&options("/bin/sh", &["-c", script]), LONG).await
}

#[tokio::test]
async fn the_message_comes_on_stdin_and_in_variables() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("got");
    let script =
        "cat > \"$0\"; printf '%s' \"$APMON_MONITOR|$APMON_STATE|$APMON_LABEL|$APMON_KEY\" > \"$0.env\"";
    let options = options("/bin/sh", &["-c", script, file.to_str().unwrap()]);
    run(&options, LONG).await.unwrap();
    let got: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(got["monitor"], NASTY);
    assert_eq!(got["text"], "web in HomeLab new outage: x");
    assert_eq!(got["state"], "down");
    assert_eq!(got["label"], "NEW OUTAGE");
    assert!(got["lasted_secs"].is_null() && got.as_object().unwrap().contains_key("lasted_secs"));
    assert_eq!(got["since"], "2026-02-11T14:18:00Z");
    let variables = std::fs::read_to_string(file.with_extension("env")).unwrap();
    assert_eq!(variables, format!("{NASTY}|down|NEW OUTAGE|abc-1-exec:sh"));
}

#[tokio::test]
async fn a_long_text_is_whole_on_stdin_and_its_beginning_in_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("got");
    let script = "cat > \"$0\"; printf '%s' \"$APMON_TEXT\" > \"$0.env\"";
    let options = options("/bin/sh", &["-c", script, file.to_str().unwrap()]);
    let mut message = message();
    message.kind = NotificationKind::Recovery;
    message.lasted = Some(Duration::from_millis(600_500));
    message.text = format!("x{}", "ü".repeat(150_000));
    let command = Command::new(&options, LONG).unwrap();
    command.deliver(&message, "key").await.unwrap();
    let got: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(got["text"], message.text);
    assert_eq!(
        (&got["label"], &got["lasted_secs"]),
        (&"RECOVERY".into(), &600.into())
    );
    let variable = std::fs::read_to_string(file.with_extension("env")).unwrap();
    assert_eq!(variable.len(), 99_999);
    assert!(message.text.starts_with(&variable));
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
    let error = run(&options("/no/such/program", &[]), LONG).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "{error}");
}

/// It needs CAP_NET_RAW (root has it), and fails without.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_inherits_no_capability() {
    use rustix::thread::{
        CapabilitySet, capabilities, capability_is_in_ambient_set, configure_capability_in_ambient_set,
        set_capabilities,
    };
    // As under systemd's AmbientCapabilities; this thread's alone.
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
    assert_eq!(kept, Ok(true), "apmon keeps its own");
}

/// Set for this test's second run.
const SYSTEMD: &str = "APMON_TEST_UNDER_SYSTEMD";

#[tokio::test]
async fn what_systemd_tells_apmon_is_not_for_it() {
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
        .args(["what_systemd_tells_apmon_is_not_for_it", "--exact"])
        .env(SYSTEMD, "1")
        .env("KEPT_ONE", "1");
    let output = again.envs(NAMES.map(|name| (name, "1"))).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn what_fails_the_same_way_each_time_is_refused() {
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
async fn at_the_timeout_all_it_started_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let began = Stopwatch::start();
    let error = run(&options("/bin/sh", &["-c", &script]), STALL)
        .await
        .unwrap_err();
    assert_eq!(error, DeliveryError::retryable("sh: killed after 5 secs"));
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    let pid = std::fs::read_to_string(&file).unwrap();
    // It is told to die, and does so when it runs next; a zombie that init has
    // not reaped yet is dead as well.
    let told = Stopwatch::start();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            break;
        }
        assert!(told.elapsed() < LONG, "{status}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_child_that_holds_the_output_open_holds_nobody_up() {
    let began = Stopwatch::start();
    sh("sleep 30 & exit 0").await.unwrap();
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
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
    let command = Command::new(&options, LONG).unwrap();
    let mut lines = Vec::new();
    let error = command
        .deliver_with_transcript(&message(), "key", &mut lines)
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
        let command = Command::new(&options, LONG).unwrap();
        let mut lines = Vec::new();
        let error = command
            .deliver_with_transcript(&message(), "key", &mut lines)
            .await
            .unwrap_err();
        let all = format!("{error} {lines:?}");
        assert!(!all.contains("S3C") && !all.contains("xxx"), "{before}: {all}");
    }
}
