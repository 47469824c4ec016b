//! The command line. Seed 003's own is the form without a verb.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, error::ErrorKind};

use crate::{check, daemon, history, notify, pacing, pass, pin, reference, snmp, status, summary};

/// Watches hosts, services, switch ports, certificates and jobs on a LAN.
///
/// Without a verb it makes one pass over each site file: looks at what is due,
/// tells what is to be told, and ends (for cron). `apmon run` stays.
///
/// Exit status of a pass: 0 all sites ran, whatever they found; 1 a site could
/// not run (file, lock, state) or lost messages, the others did; 2 wrong usage.
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
    /// Watches the sites and stays: the daemon.
    ///
    /// SIGHUP or a changed site file reloads it; a file with mistakes is refused
    /// and the old one goes on. SIGTERM ends within 2 seconds with all state on
    /// disk. Speaks to systemd (Type=notify, watchdog).
    Run(RunArgs),
    /// Looks now and prints a verdict: at an address, or at a site file's monitors.
    ///
    /// Nothing is told and no state is kept. Serves as a Nagios plugin.
    /// Exit status: 0 up, 1 up with a warning, 2 down, 3 unknown or wrong usage.
    Check(check::CheckArgs),
    /// Shows a server's certificates and the line that pins the first of them.
    ///
    /// Whoever answers there is believed this once: compare the fingerprint with
    /// what the device itself shows. Exit status: 0 shown (and written), 1 not,
    /// 2 wrong usage.
    Pin(pin::PinArgs),
    /// Shows how things are: monitors, messages on their way, channels.
    ///
    /// Asks the daemon; where none runs, what is remembered is read from the state
    /// file. Exit status: 0 all sites could be shown, whatever state they are in;
    /// 1 one could not, 2 wrong usage.
    Status(status::StatusArgs),
    /// Shows incidents, and how much of each day, month and year things were up.
    ///
    /// Reads the database that the daemon keeps, also while it runs. Times are
    /// local. Exit status: 0 all sites could be shown, 1 one could not, 2 wrong
    /// usage.
    History(history::HistoryArgs),
    /// Asks a device by SNMP: its ports, single values, all it knows.
    ///
    /// As an address with the options of a site file, or as a monitor of one
    /// does. Exit status: 0 answered, 1 not, or not to the end; 2 nobody was asked:
    /// wrong usage, or a site file with mistakes.
    Snmp(snmp::SnmpArgs),
    /// Prints when the reminders of an outage would come.
    Pacing(pacing::PacingArgs),
    /// Tries channels out, and messages again.
    Notify(notify::NotifyArgs),
    /// Prints the reference of the site file.
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
}

/// One pass.
#[derive(Args)]
pub(crate) struct PassArgs {
    /// Site files (.yaml, .yml, .json); each is a site of its own, with its own state.
    #[arg(value_name = "CONFIG", required = true)]
    pub(crate) configs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Check the site files, print their monitors with the effective values, and end.
    #[arg(long, conflicts_with_all = ["test_webhooks", "test_emails"])]
    test_config: bool,
    /// Send a test message of each kind to all webhooks, and end.
    #[arg(long, conflicts_with_all = ["test_emails", "no_notify"])]
    test_webhooks: bool,
    /// Send a test message of each kind to all e-mail addresses, and end.
    #[arg(long, conflicts_with = "no_notify")]
    test_emails: bool,
    /// Keep history in RRD files. (Comes later.)
    #[arg(long)]
    generate_rrds: bool,
    /// Write MRTG files and pages into WORKDIR. (Comes later.)
    #[arg(long, value_name = "WORKDIR", num_args = 0..=1, default_missing_value = "/var/www/html/mrtg")]
    generate_mrtg_config: Option<PathBuf>,
}

/// The daemon.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Site files (.yaml, .yml, .json); each is a site of its own, with its own state.
    #[arg(value_name = "CONFIG", required = true)]
    pub(crate) configs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What a pass and the daemon share.
#[derive(Args, Clone)]
pub(crate) struct CommonArgs {
    /// Say more: -v decisions, -vv every look, -vvv everything.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The most checks under way at once per site; overrides max_threads. Without either there is no cap.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: Option<u32>,
    /// The state file; only with a single CONFIG. A .db file is a SQLite database, any other JSON.
    /// [default: $STATE_DIRECTORY or /var/tmp/APMonitor, <CONFIG's stem>.statefile.db;
    /// a pass without one there: .json]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) statefile: Option<PathBuf>,
    /// Look and keep state, print what would be told, tell nobody.
    #[arg(long)]
    pub(crate) no_notify: bool,
}

impl Command {
    pub(crate) fn verbosity(&self) -> u8 {
        match &self.verb {
            None => self.pass.common.verbose,
            Some(Verb::Run(run)) => run.common.verbose,
            Some(Verb::Check(check)) => check.verbose,
            Some(Verb::Notify(notify)) => notify.verbosity(),
            Some(_) => 0,
        }
    }
}

impl Command {
    /// Of what watches: so long its output is waited for at its end. `None` for
    /// what prints and ends, and may wait for its reader.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match &self.verb {
            None if self.pass.test_config || self.pass.test_webhooks || self.pass.test_emails => None,
            None => Some(pass::PATIENCE),
            Some(Verb::Run(_)) => Some(daemon::PATIENCE),
            Some(_) => None,
        }
    }
}

/// Reads the arguments; help and mistakes are printed here.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    let error = match Command::try_parse() {
        Ok(command) => match usage_mistake(&command) {
            None => return Ok(command),
            Some(text) => {
                <Command as clap::CommandFactory>::command().error(ErrorKind::ArgumentConflict, text)
            }
        },
        Err(error) => error,
    };
    let _ = error.print();
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // To a Nagios plugin 2 means critical; what it cannot do is 3.
    let is_check = std::env::args_os().nth(1).is_some_and(|verb| verb == "check");
    Err(match (asked, is_check) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => check::refuse(&error),
        (false, false) => ExitCode::from(2),
    })
}

fn usage_mistake(command: &Command) -> Option<&'static str> {
    let (configs, statefile) = match &command.verb {
        None => (&command.pass.configs, &command.pass.common.statefile),
        Some(Verb::Run(run)) => (&run.configs, &run.common.statefile),
        Some(Verb::Status(status)) => (&status.configs, &status.statefile),
        Some(Verb::History(history)) => return history.mistake(),
        Some(_) => return None,
    };
    (statefile.is_some() && configs.len() > 1)
        .then_some("-s/--statefile goes with a single site file; each of several derives its own")
}

/// Does what the arguments say.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command.verb {
        Some(Verb::Run(args)) => daemon::run(args),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Pin(args)) => pin::run(&args),
        Some(Verb::Status(args)) => status::run(&args),
        Some(Verb::History(args)) => history::run(&args),
        Some(Verb::Snmp(args)) => snmp::run(&args),
        Some(Verb::Pacing(args)) => pacing::run(&args),
        Some(Verb::Notify(args)) => notify::run(&args),
        Some(Verb::Reference(args)) => reference::run(&args),
        None => run_pass(command.pass),
    }
}

fn run_pass(args: PassArgs) -> anyhow::Result<ExitCode> {
    if args.generate_rrds || args.generate_mrtg_config.is_some() {
        tracing::warn!(
            "--generate-rrds and --generate-mrtg-config: this version keeps no RRD files yet; monitoring goes on without"
        );
    }
    if args.test_config {
        return summary::run(&args.configs, args.common.threads);
    }
    if args.test_webhooks {
        return notify::test_webhooks(&args.configs);
    }
    if args.test_emails {
        return notify::test_emails(&args.configs);
    }
    pass::run(&args)
}

/// As in a site file.
const TEN_YEARS: f64 = 315_360_000.0;

/// A number of seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|secs| *secs > 0.0 && *secs <= TEN_YEARS)
        .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| format!("a number of seconds above 0, at most {TEN_YEARS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_above_none_and_within_ten_years() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("315360000").is_ok());
        for wrong in ["0", "-1", "soon", "inf", "nan", "315360001", "1e19"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
