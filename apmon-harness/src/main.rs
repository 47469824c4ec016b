//! Measures apmon (`bench`) and tries to break it (`chaos`), always the real binary among real
//! services. `cargo xtask bench` and `cargo xtask chaos` install the packages that this needs,
//! and then run it.
//!
//! | module | holds |
//! |---|---|
//! | `bench` | the cost of a check, compared with other tools in the same run |
//! | `chaos` | kills, failing receivers, a full disk, a wrong clock; and the rules that must hold |

// A harness prints to the terminal; only the product's libraries must not.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod chaos;
#[cfg(test)]
mod product;

use std::process::ExitCode;

// Here for all modules of the harness, as `crate::fault` and so on.
use xtask::{fault, process, stopwatch, workspace};

use self::fault::{During as _, Fault};

const USAGE: &str = "\
usage: apmon-harness bench [PART]
       apmon-harness chaos [--kills N] [--seed S] [--debug]
";

type Run = fn(&[String]) -> Result<(), Fault>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((verb, run, rest)) = verb(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("apmon-harness {verb}: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// The verb, its function and its arguments.
fn verb(arguments: &[String]) -> Option<(&str, Run, &[String])> {
    let (verb, rest) = arguments.split_first()?;
    match verb.as_str() {
        "bench" => Some((verb, bench::run, rest)),
        "chaos" => Some((verb, chaos::run, rest)),
        // A child of the bench, not for people.
        bench::rrd::WORKER => Some((verb, |_| apmon_rrd::serve().during("serve"), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_followed_by_its_own_arguments() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let arguments = words("chaos --kills 20");
        let (verb_read, _, rest) = verb(&arguments).unwrap();
        assert_eq!((verb_read, rest), ("chaos", &words("--kills 20")[..]));
        assert!(verb(&words("bench")).is_some_and(|(_, _, rest)| rest.is_empty()));
        assert!(verb(&words("demo")).is_none());
        assert!(verb(&[]).is_none());
    }
}
