//! Programs as channels.

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
    output::{ArgumentMasks, CapturedOutput},
    path::shown_program,
    start::{is_final, start},
};
use crate::description;

/// EX_TEMPFAIL of sysexits.h: the delivery is retried.
const TEMPORARY: i32 = 75;
/// How long the output is read after the program has ended. A process that it left
/// running may keep the output open.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);

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
        "Your own programs. They receive the notification as JSON on standard input, and its parts in `APMON_*` \
         variables. Exit status 0 means delivered, 75 asks for a retry, and any other refuses the notification. (An addition.)"
    }

    fn example(&self) -> &'static str {
        "program: /usr/local/bin/send-sms\nargs: [--to, '+49 170 0000000']\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(CommandOptions)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = options::read(section)?;
        let program = options.program.clone()?.into_string();
        let own_timeout = options.timeout_secs.map(Seconds::duration);
        let shown = shown_program(&program).into_owned();
        let identity = last_part(&shown).to_owned();
        let mut blueprint = ChannelBlueprint::new(identity, shown, move |_: &Services, timeout| {
            Arc::new(Command::of(program.clone(), &options, timeout))
        });
        blueprint.label = Some("command");
        blueprint.timeout = own_timeout;
        Some(blueprint)
    }
}

/// One entry of `site.outage_commands`.
///
/// The program receives the notification as JSON on standard input, and its parts in
/// `APMON_*` variables. Exit status 0 means delivered, 75 and a signal are retried, any
/// other status is a refusal. At the timeout the program's process group is killed.
pub struct Command {
    program: String,
    args: Vec<Secret>,
    timeout: Duration,
}

impl Command {
    /// Creates a channel from its options. `timeout` limits each delivery, unless the
    /// options set a timeout. Returns `None` if they name no program.
    #[must_use]
    pub fn new(options: &CommandOptions, timeout: Duration) -> Option<Self> {
        let program = options.program.clone()?.into_string();
        Some(Self::of(program, options, timeout))
    }

    /// Creates a channel that runs `program`, which is that of the options.
    fn of(program: String, options: &CommandOptions, timeout: Duration) -> Self {
        Self {
            program,
            args: options.args.clone(),
            timeout: options.timeout_secs.map_or(timeout, Seconds::duration),
        }
    }

    fn shown_name(&self) -> String {
        printable(last_part(&shown_program(&self.program))).into_owned()
    }

    fn process(&self, notification: &Notification, key: &str) -> Process {
        let mut process = Process::new(&self.program);
        process
            .args(self.args.iter().map(Secret::reveal))
            .envs(variables(notification, key))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        process
    }

    async fn run(
        &self,
        notification: &Notification,
        key: &str,
        output: &mut CapturedOutput,
    ) -> Result<(), DeliveryError> {
        let name = self.shown_name();
        let started = tokio::time::timeout(self.timeout, start(self.process(notification, key))).await;
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
        let run = run_to_end(&mut child, json_of(notification, key), output, &masks);
        let ended = tokio::time::timeout(self.timeout, run).await;
        let Ok(status) = ended else {
            group.kill();
            let _ = child.start_kill(); // on systems without process groups
            let _ = child.wait().await;
            return Err(DeliveryError::retryable(format!(
                "{name}: killed after {} secs",
                self.timeout.as_secs_f64()
            )));
        };
        group.release();
        let status = status
            .map_err(|error| DeliveryError::retryable(format!("{name}: cannot wait for its end: {error}")))?;
        let text = match output.shown(&masks) {
            text if text.is_empty() => text,
            text => format!(": {text}"),
        };
        match status.code() {
            Some(0) => Ok(()),
            Some(TEMPORARY) => Err(DeliveryError::retryable(format!(
                "{name}: asks for a retry (status {TEMPORARY}){text}"
            ))),
            Some(code) => Err(DeliveryError::permanent(format!("{name}: status {code}{text}"))),
            None => Err(DeliveryError::retryable(format!("{name}: {status}{text}"))),
        }
    }
}

/// Writes the program's input and captures its output until it ends.
async fn run_to_end(
    child: &mut Child,
    input: String,
    output: &mut CapturedOutput,
    masks: &ArgumentMasks<'_>,
) -> std::io::Result<std::process::ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // The program need not read its input.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let transfer = async { tokio::join!(feed, output.capture(stdout, stderr, masks)) };
    tokio::pin!(transfer);
    let mut is_transferred = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = &mut transfer, if !is_transferred => is_transferred = true,
        }
    };
    if !is_transferred {
        let _ = tokio::time::timeout(OUTPUT_GRACE, transfer).await;
    }
    status
}

fn json_of(notification: &Notification, key: &str) -> String {
    let tree = json!({
        "text": notification.text,
        "subject": description::subject(notification),
        "site": notification.site,
        "monitor": notification.monitor,
        "address": notification.address,
        "label": notification.kind.label(),
        "state": description::state(&notification.kind),
        "severity": description::severity(&notification.kind),
        "incident": notification.incident,
        "number": notification.number,
        "id": notification.id,
        "key": key,
        "at": notification.at,
        "since": description::since(notification),
        "lasted_secs": notification.lasted.map(|lasted| lasted.as_secs()),
    });
    format!("{tree}\n")
}

/// The maximum length of a variable in bytes. Linux does not start a program with a
/// variable longer than 128 KiB.
const MAX_VARIABLE: usize = 100_000;

fn variables(notification: &Notification, key: &str) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("APMON_TEXT", escaped(&notification.text)),
        ("APMON_SUBJECT", description::subject(notification)),
        ("APMON_SITE", escaped(&notification.site)),
        ("APMON_MONITOR", escaped(&notification.monitor)),
        ("APMON_ADDRESS", escaped(&notification.address)),
        ("APMON_LABEL", escaped(notification.kind.label())),
        ("APMON_STATE", description::state(&notification.kind).into()),
        ("APMON_SEVERITY", description::severity(&notification.kind).into()),
        ("APMON_INCIDENT", escaped(&notification.incident)),
        ("APMON_NUMBER", notification.number.to_string()),
        ("APMON_ID", escaped(&notification.id)),
        ("APMON_KEY", escaped(key)),
        ("APMON_AT", notification.at.to_string()),
        ("APMON_SINCE", description::since(notification).to_string()),
    ];
    for (_, value) in &mut all {
        value.truncate(value.floor_char_boundary(MAX_VARIABLE));
    }
    all
}

/// `text` with its control characters and separators of lines escaped: a NUL ends a variable, and
/// scripts take a line break for the end of a record. All else stays, so that a name equals that
/// of the site file; joiners for example are part of words in many languages.
fn escaped(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match breaks(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &shown_program(&self.program))
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for Command {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        self.run(notification, key, &mut CapturedOutput::default()).await
    }

    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let arguments = " ***".repeat(self.args.len());
        let program = shown_program(&self.program);
        shown.push(format!("> {}{arguments}", printable(&program)));
        shown.push(format!("> {}", printable(json_of(notification, key).trim_end())));
        let mut output = CapturedOutput::default();
        let result = self.run(notification, key, &mut output).await;
        let text = output.shown(&ArgumentMasks::of(&self.args));
        shown.extend((!text.is_empty()).then(|| format!("< {text}")));
        result
    }
}

/// The last part of a path, or the whole path if it has no such part.
fn last_part(path: &str) -> &str {
    let last = path.trim_end_matches('/').rsplit('/').next();
    last.filter(|last| !last.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn only_controls_and_separators_of_lines_are_escaped_in_a_variable() {
        for name in [
            "\u{646}\u{645}\u{6cc}\u{200c}\u{62f}",
            "\u{1f469}\u{200d}\u{1f52c}",
            "soft\u{ad}hyphen \u{feff}\u{202e}",
            "a\\nb \"c\"",
        ] {
            assert_eq!(escaped(name), name);
        }
        assert_eq!(
            escaped("a\0b\nc\rd\te\u{1b}\u{7f}\u{85}\u{2028}\u{2029}"),
            "a\\u{0}b\\nc\\rd\\te\\u{1b}\\u{7f}\\u{85}\\u{2028}\\u{2029}"
        );
    }
}
