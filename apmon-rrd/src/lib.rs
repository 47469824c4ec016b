//! Years of history in RRD files, which every tool of that world reads.
//!
//! | module | holds |
//! |---|---|
//! | `schema` | the data sources and archives of a file |
//! | `series` | what was read from a file |
//! | `operation` | what is written into a file, and what is known about one |
//! | `client` | librrd as the rest of apmon uses it: requests to a child process |
//! | `librrd` | what runs in the child: librrd, loaded at run time, and how its traps are avoided |
//! | `wire` | requests and answers as bytes |
//! | `error` | what can go wrong, in an operator's words |

mod client;
mod error;
mod librrd;
mod operation;
mod schema;
mod series;
mod wire;

pub use client::{Librrd, Pending, serve};
pub use error::RrdError;
pub use operation::{FileInfo, LastValues, Point, Tune, Update, Updated, Value};
pub use schema::{Consolidation, DataSource, Round, Schema, SourceKind};
pub use series::Fetched;
