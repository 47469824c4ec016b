//! librrd as the rest of apmon uses it: requests to a child process.

use std::{io, path::Path, process::Command, sync::Arc, time::Duration};

use apmon_worker::{Worker, WorkerLimits};

use crate::{
    error::RrdError,
    operation::{FileInfo, LastValues, Tune, Update, Updated},
    schema::{Consolidation, Schema},
    series::Fetched,
};

/// librrd, run in a child process. Cheap to clone. The child starts with the first request.
#[derive(Clone, Debug)]
pub struct Librrd {
    worker: Arc<Worker>,
}

/// An update that is on its way.
#[must_use = "it says whether the values were stored"]
#[derive(Debug)]
pub struct Pending(Result<Updated, RrdError>);

/// Serves requests of [`Librrd`].
///
/// # Errors
///
/// If the pipe breaks.
pub fn serve() -> io::Result<()> {
    apmon_worker::serve(|_| Vec::new())
}

// Signatures first; the bodies follow.
#[allow(missing_docs, clippy::missing_errors_doc, unused_variables)]
impl Librrd {
    #[must_use]
    pub fn worker(command: Command) -> Self {
        let worker = Worker::new(command, WorkerLimits::default()).into();
        Self { worker }
    }

    /// Starts the child without waiting for it.
    pub fn start(&self) {}

    pub fn version(&self) -> Result<String, RrdError> {
        unfinished()
    }

    pub fn create(&self, path: &Path, schema: &Schema, last_update: i64) -> Result<(), RrdError> {
        unfinished()
    }

    pub fn update(&self, path: &Path, update: &Update) -> Pending {
        Pending(unfinished())
    }

    pub fn fetch(
        &self,
        path: &Path,
        consolidation: Consolidation,
        start: i64,
        end: i64,
        step: u64,
    ) -> Result<Fetched, RrdError> {
        unfinished()
    }

    pub fn info(&self, path: &Path) -> Result<FileInfo, RrdError> {
        unfinished()
    }

    pub fn last_values(&self, path: &Path) -> Result<LastValues, RrdError> {
        unfinished()
    }

    pub fn first(&self, path: &Path, round: usize) -> Result<i64, RrdError> {
        unfinished()
    }

    pub fn tune(&self, path: &Path, tune: &Tune) -> Result<(), RrdError> {
        unfinished()
    }

    pub fn finish(&self, timeout: Duration) {
        self.worker.finish(timeout);
    }
}

impl Pending {
    /// Blocks until the outcome is known.
    ///
    /// # Errors
    ///
    /// If nothing could be stored.
    pub fn wait(self) -> Result<Updated, RrdError> {
        self.0
    }
}

fn unfinished<T>() -> Result<T, RrdError> {
    Err(RrdError::Worker("not there yet".to_owned()))
}
