//! The `apmon` command: arguments, wiring and output. The libraries do the work.

mod actor;
mod api;
mod args;
mod check;
mod console;
mod daemon;
mod exclusive;
mod feature;
#[cfg_attr(not(feature = "sqlite"), path = "history/not_built.rs")]
mod history;
mod human_time;
mod kinds;
mod limit;
mod location;
mod log;
mod memory;
mod notify;
mod options;
mod pacing;
mod pass;
mod pin;
mod plural;
#[cfg(any(feature = "rrd", feature = "snmp"))]
mod progress;
#[cfg_attr(not(feature = "rrd"), path = "recorded/not_built.rs")]
mod recorded;
mod reference;
mod registry;
#[cfg_attr(not(feature = "rrd"), path = "rrd/not_built.rs")]
mod rrd;
mod runtime;
mod sink;
mod site;
#[cfg_attr(not(feature = "snmp"), path = "snmp/not_built.rs")]
mod snmp;
mod status;
mod store;
mod summary;
mod table;
mod thread;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::share_heap();
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let output_timeout = args.output_timeout();
    log::start(args.verbosity(), output_timeout.is_some());
    limit::prepare();
    let mut code = args::run(args).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    });
    if let Some(error) = console::line_error() {
        tracing::error!("the output is incomplete: cannot write to stdout: {error}");
        if code == ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    log::finish(output_timeout.unwrap_or_default());
    code
}
