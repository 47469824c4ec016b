//! What was recorded in RRD files: `apmon graph`, `apmon export` and `apmon rrd`.

mod choice;
mod export;
mod files;
mod graph;
mod place;
mod span;

pub(crate) use self::{
    export::{ExportArgs, run as export},
    files::{RrdArgs, run as files},
    graph::{GraphArgs, run as graph},
};
