//! The command line. The form without a verb is APMonitor's own.

use std::{
    borrow::Cow,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use apmon_core::text::{nearest, printable, without_logins};
use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::{
    check::{self, CheckArgs},
    daemon::{self, RunArgs},
    history::{self, HistoryArgs},
    notify::{self, NotifyArgs},
    options::{CommonArgs, ONE_STATE_FILE, wrong_state_file},
    pacing::{self, PacingArgs},
    pass::{self, PassArgs},
    pin::{self, PinArgs},
    recorded::{self, ExportArgs, GraphArgs, RrdArgs},
    reference::{self, ReferenceArgs},
    rrd::{self, WorkerArgs},
    site,
    snmp::{self, SnmpArgs},
    status::{self, StatusArgs},
};

/// Monitors hosts, services, switch ports and certificates on a LAN.
///
/// Without a command it makes one pass over each site file: checks what is due,
/// sends due notifications and exits; run it from cron. `apmon run` keeps running.
///
/// Exit status of a pass: 0 if each site ran, whatever its state, or was left to
/// another pass that is at work on it; 1 if a site could not run (file, lock, state),
/// could not save its state or lost notifications, or if another pass on it hangs (the
/// other sites ran); 2 for a usage error.
#[derive(Parser)]
#[command(
    name = "apmon",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    pass: PassArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs as a daemon: monitors the sites until it is stopped.
    ///
    /// SIGHUP or a changed site file triggers a reload; a file with errors is
    /// rejected and the site keeps its previous configuration. SIGTERM stops the
    /// daemon within 2 seconds, with all state on disk; if that could not be saved,
    /// the exit status is 1. Supports systemd (Type=notify, watchdog).
    Run(RunArgs),
    /// Checks an address or the monitors of a site file, and prints the verdict.
    ///
    /// Sends no notifications and keeps no state. Works as a Nagios plugin.
    /// Exit status: 0 up, 1 up with a warning, 2 down, 3 unknown or usage error; that of
    /// the worst, if there are several monitors or a monitor has parts.
    Check(CheckArgs),
    /// Shows a server's certificates and the option that pins the first one.
    ///
    /// The certificate is trusted on first use: compare the fingerprint with the
    /// one that the device itself shows. Exit status: 0 shown (and written),
    /// 1 failed, 2 usage error.
    Pin(PinArgs),
    /// Shows the current status: monitors, channels, undelivered notifications.
    ///
    /// Asks the daemon; if none is running, reads the state file. Exit status:
    /// 0 all sites were shown, whatever their state; 1 a site could not be shown;
    /// 2 usage error.
    Status(StatusArgs),
    /// Shows incidents, and availability by day, month and year.
    ///
    /// Reads the daemon's database, also while the daemon runs. Times are local.
    /// Exit status: 0 all sites were shown, 1 a site could not be shown, 2 usage
    /// error.
    History(HistoryArgs),
    /// Draws a chart of what was recorded of a monitor, as a picture or in the terminal.
    ///
    /// Needs the history in RRD files (`rrd: yes`). Exit status: 0 drawn, 1 failed, 2 usage error.
    Graph(GraphArgs),
    /// Prints what was recorded of a monitor, as CSV or JSON.
    ///
    /// Needs the history in RRD files (`rrd: yes`). Times are local. Exit status: 0 printed, 1
    /// failed, 2 usage error.
    Export(ExportArgs),
    /// Examines and mends the RRD files of a site.
    Rrd(RrdArgs),
    /// Queries a device by SNMP: its ports, single values or whole subtrees.
    ///
    /// Takes an address with the options of a site file, or a monitor of a site
    /// file. Exit status: 0 complete answer, 1 no answer or an incomplete one,
    /// 2 nothing was queried: usage error or invalid site file.
    Snmp(SnmpArgs),
    /// Prints when the reminders of an outage would be sent.
    Pacing(PacingArgs),
    /// Tests channels and retries undelivered notifications.
    Notify(NotifyArgs),
    /// Prints the help for apmon or one of its commands.
    Help {
        /// The command, e.g. `notify test`.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Prints the reference of the site file.
    #[command(hide = true)]
    Reference(ReferenceArgs),
    /// Runs librrd for another apmon, which speaks with it through a pipe.
    #[command(hide = true)]
    RrdWorker(WorkerArgs),
}

impl Command {
    /// The number of `-v` given.
    pub(crate) fn verbosity(&self) -> u8 {
        match &self.verb {
            None => self.pass.common.verbose,
            // Someone who starts it on a terminal wants to see what it does.
            Some(Verb::Run(run)) => run.common.verbose.max(std::io::stderr().is_terminal().into()),
            Some(Verb::Check(check)) => check.verbose,
            Some(Verb::Notify(notify)) => notify.verbosity(),
            Some(_) => 0,
        }
    }

    /// How long to wait at exit for the output to be written; `None` for a command
    /// that prints and exits, which may block on its reader.
    pub(crate) fn output_timeout(&self) -> Option<Duration> {
        match &self.verb {
            None => self.pass.output_timeout(),
            Some(Verb::Run(_)) => Some(daemon::OUTPUT_TIMEOUT),
            Some(_) => None,
        }
    }
}

/// Parses the arguments; prints help and usage errors itself.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    let error = match Command::try_parse() {
        Ok(Command {
            verb: Some(Verb::Help { command }),
            ..
        }) => match help(&command) {
            Some(error) => error,
            None => return Err(ExitCode::SUCCESS),
        },
        Ok(command) => match usage_error(&command) {
            None => return Ok(command),
            Some(text) => Command::command().error(ErrorKind::ArgumentConflict, text),
        },
        Err(error) => error,
    };
    let requested = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match requested {
        true => drop(error.print()),
        false => print(&error),
    }
    // To Nagios 2 means critical; a plugin that cannot check exits with 3.
    let is_check = std::env::args_os().nth(1).is_some_and(|verb| verb == "check");
    Err(match (requested, is_check) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => check::usage_error(&error),
        (false, false) => ExitCode::from(2),
    })
}

/// Prints a usage error. An argument that is repeated in it may be an address with a
/// password.
fn print(error: &clap::Error) {
    let text = error.render().to_string();
    match without_logins(&text) {
        Cow::Borrowed(_) => drop(error.print()),
        Cow::Owned(masked) => drop(std::io::stderr().write_all(masked.as_bytes())),
    }
}

fn usage_error(command: &Command) -> Option<String> {
    match &command.verb {
        None => {
            let pass = &command.pass;
            let error = pass.usage_error(&words());
            error.or_else(|| common_error(&pass.common, &pass.configs))
        }
        Some(Verb::Run(run)) => common_error(&run.common, &run.configs),
        Some(Verb::Status(status)) => status.usage_error(),
        Some(Verb::History(history)) => history.usage_error().map(str::to_owned),
        Some(_) => None,
    }
}

/// The usage error in the options of a pass and of the daemon.
fn common_error(common: &CommonArgs, configs: &[PathBuf]) -> Option<String> {
    let several = common.statefile.is_some() && configs.len() > 1;
    several
        .then(|| ONE_STATE_FILE.to_owned())
        .or_else(|| wrong_state_file(common.statefile.as_deref()))
        .or_else(|| wrong_work_directory(common.generate_mrtg_config.as_deref()))
}

/// The usage error for a directory that is a site file: the option has taken the argument that
/// was meant to follow it.
fn wrong_work_directory(directory: Option<&Path>) -> Option<String> {
    let directory = directory?;
    let kind = match site::is_site_file(&directory.to_string_lossy()) {
        true => "a site file",
        false if directory.is_file() => "a file",
        false => return None,
    };
    let shown = directory.display().to_string();
    Some(format!(
        "--generate-mrtg-config takes a directory, but {} is {kind}; write the site files first, or --generate-mrtg-config=WORKDIR",
        printable(&shown)
    ))
}

/// What may have been meant by a word that is not a command: the commands, and the options that
/// are written like one (`--test-config`).
fn words() -> Vec<String> {
    let root = Command::command();
    let verbs = root.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = verbs.map(|verb| verb.get_name().to_owned());
    let options = root.get_arguments().filter_map(|option| option.get_long());
    let options = options.map(|name| format!("--{name}"));
    let options = options.chain(["--version".to_owned(), "--help".to_owned()]);
    verbs.chain(options).collect()
}

/// The help for a command, as `--help` prints it: an error of clap that shows it.
fn help(command: &[String]) -> Option<clap::Error> {
    let mut root = Command::command();
    if let Some(first) = command.first()
        && root.find_subcommand(first).is_none()
    {
        let verbs = root.get_subcommands().map(clap::Command::get_name);
        let hint = nearest(first, verbs).map(|verb| format!("; did you mean {verb}?"));
        let text = format!(
            "there is no command \"{}\"{}",
            printable(first),
            hint.unwrap_or_default()
        );
        return Some(root.error(ErrorKind::InvalidSubcommand, text));
    }
    let words = ["apmon"].into_iter().chain(command.iter().map(String::as_str));
    Command::try_parse_from(words.chain(["--help"])).err()
}

/// Runs the command.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command.verb {
        None => pass::run(&command.pass),
        Some(Verb::Run(args)) => daemon::run(args),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Pin(args)) => pin::run(&args),
        Some(Verb::Status(args)) => status::run(&args),
        Some(Verb::History(args)) => history::run(&args),
        Some(Verb::Snmp(args)) => snmp::run(&args),
        Some(Verb::Pacing(args)) => pacing::run(&args),
        Some(Verb::Notify(args)) => notify::run(&args),
        // It was printed instead of parsed.
        Some(Verb::Help { .. }) => Ok(ExitCode::SUCCESS),
        Some(Verb::Reference(args)) => reference::run(&args),
        Some(Verb::Graph(args)) => recorded::graph(&args),
        Some(Verb::Export(args)) => recorded::export(&args),
        Some(Verb::Rrd(args)) => recorded::files(&args),
        Some(Verb::RrdWorker(_)) => rrd::serve(),
    }
}
