//! Tasks around the workspace. `cargo xtask help` lists them.

// A task prints to the terminal; only the product's libraries must not.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod demo;
mod docs;
mod format;
mod fuzz;
mod harness;
mod layout;
mod listing;
mod new_channel;
mod new_probe;
mod package;
mod recordings;
mod request;
mod test;

use std::process::ExitCode;

// Here for all modules of the tasks, as `crate::fault` and so on.
use xtask::{fault, process, stopwatch, workspace};

use self::fault::Fault;

/// One task: its usage, its summary and its function.
struct Task {
    usage: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> Result<(), Fault>,
}

const TASKS: &[Task] = &[
    Task {
        usage: "demo",
        summary: "run apmon on real local services, one of which fails and recovers",
        run: demo::run,
    },
    Task {
        usage: "test",
        summary: "run everything that CI runs",
        run: test::run,
    },
    Task {
        usage: "recordings",
        summary: "install the recorded devices that the SNMP tests replay (part of test)",
        run: recordings::run,
    },
    Task {
        usage: "check",
        summary: "check the house rules: crates, circles, file sizes, versions, public items, words",
        run: check::run,
    },
    Task {
        usage: "fmt [--check]",
        summary: "format all code, or check that it is formatted",
        run: format::run,
    },
    Task {
        usage: "new-probe NAME",
        summary: "write the skeleton of a new monitor kind and add it to the list of kinds",
        run: new_probe::run,
    },
    Task {
        usage: "new-channel NAME",
        summary: "write the skeleton of a new kind of channel and list it",
        run: new_channel::run,
    },
    Task {
        usage: "fuzz [TARGET] [--seconds N] [--runs N]",
        summary: "build and run the fuzz targets (default: 60 s in all)",
        run: fuzz::run,
    },
    Task {
        usage: "chaos [--kills N] [--seed S] [--debug]",
        summary: "kill apmon, make its receivers fail, and check that nothing is lost (default: 200 kills, release build)",
        run: harness::chaos,
    },
    Task {
        usage: "docs [--check]",
        summary: "write the site file reference and its JSON Schema, or check that they are current",
        run: docs::run,
    },
    Task {
        usage: "layout",
        summary: "list the functions that a pass runs, by which the program of the profile dist is laid out",
        run: layout::run,
    },
    Task {
        usage: "bench [PART]",
        summary: "measure apmon and its peers",
        run: harness::bench,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| word(task) == name) else {
        eprint!("unknown task \"{name}\"\n{}", usage());
        return ExitCode::from(2);
    };
    if rest
        .iter()
        .any(|argument| argument == "-h" || argument == "--help")
    {
        println!("cargo xtask {}\n    {}", task.usage, task.summary);
        return ExitCode::SUCCESS;
    }
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("cargo xtask {name}: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn word(task: &Task) -> &'static str {
    task.usage.split(' ').next().unwrap_or(task.usage)
}

fn usage() -> String {
    let lines: String = TASKS
        .iter()
        .map(|task| format!("  cargo xtask {}\n      {}\n", task.usage, task.summary))
        .collect();
    format!("tasks:\n{lines}")
}

/// Refuses arguments, for tasks that take none.
fn no_arguments(arguments: &[String]) -> Result<(), Fault> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(Fault::new(format!("takes no arguments, but got \"{argument}\""))),
    }
}
