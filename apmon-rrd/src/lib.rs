//! Years of history in RRD files, which every tool of that world reads.
//!
//! | module | holds |
//! |---|---|
//! | `schema` | the data sources and archives of a file |
//! | `series` | what was read from a file |
//! | `error` | what can go wrong, in an operator's words |

mod error;
mod schema;
mod series;

pub use error::RrdError;
pub use schema::{Consolidation, DataSource, Round, Schema, SourceKind};
pub use series::Fetched;
