//! Whether a site file has changed, and reading it without holding up checks.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Notices that a file is another one than before. It is asked, not told:
/// that works on every file system and with every editor's way of saving.
pub(super) struct FileWatch {
    path: PathBuf,
    known: Stamp,
    /// A change seen once; it counts when it is seen the same again, so that a
    /// file is not read while it is being written.
    fresh: Option<Stamp>,
}

/// What tells one version of a file from another; `None` where there is none.
type Stamp = Option<(SystemTime, u64, u64)>;

impl FileWatch {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: stamp(path),
            fresh: None,
        }
    }

    /// Whether it has changed and come to rest.
    pub(super) fn has_changed(&mut self) -> bool {
        let stamp = stamp(&self.path);
        if stamp == self.known || stamp.is_none() {
            self.fresh = None;
            return false;
        }
        if self.fresh == Some(stamp) {
            self.known = stamp;
            self.fresh = None;
            return true;
        }
        self.fresh = Some(stamp);
        false
    }

    /// The file as it is now is known.
    pub(super) fn seen(&mut self) {
        self.known = stamp(&self.path);
        self.fresh = None;
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

    #[test]
    fn a_change_counts_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.yaml");
        std::fs::write(&path, "a").unwrap();
        let mut watch = FileWatch::new(&path);
        assert!(!watch.has_changed());
        std::fs::write(&path, "ab").unwrap();
        assert!(!watch.has_changed(), "perhaps still being written");
        std::fs::write(&path, "abc").unwrap();
        assert!(!watch.has_changed(), "it was");
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
    }

    #[test]
    fn a_file_that_is_gone_is_no_change_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.yaml");
        std::fs::write(&path, "a").unwrap();
        let mut watch = FileWatch::new(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(!watch.has_changed());
        assert!(!watch.has_changed());
        std::fs::write(&path, "abcd").unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
    }
}
