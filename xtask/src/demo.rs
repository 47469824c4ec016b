//! `cargo xtask demo`: apmon on real local services, one of which goes away
//! and comes back.

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
    fault::{During, Fault},
    package::{self, DNSMASQ, NGINX},
    process::{self, Running, cargo},
    request::Request,
    stopwatch::Stopwatch,
    workspace,
};

const SITE_FILE: &str = "examples/lab.yaml";
/// All is up for so long.
const QUIET: Duration = Duration::from_secs(8);
/// The web server is away for so long: reminders are due 3.5 s and 9.5 s after
/// the outage (`notify_every_n_secs` 8, `after_every_n_notifications` 4).
const AWAY: Duration = Duration::from_secs(13);
/// So long the recovery may take.
const RETURN: Duration = Duration::from_secs(10);
/// apmon ends within 2 s; more is a fault, but a patient one.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the receiver must have been told of the monitor `web`.
const CHAPTERS: &[(&str, &str)] = &[
    ("outage", "web in Lab new outage: "),
    ("reminder", "web in Lab is down: "),
    ("recovery", "web in Lab is UP "),
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    crate::no_arguments(arguments)?;
    package::install(&[NGINX, DNSMASQ])?;
    // A taken port is said before the build, not minutes after.
    let directory = workspace::target().join("demo");
    let receiver = Receiver::start()?;
    let mut lab = Lab::prepare(&directory)?;
    say("building apmon");
    process::run(cargo().args(["build", "--release", "--package", "apmon-cli"]))?;

    let stopwatch = Stopwatch::start();
    say("starting dnsmasq on 127.0.0.1:15353 and nginx on 127.0.0.1:18080 and 127.0.0.1:18081");
    lab.start_names()?;
    lab.start_web()?;
    say("one look at everything");
    // Not OK is no reason to stop: without the right to ping, one is unknown.
    let _ = process::run(
        Command::new(program())
            .current_dir(workspace::root())
            .args(["check", SITE_FILE]),
    );
    let mut apmon = start_apmon(&directory)?;

    say("all is well, so nobody is told anything");
    watch(&mut apmon, QUIET, || false)?;
    say(&format!(
        "stopping nginx (process {}), as if its machine had died",
        lab.web_id()
    ));
    lab.stop_web()?;
    watch(&mut apmon, AWAY, || false)?;
    say("starting nginx again");
    lab.start_web()?;
    watch(&mut apmon, RETURN, || {
        told(&receiver.requests(), CHAPTERS[2].1) > 0
    })?;
    // The neighbour's recovery comes in the same second.
    watch(&mut apmon, Duration::from_secs(2), || false)?;
    say("ending apmon with SIGTERM");
    let goodbye = Stopwatch::start();
    let status = apmon.stop(GOODBYE)?;
    let goodbye = goodbye.elapsed();
    drop(lab);
    summary(&receiver.requests(), status, goodbye, stopwatch.elapsed())
}

fn say(text: &str) {
    println!("== {text}");
}

fn program() -> PathBuf {
    workspace::target().join("release/apmon")
}

fn start_apmon(directory: &Path) -> Result<Running, Fault> {
    let state = directory.join("lab.statefile.json");
    forget(&state)?;
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

/// Removes what an earlier demo remembered: this one begins with nothing known.
fn forget(state: &Path) -> Result<(), Fault> {
    let (Some(directory), Some(name)) = (state.parent(), state.file_name()) else {
        return Ok(());
    };
    let name = name.to_string_lossy();
    for entry in std::fs::read_dir(directory).during("list target/demo")? {
        let file = entry.during("list target/demo")?;
        if file.file_name().to_string_lossy().starts_with(&*name) {
            std::fs::remove_file(file.path()).during(format!("remove {}", workspace::shown(&file.path())))?;
        }
    }
    Ok(())
}

/// Lets the time pass, or ends sooner when `done`; apmon must not end in it.
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

fn told(requests: &[Request], sentence: &str) -> usize {
    requests
        .iter()
        .filter(|request| request.body.contains(sentence))
        .count()
}

fn summary(requests: &[Request], status: ExitStatus, goodbye: Duration, took: Duration) -> Result<(), Fault> {
    // Whatever apmon still prints stands before the summary.
    thread::sleep(Duration::from_millis(100));
    say(&format!("summary of {:.0} s", took.as_secs_f64()));
    println!("   webhook requests in all: {}", requests.len());
    let mut missing = Vec::new();
    for (chapter, sentence) in CHAPTERS {
        let count = told(requests, sentence);
        println!("   {chapter} of web: {count}");
        if count == 0 {
            missing.push(format!("no {chapter} of web"));
        }
    }
    let without_key = requests.iter().filter(|request| request.key.is_none()).count();
    if without_key > 0 {
        missing.push(format!("{without_key} requests without an Idempotency-Key"));
    }
    println!(
        "   apmon ended {:.1} s after SIGTERM: {status}",
        goodbye.as_secs_f64()
    );
    if !status.success() {
        missing.push(format!("apmon's exit status was {status}"));
    }
    if missing.is_empty() {
        say(
            "as it should be. Your own LAN: copy examples/site.yaml, then target/release/apmon run <your file>",
        );
        return Ok(());
    }
    Err(Fault::new(missing.join("; ")))
}
