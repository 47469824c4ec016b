//! The child process in which librrd runs.

use std::process::{Command, ExitCode};

use apmon_rrd::Librrd;
use clap::Args;

/// The command that a child is started with.
const VERB: &str = "rrd-worker";

/// Arguments of the child: none.
#[derive(Args)]
pub(crate) struct WorkerArgs {}

/// Answers the requests of the parent until its pipe is closed.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    apmon_rrd::serve()?;
    Ok(ExitCode::SUCCESS)
}

/// librrd in a child of this process, which starts with the first request.
pub(crate) fn librrd() -> Librrd {
    // The program that runs, also when an update has replaced its file meanwhile.
    let own = match cfg!(target_os = "linux") {
        true => "/proc/self/exe".into(),
        false => std::env::current_exe().unwrap_or_else(|_| "apmon".into()),
    };
    let mut command = Command::new(own);
    command.arg(VERB);
    Librrd::worker(command)
}
