//! Notifications that wait for the checks of other monitors. They are stored and queued already;
//! only their sending waits.

use super::Dispatcher;
use crate::{
    notification::Notification,
    time::{Mono, Now},
};

/// A notification that is sent once these monitors have been checked.
pub(super) struct Held {
    notification: Notification,
    hold: Hold,
}

/// What a notification waits for.
#[derive(Clone)]
pub(super) struct Hold {
    monitors: Vec<String>,
    /// When it is sent in any case.
    pub(super) until: Mono,
}

impl Dispatcher {
    /// Has monitors checked before notifications are sent; `None` if there are none to wait
    /// for.
    pub(super) fn check_before(&mut self, names: &[String], now: Now) -> Option<Hold> {
        let mut monitors = Vec::new();
        for name in names {
            if self.monitors.check_now(name, now.mono) {
                monitors.push(name.clone());
            }
        }
        let longest = monitors.iter().filter_map(|name| {
            let (_, runtime) = self.monitors.named(name)?;
            Some(runtime.monitor.watch().policy.max_try)
        });
        let until = now.mono.plus(longest.max()?);
        Some(Hold { monitors, until })
    }

    /// Notes what a notification waits for.
    pub(super) fn hold(&mut self, notification: &Notification, hold: &Hold, now: Now) {
        self.held.retain(|held| held.hold.until > now.mono);
        self.held.push(Held {
            notification: notification.clone(),
            hold: hold.clone(),
        });
    }

    /// Notes that a monitor has been checked: notifications that waited only for it are sent.
    pub(super) fn release_held(&mut self, monitor: &str) {
        if self.held.is_empty() {
            return;
        }
        for held in &mut self.held {
            held.hold.monitors.retain(|name| name != monitor);
        }
        let is_released = |held: &mut Held| held.hold.monitors.is_empty();
        for held in self.held.extract_if(.., is_released) {
            self.delivery.release(&held.notification);
        }
    }
}
