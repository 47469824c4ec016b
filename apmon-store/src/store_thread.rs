//! The thread on which a store reads and writes.

use std::{
    collections::BTreeMap,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use apmon_core::{Commit, Snapshot, StoreError};
use tokio::sync::oneshot;

use crate::{
    file::display,
    lock::Lock,
    model::{Loaded, Model},
};

/// One format of state file: carries content between the model and the disk.
///
/// Everything that holds for every store is in [`StoreThread`]: granting epochs,
/// refusing commits of an older one, undoing a commit that could not be written.
pub(crate) trait Backend: Send + 'static {
    /// Opens the file anew and reads all of it but the history.
    fn read(&mut self) -> Result<Loaded, StoreError>;

    /// Makes a commit durable, all of it or nothing. `model` contains it already. After
    /// [`StoreError::Unknown`] it may be durable or not, and the same commit comes again.
    fn write(&mut self, commit: &Commit, model: &Model) -> Result<(), StoreError>;

    /// Closes the file until it is used again, and leaves nothing beside it that is not needed.
    fn close(&mut self) {}
}

/// The newest epoch granted for a file.
type Claim = Arc<Mutex<u64>>;

/// The claims of this process, by file: of two stores on one file, the one that loaded last
/// owns it. Other processes are kept away by the [`Lock`].
static CLAIMS: Mutex<BTreeMap<PathBuf, Claim>> = Mutex::new(BTreeMap::new());

fn claim(path: &Path) -> Claim {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(claims.entry(claimed_path(path)).or_default())
}

/// The file, whatever the present directory is.
fn claimed_path(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// Sends jobs to a store's thread, which does one after the other.
///
/// Dropping it waits for nothing: the thread ends after the job under way.
#[derive(Debug)]
pub(crate) struct StoreThread {
    jobs: mpsc::Sender<Job>,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Load(Reply<Snapshot>),
    Commit(Box<Commit>, Reply<()>),
    Close(Reply<()>),
}

impl StoreThread {
    /// Starts a thread for `backend`, which keeps state at `path`. The thread
    /// holds `lock` until it ends.
    pub(crate) fn start(path: &Path, backend: impl Backend, lock: Option<Lock>) -> Result<Self, StoreError> {
        let mut worker = Worker {
            backend,
            spare: spare_descriptors(),
            model: None,
            claim: claim(path),
            warnings: Vec::new(),
            _lock: lock,
        };
        let (jobs, queue) = mpsc::channel();
        let work = move || {
            for job in queue {
                // The caller may no longer wait for the answer; the work is done all the same.
                match job {
                    Job::Load(reply) => drop(reply.send(worker.load())),
                    Job::Commit(commit, reply) => drop(reply.send(worker.commit_or_doubt(&commit))),
                    Job::Close(reply) => {
                        worker.backend.close();
                        drop(reply.send(Ok(())));
                    }
                }
            }
        };
        thread::Builder::new()
            .name("apmon-store".into())
            .spawn(work)
            .map_err(|source| StoreError::Io {
                step: "start a thread for",
                place: display(path),
                source,
            })?;
        Ok(Self { jobs })
    }

    pub(crate) async fn load(&self) -> Result<Snapshot, StoreError> {
        self.run(Job::Load).await
    }

    pub(crate) async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let commit = Box::new(commit.clone());
        self.run(|reply| Job::Commit(commit, reply)).await
    }

    /// Closes the file, after everything that was asked for before.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.run(Job::Close).await
    }

    async fn run<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

/// Descriptors that a commit needs: where checks hold as many as the process may have, state is
/// saved all the same.
const SPARE_DESCRIPTORS: usize = 3;

/// Takes descriptors, to be dropped before a commit.
fn spare_descriptors() -> Vec<File> {
    let open = |_| File::open("/dev/null").ok();
    (0..SPARE_DESCRIPTORS).map_while(open).collect()
}

/// The owner of a backend and its model, on the thread.
struct Worker<B> {
    backend: B,
    spare: Vec<File>,
    /// What the file contains, history apart; `None` before the first use.
    model: Option<Model>,
    claim: Claim,
    /// Warnings that no snapshot has carried yet.
    warnings: Vec<String>,
    /// Last, so that the backend is closed before the lock is released.
    _lock: Option<Lock>,
}

impl<B: Backend> Worker<B> {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        // Claimed before it is read: nothing is written in between.
        let mut newest = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let Loaded { mut model, warnings } = self.backend.read()?;
        self.warnings.extend(warnings);
        model.epoch = model.epoch.max(*newest).saturating_add(1);
        *newest = model.epoch;
        drop(newest);
        model.number = 0;
        let snapshot = model.snapshot(std::mem::take(&mut self.warnings));
        self.model = Some(model);
        Ok(snapshot)
    }

    /// Commits; nobody knows what a commit that panicked has done, so that everything is read
    /// again before the next one.
    fn commit_or_doubt(&mut self, commit: &Commit) -> Result<(), StoreError> {
        catch_unwind(AssertUnwindSafe(|| self.commit(commit))).unwrap_or_else(|_| {
            self.model = None;
            Err(StoreError::Unknown {
                reason: "the store panicked, which is a bug".to_owned(),
            })
        })
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        // Held until the end: no claim comes between the decision and the write.
        let mut newest = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let model = match &mut self.model {
            Some(model) => model,
            None => {
                let Loaded { model, warnings } = self.backend.read()?;
                self.warnings.extend(warnings);
                *newest = model.epoch.max(*newest);
                self.model.insert(model)
            }
        };
        if commit.epoch < *newest {
            return Err(StoreError::Superseded {
                epoch: commit.epoch,
                newest: Some(*newest),
            });
        }
        if commit.is_empty() || model.has(commit) {
            return Ok(());
        }
        let undo = model.apply(commit);
        self.spare.clear();
        let written = self.backend.write(commit, model);
        self.spare = spare_descriptors();
        match written {
            Ok(()) => *newest = model.epoch,
            Err(_) => model.undo(undo),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::MonitorState;

    use super::*;

    /// A backend in memory; writes fail while `fails` is set, and panic after they have taken
    /// effect while `panics` is set.
    #[derive(Default)]
    struct InMemory {
        epoch: u64,
        number: u64,
        fails: bool,
        panics: bool,
        written: Vec<Vec<String>>,
    }

    impl Backend for InMemory {
        fn read(&mut self) -> Result<Loaded, StoreError> {
            let model = Model {
                epoch: self.epoch,
                number: self.number,
                ..Model::default()
            };
            let warnings = vec!["damaged".to_owned()];
            Ok(Loaded { model, warnings })
        }

        fn write(&mut self, _: &Commit, model: &Model) -> Result<(), StoreError> {
            if self.fails {
                return Err(StoreError::Stopped);
            }
            self.written.push(model.monitors.keys().cloned().collect());
            (self.epoch, self.number) = (model.epoch, model.number);
            assert!(!self.panics, "a bug");
            Ok(())
        }
    }

    fn worker(epoch: u64) -> Worker<InMemory> {
        Worker {
            claim: Claim::default(),
            backend: InMemory {
                epoch,
                ..InMemory::default()
            },
            spare: Vec::new(),
            model: None,
            warnings: Vec::new(),
            _lock: None,
        }
    }

    fn commit(epoch: u64, name: &str) -> Commit {
        Commit {
            epoch,
            states: vec![(name.into(), MonitorState::default().into())],
            ..Commit::default()
        }
    }

    #[test]
    fn a_commit_that_fails_leaves_no_trace_in_the_next_one() {
        let mut worker = worker(0);
        let epoch = worker.load().unwrap().epoch;
        worker.backend.fails = true;
        worker.commit(&commit(epoch + 5, "a")).unwrap_err();
        worker.backend.fails = false;
        worker.commit(&commit(epoch, "b")).unwrap();
        assert_eq!(worker.backend.written, [["b"]]);
    }

    #[test]
    fn a_commit_during_which_the_store_panics_is_in_doubt_and_not_applied_twice() {
        let mut worker = worker(0);
        let epoch = worker.load().unwrap().epoch;
        worker.backend.panics = true;
        let first = Commit {
            number: 1,
            ..commit(epoch, "a")
        };
        let error = worker.commit_or_doubt(&first).unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
        worker.backend.panics = false;
        worker.commit_or_doubt(&first).unwrap();
        assert_eq!(worker.backend.written, [["a"]], "it had taken effect");
    }

    #[test]
    fn an_older_epoch_is_refused_without_asking_the_backend() {
        let mut worker = worker(7);
        let error = worker.commit(&commit(6, "a")).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Superseded {
                    epoch: 6,
                    newest: Some(7)
                }
            ),
            "{error}"
        );
        assert!(worker.backend.written.is_empty());
        assert_eq!(worker.load().unwrap().epoch, 8);
    }

    #[test]
    fn warnings_of_a_commit_without_a_load_reach_the_next_snapshot() {
        let mut worker = worker(0);
        worker.commit(&commit(1, "a")).unwrap();
        assert_eq!(worker.load().unwrap().warnings, ["damaged", "damaged"]);
        assert_eq!(worker.load().unwrap().warnings, ["damaged"]);
    }
}
