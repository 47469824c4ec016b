//! How soon the same subject is reported again, for example one interface of a switch that
//! keeps going up and down.
//!
//! After notification number `k`, no other is sent for `pacing::wait(k)`, the curve of
//! reminders: close together at first, then further and further apart. If the subject then
//! stays unchanged for a whole window, counting starts again.
//!
//! ```text
//! notify_every 8 s, after_every_n 4
//! notification 1 |---3.5---| 2 |----6----| 3 |-----7.5-----| 4 |------8------| 5 ...
//! notification 1 |---3.5---|..... quiet for 6 s ....| counting starts again
//! ```

use std::time::Duration;

use apmon_core::{Policy, rule::pacing};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The last notification about a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// When it was sent.
    #[serde(rename = "told_at")]
    pub(crate) notified_at: Timestamp,
    /// Its number, from 1.
    pub(crate) count: u32,
}

impl Window {
    /// Moves a time in the future (the clock has been set back since) to now. Done once when it
    /// is loaded, and stored so: otherwise each check would count it as now, and nothing would
    /// be sent until the clock has caught up.
    pub(crate) fn anchored(self, now: Timestamp) -> Self {
        Self {
            notified_at: self.notified_at.min(now),
            ..self
        }
    }

    fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.notified_at)).unwrap_or_default()
    }
}

/// Whether a notification about the subject may be sent at `now`; always true if there was none
/// before.
pub(crate) fn may_notify(window: Option<&Window>, policy: &Policy, now: Timestamp) -> bool {
    window.is_none_or(|window| window.age(now) >= length(window.count, policy))
}

/// The window after a notification at `now`; `previous` belongs to the one before.
pub(crate) fn notified(previous: Option<Window>, policy: &Policy, now: Timestamp) -> Window {
    let running = previous.filter(|previous| !is_over(previous, policy, now));
    Window {
        notified_at: now,
        count: running.map_or(0, |previous| previous.count).saturating_add(1),
    }
}

/// Whether the window of the last notification has passed, and after it another one without a
/// notification, as long as that of the next notification would have been. Then it need not be
/// kept any longer.
pub(crate) fn is_over(window: &Window, policy: &Policy, now: Timestamp) -> bool {
    let next = length(window.count.saturating_add(1), policy);
    window.age(now) >= length(window.count, policy).saturating_add(next)
}

/// How long no other notification is sent after number `k`.
fn length(k: u32, policy: &Policy) -> Duration {
    pacing::wait(k.max(1), policy.notify_every, policy.after_every_n)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn policy(every_ms: u64, n: u32) -> Policy {
        Policy {
            notify_every: Duration::from_millis(every_ms),
            after_every_n: NonZeroU32::new(n).unwrap(),
            ..Policy::default()
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    /// The notifications about a subject that changes at these moments: each with its number.
    fn numbered(changes: impl IntoIterator<Item = i64>, policy: &Policy) -> Vec<(i64, u32)> {
        let mut window = None;
        let mut sent = Vec::new();
        for moment in changes {
            if may_notify(window.as_ref(), policy, at(moment)) {
                let next = notified(window, policy, at(moment));
                sent.push((moment, next.count));
                window = Some(next);
            }
        }
        sent
    }

    #[test]
    fn a_subject_that_keeps_changing_is_reported_along_the_curve() {
        let changes = (0..34_000).step_by(100);
        let expected = [
            (0, 1),
            (3_500, 2),
            (9_500, 3),
            (17_000, 4),
            (25_000, 5),
            (33_000, 6),
        ];
        assert_eq!(numbered(changes, &policy(8_000, 4)), expected);
    }

    #[test]
    fn after_a_quiet_window_counting_starts_again() {
        let policy = policy(8_000, 4);
        assert_eq!(
            numbered([0, 9_499, 16_998], &policy),
            [(0, 1), (9_499, 2), (16_998, 3)]
        );
        assert_eq!(
            numbered([0, 9_500, 12_999, 13_000], &policy),
            [(0, 1), (9_500, 1), (13_000, 2)]
        );
    }

    #[test]
    fn without_pacing_every_change_is_reported() {
        let each = [(0, 1), (0, 1), (5, 1)];
        assert_eq!(numbered([0, 0, 5], &policy(0, 4)), each);
    }

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        let policy = policy(8_000, 1);
        let future = Window {
            notified_at: at(90_000_000),
            count: 3,
        };
        assert!(!may_notify(Some(&future), &policy, at(0)) && !is_over(&future, &policy, at(0)));
        let anchored = future.anchored(at(0));
        assert_eq!((anchored.notified_at, anchored.count), (at(0), 3));
        assert!(may_notify(Some(&anchored), &policy, at(8_000)));
        assert_eq!(
            anchored.anchored(at(8_000)),
            anchored,
            "a time in the past is kept"
        );
        assert_eq!(notified(Some(anchored), &policy, at(8_000)).count, 4);
    }

    #[test]
    fn a_window_is_stored_as_json() {
        let window = notified(None, &policy(8_000, 1), at(0));
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(text, r#"{"told_at":"2026-09-21T14:13:20Z","count":1}"#);
        assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
    }

    proptest! {
        #[test]
        fn two_notifications_are_a_window_apart(
            every in 1..100_000_u64,
            n in 1..20_u32,
            gaps in prop::collection::vec(0..200_000_i64, 1..100),
        ) {
            let policy = policy(every, n);
            let changes: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let sent = numbered(changes.iter().copied(), &policy);
            prop_assert_eq!(sent[0], (changes[0], 1));
            for pair in sent.windows(2) {
                let [(before, k), (after, next)] = [pair[0], pair[1]];
                let gap = Duration::from_millis(u64::try_from(after - before).unwrap());
                prop_assert!(gap >= length(k, &policy));
                let quiet = gap >= length(k, &policy) + length(k + 1, &policy);
                prop_assert_eq!(next, if quiet { 1 } else { k + 1 });
                // Nothing was held back longer than necessary.
                let held_back = changes.iter().filter(|at| **at > before && **at < after);
                for at in held_back {
                    let gap = Duration::from_millis(u64::try_from(at - before).unwrap());
                    prop_assert!(gap < length(k, &policy));
                }
            }
        }

        #[test]
        fn a_window_ends_once(
            every in 1..100_000_u64, n in 1..20_u32, count in any::<u32>(), age in -10_i64..1_000_000,
        ) {
            let policy = policy(every, n);
            let window = Window { notified_at: at(0), count };
            let (now, later) = (at(age), at(age + 1));
            let [allowed, allowed_later] = [now, later].map(|now| may_notify(Some(&window), &policy, now));
            let [over, over_later] = [now, later].map(|now| is_over(&window, &policy, now));
            prop_assert!(allowed <= allowed_later && over <= over_later);
            prop_assert!(!over || allowed, "a window that is over holds nothing back");
            let longest = i64::try_from(every).unwrap();
            prop_assert!(age < longest || allowed);
            prop_assert!(age < 2 * longest || over);
            prop_assert!(!may_notify(Some(&notified(Some(window), &policy, now)), &policy, now));
        }
    }
}
