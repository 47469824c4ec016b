//! The apmon command: arguments, wiring, output. Everything it does is done by
//! the libraries.

mod api;
mod args;
mod check;
mod console;
mod daemon;
mod history;
mod kinds;
mod log;
mod notify;
mod pacing;
mod pass;
mod pin;
mod place;
mod progress;
mod reference;
mod sink;
mod site;
mod snmp;
mod status;
mod summary;
mod table;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let patience = args.patience();
    log::start(args.verbosity(), patience.is_some());
    // A thousand checks under way hold a thousand sockets.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
    let code = args::run(args).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    });
    log::finish(patience.unwrap_or_default());
    code
}
