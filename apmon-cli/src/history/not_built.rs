//! `apmon history` in a build without SQLite.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use crate::feature;

/// Arguments of `apmon history`, which are not read.
#[derive(Args)]
pub(crate) struct HistoryArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

impl HistoryArgs {
    /// What is wrong with the combination of arguments.
    pub(crate) fn usage_error(&self) -> Option<&'static str> {
        None
    }
}

/// Says that this build keeps no history.
pub(crate) fn run(_: &HistoryArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build keeps no history: {}", feature::missing("sqlite"))
}
