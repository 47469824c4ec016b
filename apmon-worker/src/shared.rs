//! What a worker and its supervisor share.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use crate::{inbox::Inbox, limits::WorkerLimits};

/// What a worker and its supervisor share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) command: Mutex<Command>,
    /// The command as errors show it.
    pub(crate) name: Arc<str>,
    pub(crate) limits: WorkerLimits,
    pub(crate) inbox: Inbox,
}
