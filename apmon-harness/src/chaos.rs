//! `cargo xtask chaos`: the real binary and real receivers, under every failure
//! that can happen to them. After each round every promise of delivery is checked.

mod check;
mod clock;
mod daemon;
mod damage;
mod disk;
mod hook;
mod hostile;
mod mail;
mod mail_server;
mod notification;
mod plan;
mod random;
mod read;
mod record;
mod round;
mod site;
mod target;
mod totals;

use std::{env, fs, path::Path, process::Command};

use self::{random::Random, round::Setting, totals::Totals};
use crate::{
    fault::{During, Fault, counted},
    process, workspace,
};

const KILLS: usize = 200;
/// Kills in one round, at most.
const KILLS_A_ROUND: usize = 20;
/// Enough rounds for both stores and both disks.
const LEAST_ROUNDS: usize = 2;
const STATES: [(&str, disk::DiskKind); 4] = [
    ("state.db", disk::DiskKind::Small),
    ("state.json", disk::DiskKind::Own),
    ("state.json", disk::DiskKind::Small),
    ("state.db", disk::DiskKind::Own),
];
/// Set when this program runs in a mount namespace of its own.
const INSIDE: &str = "APMON_CHAOS_INSIDE";

/// The options of the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Options {
    kills: usize,
    seed: Option<u64>,
    debug: bool,
}

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let options = Options::read(arguments)?;
    let profile = if options.debug { "debug" } else { "release" };
    if env::var_os(INSIDE).is_none() {
        let mut build = process::cargo();
        build.args(["build", "--package", "apmon-cli"]);
        if !options.debug {
            build.arg("--release");
        }
        process::run(&mut build)?;
        return within_own_mounts(options);
    }
    let seed = options.seed.map_or_else(Random::fresh_seed, Ok)?;
    // Killed processes leave files of their fake clock there.
    disk::mount("size=64m", Path::new("/dev/shm"))?;
    let directory = workspace::target().join(format!("chaos/seed-{seed}"));
    let _ = fs::remove_dir_all(&directory);
    let program = workspace::target().join(profile).join("apmon");
    let again = format!(
        "cargo xtask chaos --kills {} --seed {seed}{}",
        options.kills,
        if options.debug { " --debug" } else { "" }
    );
    println!("== {again}");
    let mut total = Totals::default();
    let rounds = options.rounds();
    let mut seeds = Random::new(seed);
    for (n, kills) in (1..).zip(&rounds) {
        let (state, disk) = STATES[(n - 1) % STATES.len()];
        let setting = Setting {
            program: &program,
            directory: &directory.join(format!("round-{n}")),
            seed: seeds.seed(),
            kills: *kills,
            state,
            disk,
        };
        let outcome = round::run(&setting)?;
        println!(
            "round {n} of {} ({state}, {}): {}, {:.0} s, {}",
            rounds.len(),
            disk.word(),
            counted(outcome.totals.killed(), "kill"),
            outcome.took.as_secs_f64(),
            if outcome.violations.is_empty() {
                "all delivered"
            } else {
                "BROKEN"
            },
        );
        total.add(outcome.totals);
        if !outcome.violations.is_empty() {
            for violation in outcome.violations.iter().take(20) {
                println!("  {violation}");
            }
            let list: String = outcome.violations.iter().map(|it| format!("{it}\n")).collect();
            workspace::write(&setting.directory.join("violations.txt"), &list)?;
            return Err(Fault::new(format!(
                "{} in round {n}; see {}; to repeat: {again}",
                counted(outcome.violations.len(), "violation"),
                workspace::shown(setting.directory)
            )));
        }
    }
    println!("{total}");
    fs::remove_dir_all(&directory).during(format!("remove {}", workspace::shown(&directory)))
}

/// Runs this program again in a mount namespace, where it may mount a disk and
/// every mount ends with it.
fn within_own_mounts(options: Options) -> Result<(), Fault> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
        .arg(env::current_exe().during("find this program")?)
        .arg("chaos");
    command.args(["--kills", &options.kills.to_string()]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if options.debug {
        command.arg("--debug");
    }
    process::run(command.env(INSIDE, "yes"))
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, Fault> {
        let mut options = Self {
            kills: KILLS,
            seed: None,
            debug: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let number = arguments.next().and_then(|number| number.parse::<u64>().ok());
                number.ok_or_else(|| Fault::new(format!("{argument} needs a number")))
            };
            match argument.as_str() {
                "--kills" => {
                    let kills = usize::try_from(number()?).during("--kills")?;
                    options.kills = kills.clamp(1, 1_000_000);
                }
                "--seed" => options.seed = Some(number()?),
                "--debug" => options.debug = true,
                other => {
                    return Err(Fault::new(format!(
                        "unknown option \"{other}\"; known are --kills, --seed and --debug"
                    )));
                }
            }
        }
        Ok(options)
    }

    /// The kills of each round.
    fn rounds(&self) -> Vec<usize> {
        let rounds = self.kills.div_ceil(KILLS_A_ROUND).max(LEAST_ROUNDS);
        let share = |n: usize| self.kills * (n + 1) / rounds - self.kills * n / rounds;
        (0..rounds).map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_over_rounds() {
        let rounds = |kills| {
            Options {
                kills,
                seed: None,
                debug: false,
            }
            .rounds()
        };
        assert_eq!(rounds(20), [10, 10]);
        assert_eq!(rounds(45), [15, 15, 15]);
        assert_eq!(rounds(200), [20; 10]);
    }

    #[test]
    fn options_are_read() {
        let read = |words: &[&str]| Options::read(&words.iter().map(|&word| word.into()).collect::<Vec<_>>());
        let options = read(&["--kills", "20", "--seed", "7"]).unwrap();
        assert_eq!((options.kills, options.seed, options.debug), (20, Some(7), false));
        assert!(read(&["--kill"]).is_err());
        assert!(read(&["--kills", "many"]).is_err());
    }
}
