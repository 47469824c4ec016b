//! Whether a site file has changed, and reading it: both on threads of their
//! own, for a file system may be slow or hang.

use std::{
    fs::Metadata,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

/// So often a site file is asked whether it has changed.
const POLL: Duration = Duration::from_secs(1);

/// Notices that a file is another one than before. It is asked, not told:
/// that works on every file system and with every editor's way of saving.
pub(super) struct FileWatch {
    changes: watch::Receiver<u64>,
    seen: Arc<AtomicBool>,
}

impl FileWatch {
    /// Watches `path` until dropped.
    pub(super) fn start(path: &Path) -> Self {
        let (sender, changes) = watch::channel(0);
        let seen = Arc::new(AtomicBool::new(false));
        let (path, forget) = (path.to_owned(), Arc::clone(&seen));
        let mut asked = Asked::new(stamp(&path));
        let thread = std::thread::Builder::new()
            .name("file-watch".into())
            .spawn(move || {
                while !sender.is_closed() {
                    std::thread::sleep(POLL);
                    let now = stamp(&path);
                    if forget.swap(false, Ordering::Relaxed) {
                        asked = Asked::new(now);
                    } else if asked.is_another(now) {
                        sender.send_modify(|changes| *changes += 1);
                    }
                }
            });
        if let Err(error) = thread {
            tracing::error!("changes of the site file go unnoticed, SIGHUP works: {error}");
        }
        Self { changes, seen }
    }

    /// Waits until it has changed and come to rest.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await; // there is no thread
        }
    }

    /// The file as it is now is known.
    pub(super) fn seen(&mut self) {
        self.seen.store(true, Ordering::Relaxed);
        self.changes.mark_unchanged();
    }
}

/// What tells one version of a file from another; `None` where there is none.
type Stamp = Option<(SystemTime, u64, u64)>;

struct Asked {
    known: Stamp,
    /// A change seen once; it counts when it is seen the same again, so that a
    /// file is not read while it is being written.
    fresh: Option<Stamp>,
}

impl Asked {
    fn new(known: Stamp) -> Self {
        Self { known, fresh: None }
    }

    fn is_another(&mut self, stamp: Stamp) -> bool {
        if stamp == self.known || stamp.is_none() {
            self.fresh = None;
            return false;
        }
        if self.fresh == Some(stamp) {
            *self = Self::new(stamp);
            return true;
        }
        self.fresh = Some(stamp);
        false
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), inode(&metadata)))
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// Runs `work` on a thread of its own: reading ten thousand monitors takes a
/// tenth of a second, in which no check may wait.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (reply, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("reload".into()).spawn(move || {
        let _ = reply.send(work());
    })?;
    result.await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(n: u64) -> Stamp {
        Some((SystemTime::UNIX_EPOCH, n, 0))
    }

    #[test]
    fn a_change_counts_when_it_has_come_to_rest() {
        let mut asked = Asked::new(version(1));
        assert!(!asked.is_another(version(1)));
        assert!(!asked.is_another(version(2)), "perhaps still being written");
        assert!(!asked.is_another(version(3)), "it was");
        assert!(asked.is_another(version(3)));
        assert!(!asked.is_another(version(3)));
    }

    #[test]
    fn a_file_that_is_gone_is_no_change_until_it_is_back() {
        let mut asked = Asked::new(version(1));
        assert!(!asked.is_another(None));
        assert!(!asked.is_another(None));
        assert!(!asked.is_another(version(2)));
        assert!(asked.is_another(version(2)));
    }
}
