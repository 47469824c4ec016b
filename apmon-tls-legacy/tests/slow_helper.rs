//! A helper that is not ready in time says nothing about the server.
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use apmon_core::{Check, Clock as _, FailureClass, Services, SystemClock, Verdict, config};
use tokio::net::TcpListener;

/// Starts the helper after as many seconds as a file says.
fn write_helper(path: &Path, delay: &Path) {
    let script = format!(
        "#!/bin/sh\nsleep $(cat {})\nexec {}\n",
        delay.display(),
        env!("CARGO_BIN_EXE_apmon-tls-legacy")
    );
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_helper_that_is_late_makes_a_monitor_unknown_and_not_down() {
    let directory = tempfile::tempdir().unwrap();
    let (helper, delay) = (directory.path().join("helper"), directory.path().join("delay"));
    write_helper(&helper, &delay);
    apmon_tls::legacy::use_helper(helper);
    // It accepts connections and is silent.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "site: {{name: Lab}}\nmonitors: [{{type: tcp, name: x, address: 'tls://{}', ssl_legacy: yes}}]\n",
        server.local_addr().unwrap()
    );
    let file = config::parse(
        "lab.yaml".as_ref(),
        &text,
        apmon_probes::KINDS,
        &[],
        &config::ProcessEnvironment,
    );
    let file = file.unwrap_or_else(|error| panic!("{error}"));
    let monitor = file.monitors[0].build(&Services::default());
    for (seconds, wanted) in [
        ("3600", "apmon-tls-legacy was not ready in time"),
        (
            "1.2",
            "tls: no answer within 3 secs, after apmon-tls-legacy had taken 1.",
        ),
    ] {
        fs::write(&delay, seconds).unwrap();
        let now = SystemClock::new().now();
        let check = Check::new(now.mono, now, Duration::from_secs(3));
        let outcome = monitor.check(&check).await.outcome;
        let failure = outcome.failure().unwrap();
        assert!(
            failure.reason.starts_with(wanted),
            "{seconds}: {}",
            failure.reason
        );
        assert_eq!(failure.class, FailureClass::Resources);
        assert_eq!(outcome.verdict(), Verdict::Unknown);
    }
    // A prompt helper, and the server is to blame.
    fs::write(&delay, "0").unwrap();
    let now = SystemClock::new().now();
    let check = Check::new(now.mono, now, Duration::from_secs(3));
    let outcome = monitor.check(&check).await.outcome;
    assert_eq!(outcome.failure().unwrap().reason, "tls: no answer within 3 secs");
    assert_eq!(outcome.verdict(), Verdict::Down);
}
