//! What goes wrong while files are written.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::{Event, Level, Metadata, Subscriber, span};

use super::{Extent, Site, WEB, counter, up};
use crate::error::RrdError;

/// Counts warnings and errors.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if self.enabled(event.metadata()) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_file_that_cannot_grow_is_filled_all_the_same() {
    let mut site = Site::pass();
    site.poll("core", vec![counter("if1_in", 10, false)]);
    site.fake.refuse_tune(RrdError::NoSpace {
        path: "core".into(),
        needed: 2,
        free: 1,
    });
    site.secs = 60;
    site.poll(
        "core",
        vec![counter("if1_in", 11, true), counter("if2_in", 1, false)],
    );
    let (at, last) = site.points("core-snmp.rrd").pop().unwrap();
    assert_eq!((at, last.as_str()), (60, "if1_in=11"));
}

#[test]
fn a_full_disk_is_said_once_and_what_waits_is_bounded() {
    let warnings = Warnings::default();
    let _log = tracing::subscriber::set_default(warnings.clone());
    let mut site = Site::daemon();
    site.fake.refuse_create(Some(RrdError::NoSpace {
        path: "web".into(),
        needed: 2,
        free: 1,
    }));
    for _ in 0..200 {
        site.check("web", 60, &up());
        site.wait(60);
    }
    assert_eq!(site.names(), [""; 0]);
    assert!(site.files.report.lost >= 200 - 64, "{:?}", site.files.report);
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
    site.fake.refuse_create(None);
    site.wait(60);
    assert_eq!(site.points(WEB).len(), 64, "the last ones");
}

#[test]
fn a_file_in_use_is_written_later() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.wait(300);
    site.fake.refuse_updates(1, &RrdError::Locked("web".into()));
    site.check("web", 60, &up());
    site.wait(300);
    assert_eq!(site.points(WEB).len(), 1);
    site.wait(10);
    assert_eq!(site.points(WEB).len(), 2);
    assert_eq!(site.files.report.lost, 0);
}

#[test]
fn a_file_in_use_at_the_end_is_tried_once_more() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.wait(300);
    site.check("web", 60, &up());
    site.fake.refuse_updates(1, &RrdError::Locked("web".into()));
    site.write_all(Extent::Last);
    assert_eq!(site.points(WEB).len(), 2);
    site.secs += 60;
    site.check("web", 60, &up());
    site.fake.refuse_updates(2, &RrdError::Locked("web".into()));
    site.write_all(Extent::Last);
    assert_eq!(site.files.report.lost, 1);
}

#[test]
fn a_file_that_kills_its_reader_is_left_alone_after_some_attempts() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.wait(300);
    site.fake
        .refuse_updates(1_000, &RrdError::Worker("died of signal 7".to_owned()));
    for _ in 0..30 {
        site.check("web", 60, &up());
        site.wait(60);
    }
    let attempts = site.fake.updates() - 1;
    assert!((3..=12).contains(&attempts), "{attempts}");
}

#[test]
fn a_deleted_file_is_created_again() {
    let mut site = Site::daemon();
    site.check("web", 60, &up());
    site.wait(300);
    std::fs::remove_file(site.directory.path().join(WEB)).unwrap();
    site.check("web", 60, &up());
    site.wait(300);
    site.wait(60);
    assert_eq!(site.points(WEB).len(), 1);
    assert_eq!(site.files.report.lost, 0);
}

#[test]
fn without_librrd_nothing_is_recorded_or_kept() {
    let mut site = Site::daemon();
    site.fake
        .refuse_info(RrdError::NoLibrary("no such file".to_owned()));
    site.check("web", 60, &up());
    site.wait(300);
    assert!(site.files.is_useless);
}
