//! The binary while it runs, and what it leaves behind.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use apmon_core::Stopwatch;

use super::{PATIENCE, until};

/// A child process, killed when dropped: it, and nothing else.
pub struct Process {
    child: Child,
    stopwatch: Stopwatch,
    out: Lines,
    err: Lines,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub out: Vec<String>,
    pub err: Vec<String>,
    pub took: Duration,
}

#[derive(Clone, Copy)]
pub enum Signal {
    Hangup,
    Interrupt,
    Terminate,
    Kill,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self {
            stopwatch: Stopwatch::start(),
            out: Lines::of(child.stdout.take().unwrap()),
            err: Lines::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines on stdout so far.
    pub fn out(&self) -> Vec<String> {
        self.out.all()
    }

    /// The lines on stderr so far.
    pub fn err(&self) -> Vec<String> {
        self.err.all()
    }

    /// Waits for a line on stdout that holds `part`.
    pub fn until_out(&mut self, part: &str) -> String {
        self.until_line("stdout", |process| process.out(), part)
    }

    /// Waits for a line on stderr that holds `part`.
    pub fn until_err(&mut self, part: &str) -> String {
        self.until_line("stderr", |process| process.err(), part)
    }

    fn until_line(&mut self, place: &str, lines: impl Fn(&Self) -> Vec<String>, part: &str) -> String {
        until(&format!("{part:?} on {place}"), || {
            let had_ended = self.child.try_wait().unwrap().is_some();
            let found = lines(self).into_iter().find(|line| line.contains(part));
            assert!(
                found.is_some() || !had_ended,
                "it ended without {part:?} on {place}; stdout: {:#?}, stderr: {:#?}",
                self.out(),
                self.err()
            );
            found
        })
    }

    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Hangup => "HUP",
            Signal::Interrupt => "INT",
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
        };
        // The shell's own kill: std knows only SIGKILL.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {}", self.pid())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Asks it to end and waits for that; how long it took from now on.
    pub fn stop(self) -> Ended {
        let stopwatch = Stopwatch::start();
        self.signal(Signal::Terminate);
        self.timed(stopwatch)
    }

    /// Waits for its end.
    pub fn wait(self) -> Ended {
        let stopwatch = self.stopwatch;
        self.timed(stopwatch)
    }

    fn timed(mut self, stopwatch: Stopwatch) -> Ended {
        // Not until(): what it said tells why it has not ended.
        let waited = Stopwatch::start();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                waited.elapsed() < PATIENCE,
                "it does not end; stdout: {:#?}, stderr: {:#?}",
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(2));
        };
        Ended {
            took: stopwatch.elapsed(),
            code: status.code(),
            out: self.out.rest(),
            err: self.err.rest(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// All of it, for a snapshot or a search.
    pub fn text(&self) -> String {
        let code = self.code.map_or("a signal".to_owned(), |code| code.to_string());
        format!(
            "exit: {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.out.join("\n"),
            self.err.join("\n")
        )
    }

    /// Lines of the log at a level.
    pub fn logged(&self, level: &str) -> Vec<&str> {
        self.err
            .iter()
            .filter_map(|line| line.trim_start().strip_prefix(level))
            .map(str::trim_start)
            .collect()
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.text());
        self
    }

    /// That the only line on stderr holds `part`, and so does the verdict on stdout.
    #[track_caller]
    pub fn assert_refused(&self, part: &str) -> &Self {
        assert_eq!((self.out.len(), self.err.len()), (1, 1), "{}", self.text());
        assert!(self.out[0].starts_with("UNKNOWN - "), "{}", self.text());
        assert!(self.err[0].starts_with("ERROR "), "{}", self.text());
        assert!(self.err[0].contains(part), "no {part:?} in {}", self.text());
        self
    }

    /// That the only line on stderr holds `part`, and nothing is on stdout.
    #[track_caller]
    pub fn assert_only_error(&self, part: &str) -> &Self {
        assert!(self.out.is_empty(), "{}", self.text());
        assert_eq!(self.err.len(), 1, "{}", self.text());
        assert!(self.err[0].starts_with("ERROR "), "{}", self.text());
        assert!(self.err[0].contains(part), "no {part:?} in {}", self.text());
        self
    }
}

/// The lines of a stream, as they come.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                shared
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { lines, reader }
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What is there after the end.
    fn rest(&mut self) -> Vec<String> {
        until("the end of its output", || {
            self.reader.is_finished().then_some(())
        });
        self.all()
    }
}
