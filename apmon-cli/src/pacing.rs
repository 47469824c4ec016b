//! `apmon pacing`: when the reminders of an outage would be sent.

use std::{io::IsTerminal as _, num::NonZeroU32, process::ExitCode, time::Duration};

use apmon_core::rule::{pacing, wording};
use clap::Args;
use serde_json::json;

use crate::{console, options::seconds, table};

/// Arguments of `apmon pacing`.
#[derive(Args)]
pub(crate) struct PacingArgs {
    /// Longest interval between two reminders, in seconds.
    #[arg(long, value_name = "S", value_parser = seconds)]
    notify_every_n_secs: Duration,
    /// The reminder from which that interval applies.
    #[arg(long, value_name = "N", default_value = "1")]
    after_every_n_notifications: NonZeroU32,
    /// Number of reminders to show. [default: N + 3]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: Option<u32>,
    /// Print JSON: [{"reminder", "wait_secs", "after_secs"}].
    #[arg(long)]
    json: bool,
}

/// Prints the table of reminders.
pub(crate) fn run(args: &PacingArgs) -> anyhow::Result<ExitCode> {
    let n = args.after_every_n_notifications;
    let count = args.count.unwrap_or_else(|| n.get().saturating_add(3).min(1000));
    let curve: Vec<_> = curve(args.notify_every_n_secs, n, count).collect();
    if args.json {
        let list: Vec<_> = curve
            .iter()
            .map(|(k, wait, after)| json!({"reminder": k, "wait_secs": wait.as_secs_f64(), "after_secs": after.as_secs_f64()}))
            .collect();
        console::line(&serde_json::to_string_pretty(&list)?);
    } else {
        console::line(&text(
            &curve,
            args.notify_every_n_secs,
            std::io::stdout().is_terminal(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// One reminder: its number, its wait, and the time since the outage was announced.
type Point = (u32, Duration, Duration);

/// The first `count` reminders of an outage.
fn curve(base: Duration, n: NonZeroU32, count: u32) -> impl Iterator<Item = Point> {
    (1..=count).scan(Duration::ZERO, move |since, k| {
        let wait = pacing::wait(k, base, n);
        *since = since.saturating_add(wait);
        Some((k, wait, *since))
    })
}

fn text(curve: &[Point], base: Duration, with_bars: bool) -> String {
    let mut rows = vec![vec![
        "outage".to_owned(),
        "0".to_owned(),
        "0".to_owned(),
        "0 secs".to_owned(),
        String::new(),
    ]];
    rows.extend(curve.iter().map(|(k, wait, after)| {
        let bar = if with_bars {
            bar(*wait, base)
        } else {
            String::new()
        };
        vec![
            format!("reminder {k}"),
            secs(*wait),
            secs(*after),
            wording::duration(*after),
            bar,
        ]
    }));
    table::render(
        &["NOTIFICATION", "WAIT (secs)", "AFTER (secs)", "DOWN FOR", ""],
        &rows,
    )
}

/// A bar for `wait` in proportion to `base`, drawn in eighths of a cell.
fn bar(wait: Duration, base: Duration) -> String {
    const CELLS: f64 = 32.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 256
    let eighths = (wait.as_secs_f64() / base.as_secs_f64() * CELLS * 8.0).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

fn secs(duration: Duration) -> String {
    let text = format!("{:.1}", duration.as_secs_f64());
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_waits_growing_to_eight_seconds() {
        let curve: Vec<_> = curve(Duration::from_secs(8), NonZeroU32::new(4).unwrap(), 5).collect();
        let table = text(&curve, Duration::from_secs(8), true);
        assert_eq!(
            table,
            "\
NOTIFICATION  WAIT (secs)  AFTER (secs)  DOWN FOR
outage        0            0             0 secs
reminder 1    3.5          3.5           3 secs    ██████████████
reminder 2    6            9.5           9 secs    ████████████████████████
reminder 3    7.5          17            17 secs   ██████████████████████████████
reminder 4    8            25            25 secs   ████████████████████████████████
reminder 5    8            33            33 secs   ████████████████████████████████"
        );
    }
}
