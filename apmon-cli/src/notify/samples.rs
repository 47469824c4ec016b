//! One notification of each kind, made as the engine makes them.

use std::time::Duration;

use apmon_core::{
    Clock as _, Notification, NotificationKind, SystemClock, local_zone, rule::wording::Sentence,
};
use jiff::Timestamp;

const MONITOR: &str = "apmon test";
const ADDRESS: &str = "test";
const REASON: &str = "this is a test, nothing is down";
/// How long each outage of the test has lasted.
const LASTED: Duration = Duration::from_secs(60);
/// The time until the next reminder that the notifications announce.
const WAIT: Duration = Duration::from_secs(600);

/// Every kind of notification about a monitor: an outage from its beginning to
/// its end, a time without checks, and the removal of the monitor.
pub(super) fn notifications(site: &str) -> [Notification; 6] {
    let now = SystemClock::new().now().wall;
    let zone = local_zone();
    let samples = Samples {
        site,
        now,
        sentence: Sentence {
            monitor: MONITOR,
            site,
            address: ADDRESS,
            at: now,
            zone: &zone,
        },
    };
    samples.notifications()
}

struct Samples<'a> {
    site: &'a str,
    now: Timestamp,
    sentence: Sentence<'a>,
}

impl Samples<'_> {
    fn notifications(&self) -> [Notification; 6] {
        let sentence = &self.sentence;
        let down = format!("test-{}", self.now.as_millisecond());
        let unknown = format!("{down}-unknown");
        let reminded = |notification| Notification {
            next_reminder: self.now.checked_add(WAIT).ok(),
            ..notification
        };
        [
            reminded(self.notification(
                NotificationKind::Outage,
                (&down, 1),
                Duration::ZERO,
                sentence.outage(REASON, Duration::ZERO),
            )),
            reminded(self.notification(
                NotificationKind::Reminder,
                (&down, 2),
                LASTED,
                sentence.reminder(REASON, LASTED),
            )),
            self.notification(
                NotificationKind::Recovery,
                (&down, 3),
                LASTED,
                sentence.recovery(LASTED),
            ),
            self.notification(
                NotificationKind::Unknown,
                (&unknown, 1),
                LASTED,
                sentence.unknown(REASON, LASTED),
            ),
            self.notification(
                NotificationKind::Known,
                (&unknown, 2),
                LASTED,
                sentence.known(true, LASTED),
            ),
            self.notification(
                NotificationKind::NoLongerWatched,
                (&down, 4),
                LASTED,
                sentence.no_longer_watched(LASTED),
            ),
        ]
    }

    fn notification(
        &self,
        kind: NotificationKind,
        (incident, number): (&str, u32),
        lasted: Duration,
        text: String,
    ) -> Notification {
        Notification {
            id: format!("{incident}-{number}"),
            incident: incident.to_owned(),
            kind,
            site: self.site.to_owned(),
            monitor: MONITOR.into(),
            address: ADDRESS.into(),
            text,
            number,
            at: self.now,
            since: Some(self.now.checked_sub(lasted).unwrap_or(self.now)),
            lasted: Some(lasted),
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
            ended: None,
        }
    }
}
