//! What goes to stdout: the seed's lines, verdicts and tables.

use std::{borrow::Cow, io::Write as _, time::Duration};

use apmon_core::{Event, Verdict, text::printable};

use crate::sink::Sink;

static STDOUT: Sink = Sink::new(|| Box::new(std::io::stdout()));

/// One line on stdout, written before this returns: for verbs that print and end.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// How wide the terminal is that stdout is; `None` where it is none.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    // 0: a terminal that does not know.
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// Waits until the lines of engines are written, at most so long.
pub(crate) fn finish(limit: Duration) {
    STDOUT.finish(limit);
}

/// Prints what an engine reports: messages on stdout, looks in the log.
/// `every_check` logs each one at the first `-v`, as a pass does.
pub(crate) fn report(event: &Event<'_>, every_check: bool) {
    match event {
        Event::Notified(notification) => STDOUT.write(format!("{notification}\n").into_bytes()),
        Event::Checked {
            watch,
            observation,
            state,
            transition,
            unknown_changed,
            took,
            ..
        } => {
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
                    " (look {} of {} before it is an outage)",
                    state.down_count, watch.policy.max_retries
                )
            } else {
                String::new()
            };
            let text = match (outcome.failure(), &outcome.warning) {
                (Some(failure), _) => format!("{name}: {verdict}: {}{soft}", printable(&failure.reason)),
                (None, Some(warning)) => {
                    format!("{name}: {verdict} in {}: {}", millis(*took), printable(warning))
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

/// JSON in which nothing drives a terminal: what `printable` would write out is
/// escaped the JSON way. Line ends between values stay.
pub(crate) fn ascii_controls(json: &str) -> String {
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

/// `12.3 ms`, `1.25 s`.
pub(crate) fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}
