//! Checks that come so rarely that their values count for nothing.

use std::{fs, path::Path, time::Duration};

use apmon_core::{Clock as _, Snapshot, SystemClock, local_zone, rule::wording, text::printable};
use apmon_rrd::{Archive, FileKind, Query};
use jiff::Timestamp;

use super::{
    settings::{RecordedMonitor, Settings},
    worker::librrd,
};
use crate::plural::count;

/// The warning of a pass that comes later than the files of the site allow: a value is unknown
/// if the one before it is more than two steps older. Reads the state that the pass before has
/// left.
pub(crate) fn rare_pass(settings: &Settings, state_file: &Path) -> Option<String> {
    let snapshot = apmon_store::read_snapshot(state_file, &local_zone()).ok()?;
    warning(settings, &snapshot, SystemClock::new().now().wall)
}

/// The most files that are examined: what is wrong with one is wrong with all.
const MOST_FILES: usize = 5;
/// The steps of which one would be known if values came often enough.
const STEPS: u32 = 30;

/// The warning for `--test-config` of a site in whose files nothing is known, although values are
/// written into them.
pub(crate) fn rare_values(settings: &Settings) -> Option<String> {
    let archive = Archive::open(&settings.directory, librrd());
    archive.assign(settings.monitors.iter().map(|monitor| monitor.name.as_str()));
    let now = SystemClock::new().now().wall;
    let file = |monitor: &RecordedMonitor| archive.file_of(&monitor.name, FileKind::main_of(monitor.kind));
    let there = settings.monitors.iter().filter(|monitor| file(monitor).exists());
    let rare = there.take(MOST_FILES).find(|monitor| {
        let created = fs::metadata(file(monitor)).and_then(|file| file.created()).ok();
        let created = created.and_then(|created| Timestamp::try_from(created).ok());
        let age = created.and_then(|created| Duration::try_from(now.duration_since(created)).ok());
        age.is_some_and(|age| is_rare(&archive, monitor, age))
    })?;
    Some(format!(
        "nothing is known of {} although it is recorded: its values are more than {} apart; make passes more often, \
         use apmon run, or raise check_every_n_secs",
        printable(&rare.name),
        wording::duration(Duration::from_secs(rare.step.saturating_mul(2))),
    ))
}

/// Whether values are written into a monitor's file of this age that all come too late.
fn is_rare(archive: &Archive, monitor: &RecordedMonitor, age: Duration) -> bool {
    let kind = FileKind::main_of(monitor.kind);
    let span = Duration::from_secs(monitor.step) * STEPS;
    let Ok(last) = archive.last_values(&monitor.name, kind) else {
        return false;
    };
    // A file that is young knows nothing yet.
    if age < span || last.values.iter().all(|(_, value)| value.is_none()) {
        return false;
    }
    let start = last
        .at
        .saturating_sub(i64::try_from(span.as_secs()).unwrap_or(i64::MAX));
    let query = Query::new(&monitor.name, kind, start..last.at, STEPS as usize);
    let fetched = archive.fetch(&query);
    fetched.is_ok_and(|fetched| fetched.values.iter().all(|value| value.is_nan()))
}

fn warning(settings: &Settings, snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    let late = settings.monitors.iter().filter_map(|monitor| {
        let state = snapshot.monitors.get(&monitor.name)?;
        let age = Duration::try_from(now.duration_since(state.last_checked?)).ok()?;
        let most = Duration::from_secs(monitor.step.saturating_mul(2));
        (age > most).then_some((monitor, most))
    });
    let late: Vec<_> = late.collect();
    let (monitor, most) = late.first()?;
    let others = match late.len() {
        1 => String::new(),
        n => format!(" and {}", count(n as u64 - 1, "other")),
    };
    // Without the age: it is the same warning at each pass.
    Some(format!(
        "{}: the history of {}{others} has a gap: values more than {} apart are unknown, and this pass comes later; \
         make passes more often, use apmon run, or raise check_every_n_secs",
        printable(&settings.site),
        printable(&monitor.name),
        wording::duration(*most),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apmon_core::MonitorState;
    use apmon_rrd::Rows;

    use super::*;
    use crate::rrd::settings::RecordedMonitor;

    #[test]
    fn a_pass_that_comes_later_than_two_steps_is_warned_of() {
        let monitor = |name: &str| RecordedMonitor {
            name: name.to_owned(),
            kind: "tcp",
            address: String::new(),
            step: 60,
            display: true,
            percentile: None,
        };
        let settings = Settings {
            site: "Home".to_owned(),
            directory: "home.statefile.rrd".into(),
            rows: Rows::Full,
            flush: None,
            monitors: ["new", "web", "mail"].map(monitor).into(),
            mrtg: None,
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut snapshot = Snapshot::default();
        for name in ["web", "mail"] {
            let state = MonitorState {
                last_checked: Some(at("2026-02-11T14:00:00Z")),
                ..MonitorState::default()
            };
            snapshot.monitors.insert(name.to_owned(), Arc::new(state));
        }
        assert_eq!(warning(&settings, &snapshot, at("2026-02-11T14:02:00Z")), None);
        assert_eq!(
            warning(&settings, &snapshot, at("2026-02-11T14:05:00Z")).as_deref(),
            Some(
                "Home: the history of web and 1 other has a gap: values more than 2 mins 0 secs apart are unknown, and \
                 this pass comes later; make passes more often, use apmon run, or raise check_every_n_secs"
            )
        );
    }
}
