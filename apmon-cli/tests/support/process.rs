//! The running binary, and its output.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use apmon_core::Stopwatch;

use super::{TIMEOUT, wait_until};

/// A child process; killed when dropped.
pub struct Process {
    child: Child,
    stopwatch: Stopwatch,
    out: Lines,
    err: Lines,
}

/// The output of a process that has exited.
#[derive(Debug)]
pub struct Output {
    /// The exit code; `None` after a signal.
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

    pub fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The lines written to stdout so far.
    pub fn out(&self) -> Vec<String> {
        self.out.all()
    }

    /// The lines written to stderr so far.
    pub fn err(&self) -> Vec<String> {
        self.err.all()
    }

    /// Waits for a line on stdout that contains `part`.
    pub fn wait_for_out(&mut self, part: &str) -> String {
        self.wait_for_line("stdout", |process| process.out(), part)
    }

    /// Waits for a line on stderr that contains `part`.
    pub fn wait_for_err(&mut self, part: &str) -> String {
        self.wait_for_line("stderr", |process| process.err(), part)
    }

    fn wait_for_line(&mut self, stream: &str, lines: impl Fn(&Self) -> Vec<String>, part: &str) -> String {
        wait_until(&format!("{part:?} on {stream}"), || {
            let has_exited = self.has_exited();
            let found = lines(self).into_iter().find(|line| line.contains(part));
            assert!(
                found.is_some() || !has_exited,
                "the process exited without {part:?} on {stream}; stdout: {:#?}, stderr: {:#?}",
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
        // The shell's kill, since std has SIGKILL only.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {}", self.pid())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Sends SIGTERM and waits for the exit; `took` is the time from the signal.
    pub fn stop(self) -> Output {
        let stopwatch = Stopwatch::start();
        self.signal(Signal::Terminate);
        self.timed(stopwatch)
    }

    /// Waits for the exit; `took` is the time from the start.
    pub fn wait(self) -> Output {
        let stopwatch = self.stopwatch;
        self.timed(stopwatch)
    }

    fn timed(mut self, stopwatch: Stopwatch) -> Output {
        // Not wait_until(): the panic shows the output so far.
        let waited = Stopwatch::start();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                waited.elapsed() < TIMEOUT,
                "the process does not exit; stdout: {:#?}, stderr: {:#?}",
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(2));
        };
        Output {
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

impl Output {
    /// Everything as one text, for a snapshot or a search.
    pub fn text(&self) -> String {
        let code = self.code.map_or("a signal".to_owned(), |code| code.to_string());
        format!(
            "exit: {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.out.join("\n"),
            self.err.join("\n")
        )
    }

    /// The JSON on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let text = self.out.join("\n");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The log lines of a level.
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

    /// Asserts that a check could not run: one error on stderr that contains `part`, and
    /// the verdict UNKNOWN on stdout.
    #[track_caller]
    pub fn assert_unknown(&self, part: &str) -> &Self {
        assert_eq!((self.out.len(), self.err.len()), (1, 1), "{}", self.text());
        assert!(self.out[0].starts_with("UNKNOWN - "), "{}", self.text());
        assert!(self.err[0].starts_with("ERROR "), "{}", self.text());
        assert!(self.err[0].contains(part), "no {part:?} in {}", self.text());
        self
    }

    /// Asserts that the only output is one error on stderr that contains `part`.
    #[track_caller]
    pub fn assert_only_error(&self, part: &str) -> &Self {
        assert!(self.out.is_empty(), "{}", self.text());
        assert_eq!(self.err.len(), 1, "{}", self.text());
        assert!(self.err[0].starts_with("ERROR "), "{}", self.text());
        assert!(self.err[0].contains(part), "no {part:?} in {}", self.text());
        self
    }
}

/// The lines of a stream, collected as they arrive.
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

    /// All lines, once the stream has ended.
    fn rest(&mut self) -> Vec<String> {
        wait_until("the end of the output", || {
            self.reader.is_finished().then_some(())
        });
        self.all()
    }
}
