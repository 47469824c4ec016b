//! A program as a channel.

mod options;
mod output;
mod path;
mod start;

use std::{fmt, process::Stdio, sync::Arc, time::Duration};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Notification, Notifier, Secret, SectionValue, Services,
    config::{Seconds, Section},
    text::printable,
};
use async_trait::async_trait;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command as Process},
};

pub use self::options::CommandOptions;
use self::{
    output::{ArgumentMasks, Output},
    start::{is_final, start},
};
use crate::description;

/// EX_TEMPFAIL of sysexits.h: try again.
const TEMPORARY: i32 = 75;
/// After its end its output is waited for so long: what it left running may hold it open.
const LINGER: Duration = Duration::from_millis(250);

/// The kind `exec`: entries of `site.outage_commands`.
pub struct CommandKind;

impl ChannelKind for CommandKind {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn section(&self) -> &'static str {
        "outage_commands"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("command", "commands")
    }

    fn summary(&self) -> &'static str {
        "Programs of your own: the notification is JSON on standard input, its parts are in `APMON_*` variables. \
         Exit status 0 means delivered, 75 is tried again, any other is refused. (An addition.)"
    }

    fn example(&self) -> &'static str {
        "program: /usr/local/bin/send-sms\nargs: [--to, '+49 170 0000000']\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(CommandOptions)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = options::read(section)?;
        let program = options.program?.into_string();
        let args = options.args;
        let identity = last_part(&program).to_owned();
        let mut blueprint = ChannelBlueprint::new(identity, program.clone(), move |_: &Services, timeout| {
            Arc::new(Command {
                program: program.clone(),
                args: args.clone(),
                timeout,
            })
        });
        blueprint.label = Some("program");
        blueprint.timeout = options.timeout_secs.map(Seconds::duration);
        Some(blueprint)
    }
}

/// One entry of `site.outage_commands`.
///
/// The notification is JSON on the program's standard input, and its parts are
/// in `APMON_*` variables. Exit status 0 means delivered, 75 and a signal are
/// tried again, any other is a refusal. At the timeout the program's process
/// group is killed.
pub struct Command {
    program: String,
    args: Vec<Secret>,
    timeout: Duration,
}

impl Command {
    /// A channel made from its options; each delivery takes at most `timeout`,
    /// unless they say otherwise. `None` without a program.
    #[must_use]
    pub fn new(options: &CommandOptions, timeout: Duration) -> Option<Self> {
        Some(Self {
            program: options.program.clone()?.into_string(),
            args: options.args.clone(),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
        })
    }

    fn shown_name(&self) -> String {
        printable(last_part(&self.program)).into_owned()
    }

    fn process(&self, message: &Notification, key: &str) -> Process {
        let mut process = Process::new(&self.program);
        process
            .args(self.args.iter().map(Secret::reveal))
            .envs(variables(message, key))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        process
    }

    async fn run(&self, message: &Notification, key: &str, said: &mut Output) -> Result<(), DeliveryError> {
        let name = self.shown_name();
        let started = tokio::time::timeout(self.timeout, start(self.process(message, key))).await;
        let (mut child, mut group) = match started {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                let reason = format!("{name}: cannot be started: {error}");
                return Err(match is_final(&error) {
                    true => DeliveryError::permanent(reason),
                    false => DeliveryError::retryable(reason),
                });
            }
            Err(_) => {
                let secs = self.timeout.as_secs_f64();
                return Err(DeliveryError::retryable(format!(
                    "{name}: not started within {secs} secs"
                )));
            }
        };
        let masks = ArgumentMasks::of(&self.args);
        let talk = attend(&mut child, json_of(message, key), said, &masks);
        let ended = tokio::time::timeout(self.timeout, talk).await;
        let Ok(status) = ended else {
            group.kill();
            let _ = child.start_kill(); // where there are no groups
            let _ = child.wait().await;
            return Err(DeliveryError::retryable(format!(
                "{name}: killed after {} secs",
                self.timeout.as_secs_f64()
            )));
        };
        group.release();
        let status =
            status.map_err(|error| DeliveryError::retryable(format!("{name}: lost sight of it: {error}")))?;
        let words = match said.shown(&masks) {
            words if words.is_empty() => words,
            words => format!(": {words}"),
        };
        match status.code() {
            Some(0) => Ok(()),
            Some(TEMPORARY) => Err(DeliveryError::retryable(format!(
                "{name}: asks for another try (status {TEMPORARY}){words}"
            ))),
            Some(code) => Err(DeliveryError::permanent(format!("{name}: status {code}{words}"))),
            None => Err(DeliveryError::retryable(format!("{name}: {status}{words}"))),
        }
    }
}

/// Feeds it and captures its output until it ends.
async fn attend(
    child: &mut Child,
    input: String,
    said: &mut Output,
    masks: &ArgumentMasks<'_>,
) -> std::io::Result<std::process::ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // It need not read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let talk = async { tokio::join!(feed, said.capture(stdout, stderr, masks)) };
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
}

fn json_of(message: &Notification, key: &str) -> String {
    let tree = json!({
        "text": message.text,
        "subject": description::subject(message),
        "site": message.site,
        "monitor": message.monitor,
        "address": message.address,
        "label": message.kind.label(),
        "state": description::state(&message.kind),
        "severity": description::severity(&message.kind),
        "incident": message.incident,
        "number": message.number,
        "id": message.id,
        "key": key,
        "at": message.at,
        "since": description::since(message),
        "lasted_secs": message.lasted.map(|lasted| lasted.as_secs()),
    });
    format!("{tree}\n")
}

/// So many bytes of a part stand in a variable: Linux refuses to start a
/// program with a longer one than 128 KiB.
const VARIABLE: usize = 100_000;

fn variables(message: &Notification, key: &str) -> Vec<(&'static str, String)> {
    // No variable can hold a zero.
    let sound = |text: &str| text.replace('\0', "\u{fffd}");
    let mut all = vec![
        ("APMON_TEXT", sound(&message.text)),
        ("APMON_SUBJECT", description::subject(message)),
        ("APMON_SITE", sound(&message.site)),
        ("APMON_MONITOR", sound(&message.monitor)),
        ("APMON_ADDRESS", sound(&message.address)),
        ("APMON_LABEL", printable(message.kind.label()).into_owned()),
        ("APMON_STATE", description::state(&message.kind).into()),
        ("APMON_SEVERITY", description::severity(&message.kind).into()),
        ("APMON_INCIDENT", sound(&message.incident)),
        ("APMON_NUMBER", message.number.to_string()),
        ("APMON_ID", sound(&message.id)),
        ("APMON_KEY", sound(key)),
        ("APMON_AT", message.at.to_string()),
        ("APMON_SINCE", description::since(message).to_string()),
    ];
    for (_, value) in &mut all {
        value.truncate(value.floor_char_boundary(VARIABLE));
    }
    all
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
        self.run(notification, key, &mut Output::default()).await
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let arguments = " ***".repeat(self.args.len());
        shown.push(format!("> {}{arguments}", printable(&self.program)));
        shown.push(format!("> {}", printable(json_of(notification, key).trim_end())));
        let mut said = Output::default();
        let result = self.run(notification, key, &mut said).await;
        let words = said.shown(&ArgumentMasks::of(&self.args));
        shown.extend((!words.is_empty()).then(|| format!("< {words}")));
        result
    }
}

/// A path without its directory, and whole where nothing else is left.
fn last_part(path: &str) -> &str {
    let last = path.trim_end_matches('/').rsplit('/').next();
    last.filter(|last| !last.is_empty()).unwrap_or(path)
}
