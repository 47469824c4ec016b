//! How much space the history of a site takes.

use std::fs;

use apmon_core::text::printable;
use apmon_rrd::{Archive, FileKind, Rows, expected_size};

use super::{
    settings::{RecordedMonitor, Settings},
    worker::librrd,
};
use crate::{plural::count, table};

/// A site that takes more is warned of, in bytes.
const MUCH: u64 = 2_000_000_000;

/// What the files of a site take, in bytes.
struct Sizes {
    /// For each monitor, and whether its files are there already.
    monitors: Vec<(u64, bool)>,
    /// What the files that are not there yet would take with the least rows.
    small: u64,
}

impl Sizes {
    fn of(settings: &Settings, archive: &Archive) -> Self {
        let mut small = 0;
        let monitors = settings.monitors.iter().map(|monitor| {
            let there = on_disk(archive, monitor);
            let size = match there {
                0 => expected_size(monitor.kind, monitor.step, &settings.rows, None),
                there => there,
            };
            small += match there {
                0 => expected_size(monitor.kind, monitor.step, &Rows::Small, None),
                there => there,
            };
            (size, there > 0)
        });
        Self {
            monitors: monitors.collect(),
            small,
        }
    }

    fn total(&self) -> u64 {
        self.monitors.iter().map(|(size, _)| size).sum()
    }

    fn is_there(&self) -> bool {
        self.monitors.iter().all(|(_, is_there)| *is_there)
    }

    /// The warning of a site that takes much space, with what would help.
    fn warning(&self) -> Option<String> {
        let total = self.total();
        if total <= MUCH {
            return None;
        }
        let help = match self.small < total {
            true => format!("; with rrd_rows: small, {}", bytes(self.small)),
            false => String::new(),
        };
        Some(format!("its history takes {}{help}", bytes(total)))
    }

    fn line(&self, settings: &Settings) -> String {
        format!(
            "history of {} in {}, {}{}, {}",
            count(self.monitors.len() as u64, "monitor"),
            printable(&settings.directory.display().to_string()),
            if self.is_there() { "" } else { "about " },
            bytes(self.total()),
            rows(&settings.rows)
        )
    }
}

/// The bytes of a monitor's files that are there.
fn on_disk(archive: &Archive, monitor: &RecordedMonitor) -> u64 {
    let sizes = FileKind::ALL.iter().filter_map(|kind| {
        let file = fs::metadata(archive.file_of(&monitor.name, *kind)).ok()?;
        Some(file.len())
    });
    sizes.sum()
}

/// `rrd_rows small`
fn rows(rows: &Rows) -> &'static str {
    match rows {
        Rows::Full => "rrd_rows full",
        Rows::Small => "rrd_rows small",
        Rows::ByHand(_) => "rrd_rows by hand",
    }
}

/// Bytes for people, at most three digits: `4.4 MB`.
fn bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let mut value = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 999.5 {
            return match value {
                _ if unit == "bytes" => format!("{value} {unit}"),
                value if value < 9.95 => format!("{value:.1} {unit}"),
                value => format!("{value:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// Logs what the history of a site that starts takes.
pub(super) fn log(settings: &Settings, archive: &Archive) {
    let sizes = Sizes::of(settings, archive);
    let site = printable(&settings.site);
    tracing::info!("{site}: {}", sizes.line(settings));
    if let Some(warning) = sizes.warning() {
        tracing::warn!("{site}: {warning}");
    }
}

/// What `--test-config` shows of the history of a site, and a warning.
pub(crate) fn report(settings: &Settings) -> (String, Option<String>) {
    let archive = Archive::open(&settings.directory, librrd());
    archive.assign(settings.monitors.iter().map(|monitor| monitor.name.as_str()));
    let sizes = Sizes::of(settings, &archive);
    let monitors = settings.monitors.iter().zip(&sizes.monitors);
    let rows: Vec<Vec<String>> = monitors
        .map(|(monitor, (size, is_there))| {
            let file = archive.file_of(&monitor.name, FileKind::main_of(monitor.kind));
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            vec![
                printable(&monitor.name).into_owned(),
                printable(&file).into_owned(),
                monitor.step.to_string(),
                match is_there {
                    true => bytes(*size),
                    false => format!("about {}", bytes(*size)),
                },
            ]
        })
        .collect();
    let text = format!(
        "\n{}\n\n{}",
        sizes.line(settings),
        table::render(&["NAME", "FILE", "STEP", "SIZE"], &rows)
    );
    (text, sizes.warning())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rows: Rows, monitors: &[(&str, &'static str)]) -> Settings {
        let monitor = |(name, kind): &(&str, &'static str)| RecordedMonitor {
            name: (*name).to_owned(),
            kind,
            address: String::new(),
            step: 60,
            display: true,
            percentile: None,
        };
        Settings {
            site: "Home".to_owned(),
            directory: "/nonexistent/home.statefile.rrd".into(),
            rows,
            flush: None,
            monitors: monitors.iter().map(monitor).collect(),
            mrtg: None,
        }
    }

    #[test]
    fn a_size_has_at_most_three_digits() {
        for (n, text) in [
            (999, "999 bytes"),
            (4_400_672, "4.4 MB"),
            (690_000, "690 kB"),
            (153_979_456, "154 MB"),
            (9_960_000, "10 MB"),
            (999_600_000, "1.0 GB"),
            (2_640_000_000, "2.6 GB"),
            (44_000_000_000_000, "44.0 TB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn each_monitor_and_the_site_are_shown() {
        let settings = settings(Rows::Full, &[("web 1", "http"), ("core", "ports")]);
        let (text, warning) = report(&settings);
        insta::assert_snapshot!(text);
        assert_eq!(warning, None);
    }

    #[test]
    fn a_site_that_takes_much_is_warned_of_what_would_help() {
        let switches: Vec<(&str, &'static str)> = vec![("core", "ports"); 14];
        let (_, warning) = report(&settings(Rows::Full, &switches));
        insta::assert_snapshot!(warning.unwrap());
        let (_, warning) = report(&settings(Rows::Small, &switches));
        assert_eq!(warning, None);
    }

    #[test]
    fn files_that_are_there_count_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, size: usize| fs::write(directory.path().join(name), vec![0; size]).unwrap();
        file("web-availability.rrd", 2_000);
        file("web-metrics.rrd", 500);
        let settings = Settings {
            directory: directory.path().to_owned(),
            ..settings(Rows::Full, &[("web", "http")])
        };
        let archive = Archive::open(&settings.directory, librrd());
        let sizes = Sizes::of(&settings, &archive);
        assert_eq!(sizes.monitors, [(2_500, true)]);
    }
}
