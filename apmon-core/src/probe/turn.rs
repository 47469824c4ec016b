//! The address whose turn it is in a check.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::{Addresses, Host, SourceAddresses};

/// The host whose addresses have turns, and how it is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnHost {
    /// Its name; `None` if it is an address.
    pub(crate) name: Option<Arc<str>>,
    /// How long the look-up of the name took.
    pub(crate) resolved_in: Option<Duration>,
    /// Which of its addresses must answer.
    pub(crate) addresses: Addresses,
    /// Where the check is made from.
    pub(crate) source: SourceAddresses,
}

/// The address whose turn it is in a check.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The address.
    pub(crate) address: IpAddr,
    /// By when it must have answered.
    pub(crate) until: Instant,
    /// How long it has for that, if others share the time.
    pub(crate) share: Option<Duration>,
    /// The host that has the address.
    pub(crate) host: TurnHost,
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
    pub(crate) fn new(address: IpAddr, until: Instant, share: Option<Duration>, host: TurnHost) -> Self {
        Self {
            address,
            until,
            share,
            progress: Mutex::new(Progress {
                is_reached: false,
                named: host.name.as_ref().map(|_| address),
            }),
            host,
        }
    }

    /// Whether it is the turn of an address of `host`.
    pub(super) fn is_of(&self, host: &Host) -> bool {
        match (host, &self.host.name) {
            (Host::Name(name), Some(own)) => name.eq_ignore_ascii_case(own),
            _ => false,
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
