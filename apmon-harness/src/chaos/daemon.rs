//! The apmon process: starts it, kills it, stops it and reads its output.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{clock::WallClock, plan::Moment, record::OutputLine};
use crate::{
    fault::{During, Fault},
    process,
    stopwatch::Stopwatch,
};

/// Log texts that apmon has no reason to print here.
const COMPLAINTS: &[&str] = &[
    "DAMAGED",
    "panicked",
    " a bug",
    "LOST",
    "given up",
    "another apmon",
    "no longer in the site file",
    "cannot be loaded",
    "notification refused",
];
/// What apmon logs when it writes state that others have damaged.
const REPAIRS: &[&str] = &[" written anew", "a new database is begun"];
/// What it logs when others may write the state.
const REFUSES: &str = "the state is not trusted";
const SAVES_NOT: &str = "state cannot be saved";
const SAVES_AGAIN: &str = "state can be saved again";
/// A process that refuses to run ends within this time.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The current process, and the output of all processes so far.
pub(super) struct Daemon {
    command: Start,
    handle: Arc<Handle>,
    readers: Vec<JoinHandle<()>>,
}

struct Start {
    program: PathBuf,
    site: PathBuf,
    state: PathBuf,
    wall: WallClock,
}

/// The part of the daemon that the rig's threads share.
pub(super) struct Handle {
    clock: Stopwatch,
    child: Mutex<Option<Child>>,
    armed: Mutex<Option<Moment>>,
    /// When the current process was killed.
    killed_at: Mutex<Option<Duration>>,
    output: Mutex<Vec<OutputLine>>,
    complaints: Mutex<Vec<String>>,
    log: Mutex<File>,
    saves: AtomicBool,
    unsaved: AtomicUsize,
    /// Whether state that others have damaged is to be written anew.
    is_damaged: AtomicBool,
}

/// How a process ended.
pub(super) enum End {
    /// The rig killed it at this time.
    Killed(Duration),
    /// It exited without being killed.
    Itself(ExitStatus),
}

impl Daemon {
    pub(super) fn new(
        program: PathBuf,
        site: PathBuf,
        state: PathBuf,
        wall: WallClock,
        log: &Path,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let log = File::create(log).during(format!("write {}", log.display()))?;
        Ok(Self {
            command: Start {
                program,
                site,
                state,
                wall,
            },
            handle: Arc::new(Handle::new(log, clock)),
            readers: Vec::new(),
        })
    }

    pub(super) fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.handle)
    }

    /// Starts a process that must end by itself, because others may write its state. The result
    /// says what it did instead.
    pub(super) fn is_refused(&self) -> Result<Option<String>, Fault> {
        let mut child = self.spawn()?;
        self.handle.log("-- a process starts that must refuse to run");
        let mut ended = None;
        process::wait_until(REFUSAL_TIMEOUT, || {
            ended = child.try_wait().ok().flatten();
            ended.is_some()
        });
        let _ = child.kill();
        let output = child.wait_with_output().during("read apmon's output")?;
        let log = String::from_utf8_lossy(&output.stderr);
        for line in log.lines() {
            self.handle.log(line);
        }
        let is_refused = ended.is_some_and(|status| status.code() == Some(1)) && log.contains(REFUSES);
        Ok((!is_refused).then(|| format!("{}: {}", output.status, log.trim())))
    }

    pub(super) fn start(&mut self) -> Result<(), Fault> {
        let mut child = self.spawn()?;
        self.handle.saves.store(true, Ordering::SeqCst);
        self.handle.log(&format!("-- process {} starts", child.id()));
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            let handle = self.handle();
            self.readers.push(thread::spawn(move || handle.read_stdout(out)));
            let handle = self.handle();
            self.readers.push(thread::spawn(move || handle.read_stderr(err)));
        }
        *lock(&self.handle.killed_at) = None;
        *lock(&self.handle.child) = Some(child);
        Ok(())
    }

    fn spawn(&self) -> Result<Child, Fault> {
        let Start {
            program,
            site,
            state,
            wall,
        } = &self.command;
        let setpriv = process::find("setpriv").ok_or_else(|| Fault::new("there is no setpriv"))?;
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command.args(["run", "-v", "-s"]).arg(state).arg(site);
        wall.apply(&mut command);
        command
            .env("TZ", "UTC")
            // The registry of daemons, apart from that of the machine.
            .env("APMON_REGISTRY", site.with_extension("run"))
            // A stopped process would affect its process group.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .during("start apmon")
    }

    /// How it ended, if it has; all of its output has been read then.
    pub(super) fn ended(&mut self) -> Result<Option<End>, Fault> {
        let mut child = lock(&self.handle.child);
        let Some(status) = child
            .as_mut()
            .and_then(|child| child.try_wait().transpose())
            .transpose()
            .during("wait for apmon")?
        else {
            return Ok(None);
        };
        *child = None;
        drop(child);
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        *lock(&self.handle.armed) = None;
        self.handle.log(&format!("-- ended: {status}"));
        let killed_at = *lock(&self.handle.killed_at);
        Ok(Some(match killed_at {
            Some(at) if status.signal() == Some(9) => End::Killed(at),
            _ => End::Itself(status),
        }))
    }

    pub(super) fn is_running(&self) -> bool {
        lock(&self.handle.child).is_some() && lock(&self.handle.killed_at).is_none()
    }

    /// Sends it a signal by name. `false` when there is no process.
    pub(super) fn signal(&self, name: &str) -> bool {
        // The lock keeps the process from being reaped and its id from being reused.
        let child = lock(&self.handle.child);
        let Some(child) = child.as_ref() else {
            return false;
        };
        self.handle.log(&format!("-- SIG{name}"));
        let id = child.id().to_string();
        process::works(Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id]))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = lock(&self.handle.child).as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Handle {
    /// Without a process yet.
    pub(super) fn new(log: File, clock: Stopwatch) -> Self {
        Self {
            clock,
            child: Mutex::default(),
            armed: Mutex::default(),
            killed_at: Mutex::default(),
            output: Mutex::default(),
            complaints: Mutex::default(),
            log: Mutex::new(log),
            saves: AtomicBool::new(true),
            unsaved: AtomicUsize::new(0),
            is_damaged: AtomicBool::new(false),
        }
    }

    /// Makes the next kill happen at `moment`.
    pub(super) fn arm(&self, moment: Moment) {
        *lock(&self.armed) = Some(moment);
    }

    /// Reports that `moment` is reached, and kills the process if a kill waits for it.
    pub(super) fn reached(&self, moment: Moment) {
        if lock(&self.armed).take_if(|armed| *armed == moment).is_some() {
            self.kill();
        }
    }

    pub(super) fn kill(&self) {
        *lock(&self.armed) = None;
        if let Some(child) = lock(&self.child).as_mut() {
            let mut killed_at = lock(&self.killed_at);
            if killed_at.is_none() && child.kill().is_ok() {
                *killed_at = Some(self.clock.elapsed());
                self.log("-- killed");
            }
        }
    }

    pub(super) fn armed(&self) -> Option<Moment> {
        *lock(&self.armed)
    }

    /// Whether the process can save its state, by its own log.
    pub(super) fn saves(&self) -> bool {
        self.saves.load(Ordering::SeqCst)
    }

    /// How often it logged that it cannot.
    pub(super) fn unsaved(&self) -> usize {
        self.unsaved.load(Ordering::SeqCst)
    }

    /// Notes that the state is about to be damaged.
    pub(super) fn expect_repair(&self, expected: bool) {
        self.is_damaged.store(expected, Ordering::SeqCst);
    }

    /// Whether the damage is not repaired yet, by the process's own log.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::SeqCst)
    }

    pub(super) fn output(&self) -> Vec<OutputLine> {
        lock(&self.output).clone()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }

    /// Writes a line to the log with the rig's time.
    pub(super) fn log(&self, line: &str) {
        let at = self.clock.elapsed().as_secs_f64();
        let _ = writeln!(lock(&self.log), "{at:8.3} {line}");
    }

    fn read_stdout(&self, out: impl Read) {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let at = self.clock.elapsed();
            self.reached(Moment::Line);
            self.log(&line);
            lock(&self.output).push(OutputLine { at, text: line });
        }
    }

    fn read_stderr(&self, err: impl Read) {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            if line.contains(SAVES_NOT) {
                self.saves.store(false, Ordering::SeqCst);
                self.unsaved.fetch_add(1, Ordering::SeqCst);
            } else if line.contains(SAVES_AGAIN) {
                self.saves.store(true, Ordering::SeqCst);
            }
            // The rig itself has damaged the state.
            let is_expected = self.is_damaged() && line.contains("DAMAGED");
            if REPAIRS.iter().any(|words| line.contains(words)) {
                self.expect_repair(false);
            }
            if !is_expected && COMPLAINTS.iter().any(|words| line.contains(words)) {
                lock(&self.complaints).push(line.clone());
            }
            self.log(&line);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apmon_logs_the_texts_that_are_searched_for() {
        // Rust itself prints the text of a panic.
        let texts = COMPLAINTS.iter().filter(|text| **text != "panicked");
        for text in texts.chain(REPAIRS).chain(&[SAVES_NOT, SAVES_AGAIN, REFUSES]) {
            assert!(crate::product::has(text), "nothing logs \"{text}\"");
        }
    }
}
