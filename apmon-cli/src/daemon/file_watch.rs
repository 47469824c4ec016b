//! Watching and reading a site file, both on threads of their own: a file system
//! may be slow or hang.

use std::{
    fs::Metadata,
    path::Path,
    time::{Duration, SystemTime},
};

use apmon_core::text::printable;
use tokio::sync::watch;

/// How often the file is polled.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Detects that a file has changed. It polls instead of using notifications of
/// the system: polling works on every file system, however an editor saves.
pub(super) struct FileWatch {
    settled: watch::Receiver<FileVersion>,
    known: FileVersion,
    /// The settled version when the last reading began: older than what was read.
    stale: FileVersion,
}

impl FileWatch {
    /// Watches `path` until dropped. That the file disappears is logged in `span`.
    pub(super) fn start(path: &Path, span: tracing::Span) -> Self {
        let (sender, settled) = watch::channel(None);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("file-watch".into())
            .spawn(move || {
                let mut last = None;
                let mut presence = Presence::default();
                while !sender.is_closed() {
                    let now = file_version(&path);
                    if let Some(change) = presence.observe(now.is_some()) {
                        span.in_scope(|| change.log(&path));
                    }
                    if let Some(version) = settled_version(last, now) {
                        sender.send_if_modified(|known| known.replace(version) != Some(version));
                    }
                    last = now;
                    std::thread::sleep(POLL_EVERY);
                }
            });
        if let Err(error) = thread {
            tracing::error!("cannot watch the site file for changes; reload with SIGHUP: {error}");
        }
        Self {
            settled,
            known: None,
            stale: None,
        }
    }

    /// Waits until the file has settled as another version than the one read.
    pub(super) async fn changed(&mut self) {
        loop {
            let settled = *self.settled.borrow_and_update();
            if settled.is_some() && settled != self.known && settled != self.stale {
                self.known = settled;
                return;
            }
            if self.settled.changed().await.is_err() {
                std::future::pending::<()>().await; // the thread could not be started
            }
        }
    }

    /// The last version known to have settled.
    pub(super) fn settled(&self) -> FileVersion {
        *self.settled.borrow()
    }

    /// Records a reading: `version` was taken just before it, and `stale` was the
    /// settled version then.
    pub(super) fn was_read(&mut self, version: FileVersion, stale: FileVersion) {
        self.known = version;
        self.stale = stale;
    }
}

/// Whether the file is there, once it has been seen.
#[derive(Default)]
struct Presence {
    seen: bool,
    missing: bool,
}

#[derive(PartialEq, Eq, Debug)]
enum PresenceChange {
    Gone,
    Back,
}

impl Presence {
    /// A change, if one is to be logged. A file that was never there is an error elsewhere.
    fn observe(&mut self, is_there: bool) -> Option<PresenceChange> {
        self.seen |= is_there;
        let missing = self.seen && !is_there;
        if missing == self.missing {
            return None;
        }
        self.missing = missing;
        Some(match missing {
            true => PresenceChange::Gone,
            false => PresenceChange::Back,
        })
    }
}

impl PresenceChange {
    fn log(&self, path: &Path) {
        let shown = path.display().to_string();
        let shown = printable(&shown);
        match self {
            Self::Gone => {
                let why = std::fs::metadata(path).err();
                let why = why.map_or_else(String::new, |error| format!(" ({error})"));
                tracing::warn!(
                    "{shown}: the site file is gone{why}; the site keeps its configuration, but cannot be started without the file"
                );
            }
            Self::Back => tracing::info!("{shown}: the site file is there again"),
        }
    }
}

/// Identifies a version of a file by time, length and inode; `None` if there is
/// no file.
pub(super) type FileVersion = Option<(SystemTime, u64, u64)>;

/// A version counts once two polls see it, so that a file is not read while it is
/// being written.
fn settled_version(last: FileVersion, now: FileVersion) -> FileVersion {
    now.filter(|_| now == last)
}

/// The present version of the file at `path`.
pub(super) fn file_version(path: &Path) -> FileVersion {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn version(n: u64) -> FileVersion {
        Some((SystemTime::UNIX_EPOCH, n, 0))
    }

    #[test]
    fn a_version_has_settled_when_two_polls_see_it() {
        assert_eq!(
            settled_version(version(1), version(2)),
            None,
            "it may still be being written"
        );
        assert_eq!(settled_version(version(2), version(2)), version(2));
        assert_eq!(
            settled_version(version(2), None),
            None,
            "a removal is not a change"
        );
        assert_eq!(settled_version(None, None), None);
        assert_eq!(settled_version(None, version(2)), None);
    }

    #[test]
    fn a_file_that_disappears_and_its_return_are_noticed_once() {
        let mut presence = Presence::default();
        let observed = [false, true, true, false, false, true, false].map(|is| presence.observe(is));
        use PresenceChange::{Back, Gone};
        assert_eq!(
            observed,
            [None, None, None, Some(Gone), None, Some(Back), Some(Gone)]
        );
    }

    async fn changes(watch: &mut FileWatch) -> bool {
        tokio::time::timeout(Duration::from_millis(20), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn only_a_version_other_than_the_one_read_is_a_change() {
        let (sender, settled) = watch::channel(None);
        let mut watch = FileWatch {
            settled,
            known: None,
            stale: None,
        };
        watch.was_read(version(1), None);
        assert!(!changes(&mut watch).await);
        sender.send(version(1)).unwrap();
        assert!(!changes(&mut watch).await, "this version was read");
        sender.send(version(2)).unwrap();
        assert!(changes(&mut watch).await);
        assert!(!changes(&mut watch).await);
        // Read on SIGHUP and changed again at once: the change is not missed.
        watch.was_read(version(3), watch.settled());
        sender.send(version(4)).unwrap();
        assert!(changes(&mut watch).await);
    }

    #[tokio::test]
    async fn saving_a_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.yaml");
        let mut watch = FileWatch::start(&path, tracing::Span::none());
        watch.was_read(file_version(&path), None);
        std::fs::write(&path, "a").unwrap();
        watch.changed().await;
        watch.was_read(file_version(&path), None);
        std::fs::write(&path, "ab").unwrap();
        watch.changed().await;
    }
}
