//! Years of history in RRD files, which every tool of that world reads.
//!
//! | module | holds |
//! |---|---|
//! | `options` | the options of a site that say whether history is kept, and how much |
//! | `schema` | the data sources and archives of a file |
//! | `series` | what was read from a file |
//! | `operation` | what is written into a file, and what is known about one |
//! | `client` | librrd as the rest of apmon uses it: requests to a child process |
//! | `librrd` | what runs in the child: librrd, loaded at run time, and how its traps are avoided |
//! | `wire` | requests and answers as bytes |
//! | `name` | the names of files |
//! | `rows`, `template` | how much is kept; the schemas of the files that are written |
//! | `archive` | the directory of a site's files, and reading them |
//! | `writer` | recording every check: a queue, and one thread that writes |
//! | `repair` | what differs between the files and what would be created now |
//! | `chart` | pictures of what was fetched (feature `chart`) |
//! | [`mrtg`] | the files with which MRTG's tools and a web server show a site |
//! | `pair` | which data sources belong in one picture, and their legends |
//! | `unit` | the units of values, and how people read them |
//! | `error` | what can go wrong, in an operator's words |

mod archive;
#[cfg(feature = "chart")]
mod chart;
mod client;
mod error;
mod librrd;
pub mod mrtg;
mod name;
mod operation;
mod options;
mod pair;
mod repair;
mod rows;
mod schema;
mod series;
mod template;
mod unit;
mod wire;
mod writer;

pub use archive::{Archive, Query, percentile};
#[cfg(feature = "chart")]
pub use chart::{Chart, ChartLine, ChartOptions, TerminalSize};
pub use client::{Librrd, Pending, serve};
pub use error::RrdError;
pub use name::safe_name;
pub use operation::{FileInfo, LastValues, Point, Tune, Update, Updated, Value};
pub use options::{HistoryOptions, OPTIONS};
pub use pair::{Pair, Side, pairs};
pub use repair::{Difference, Expected, Finding, Progress, RepairOptions, Repaired};
pub use rows::{RowCounts, Rows};
pub use schema::{Consolidation, DataSource, Round, Schema, SourceKind};
pub use series::Fetched;
pub use template::{
    FileKind, IS_UP, MetricSource, RESPONSE_TIME, Template, expected_size, interface_of, is_snmp,
};
pub use unit::Unit;
pub use writer::{RrdWriter, WriterOptions, WriterReport};
