//! `cargo xtask bench`: to come.

use crate::fault::Fault;

pub(crate) fn run(_: &[String]) -> Result<(), Fault> {
    Err(Fault::new("there is no benchmark yet"))
}
