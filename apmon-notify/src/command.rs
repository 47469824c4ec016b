//! A program as a channel.

use std::{fmt, process::Stdio, time::Duration};

use apmon_core::{
    DeliveryError, Notification, Notifier, Secret,
    config::{OutageCommand, Seconds},
    text::{excerpt, printable},
};
use async_trait::async_trait;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command as Process},
};

use crate::preset;

/// EX_TEMPFAIL of sysexits.h: try again.
const TEMPORARY: i32 = 75;
/// So much of what it says is kept.
const KEPT_BYTES: usize = 1024;
/// After its end its output is waited for so long: what it left running may hold it open.
const LINGER: Duration = Duration::from_millis(250);

/// One entry of `site.outage_commands`.
///
/// The message is JSON on the program's standard input, and its parts are in
/// `APMON_*` variables. Exit status 0 is delivered, 75 and a signal are tried
/// again, any other is a refusal. At the timeout the program's process group
/// is killed.
pub struct Command {
    program: String,
    args: Vec<Secret>,
    timeout: Duration,
}

impl Command {
    /// From its options; each delivery takes at most `timeout`, unless they say
    /// otherwise. `None` without a program.
    #[must_use]
    pub fn new(options: &OutageCommand, timeout: Duration) -> Option<Self> {
        Some(Self {
            program: options.program.clone()?.into_string(),
            args: options.args.clone(),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
        })
    }

    /// The program's name, without its directory.
    fn name(&self) -> &str {
        let name = self.program.rsplit('/').next();
        name.unwrap_or(&self.program)
    }

    fn shown_name(&self) -> String {
        printable(self.name()).into_owned()
    }

    fn process(&self, message: &Notification, key: &str) -> Process {
        let mut process = Process::new(&self.program);
        process
            .args(self.args.iter().map(Secret::reveal))
            .envs(variables(message, key))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        process.process_group(0);
        process
    }

    async fn run(&self, message: &Notification, key: &str, said: &mut Vec<u8>) -> Result<(), DeliveryError> {
        let name = self.shown_name();
        let mut child = self.process(message, key).spawn().map_err(|error| {
            let reason = format!("{name}: cannot be started: {error}");
            match error.kind() {
                // Installed or made executable some day, but not by itself.
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
                    DeliveryError::permanent(reason)
                }
                _ => DeliveryError::retryable(reason),
            }
        })?;
        let mut group = Group::of(&child);
        let ended = tokio::time::timeout(self.timeout, attend(&mut child, json_of(message, key), said)).await;
        let Ok(status) = ended else {
            group.kill();
            let _ = child.start_kill(); // where there are no groups
            let _ = child.wait().await;
            return Err(DeliveryError::retryable(format!(
                "{name}: killed after {} secs",
                self.timeout.as_secs_f64()
            )));
        };
        group.end();
        let status =
            status.map_err(|error| DeliveryError::retryable(format!("{name}: lost sight of it: {error}")))?;
        let words = self.words(said);
        match status.code() {
            Some(0) => Ok(()),
            Some(TEMPORARY) => Err(DeliveryError::retryable(format!(
                "{name}: asks for another try (status {TEMPORARY}){words}"
            ))),
            Some(code) => Err(DeliveryError::permanent(format!("{name}: status {code}{words}"))),
            None => Err(DeliveryError::retryable(format!("{name}: {status}{words}"))),
        }
    }

    /// What it said, without its arguments: they may be secrets.
    fn words(&self, said: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(said).trim().to_owned();
        let secrets = self.args.iter().map(Secret::reveal);
        for secret in secrets.filter(|secret| secret.len() >= 4) {
            text = text.replace(secret, "***");
        }
        match text.is_empty() {
            true => String::new(),
            false => format!(": {}", excerpt(&text, KEPT_BYTES)),
        }
    }
}

/// Feeds and hears it until it ends.
async fn attend(
    child: &mut Child,
    input: String,
    said: &mut Vec<u8>,
) -> std::io::Result<std::process::ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // It need not read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let hear = async {
        tokio::join!(receive(stdout, &mut out), receive(stderr, &mut err));
    };
    let status = {
        let talk = async { tokio::join!(feed, hear) };
        tokio::pin!(talk);
        let mut talked = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                _ = &mut talk, if !talked => talked = true,
            }
        };
        if !talked {
            let _ = tokio::time::timeout(LINGER, talk).await;
        }
        status
    };
    // What is wrong is said on stderr.
    err.extend(out);
    err.truncate(KEPT_BYTES);
    *said = err;
    status
}

/// The beginning is kept, the rest is read, so that it can go on writing.
async fn receive(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let room = KEPT_BYTES.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&chunk[..room]);
    }
}

fn json_of(message: &Notification, key: &str) -> String {
    let tree = json!({
        "text": message.text,
        "subject": preset::subject(message),
        "site": message.site,
        "monitor": message.monitor,
        "address": message.address,
        "state": preset::state(&message.kind),
        "severity": preset::severity(&message.kind),
        "incident": message.incident,
        "number": message.number,
        "id": message.id,
        "key": key,
        "at": message.at,
        "since": preset::since(message),
    });
    format!("{tree}\n")
}

fn variables(message: &Notification, key: &str) -> Vec<(&'static str, String)> {
    // No variable can hold a zero.
    let sound = |text: &str| text.replace('\0', "\u{fffd}");
    vec![
        ("APMON_TEXT", sound(&message.text)),
        ("APMON_SUBJECT", preset::subject(message)),
        ("APMON_SITE", sound(&message.site)),
        ("APMON_MONITOR", sound(&message.monitor)),
        ("APMON_ADDRESS", sound(&message.address)),
        ("APMON_STATE", preset::state(&message.kind).into()),
        ("APMON_SEVERITY", preset::severity(&message.kind).into()),
        ("APMON_INCIDENT", sound(&message.incident)),
        ("APMON_NUMBER", message.number.to_string()),
        ("APMON_ID", sound(&message.id)),
        ("APMON_KEY", sound(key)),
        ("APMON_AT", message.at.to_string()),
        ("APMON_SINCE", preset::since(message).to_string()),
    ]
}

/// The process group of a program under way: killed when it is given up, also
/// where nobody waits for it any more.
struct Group(Option<u32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// It ended by itself; what it left running on purpose goes on.
    fn end(&mut self) {
        self.0 = None;
    }

    #[cfg(unix)]
    fn kill(&mut self) {
        use nix::{
            sys::signal::{Signal, killpg},
            unistd::Pid,
        };
        let id = self.0.take().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.filter(|id| *id > 1) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL); // it may be gone
        }
    }

    #[cfg(not(unix))]
    fn kill(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Command {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        self.run(notification, key, &mut Vec::new()).await
    }

    async fn deliver_shown(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let arguments = " ***".repeat(self.args.len());
        shown.push(format!("> {}{arguments}", printable(&self.program)));
        shown.push(format!("> {}", printable(json_of(notification, key).trim_end())));
        let mut said = Vec::new();
        let result = self.run(notification, key, &mut said).await;
        let words = self.words(&said);
        shown.extend(words.strip_prefix(": ").map(|words| format!("< {words}")));
        result
    }
}

/// The channels' ids, in the order of `commands`: `exec:<program>`, and
/// `exec:<program>#2` for the second of that name.
#[must_use]
pub fn command_ids(commands: &[OutageCommand]) -> Vec<String> {
    let names = commands.iter().map(|command| {
        let program = command.program.as_ref().map_or("", |program| program.as_str());
        format!("exec:{}", program.rsplit('/').next().unwrap_or(program))
    });
    crate::webhook::numbered(names)
}
