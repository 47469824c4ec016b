//! apmon's state on disk.
//!
//! [`JsonStore`] keeps the state of one site in the JSON file of seed 003: one
//! object for each monitor, which people and APMonitor 1.3 can read, and one
//! key `apmon` for what that file has no place for (messages on their way
//! first of all). Every commit replaces the file as a whole, so that a crash at
//! any moment leaves the state before the commit or after it, and the file
//! before that stays beside it as `.old`.
//!
//! [`SqliteStore`] keeps it in a SQLite database, the daemon's: each commit is
//! one transaction, and incidents, deliveries and the last looks stand there as
//! well. [`History`] reads them beside a running daemon. Where there is no
//! database yet it takes over the JSON file of the same name. [`Format`] says
//! which of the two a path asks for.
//!
//! What a state means is decided in `apmon-core`; figures over time are not
//! kept here.
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
//! | `desk` | the thread on which a store works, and the way to it |
//! | `store` | the JSON file as a [`StateStore`](apmon_core::StateStore) |
//! | `sqlite` | the database as one: opening (also what is damaged), rows, schema, the history written and read |
//! | `peek` | what a file remembers, read beside its owner |
//! | `model` | what the file holds, in memory, and how a commit is taken back |
//! | `read`, `write` | the file's text |
//! | `moment` | local times as Python writes them |
//! | `disk` | replacing a file so that it is never damaged, and what to do if it is |
//! | `place` | where state files stand |
//! | `lock` | one process per state file |

mod desk;
mod disk;
mod lock;
mod model;
mod moment;
mod peek;
mod place;
mod read;
mod sqlite;
mod store;
mod write;

pub use lock::{Lock, LockError};
pub use peek::peek;
pub use place::{Format, Platform, default_directory, default_path};
pub use sqlite::{HISTORY_DAYS, History, Span, SqliteStore};
pub use store::JsonStore;
