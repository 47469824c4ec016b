//! apmon's state on disk.
//!
//! [`JsonStore`] keeps the state of one site in APMonitor's JSON state file:
//! one object per monitor, readable by people and by APMonitor 1.3,
//! and one key `apmon` for what that format has no place for (above all,
//! undelivered notifications). Every commit replaces the whole file: a crash at any
//! moment leaves the state before or after the commit, and the previous file
//! stays beside it as `.old`.
//!
//! [`SqliteStore`] keeps it in a SQLite database and is the daemon's store. Each
//! commit is one transaction. The database also holds incidents, deliveries and
//! recent check results; [`History`] reads them while a daemon is running. Where
//! there is no database yet, the store imports the JSON file of the same name.
//! [`Format`] says which of the two a path asks for.
//!
//! The feature `sqlite`, on by default, brings the database. Without it a path that
//! asks for one is an error.
//!
//! What a state means is decided in `apmon-core`; metrics over time are not kept
//! here.
//!
//! ```
//! use apmon_core::{Commit, MonitorState, StateStore};
//! use apmon_store::JsonStore;
//! use jiff::tz::TimeZone;
//!
//! # let directory = std::env::temp_dir().join(format!("apmon-doc-{}", std::process::id()));
//! let path = directory.join("homelab.statefile.json");
//! let lock = JsonStore::lock(&path)?; // one process per state file
//! let store = JsonStore::open(&path, TimeZone::UTC, Some(lock))?;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let snapshot = store.load().await?;
//! let web = MonitorState { is_up: Some(true), ..MonitorState::default() };
//! let commit = Commit {
//!     epoch: snapshot.epoch,
//!     states: vec![("web".into(), web.into())],
//!     ..Commit::default()
//! };
//! store.commit(&commit).await?;
//! assert_eq!(store.load().await?.monitors["web"].is_up, Some(true));
//! # Ok::<(), apmon_core::StoreError>(())
//! # })?;
//! # drop(store);
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `store_thread` | the thread on which a store works: epochs, the model, undoing a failed commit |
//! | `model` | the content of a state file in memory |
//! | `json` | the JSON file as a [`StateStore`](apmon_core::StateStore): replacing it safely, its text, local times |
//! | `sqlite` | the database as one: opening (also a damaged one), schema, rows, history |
//! | `snapshot` | reading a state file without owning it |
//! | `path` | default locations and formats of state files |
//! | `file` | file names, directories and errors shared by both stores |
//! | `lock` | one process per state file |
//! | `owner` | whose a state file and its directory are, and who else may write there |
//! | `trust` | whose files a store uses, decided when they are opened |
//! | `warning` | warnings about values that cannot be read |

mod file;
mod json;
mod lock;
mod model;
mod owner;
mod path;
mod snapshot;
#[cfg_attr(not(feature = "sqlite"), path = "sqlite/not_built.rs")]
mod sqlite;
mod store_thread;
mod trust;
mod warning;

pub use json::JsonStore;
pub use lock::{Lock, LockError};
pub use owner::{Untrusted, check as check_owner};
pub use path::{Format, Platform, default_directories, default_directory, default_path, path_in};
pub use snapshot::read_snapshot;
#[cfg(feature = "sqlite")]
pub use sqlite::{HISTORY_DAYS, History, Span, SqliteStore};
pub use trust::Trust;
