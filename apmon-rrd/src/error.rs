//! What can go wrong, in an operator's words.

use std::path::PathBuf;

/// Why a file was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RrdError {
    /// There is no librrd on this machine, or it cannot be loaded.
    #[error("librrd cannot be loaded ({0}); Debian has it in the package librrd8")]
    NoLibrary(String),
    /// Another program holds the lock of the file.
    #[error("{} is being used by another program", .0.display())]
    Locked(PathBuf),
    /// There is no such file.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It is not an RRD file, or a damaged one.
    #[error("{} is not a readable RRD file: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What librrd says.
        reason: String,
    },
    /// There is no space for it.
    #[error("no space for {}: {needed} bytes are needed, {free} are free", .path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The bytes it takes.
        needed: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// The process that runs librrd died of this file: it is damaged in a way that librrd does
    /// not notice, or another program copied over it just then.
    #[error("librrd crashed on {}: it {reason}", .path.display())]
    Crashed {
        /// The file.
        path: PathBuf,
        /// How the process died.
        reason: String,
    },
    /// The process that runs librrd does not answer.
    #[error("the process that runs librrd failed: {0}")]
    Worker(String),
    /// Anything else that librrd or the system refused.
    #[error("{}: {reason}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What librrd or the system says.
        reason: String,
    },
}
