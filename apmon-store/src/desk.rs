//! The thread on which a store reads and writes, and the way to it.

use std::{path::Path, sync::mpsc, thread};

use apmon_core::{Commit, Snapshot, StoreError};
use tokio::sync::oneshot;

/// Does the work of a store, on its thread, one step after the other.
pub(crate) trait Keeper: Send + 'static {
    fn load(&mut self) -> Result<Snapshot, StoreError>;
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError>;
}

/// Where jobs for a keeper are handed in. Dropped, the keeper ends with the
/// step under way.
#[derive(Debug)]
pub(crate) struct Desk {
    jobs: mpsc::Sender<Job>,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Load(Reply<Snapshot>),
    Commit(Box<Commit>, Reply<()>),
}

impl Desk {
    /// Starts the thread of `keeper`, which keeps state at `path`.
    pub(crate) fn open(path: &Path, mut keeper: impl Keeper) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel();
        let work = move || {
            for job in waiting {
                // Whoever asked may have gone; the work was done all the same.
                match job {
                    Job::Load(reply) => drop(reply.send(keeper.load())),
                    Job::Commit(commit, reply) => drop(reply.send(keeper.commit(*commit))),
                }
            }
        };
        thread::Builder::new()
            .name("apmon-store".into())
            .spawn(work)
            .map_err(|source| StoreError::Io {
                step: "start a thread for",
                place: path.display().to_string(),
                source,
            })?;
        Ok(Self { jobs })
    }

    pub(crate) async fn load(&self) -> Result<Snapshot, StoreError> {
        self.ask(Job::Load).await
    }

    pub(crate) async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let commit = Box::new(commit.clone());
        self.ask(|reply| Job::Commit(commit, reply)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}
