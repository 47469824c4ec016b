//! The address whose turn it is in a check.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::SourceAddresses;

/// The address whose turn it is in a check.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The address.
    pub(crate) address: IpAddr,
    /// By when it must have answered.
    pub(crate) until: Instant,
    /// How long it has for that, if others share the time.
    pub(crate) share: Option<Duration>,
    /// How long the look-up of the name took; `None` without a name.
    pub(crate) resolved_in: Option<Duration>,
    /// Where the check is made from.
    pub(crate) source: SourceAddresses,
    progress: Mutex<Progress>,
}

/// How far the check has come.
#[derive(Debug)]
struct Progress {
    is_reached: bool,
    /// The address that the reason of a failure names.
    named: Option<IpAddr>,
}

impl Turn {
    /// The turn of `address`, which a reason names if it is that of a name.
    pub(crate) fn new(
        address: IpAddr,
        until: Instant,
        share: Option<Duration>,
        resolved_in: Option<Duration>,
        source: SourceAddresses,
    ) -> Self {
        Self {
            address,
            until,
            share,
            resolved_in,
            source,
            progress: Mutex::new(Progress {
                is_reached: false,
                named: resolved_in.map(|_| address),
            }),
        }
    }

    pub(super) fn set_reached(&self) {
        self.progress().is_reached = true;
    }

    pub(super) fn is_reached(&self) -> bool {
        self.progress().is_reached
    }

    pub(super) fn move_to(&self, address: Option<IpAddr>) {
        self.progress().named = address;
    }

    pub(super) fn named_address(&self) -> Option<IpAddr> {
        self.progress().named
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
