//! Verdicts as text for people and Nagios servers, and as JSON.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    time::Duration,
};

use apmon_core::{Domain, Reading, Verdict, text::printable};
use serde_json::{Value, json};

use super::CompletedCheck;
use crate::console::{self, ascii_controls, millis};

/// Prints the verdicts.
pub(super) fn print(checks: &[CompletedCheck], as_json: bool, explain: bool) {
    if as_json {
        let list: Vec<_> = checks.iter().map(|check| value(check, explain)).collect();
        let value = match <[Value; 1]>::try_from(list) {
            Ok([one]) => one,
            Err(list) => Value::Array(list),
        };
        console::line(&ascii_controls(&format!("{value:#}")));
        return;
    }
    let several = checks.len() > 1;
    if several {
        console::line(&summary(checks));
    }
    for check in checks {
        // Nagios reads everything after the first | of a later line as performance data.
        match several {
            true => console::line(&sentence(check)),
            false => console::line(&format!("{} | {}", sentence(check), data(check, &mut None))),
        }
        if explain {
            for step in &check.steps {
                console::line(&format!(
                    "  {:>10}  {:<12} {}",
                    millis(step.at),
                    step.name,
                    printable(&step.text)
                ));
            }
            for (phase, took) in &check.observation.outcome.phases {
                console::line(&format!("  {:>10}  in {}", millis(*took), phase.as_str()));
            }
            for metric in &check.observation.outcome.metrics {
                console::line(&format!("  {:>10}  {}", figure(metric.value()), metric.name));
            }
        }
    }
}

/// Prints why there was no check, for a program that reads only stdout.
pub(super) fn print_error(reason: &str, as_json: bool) {
    if as_json {
        let failure = json!({"class": "usage", "domain": "own", "reason": reason});
        let value = json!({"verdict": "unknown", "failure": failure});
        console::line(&ascii_controls(&format!("{value:#}")));
        return;
    }
    let mut lines = reason.lines();
    let first = printable(lines.next().unwrap_or_default()).replace('|', "/");
    let more = match lines.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    console::line(&format!("{} - {first}{more}", status_word(super::EXIT_UNKNOWN)));
}

/// The summary of several monitors, `CRITICAL - 1 of 3 down: nas |
/// gateway=0.000452s;;;0 nas=...`: Nagios shows the first line.
fn summary(checks: &[CompletedCheck]) -> String {
    let worst = super::worst(checks);
    let mut parts = Vec::new();
    for (code, what) in [
        (super::EXIT_CRITICAL, "down"),
        (super::EXIT_UNKNOWN, "unknown"),
        (super::EXIT_WARNING, "with a warning"),
    ] {
        let names: Vec<_> = checks
            .iter()
            .filter(|check| check.exit() == code)
            .map(|check| printable(&check.monitor.watch().name))
            .collect();
        if names.is_empty() {
            continue;
        }
        let of = match parts.is_empty() {
            true => format!(" of {}", checks.len()),
            false => String::new(),
        };
        let more = match names.len().saturating_sub(MAX_NAMES) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let shown = names[..names.len().min(MAX_NAMES)].join(", ");
        parts.push(format!("{}{of} {what}: {shown}{more}", names.len()));
    }
    if parts.is_empty() {
        parts.push(format!("all {} up", checks.len()));
    }
    let mut labels = Some(HashSet::new());
    let data: Vec<_> = checks.iter().map(|check| data(check, &mut labels)).collect();
    let text = parts.join(", ").replace('|', "/");
    format!("{} - {text} | {}", status_word(worst), data.join(" "))
}

/// How many names are listed; more are counted, since Nagios truncates long lines.
const MAX_NAMES: usize = 20;

/// The verdict in a sentence: `OK - http://192.0.2.1/ is up in 12.3 ms`.
fn sentence(check: &CompletedCheck) -> String {
    let watch = check.monitor.watch();
    let address = printable(&watch.address);
    let subject = if watch.name == "check" {
        address.into_owned()
    } else {
        format!("{} ({address})", printable(&watch.name))
    };
    let outcome = &check.observation.outcome;
    let text = match (outcome.verdict(), outcome.failure()) {
        (Verdict::Up, _) => format!("{subject} is up in {}", millis(time(check))),
        (Verdict::Down, failure) => format!("{subject} is down: {}", reason(failure)),
        (Verdict::Unknown, failure) => format!("{subject} is unknown: {}", reason(failure)),
    };
    let warning = outcome
        .warning_text()
        .map(|warning| format!(", but: {}", printable(&warning)))
        .unwrap_or_default();
    // A | separates the performance data; there must be none before it.
    format!(
        "{} - {}",
        status_word(check.exit()),
        format!("{text}{warning}").replace('|', "/")
    )
}

fn time(check: &CompletedCheck) -> Duration {
    check.observation.outcome.latency.unwrap_or(check.took)
}

/// The performance data: `time=0.012300s;;;0`, and the metrics. With several
/// monitors the name is the label, and labels are unique.
fn data(check: &CompletedCheck, labels: &mut Option<HashSet<String>>) -> String {
    let name = &check.monitor.watch().name;
    let mut label = |own: &str| match labels {
        None => own.to_owned(),
        Some(taken) => {
            let base = match own {
                "time" => name.clone(),
                own => format!("{name} {own}"),
            };
            let mut label = base.clone();
            for n in 2.. {
                label = quoted(&label);
                if taken.insert(label.clone()) {
                    break;
                }
                label = format!("{base}~{n}");
            }
            label
        }
    };
    let mut data = format!("{}={:.6}s;;;0", label("time"), time(check).as_secs_f64());
    for metric in &check.observation.outcome.metrics {
        let unit = if matches!(metric.reading, Reading::Counter { .. }) {
            "c"
        } else {
            ""
        };
        let _ = write!(data, " {}={}{unit}", label(&metric.name), figure(metric.value()));
    }
    data
}

/// Quotes a label for Nagios: `=` and `|` are replaced, anything but a plain word is
/// quoted, and quotes are doubled.
fn quoted(label: &str) -> String {
    let label = printable(label).replace('=', "_").replace('|', "/");
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:~".contains(c);
    match !label.is_empty() && label.chars().all(is_plain) {
        true => label,
        false => format!("'{}'", label.replace('\'', "''")),
    }
}

/// A number with at most three decimals.
fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn reason(failure: Option<&apmon_core::Failure>) -> String {
    failure.map_or_else(String::new, |failure| printable(&failure.reason).into_owned())
}

/// The status as Nagios plugins name it.
fn status_word(code: u8) -> &'static str {
    match code {
        0 => "OK",
        super::EXIT_WARNING => "WARNING",
        super::EXIT_CRITICAL => "CRITICAL",
        _ => "UNKNOWN",
    }
}

/// The result as JSON.
fn value(check: &CompletedCheck, explain: bool) -> Value {
    let watch = check.monitor.watch();
    let outcome = &check.observation.outcome;
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    // A redirect repeats phases: their times are added.
    let mut phases = BTreeMap::new();
    for (phase, took) in &outcome.phases {
        *phases.entry(phase.as_str()).or_insert(0.0) += ms(*took);
    }
    let mut value = json!({
        "name": watch.name,
        "type": watch.kind,
        "address": watch.address,
        "verdict": outcome.verdict().to_string().to_lowercase(),
        "latency_ms": outcome.latency.map(ms),
        "took_ms": ms(check.took),
        "failure": outcome.failure().map(|failure| json!({
            "class": failure.class.as_str(),
            "domain": match failure.class.domain() {
                Domain::Environment => "environment",
                Domain::Application => "application",
                Domain::Own => "own",
            },
            "reason": failure.reason,
        })),
        "warnings": outcome.warnings.iter().map(|warning| json!({
            "class": warning.class.as_str(),
            "level": warning.level.as_str(),
            "text": warning.text,
        })).collect::<Vec<_>>(),
        "phases_ms": phases,
        "metrics": outcome.metrics.iter().map(|metric| (metric.name.as_ref(), metric.value())).collect::<BTreeMap<_, _>>(),
    });
    if explain {
        let steps = check.steps.iter();
        value["steps"] = steps
            .map(|step| json!({"at_ms": ms(step.at), "step": step.name, "text": step.text}))
            .collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_for_nagios() {
        for (name, label) in [
            ("nas", "nas"),
            ("nas.lan-2", "nas.lan-2"),
            ("up again", "'up again'"),
            ("Bob's|a=b", "'Bob''s/a_b'"),
            ("Zürich", "Zürich"),
        ] {
            assert_eq!(quoted(name), label);
        }
    }

    #[test]
    fn json_controls_no_terminal_and_keeps_its_meaning() {
        let value = json!({"name": "a\u{9b}31m\u{202e}b\u{1b}\n", "text": "Zürich"});
        let shown = ascii_controls(&format!("{value:#}"));
        assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{shown:?}");
        assert!(shown.contains("Zürich"));
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
