//! What the tests of the real binary share: a place of their own for each, the
//! binary, a receiver of webhooks, a service that goes away and comes back.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // a test may end where it stands

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
    process::{Ended, Process, Signal},
    receiver::{Manner, Receiver, Request},
    service::{Service, greeter},
    statefile::{StateFile, ago},
};

/// What should come soon and has not come by then does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What is over at once is over by then. A slow and busy machine may let a
/// process stand still for seconds, so no test asks for more than that.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits for `check` to find something; fails when it takes too long.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let stopwatch = Stopwatch::start();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(
            stopwatch.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain for {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// A directory for one test, in which apmon runs: site files are named without
/// a path, and state is kept in `state/`.
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

    /// Replaces a file in one step, as editors do.
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

    /// The binary, in an environment of which everything is known.
    pub fn apmon(&self, arguments: &[&str]) -> Command {
        self.apmon_by(&["env"], arguments)
    }

    /// As [`Lab::apmon`], started by a shell that first does `before`.
    pub fn apmon_after(&self, before: &str, arguments: &[&str]) -> Command {
        let script = format!("{before}; exec \"$0\" \"$@\"");
        self.apmon_by(&["sh", "-c", &script], arguments)
    }

    /// As [`Lab::apmon_after`], with mounts of its own, in which it is root.
    pub fn apmon_among_mounts(&self, mount: &str, arguments: &[&str]) -> Command {
        let script = format!(
            "{mount} || {{ echo 'not allowed here, and this test needs it: {mount}' >&2; exit 99; }}; exec \"$0\" \"$@\""
        );
        let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
        self.apmon_by(&[&unshare[..], &["sh", "-c", &script]].concat(), arguments)
    }

    /// As [`Lab::apmon`], without what root may do.
    pub fn apmon_without_privileges(&self, arguments: &[&str]) -> Command {
        self.apmon_by(&["unshare", "--user"], arguments)
    }

    /// Started by a program that becomes it, so that the child's id is its own.
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
            // Log lines without their time, as the journal wants them.
            .env("JOURNAL_STREAM", "8:1")
            .env("STATE_DIRECTORY", self.path("state"));
        command
    }

    /// Runs to the end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(self.apmon(arguments))
    }

    /// Starts, and goes on beside the test.
    pub fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.apmon(arguments))
    }
}

/// Runs a command to its end.
pub fn run(command: Command) -> Ended {
    Process::start(command).wait()
}

/// A site file in the making.
pub struct Site {
    options: Vec<String>,
    webhooks: String,
    monitors: String,
}

impl Site {
    /// One failed look is an outage, and no look takes very long.
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

    /// `key: value` of the site's section, in the place of an earlier one.
    pub fn option(mut self, option: &str) -> Self {
        let (key, _) = option.split_once(':').unwrap();
        self.options.retain(|old| old.split_once(':').unwrap().0 != key);
        self.options.push(option.to_owned());
        self
    }

    /// A webhook that is sent JSON by POST.
    pub fn webhook(self, url: &str) -> Self {
        self.webhook_with(&format!(
            "endpoint_url: \"{url}\", request_method: POST, request_encoding: JSON"
        ))
    }

    pub fn webhook_with(mut self, options: &str) -> Self {
        self.webhooks.push_str(&format!("    - {{{options}}}\n"));
        self
    }

    /// A monitor, by its options.
    pub fn watch(mut self, options: &str) -> Self {
        self.monitors.push_str(&format!("  - {{{options}}}\n"));
        self
    }

    /// A monitor that is up while the service is.
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

/// The text with its times of day replaced, and the odd seconds of what lasted
/// minutes: ` at TIME`, ` mins N secs`.
pub fn timeless(text: &str) -> String {
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

/// The sentence within a console line, as it goes to channels.
pub fn sentence(line: &str) -> String {
    let inner = line
        .strip_prefix("##### ")
        .and_then(|line| line.strip_suffix(" #####"))
        .unwrap_or_else(|| panic!("no console line: {line}"));
    let (_label, sentence) = inner.split_once(": ").unwrap();
    sentence.to_owned()
}

/// What a JSON webhook is sent.
pub fn message_of(request: &Request) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

/// A file beside the tests.
pub fn beside_the_tests(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
