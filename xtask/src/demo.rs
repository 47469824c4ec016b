//! `cargo xtask demo`: apmon on real local services, one of which fails and
//! recovers.

mod lab;
mod webhook;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use self::{lab::Lab, webhook::Receiver};
use crate::{
    fault::{Fault, counted},
    package::{self, DNSMASQ, NGINX},
    process::{self, Running, cargo},
    request::Request,
    stopwatch::Stopwatch,
    workspace,
};

const SITE_FILE: &str = "examples/lab.yaml";
/// How long everything is up at first.
const CALM: Duration = Duration::from_secs(8);
/// How long the web server is down: reminders are due 3.5 s and 9.5 s after the
/// outage (`notify_every_n_secs` 8, `after_every_n_notifications` 4).
const AWAY: Duration = Duration::from_secs(13);
/// The longest wait for the recovery.
const RETURN: Duration = Duration::from_secs(10);
/// The longest wait for apmon's end. It needs less than 2 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The messages that the receiver must have got about the monitor `web`.
const MESSAGES: &[(&str, &str)] = &[
    ("outage", "web in Lab new outage: "),
    ("reminder", "web in Lab is down: "),
    ("recovery", "web in Lab is UP "),
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    package::install(&[NGINX, DNSMASQ])?;
    // Ports in use are reported before the build, not minutes later.
    let directory = workspace::scratch("demo")?;
    let receiver = Receiver::start()?;
    let mut lab = Lab::prepare(&directory)?;
    say("building apmon");
    process::run(cargo().args(["build", "--release", "--package", "apmon-cli"]))?;

    let stopwatch = Stopwatch::start();
    say("starting dnsmasq on 127.0.0.1:15353 and nginx on 127.0.0.1:18080 and 127.0.0.1:18081");
    lab.start_names()?;
    lab.start_web()?;
    say("checking everything once");
    // A failure is fine here: without permission to ping, one monitor is unknown.
    let _ = process::run(
        Command::new(program())
            .current_dir(workspace::root())
            .args(["check", SITE_FILE]),
    );
    let mut apmon = start_apmon(&directory)?;

    say("everything is up, so no notification is sent");
    watch(&mut apmon, CALM, || false)?;
    say(&format!(
        "stopping nginx (process {}), as if its machine had died",
        lab.web_id()
    ));
    lab.stop_web()?;
    watch(&mut apmon, AWAY, || false)?;
    say("starting nginx again");
    lab.start_web()?;
    watch(&mut apmon, RETURN, || {
        count(&receiver.requests(), MESSAGES[2].1) > 0
    })?;
    // The other port's recovery comes in the same second.
    watch(&mut apmon, Duration::from_secs(2), || false)?;
    say("stopping apmon with SIGTERM");
    let stopping = Stopwatch::start();
    let status = apmon.stop(STOP_TIMEOUT)?;
    let stopping = stopping.elapsed();
    drop(lab);
    workspace::leave(&directory);
    summary(&receiver.requests(), status, stopping, stopwatch.elapsed())
}

fn say(text: &str) {
    println!("== {text}");
}

fn program() -> PathBuf {
    workspace::target().join("release/apmon")
}

fn start_apmon(directory: &Path) -> Result<Running, Fault> {
    let state = directory.join("lab.statefile.json");
    say(&format!(
        "{} run -s {} {SITE_FILE}",
        workspace::shown(&program()),
        workspace::shown(&state)
    ));
    Running::start("apmon", program(), |command| {
        command
            .current_dir(workspace::root())
            .args(["run", "-s"])
            .arg(state)
            .arg(SITE_FILE)
    })
}

/// Waits for `time`, or until `done` returns true; apmon must not end meanwhile.
fn watch(apmon: &mut Running, time: Duration, mut done: impl FnMut() -> bool) -> Result<(), Fault> {
    let mut ended = None;
    process::wait_until(time, || {
        ended = apmon.ended();
        ended.is_some() || done()
    });
    match ended {
        None => Ok(()),
        Some(status) => Err(Fault::new(format!("apmon ended by itself ({status})"))),
    }
}

fn count(requests: &[Request], sentence: &str) -> usize {
    requests
        .iter()
        .filter(|request| request.body.contains(sentence))
        .count()
}

fn summary(
    requests: &[Request],
    status: ExitStatus,
    stopping: Duration,
    took: Duration,
) -> Result<(), Fault> {
    // The last lines of apmon come before the summary.
    thread::sleep(Duration::from_millis(100));
    say(&format!("summary of {:.0} s", took.as_secs_f64()));
    println!("   webhook requests: {}", requests.len());
    let mut missing = Vec::new();
    for (kind, sentence) in MESSAGES {
        let count = count(requests, sentence);
        println!("   notifications about web, {kind}: {count}");
        if count == 0 {
            missing.push(format!("no notification about web: {kind}"));
        }
    }
    let without_key = requests.iter().filter(|request| request.key.is_none()).count();
    if without_key > 0 {
        missing.push(format!(
            "{} without an Idempotency-Key",
            counted(without_key, "request")
        ));
    }
    println!(
        "   apmon ended {:.1} s after SIGTERM: {status}",
        stopping.as_secs_f64()
    );
    if !status.success() {
        missing.push(format!("apmon's exit status was {status}"));
    }
    if missing.is_empty() {
        say("done. For your own LAN: copy examples/site.yaml, then run target/release/apmon run <your file>");
        return Ok(());
    }
    Err(Fault::new(missing.join("; ")))
}
