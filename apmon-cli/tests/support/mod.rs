//! Shared by the tests of the real binary: a directory per test, the binary, a
//! receiver of webhooks, a service that can be closed and reopened.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // a panic fails the test

#[cfg(feature = "sqlite")]
mod database;
mod faketime;
mod process;
mod receiver;
mod service;
mod statefile;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use apmon_core::Stopwatch;
use tempfile::TempDir;

pub use self::{
    faketime::FakeTime,
    process::{Output, Process, Signal},
    receiver::{Behaviour, Receiver, Request},
    service::{Service, greeter},
    statefile::{StateFile, ago},
};

/// How long a test waits for something that should happen soon.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How long an operation may take that ends at once. On a slow and busy machine a
/// process can stall for seconds, so no test is stricter.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits until `check` returns a value; panics after [`TIMEOUT`].
pub fn wait_until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let stopwatch = Stopwatch::start();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(stopwatch.elapsed() < TIMEOUT, "no {what} within {TIMEOUT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The directory of one test, in which apmon runs: site files are given without a
/// path, and state is kept in `state/`.
pub struct Lab(TempDir);

impl Lab {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Replaces a file atomically, as editors do.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// The state file of `<stem>.yaml`.
    pub fn state(&self, stem: &str) -> StateFile {
        StateFile::new(self.path(&format!("state/{stem}.statefile.json")))
    }

    /// The names of the files in `state/`.
    pub fn state_directory(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path("state"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The binary, in a clean environment.
    pub fn apmon(&self, arguments: &[&str]) -> Command {
        self.apmon_by(&["env"], arguments)
    }

    /// Like [`Lab::apmon`], started by a shell that runs `before` first.
    pub fn apmon_after(&self, before: &str, arguments: &[&str]) -> Command {
        let script = format!("{before}; exec \"$0\" \"$@\"");
        self.apmon_by(&["sh", "-c", &script], arguments)
    }

    /// Like [`Lab::apmon_after`], as root in a mount namespace of its own.
    pub fn apmon_with_mounts(&self, mount: &str, arguments: &[&str]) -> Command {
        let script = format!(
            "{mount} || {{ echo 'this test needs permission for: {mount}' >&2; exit 99; }}; exec \"$0\" \"$@\""
        );
        let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
        self.apmon_by(&[&unshare[..], &["sh", "-c", &script]].concat(), arguments)
    }

    /// Like [`Lab::apmon_with_mounts`], as the real root, who may become other users.
    pub fn apmon_with_mounts_of_root(&self, script: &str) -> Command {
        self.apmon_by(&["unshare", "--mount", "sh", "-c", script], &[])
    }

    /// Like [`Lab::apmon`], without root's privileges.
    pub fn apmon_without_privileges(&self, arguments: &[&str]) -> Command {
        self.apmon_by(&["unshare", "--user"], arguments)
    }

    /// Starts the binary in the background, and has strace log these system calls of all its
    /// threads.
    pub fn start_traced(&self, log: &Path, calls: &str, arguments: &[&str]) -> Process {
        let log = log.to_str().unwrap();
        let trace = format!("trace={calls}");
        // The tracer is a process of its own, and this one becomes the binary.
        let strace = [
            "strace",
            "-D",
            "-f",
            "-qq",
            "-e",
            "signal=none",
            "-e",
            &trace,
            "-o",
            log,
        ];
        Process::start(self.apmon_by(&strace, arguments))
    }

    /// Like [`Lab::apmon`], as another user, which needs root.
    pub fn apmon_as(&self, user: u32, arguments: &[&str]) -> Command {
        // The program may be where the other user cannot go.
        let script = format!(
            "exec 3<\"$0\"; set -- --reuid {user} --regid {user} --clear-groups /proc/self/fd/3 \"$@\"; exec setpriv \"$@\""
        );
        self.apmon_by(&["sh", "-c", &script], arguments)
    }

    /// Starts the binary through a program that executes it in place, so that the
    /// child's process id is the binary's.
    fn apmon_by(&self, launcher: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(launcher[0]);
        command
            .args(&launcher[1..])
            .arg(env!("CARGO_BIN_EXE_apmon"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            // Under the journal, log lines have no time.
            .env("JOURNAL_STREAM", "8:1")
            .env("STATE_DIRECTORY", self.path("state"))
            // The registry of daemons.
            .env("APMON_REGISTRY", self.path("run"));
        command
    }

    /// Runs the binary until it exits.
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(self.apmon(arguments))
    }

    /// Starts the binary in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.apmon(arguments))
    }

    /// Starts a daemon for `home.yaml`, and waits until it has made `checks` checks.
    pub fn start_daemon(&self, checks: u64) -> Process {
        let daemon = self.start(&["run", "home.yaml"]);
        wait_until("the first checks", || {
            let status = self.run(&["status", "--json", "home.yaml"]).json();
            let ended = status["sites"][0]["checks"]["ended"].as_u64();
            ended.filter(|ended| *ended >= checks)
        });
        daemon
    }
}

/// Runs a command until it exits.
pub fn run(command: Command) -> Output {
    Process::start(command).wait()
}

/// A builder for a site file.
pub struct Site {
    options: Vec<String>,
    webhooks: String,
    monitors: String,
}

impl Site {
    /// A site in which one failed check is an outage, with a short deadline for checks.
    pub fn new(name: &str) -> Self {
        let options = [
            format!("name: {name}"),
            "max_retries: 1".to_owned(),
            format!("max_try_secs: {}", SOON.as_secs()),
        ];
        Self {
            options: options.into(),
            webhooks: String::new(),
            monitors: String::new(),
        }
    }

    /// A site that is checked every second and notifies `receiver`.
    pub fn every_second(name: &str, receiver: &Receiver) -> Self {
        Self::new(name)
            .option("check_every_n_secs: 1")
            .webhook(&receiver.url("/hook"))
    }

    /// Sets an option of the site, `key: value`, replacing an earlier value.
    pub fn option(mut self, option: &str) -> Self {
        let (key, _) = option.split_once(':').unwrap();
        self.options.retain(|old| old.split_once(':').unwrap().0 != key);
        self.options.push(option.to_owned());
        self
    }

    /// Adds a webhook that receives JSON by POST.
    pub fn webhook(self, url: &str) -> Self {
        self.webhook_with(&format!(
            "endpoint_url: \"{url}\", request_method: POST, request_encoding: JSON"
        ))
    }

    pub fn webhook_with(mut self, options: &str) -> Self {
        self.webhooks.push_str(&format!("    - {{{options}}}\n"));
        self
    }

    /// Adds a monitor with these options.
    pub fn watch(mut self, options: &str) -> Self {
        self.monitors.push_str(&format!("  - {{{options}}}\n"));
        self
    }

    /// Adds a monitor that is up while the service is open.
    pub fn watch_service(self, name: &str, service: &Service) -> Self {
        self.watch(&format!(
            "type: tcp, name: {name}, address: \"{}\"",
            service.address()
        ))
    }

    pub fn text(&self) -> String {
        let mut text = format!("site:\n  {}\n", self.options.join("\n  "));
        if !self.webhooks.is_empty() {
            text.push_str("  outage_webhooks:\n");
            text.push_str(&self.webhooks);
        }
        text + "monitors:\n" + &self.monitors
    }
}

/// Replaces times of day by ` at TIME`, and the seconds after minutes by ` mins N
/// secs`.
pub fn without_times(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(' ') {
        let (before, tail) = rest.split_at(at);
        shown.push_str(before);
        let words: Vec<&str> = tail[1..].splitn(4, [' ', ',', '\n', '"']).collect();
        rest = match words[..] {
            ["at", clock, half, ..]
                if is_clock(clock) && (half.starts_with("AM") || half.starts_with("PM")) =>
            {
                shown.push_str(" at TIME");
                &tail[" at ".len() + clock.len() + " AM".len()..]
            }
            ["mins", secs, "secs", ..] if secs.parse::<u8>().is_ok() => {
                shown.push_str(" mins N secs");
                &tail[" mins ".len() + secs.len() + " secs".len()..]
            }
            _ => {
                shown.push(' ');
                &tail[1..]
            }
        };
    }
    shown.push_str(rest);
    shown
}

fn is_clock(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hour, minute)| {
        hour.parse::<u8>().is_ok_and(|hour| (1..=12).contains(&hour)) && minute.len() == 2
    })
}

/// The sentence in a line on the console, as channels receive it.
pub fn sentence(line: &str) -> String {
    let inner = line
        .strip_prefix("##### ")
        .and_then(|line| line.strip_suffix(" #####"))
        .unwrap_or_else(|| panic!("not a notification: {line}"));
    let (_label, sentence) = inner.split_once(": ").unwrap();
    sentence.to_owned()
}

/// The notification in a request to a JSON webhook.
pub fn notification_of(request: &Request) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

/// The path of a file in the directory of the tests.
pub fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
