//! The child of the tests. A request is a word and its argument; the first argument of the
//! program chooses another behaviour than serving.

// What fails here is a test; what prints or leaves a process behind is what it tests.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::zombie_processes
)]

use std::{
    env,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{self, Command},
    thread,
    time::Duration,
};

use apmon_worker::{Worker, WorkerLimits, serve};
use nix::{
    sys::signal::{Signal, raise},
    unistd::{dup2_stdin, dup2_stdout, getpgrp, getpid},
};

const GREETING: &[u8] = b"\0\0\0\x0eapmon-worker 1";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => serve(Program::default().handler()),
        ["leaves-a-mark", path] => {
            serve(Program::default().handler())?;
            fs::write(path, "ended by itself")
        }
        ["complains-at-its-end", path] => {
            serve(Program::default().handler())?;
            complain(1_000_000);
            fs::write(path, "ended by itself")
        }
        ["works-if-there-is", path] => {
            if !fs::exists(path)? {
                eprintln!("{path} is missing");
                process::exit(7);
            }
            serve(Program::default().handler())
        }
        ["silent"] => hang(),
        ["writes", text] => {
            write(&frames(text));
            hang()
        }
        ["greets-and-writes", text] => {
            write(&[GREETING, &frames(text)].concat());
            hang()
        }
        ["greets-and-answers", text] => {
            write(GREETING);
            wait_for_a_request();
            write(&frames(text));
            hang()
        }
        ["greets-and-answers-in-part", text] => {
            write(GREETING);
            wait_for_a_request();
            write(&frames(text));
            Ok(())
        }
        ["greets-and-closes-its-pipes"] => {
            write(GREETING);
            wait_for_a_request();
            closes_its_pipes()
        }
        ["parent", request] => parent(request),
        _ => panic!("unknown arguments {arguments:?}"),
    }
}

#[derive(Default)]
struct Program {
    /// The requests so far.
    count: usize,
    held: Vec<UnixStream>,
}

impl Program {
    fn handler(mut self) -> impl FnMut(&[u8]) -> Vec<u8> {
        move |request| self.answer(request)
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        self.count += 1;
        let at = request.iter().position(|byte| *byte == b' ');
        let (word, argument) = request.split_at(at.unwrap_or(request.len()));
        let argument = argument.get(1..).unwrap_or_default();
        let text = || str::from_utf8(argument).unwrap();
        match word {
            b"echo" => argument.to_vec(),
            b"count" => self.count.to_string().into_bytes(),
            b"pid" => getpid().to_string().into_bytes(),
            b"group" => getpgrp().to_string().into_bytes(),
            b"variable" => env::var(text()).unwrap_or_else(|_| "unset".into()).into_bytes(),
            b"bytes" => vec![7; text().parse().unwrap()],
            b"exit" => process::exit(text().parse().unwrap()),
            b"signal" => loop {
                // The first SIGSEGV or SIGBUS only ends std's own handler of stack overflows.
                raise(text().parse::<Signal>().unwrap()).unwrap();
            },
            b"panic" => panic!("{}", text()),
            b"hang" => hang(),
            b"print" => print(text()),
            b"complain" => complain(text().parse().unwrap()),
            b"read" => {
                let mut input = String::new();
                io::stdin().read_to_string(&mut input).unwrap();
                input.into_bytes()
            }
            b"leave-a-process" => {
                // Inherits the standard error, and the standard output that is the same.
                let mut sleep = Command::new("sleep");
                let started = sleep.arg("1000").spawn().unwrap();
                started.id().to_string().into_bytes()
            }
            // Connects, and goes on once something arrives or the other side closes.
            b"gate" => {
                let mut gate = UnixStream::connect(text()).unwrap();
                let _ = gate.read(&mut [0]);
                Vec::new()
            }
            // Connects, so that the end of this process is seen there.
            b"hold" => {
                self.held.push(UnixStream::connect(text()).unwrap());
                Vec::new()
            }
            b"hold-and-sleep" => {
                self.held.push(UnixStream::connect(text()).unwrap());
                thread::sleep(Duration::from_millis(100));
                Vec::new()
            }
            b"hold-and-hang" => {
                self.held.push(UnixStream::connect(text()).unwrap());
                hang()
            }
            b"hang-with-a-process" => {
                let connection = OwnedFd::from(UnixStream::connect(text()).unwrap());
                Command::new("sleep")
                    .arg("1000")
                    .stdin(connection)
                    .spawn()
                    .unwrap();
                hang()
            }
            // Writes the number into a file, and goes on with the rest.
            b"log" => {
                let (path, rest) = text().split_once(' ').unwrap();
                let (number, rest) = rest.split_once(' ').unwrap();
                let mut log = File::options().append(true).create(true).open(path).unwrap();
                log.write_all(format!("{number} {}\n", getpid()).as_bytes())
                    .unwrap();
                self.answer(rest.as_bytes())
            }
            _ => panic!("unknown request {word:?}"),
        }
    }
}

/// Writes to the standard output as a C library would, and as a program that it starts.
fn print(text: &str) -> Vec<u8> {
    println!("{text}");
    let mut echo = Command::new("echo");
    echo.arg(text).status().unwrap();
    b"printed".to_vec()
}

fn complain(bytes: usize) -> Vec<u8> {
    let mut stderr = io::stderr().lock();
    for _ in 0..bytes / 10 {
        stderr.write_all(b"complaint\n").unwrap();
    }
    b"complained".to_vec()
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1000));
    }
}

/// The bytes of an argument, which cannot contain NUL: that is `^`.
fn frames(text: &str) -> Vec<u8> {
    text.replace('^', "\0").into_bytes()
}

fn write(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).unwrap();
    stdout.flush().unwrap();
}

fn wait_for_a_request() {
    io::stdin().read_exact(&mut [0]).unwrap();
}

/// Closes its pipes as far as the parent sees it: the standard error ends with the process.
fn closes_its_pipes() -> ! {
    let nothing = File::options().read(true).write(true).open("/dev/null").unwrap();
    dup2_stdin(&nothing).unwrap();
    dup2_stdout(&nothing).unwrap();
    hang()
}

/// Has a child of its own carry out a request, and does not end.
fn parent(request: &str) -> ! {
    let command = Command::new(env::current_exe().unwrap());
    let worker = Worker::new(command, WorkerLimits::default());
    let _reply = worker.request(request.into()).unwrap();
    hang()
}
