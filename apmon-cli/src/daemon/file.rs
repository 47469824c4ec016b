//! Whether a site file has changed, and reading it: both on threads of their
//! own, for a file system may be slow or hang.

use std::{
    fs::Metadata,
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

/// So often a site file is asked whether it has changed.
const POLL: Duration = Duration::from_secs(1);

/// Notices that a file is another one than before. It is asked, not told:
/// that works on every file system and with every editor's way of saving.
pub(super) struct FileWatch {
    rested: watch::Receiver<Stamp>,
    known: Stamp,
    /// What lay at rest when the last reading began: it is older than what was read.
    stale: Stamp,
}

impl FileWatch {
    /// Watches `path` until dropped.
    pub(super) fn start(path: &Path) -> Self {
        let (sender, rested) = watch::channel(None);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("file-watch".into())
            .spawn(move || {
                let mut last = None;
                while !sender.is_closed() {
                    let now = stamp(&path);
                    if let Some(version) = at_rest(last, now) {
                        sender.send_if_modified(|known| known.replace(version) != Some(version));
                    }
                    last = now;
                    std::thread::sleep(POLL);
                }
            });
        if let Err(error) = thread {
            tracing::error!("changes of the site file go unnoticed, SIGHUP works: {error}");
        }
        Self {
            rested,
            known: None,
            stale: None,
        }
    }

    /// Waits until it stands there at rest as another than was read.
    pub(super) async fn changed(&mut self) {
        loop {
            let rested = *self.rested.borrow_and_update();
            if rested.is_some() && rested != self.known && rested != self.stale {
                self.known = rested;
                return;
            }
            if self.rested.changed().await.is_err() {
                std::future::pending::<()>().await; // there is no thread
            }
        }
    }

    /// The version that lies at rest as far as is known.
    pub(super) fn at_rest(&self) -> Stamp {
        *self.rested.borrow()
    }

    /// It was read; `stamp` was taken just before, and `stale` lay at rest then.
    pub(super) fn was_read(&mut self, stamp: Stamp, stale: Stamp) {
        self.known = stamp;
        self.stale = stale;
    }
}

/// What tells one version of a file from another; `None` where there is none.
pub(super) type Stamp = Option<Version>;
type Version = (SystemTime, u64, u64);

/// A version counts when it is seen twice, so that a file is not read while it
/// is being written.
fn at_rest(last: Stamp, now: Stamp) -> Option<Version> {
    now.filter(|_| now == last)
}

pub(super) fn stamp(path: &Path) -> Stamp {
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
        assert_eq!(
            at_rest(version(1), version(2)),
            None,
            "perhaps still being written"
        );
        assert_eq!(at_rest(version(2), version(2)), version(2));
        assert_eq!(at_rest(version(2), None), None, "gone is no change");
        assert_eq!(at_rest(None, None), None);
        assert_eq!(at_rest(None, version(2)), None);
    }

    async fn changes(watch: &mut FileWatch) -> bool {
        tokio::time::timeout(Duration::from_millis(20), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn only_another_version_than_was_read_is_a_change() {
        let (sender, rested) = watch::channel(None);
        let mut watch = FileWatch {
            rested,
            known: None,
            stale: None,
        };
        watch.was_read(version(1), None);
        assert!(!changes(&mut watch).await);
        sender.send(version(1)).unwrap();
        assert!(!changes(&mut watch).await, "that is what was read");
        sender.send(version(2)).unwrap();
        assert!(changes(&mut watch).await);
        assert!(!changes(&mut watch).await);
        // Read when told to, changed again at once: that is not missed.
        watch.was_read(version(3), watch.at_rest());
        sender.send(version(4)).unwrap();
        assert!(changes(&mut watch).await);
    }

    #[tokio::test]
    async fn a_file_that_is_saved_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.yaml");
        let mut watch = FileWatch::start(&path);
        watch.was_read(stamp(&path), None);
        std::fs::write(&path, "a").unwrap();
        watch.changed().await;
        watch.was_read(stamp(&path), None);
        std::fs::write(&path, "ab").unwrap();
        watch.changed().await;
    }
}
