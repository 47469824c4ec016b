//! What a person reads: events and verdicts on stdout, the outcome of a site in the log.

use std::{
    borrow::Cow,
    io::{ErrorKind, Write as _},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use apmon_core::{
    CheckRecord, Event, PassReport, Verdict,
    config::ConfigError,
    text::{printable, without_logins},
};

use crate::{plural::count, sink::Sink};

static STDOUT: Sink = Sink::new(|| Box::new(std::io::stdout()));

/// Why a line could not be printed.
static LINE_ERROR: OnceLock<String> = OnceLock::new();

/// Prints one line on stdout and waits until it is written: for verbs that print
/// and exit. If that fails, [`line_error`] says why.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", safe_lines(text)).and_then(|()| out.flush()) {
        Ok(()) => {}
        // A reader that has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => drop(LINE_ERROR.set(error.to_string())),
    }
}

/// Why a line could not be printed, if one could not: a disk that is full.
pub(crate) fn line_error() -> Option<&'static str> {
    LINE_ERROR.get().map(String::as_str)
}

/// Escapes everything but line breaks. What is printed has escaped foreign text already; this is
/// for what was forgotten.
pub(crate) fn safe_lines(text: &str) -> Cow<'_, str> {
    let is_safe = |line: &str| matches!(printable(line), Cow::Borrowed(_));
    match text.split('\n').all(is_safe) {
        true => Cow::Borrowed(text),
        false => {
            let lines: Vec<_> = text.split('\n').map(printable).collect();
            Cow::Owned(lines.join("\n"))
        }
    }
}

/// The width of the terminal on stdout; `None` if stdout is not a terminal.
#[cfg(feature = "snmp")]
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    // 0: the terminal does not know its width.
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// Waits at most `limit` until the output of the engines is written.
pub(crate) fn finish(limit: Duration) {
    STDOUT.finish(limit);
}

/// Prints an event of an engine: notifications on stdout, checks in the log.
/// `every_check` logs each check at the first `-v`, as a pass does.
pub(crate) fn report(event: &Event<'_>, every_check: bool) {
    match event {
        Event::Notified(notification) => STDOUT.write(format!("{notification}\n").into_bytes()),
        Event::Checked(CheckRecord {
            watch,
            observation,
            state,
            transition,
            unknown_changed,
            took,
            ..
        }) => {
            let level_is_info = every_check || *unknown_changed || transition.is_some();
            if !tracing::enabled!(tracing::Level::INFO)
                || (!level_is_info && !tracing::enabled!(tracing::Level::DEBUG))
            {
                return;
            }
            let name = printable(&watch.name);
            let outcome = &observation.outcome;
            let verdict = outcome.verdict();
            let soft = if verdict == Verdict::Down && state.health().is_soft() {
                format!(
                    " (soft, failed check {} of {})",
                    state.down_count, watch.policy.max_retries
                )
            } else {
                String::new()
            };
            let text = match (outcome.failure(), outcome.warning_text()) {
                (Some(failure), _) => format!("{name}: {verdict}: {}{soft}", printable(&failure.reason)),
                (None, Some(warning)) => {
                    format!("{name}: {verdict} in {}: {}", millis(*took), printable(&warning))
                }
                (None, None) => format!("{name}: {verdict} in {}", millis(*took)),
            };
            if level_is_info {
                tracing::info!("{text}");
            } else {
                tracing::debug!("{text}");
            }
        }
        _ => {}
    }
}

/// Logs why a site cannot run. Errors in a site file are one line each and name
/// the file themselves.
pub(crate) fn log_error(config: &Path, error: &anyhow::Error) {
    if error.is::<ConfigError>() {
        for line in error.to_string().lines() {
            tracing::error!("{line}");
        }
    } else {
        let shown = config.display().to_string();
        tracing::error!("{}: {error:#}", printable(&without_logins(&shown)));
    }
}

/// Logs how many notifications a run leaves undelivered. `prefix` names the site, and
/// `later` says when the notifications are tried again.
pub(crate) fn log_undelivered(prefix: &str, report: &PassReport, later: &str) {
    if report.undelivered > 0 {
        let notifications = count(report.undelivered, "notification");
        tracing::warn!("{prefix}{notifications} not yet delivered; kept for {later}");
    }
    if report.lost > 0 {
        let notifications = count(report.lost, "notification");
        tracing::error!("{prefix}{notifications} LOST: not delivered, and the state could not be saved");
    }
}

/// Escapes everything in `json` that could control a terminal, as JSON escapes it.
/// Line breaks between values stay.
pub(crate) fn ascii_controls(json: &str) -> String {
    if let Cow::Borrowed(_) = safe_lines(json) {
        return json.to_owned();
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        let mut one = [0; 4];
        if c == '\n' || matches!(printable(c.encode_utf8(&mut one)), Cow::Borrowed(_)) {
            shown.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

/// A duration as `12.3 ms` or `1.25 s`.
pub(crate) fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}
