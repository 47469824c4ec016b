//! Years of history in RRD files, which every tool of that world reads.
//!
//! | module | holds |
//! |---|---|
//! | `schema` | the data sources and archives of a file |
//! | `series` | what was read from a file |
//! | `error` | what can go wrong, in an operator's words |
//! | `chart` | pictures of what was fetched (feature `chart`) |
//! | `pair` | which data sources belong in one picture, and their legends |
//! | `unit` | the units of values, and how people read them |

#[cfg(feature = "chart")]
mod chart;
mod error;
mod pair;
mod schema;
mod series;
mod unit;

#[cfg(feature = "chart")]
pub use chart::{Chart, ChartLine, ChartOptions, TerminalSize};
pub use error::RrdError;
pub use pair::{Pair, Side, pairs};
pub use schema::{Consolidation, DataSource, Round, Schema, SourceKind};
pub use series::Fetched;
pub use unit::Unit;
