//! What goes to stdout: the seed's lines, verdicts and tables.

use std::io::Write as _;

use apmon_core::{Event, Verdict, text::printable};

/// One line on stdout. A closed pipe is no reason to stop watching.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints what an engine reports: messages on stdout, looks in the log.
/// `every_look` logs each one at the first `-v`, as a pass does.
pub(crate) fn report(event: &Event<'_>, every_look: bool) {
    match event {
        Event::Told(notification) => line(&notification.to_string()),
        Event::Looked {
            watch,
            observation,
            state,
            transition,
            took,
            ..
        } => {
            let level_is_info = every_look || transition.is_some();
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

/// `12.3 ms`, `1.25 s`.
pub(crate) fn millis(duration: std::time::Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}
