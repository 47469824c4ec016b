//! `cargo xtask chaos`: the real binary, real receivers, and everything that
//! can happen to them. After each round every promise of delivery is checked.

mod check;
mod clock;
mod daemon;
mod disk;
mod hook;
mod plan;
mod post;
mod random;
mod read;
mod record;
mod round;
mod site;
mod tally;
mod target;

use std::{env, fs, path::Path, process::Command};

use self::{random::Random, round::Setting, tally::Tally};
use crate::{
    fault::{During, Fault},
    package::{self, Needed, needed},
    process, workspace,
};

const NEEDED: &[Needed] = &[
    needed("aiosmtpd", "python3-aiosmtpd"),
    needed("faketime", "faketime"),
    needed("mount", "mount"),
    needed("python3:sqlite3", "python3"),
    needed("setpriv", "util-linux"),
    needed("unshare", "util-linux"),
];

const KILLS: usize = 200;
/// In one round, at most.
const KILLS_A_ROUND: usize = 20;
/// Both stores and both disks have their turn.
const LEAST_ROUNDS: usize = 2;
const STATES: [(&str, disk::Kind); 4] = [
    ("state.db", disk::Kind::Small),
    ("state.json", disk::Kind::Own),
    ("state.json", disk::Kind::Small),
    ("state.db", disk::Kind::Own),
];
/// Set where we run in a mount namespace of our own.
const INSIDE: &str = "APMON_CHAOS_INSIDE";

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wish {
    kills: usize,
    seed: Option<u64>,
    debug: bool,
}

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let wish = Wish::read(arguments)?;
    let profile = if wish.debug { "debug" } else { "release" };
    if env::var_os(INSIDE).is_none() {
        package::install(NEEDED)?;
        let mut build = process::cargo();
        build.args(["build", "--package", "apmon-cli"]);
        if !wish.debug {
            build.arg("--release");
        }
        process::run(&mut build)?;
        return within_own_mounts(wish);
    }
    let seed = wish.seed.map_or_else(Random::fresh_seed, Ok)?;
    // What killed processes leave of their fake clock must not stay.
    disk::mount("size=64m", Path::new("/dev/shm"))?;
    let directory = workspace::target().join(format!("chaos/seed-{seed}"));
    let _ = fs::remove_dir_all(&directory);
    let program = workspace::target().join(profile).join("apmon");
    let again = format!(
        "cargo xtask chaos --kills {} --seed {seed}{}",
        wish.kills,
        if wish.debug { " --debug" } else { "" }
    );
    println!("== {again}");
    let mut total = Tally::default();
    let rounds = wish.rounds();
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
            "round {n} of {} ({state}, {}): {} kills, {:.0} s, {}",
            rounds.len(),
            disk.word(),
            outcome.tally.killed(),
            outcome.took.as_secs_f64(),
            if outcome.violations.is_empty() {
                "all told"
            } else {
                "BROKEN"
            },
        );
        total.add(outcome.tally);
        if !outcome.violations.is_empty() {
            for violation in outcome.violations.iter().take(20) {
                println!("  {violation}");
            }
            let list: String = outcome.violations.iter().map(|it| format!("{it}\n")).collect();
            workspace::write(&setting.directory.join("violations.txt"), &list)?;
            return Err(Fault::new(format!(
                "{} violations in round {n}; see {}, and again: {again}",
                outcome.violations.len(),
                workspace::shown(setting.directory)
            )));
        }
    }
    println!("{total}");
    fs::remove_dir_all(&directory).during(format!("remove {}", workspace::shown(&directory)))
}

/// Runs us again where we may mount a disk, and where all mounts end with us.
fn within_own_mounts(wish: Wish) -> Result<(), Fault> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
        .arg(env::current_exe().during("find this program")?)
        .arg("chaos");
    command.args(["--kills", &wish.kills.to_string()]);
    if let Some(seed) = wish.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if wish.debug {
        command.arg("--debug");
    }
    process::run(command.env(INSIDE, "yes"))
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, Fault> {
        let mut wish = Self {
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
                    wish.kills = kills.clamp(1, 1_000_000);
                }
                "--seed" => wish.seed = Some(number()?),
                "--debug" => wish.debug = true,
                other => return Err(Fault::new(format!("there is no option \"{other}\""))),
            }
        }
        Ok(wish)
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
            Wish {
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
        let read = |words: &[&str]| Wish::read(&words.iter().map(|&word| word.into()).collect::<Vec<_>>());
        let wish = read(&["--kills", "20", "--seed", "7"]).unwrap();
        assert_eq!((wish.kills, wish.seed, wish.debug), (20, Some(7), false));
        assert!(read(&["--kill"]).is_err());
        assert!(read(&["--kills", "many"]).is_err());
    }
}
