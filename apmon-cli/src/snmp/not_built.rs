//! `apmon snmp` in a build without SNMP.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;

use crate::feature;

/// Arguments of `apmon snmp`, which are not read.
#[derive(Args)]
pub(crate) struct SnmpArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

/// Says that this build has no SNMP.
pub(crate) fn run(_: &SnmpArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("apmon snmp: {}", feature::missing("snmp"))
}
