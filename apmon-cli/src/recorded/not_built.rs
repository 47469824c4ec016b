//! `apmon graph`, `apmon export` and `apmon rrd` in a build without RRD files.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use crate::feature;

/// Arguments, which are not read.
#[derive(Args)]
pub(crate) struct GraphArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

/// Arguments, which are not read.
#[derive(Args)]
pub(crate) struct ExportArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

/// Arguments, which are not read.
#[derive(Args)]
pub(crate) struct RrdArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

fn not_built() -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build keeps no RRD files: {}", feature::missing("rrd"))
}

/// Says that this build has no RRD files.
pub(crate) fn graph(_: &GraphArgs) -> anyhow::Result<ExitCode> {
    not_built()
}

/// Says that this build has no RRD files.
pub(crate) fn export(_: &ExportArgs) -> anyhow::Result<ExitCode> {
    not_built()
}

/// Says that this build has no RRD files.
pub(crate) fn files(_: &RrdArgs) -> anyhow::Result<ExitCode> {
    not_built()
}
