//! All files of a site, and when they are written.

mod prepare;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use apmon_core::{Mono, Now};

use super::{
    WriterOptions, WriterReport,
    file::{File, FileState},
    library::{Begun, Library},
    rows::{self, Added, Row},
    sample::Sample,
};
use crate::{archive::Archive, error::RrdError, operation::Value, template::FileKind};

/// The most updates on their way.
const MOST_OPEN: usize = 256;
/// After a file was in use elsewhere.
const AFTER_LOCK: Duration = Duration::from_secs(5);
/// After anything else went wrong.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// After an update failed several times.
const AFTER_FAILURES: Duration = Duration::from_secs(600);
/// How often an update is tried.
const ATTEMPTS: u32 = 3;

/// Which rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// Those of seconds that have ended.
    Ended,
    /// All, because somebody wants to read them.
    All,
    /// All, and whatever cannot be written now is lost.
    Last,
}

/// All files of a site.
pub(super) struct Files {
    archive: Archive,
    library: Arc<dyn Library>,
    options: WriterOptions,
    files: Vec<File>,
    of_monitor: HashMap<String, [Option<usize>; 3]>,
    due: BinaryHeap<Reverse<(Mono, usize)>>,
    open: VecDeque<Sent>,
    created: u32,
    next_creation: Option<Mono>,
    has_directory: bool,
    said: HashSet<&'static str>,
    pub(super) report: WriterReport,
    /// There is no librrd: everything is dropped.
    pub(super) is_useless: bool,
}

/// An update on its way.
struct Sent {
    file: usize,
    rows: Vec<Row>,
    begun: Begun,
}

impl Files {
    pub(super) fn new(archive: Archive, library: Arc<dyn Library>, options: WriterOptions) -> Self {
        Self {
            archive,
            library,
            options,
            files: Vec::new(),
            of_monitor: HashMap::new(),
            due: BinaryHeap::new(),
            open: VecDeque::new(),
            created: 0,
            next_creation: None,
            has_directory: false,
            said: HashSet::new(),
            report: WriterReport::default(),
            is_useless: false,
        }
    }

    /// When something is to be written next.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Whether updates are on their way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// Rows of this monitor were lost.
    pub(super) fn mark_broken(&mut self, monitor: &str) {
        for file in self.of_monitor.get(monitor).into_iter().flatten().flatten() {
            self.files[*file].is_broken = true;
        }
    }

    /// Takes a sample over.
    pub(super) fn take(&mut self, sample: &Sample, now: Now) {
        if let Some(values) = &sample.availability {
            let file = self.file(sample, FileKind::Availability, now);
            let added = self.files[file].push_values(sample.at, values);
            self.added(file, added, now);
        }
        // A poll without figures leaves a gap, as in APMonitor: growth over the gap is known.
        if !sample.snmp.is_empty() {
            let file = self.file(sample, FileKind::Snmp, now);
            let (added, _) = self.files[file].push_figures(sample.at, &sample.snmp);
            self.added(file, added, now);
        }
        let file = self.file(sample, FileKind::Metrics, now);
        if !sample.metrics.is_empty() || self.has_metrics(file) {
            let (added, without) = self.files[file].push_figures(sample.at, &sample.metrics);
            if without > 0 {
                self.say("metrics", || {
                    format!(
                        "monitor {:?} has too many metrics; {without} of them are not recorded",
                        sample.monitor
                    )
                });
            }
            self.added(file, added, now);
        }
    }

    /// Writes what is due.
    pub(super) fn write_due(&mut self, now: Now) {
        while let Some(Reverse((due, file))) = self.due.peek().copied()
            && due <= now.mono
        {
            self.due.pop();
            // An older entry of a file that has got a new moment.
            if self.files[file].due == Some(due) {
                self.files[file].due = None;
                self.write(file, Extent::Ended, now);
            }
        }
    }

    /// Writes everything that can be written, and waits until it is.
    pub(super) fn write_all(&mut self, extent: Extent, now: Now) {
        for file in 0..self.files.len() {
            self.write(file, extent, now);
        }
        self.settle(now);
        if extent == Extent::Last {
            // What was in use elsewhere may be free now.
            for file in 0..self.files.len() {
                self.write(file, extent, now);
            }
            self.settle(now);
            let lost: usize = self.files.iter_mut().map(|file| file.rows.clear()).sum();
            self.report.lost += count(lost);
        }
    }

    /// Waits for all updates on their way.
    pub(super) fn settle(&mut self, now: Now) {
        while let Some(sent) = self.open.pop_front() {
            self.settled(sent, now);
        }
    }

    /// The sample's file, which is written at the step of the sample from now on.
    fn file(&mut self, sample: &Sample, kind: FileKind, now: Now) -> usize {
        let of_monitor = self.of_monitor.get(&sample.monitor);
        let known = of_monitor.and_then(|files| files[kind as usize]);
        let file = match known {
            Some(file) => file,
            None => {
                let path = self.archive.file_of(&sample.monitor, kind);
                self.files.push(File::new(path, kind, sample.step));
                let file = self.files.len() - 1;
                self.of_monitor.entry(sample.monitor.clone()).or_default()[kind as usize] = Some(file);
                file
            }
        };
        if self.files[file].step != sample.step {
            self.write(file, Extent::All, now);
            self.settle(now);
            let it = &mut self.files[file];
            it.step = sample.step;
            it.state = FileState::Unknown;
        }
        file
    }

    /// Whether the file of metrics has any, so that a check without any is a gap in it.
    fn has_metrics(&mut self, file: usize) -> bool {
        let it = &mut self.files[file];
        if let FileState::Unknown = it.state
            && it.rows.names.is_empty()
            && !it.path.exists()
        {
            it.state = FileState::Missing;
        }
        !(it.rows.names.is_empty() && matches!(it.state, FileState::Missing))
    }

    fn added(&mut self, file: usize, added: Added, now: Now) {
        match added {
            Added::New => {}
            Added::Replaced => self.report.replaced += 1,
            Added::TooOld => self.report.refused += 1,
            Added::OldestLost => self.report.lost += 1,
        }
        let it = &self.files[file];
        if it.rows.is_empty() {
            return;
        }
        let wait = self.options.wait(it.step);
        let is_full = it.rows.len() >= rows::MOST / 2 && it.not_before.is_none();
        match it.due {
            None if wait.is_zero() => self.write(file, Extent::All, now),
            None => self.arm(file, now.mono.plus(wait)),
            // A batch is not longer than that, whatever the wait is.
            Some(due) if is_full && due > now.mono => self.arm(file, now.mono),
            Some(_) => {}
        }
    }

    fn arm(&mut self, file: usize, due: Mono) {
        self.files[file].due = Some(due);
        self.due.push(Reverse((due, file)));
    }

    /// Writes what waits for a file.
    fn write(&mut self, file: usize, extent: Extent, now: Now) {
        let it = &self.files[file];
        if it.rows.is_empty() {
            return;
        }
        if extent != Extent::Last
            && let Some(not_before) = it.not_before
            && not_before > now.mono
        {
            return self.arm(file, not_before);
        }
        match self.prepare(file, extent, now) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.failed(file, Vec::new(), &error, now),
        }
        let it = &mut self.files[file];
        let FileState::Open(opened) = &mut it.state else {
            return;
        };
        let before =
            (extent == Extent::Ended && !self.options.wait(it.step).is_zero()).then(|| now.wall.as_second());
        let rows = it.rows.take(before);
        let has = |name: &str| opened.sources.contains(name);
        let mut update = rows::update(&it.rows.names, &has, &rows, opened.last_update);
        if update.names.is_empty() {
            // A check without metrics: the others are unknown as soon as one is.
            let Some(first) = opened.sources.first() else {
                return;
            };
            update.names.push(first.clone());
            for point in &mut update.points {
                point.values.push(Value::Unknown);
            }
        }
        if let Some(last) = rows.last() {
            opened.last_update = opened.last_update.max(last.at);
            let begun = self.library.update(&it.path, &update);
            self.open.push_back(Sent { file, rows, begun });
        }
        if self.files[file].rows.last_at().is_some() && self.files[file].due.is_none() {
            let wait = self.options.wait(self.files[file].step);
            self.arm(file, now.mono.plus(wait));
        }
        while self.open.len() > MOST_OPEN {
            let Some(sent) = self.open.pop_front() else { break };
            self.settled(sent, now);
        }
    }

    fn settled(&mut self, sent: Sent, now: Now) {
        match sent.begun.wait() {
            Ok(updated) => {
                let it = &mut self.files[sent.file];
                it.failures = 0;
                it.not_before = None;
                self.report.stored += count(updated.stored);
                self.report.refused += count(updated.refused.len());
                let path = it.path.clone();
                for (at, reason) in updated.refused {
                    // A file keeps one value a second, and what another pass wrote in this one
                    // stands.
                    if reason.contains(&format!("time {at} when last update time is {at} ")) {
                        continue;
                    }
                    self.say("refused", || {
                        format!("{}: the value of {at} is refused: {reason}", path.display())
                    });
                }
            }
            Err(error) => self.failed(sent.file, sent.rows, &error, now),
        }
    }

    /// Something about a file failed. `rows` were not written.
    fn failed(&mut self, file: usize, rows: Vec<Row>, error: &RrdError, now: Now) {
        self.say_error(error);
        let it = &mut self.files[file];
        let lost = it.rows.put_back(rows);
        self.report.lost += count(lost);
        let after = match error {
            RrdError::NoLibrary(_) => {
                self.is_useless = true;
                return;
            }
            RrdError::Locked(_) => AFTER_LOCK,
            RrdError::NoSpace { .. } => AFTER_FAILURE,
            _ => {
                it.failures += 1;
                it.state = FileState::Unknown;
                match it.failures < ATTEMPTS {
                    true => AFTER_FAILURE,
                    false => {
                        let lost = it.rows.clear();
                        it.failures = 0;
                        it.is_broken = true;
                        self.report.lost += count(lost);
                        AFTER_FAILURES
                    }
                }
            }
        };
        let it = &mut self.files[file];
        let again = now.mono.plus(after);
        it.not_before = Some(again);
        if !it.rows.is_empty() && it.due.is_none() {
            self.arm(file, again);
        }
    }

    fn say_error(&mut self, error: &RrdError) {
        let topic = match error {
            RrdError::NoLibrary(_) => "library",
            RrdError::Locked(_) => "locked",
            RrdError::NoSpace { .. } => "space",
            RrdError::Worker(_) => "worker",
            RrdError::Missing(_) | RrdError::Damaged { .. } => "damaged",
            _ => "other",
        };
        self.say(topic, || format!("history is not recorded: {error}"));
    }

    /// Says something once. All of it is counted.
    fn say(&mut self, topic: &'static str, text: impl FnOnce() -> String) {
        match self.said.insert(topic) {
            true => tracing::warn!("{}", text()),
            false => tracing::debug!("{}", text()),
        }
    }

    /// Forgets what cannot be written without librrd.
    pub(super) fn give_up(&mut self) {
        let files = mem::take(&mut self.files);
        let lost: usize = files.iter().map(|file| file.rows.len()).sum();
        self.report.lost += count(lost);
        self.of_monitor.clear();
        self.due.clear();
        self.open.clear();
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
