//! Verdicts as text for people and Nagios servers, and as JSON.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    time::Duration,
};

use apmon_core::{Domain, Failure, Outcome, Part, Reading, Verdict, Warning, text::printable};
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
        for part in &check.observation.parts {
            console::line(&format!("  {}", part_sentence(part)));
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
                console::line(&format!("  {:>10}  {}", figure(metric.reading), metric.name));
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
    let entries: Vec<(String, u8)> = checks.iter().flat_map(entries).collect();
    let mut parts = Vec::new();
    for (code, what) in [
        (super::EXIT_CRITICAL, "down"),
        (super::EXIT_UNKNOWN, "unknown"),
        (super::EXIT_WARNING, "with a warning"),
    ] {
        let names = entries.iter().filter(|(_, exit)| *exit == code);
        let names: Vec<_> = names.map(|(name, _)| printable(name)).collect();
        if names.is_empty() {
            continue;
        }
        let of = match parts.is_empty() {
            true => format!(" of {}", entries.len()),
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
        parts.push(format!("all {} up", entries.len()));
    }
    let mut labels = Some(HashSet::new());
    let data: Vec<_> = checks.iter().map(|check| data(check, &mut labels)).collect();
    let text = parts.join(", ").replace('|', "/");
    format!("{} - {text} | {}", status_word(worst), data.join(" "))
}

/// A monitor and its parts, by name, with the exit code of each.
fn entries(check: &CompletedCheck) -> Vec<(String, u8)> {
    let name = &check.monitor.watch().name;
    let parts = check.observation.parts.iter();
    let parts = parts.map(|part| (part.full_name(name), super::exit_of(&part.outcome)));
    std::iter::once((name.clone(), check.exit()))
        .chain(parts)
        .collect()
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
        status_word(check.exit_with_parts()),
        format!("{text}{warning}{}", parts_note(check)).replace('|', "/")
    )
}

/// What of a monitor that has parts is not up: `; 1 of 48 parts not up: Gi1/0/2`.
fn parts_note(check: &CompletedCheck) -> String {
    let parts = &check.observation.parts;
    let wrong = parts.iter().filter(|part| super::exit_of(&part.outcome) > 0);
    let names: Vec<_> = wrong.map(|part| printable(&part.name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let more = match names.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    format!("; {} of {} parts not up: {shown}{more}", names.len(), parts.len())
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
        let _ = write!(data, " {}={}{unit}", label(&metric.name), figure(metric.reading));
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

/// A number with at most three decimals. A count is exact, also where a floating-point number
/// is not.
fn figure(reading: Reading) -> String {
    match reading {
        Reading::Counter { value, .. } => value.to_string(),
        Reading::Gauge(value) => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// A number for JSON: whole numbers are written as such.
fn number(reading: Reading) -> Value {
    /// From here on not every whole number has a floating-point number of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match reading {
        Reading::Counter { value, .. } => value.into(),
        #[allow(clippy::cast_possible_truncation)] // it is whole and in range
        Reading::Gauge(value) if value.fract() == 0.0 && value.abs() < EXACT => (value as i64).into(),
        Reading::Gauge(value) => value.into(),
    }
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
        "failure": failure_value(outcome),
        "warnings": warning_values(outcome),
        "phases_ms": phases,
        "metrics": metrics(outcome),
        "parts": check.observation.parts.iter().map(part_value).collect::<Vec<_>>(),
    });
    if explain {
        let steps = check.steps.iter();
        value["steps"] = steps
            .map(|step| json!({"at_ms": ms(step.at), "step": step.name, "text": step.text}))
            .collect();
    }
    value
}

/// The verdict on a part in a sentence: `CRITICAL - Gi1/0/2 is down: no link`.
fn part_sentence(part: &Part) -> String {
    let outcome = &part.outcome;
    let name = printable(&part.name);
    let text = match (outcome.verdict(), outcome.failure()) {
        (Verdict::Up, _) => format!("{name} is up"),
        (Verdict::Down, failure) => format!("{name} is down: {}", reason(failure)),
        (Verdict::Unknown, failure) => format!("{name} is unknown: {}", reason(failure)),
    };
    let warning = outcome.warning_text();
    let warning = warning.map_or(String::new(), |text| format!(", but: {}", printable(&text)));
    let text = format!("{text}{warning}").replace('|', "/");
    format!("{} - {text}", status_word(super::exit_of(outcome)))
}

fn part_value(part: &Part) -> Value {
    let outcome = &part.outcome;
    json!({
        "name": part.name,
        "verdict": outcome.verdict().to_string().to_lowercase(),
        "failure": failure_value(outcome),
        "warnings": warning_values(outcome),
        "metrics": metrics(outcome),
    })
}

fn failure_value(outcome: &Outcome) -> Option<Value> {
    let value = |failure: &Failure| {
        json!({
            "class": failure.class.as_str(),
            "domain": match failure.class.domain() {
                Domain::Environment => "environment",
                Domain::Application => "application",
                Domain::Own => "own",
            },
            "reason": failure.reason,
        })
    };
    outcome.failure().map(value)
}

fn warning_values(outcome: &Outcome) -> Vec<Value> {
    let value = |warning: &Warning| {
        json!({
            "class": warning.class.as_str(),
            "level": warning.level.as_str(),
            "text": warning.text,
        })
    };
    outcome.warnings.iter().map(value).collect()
}

fn metrics(outcome: &Outcome) -> BTreeMap<&str, Value> {
    let metrics = outcome.metrics.iter();
    metrics
        .map(|metric| (metric.name.as_ref(), number(metric.reading)))
        .collect()
}

#[cfg(test)]
mod tests {
    use apmon_core::FailureClass;

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
    fn whole_numbers_stay_whole() {
        let counter = |value| Reading::Counter {
            value,
            continues: true,
        };
        let big = (1 << 53) + 1;
        for (reading, text, json) in [
            (counter(big), "9007199254740993", "9007199254740993"),
            (counter(u64::MAX), "18446744073709551615", "18446744073709551615"),
            (Reading::Gauge(811.0), "811", "811"),
            (Reading::Gauge(0.533), "0.533", "0.533"),
            (Reading::Gauge(-3.0), "-3", "-3"),
        ] {
            assert_eq!(
                (figure(reading).as_str(), number(reading).to_string().as_str()),
                (text, json)
            );
        }
    }

    #[test]
    fn a_part_has_a_sentence_and_an_object() {
        let part = Part::new("Gi1|2", Outcome::fail(FailureClass::Status, "no link"));
        assert_eq!(part_sentence(&part), "CRITICAL - Gi1/2 is down: no link");
        assert_eq!(part_sentence(&Part::new("a", Outcome::default())), "OK - a is up");
        let value = part_value(&part);
        assert_eq!(
            (&value["name"], &value["verdict"]),
            (&json!("Gi1|2"), &json!("down"))
        );
        assert_eq!(value["failure"]["reason"], "no link");
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
