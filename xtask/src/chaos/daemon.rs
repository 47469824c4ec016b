//! apmon itself: started, killed, stopped, listened to.

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

use super::{clock::WallClock, plan::Moment, record::Said};
use crate::{
    fault::{During, Fault},
    process,
    stopwatch::Stopwatch,
};

/// What apmon never has reason to say here.
const COMPLAINTS: &[&str] = &[
    "DAMAGED",
    "panicked",
    " a bug",
    "LOST",
    "given up",
    "another apmon",
    "no longer in the site file",
    "cannot be loaded",
    "message refused",
];
const SAVES_NOT: &str = "state cannot be saved";
const SAVES_AGAIN: &str = "state is saved again";

/// The process of the moment, and what all of them have said.
pub(super) struct Daemon {
    command: Start,
    kin: Arc<Kin>,
    readers: Vec<JoinHandle<()>>,
}

struct Start {
    program: PathBuf,
    site: PathBuf,
    state: PathBuf,
    wall: WallClock,
}

/// What the threads of the rig share of it.
pub(super) struct Kin {
    clock: Stopwatch,
    child: Mutex<Option<Child>>,
    armed: Mutex<Option<Moment>>,
    /// When it was killed.
    struck: Mutex<Option<Duration>>,
    said: Mutex<Vec<Said>>,
    complaints: Mutex<Vec<String>>,
    log: Mutex<File>,
    saves: AtomicBool,
    unsaved: AtomicUsize,
}

/// How a process ended.
pub(super) enum End {
    /// We killed it, then.
    Killed(Duration),
    /// By itself.
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
            kin: Arc::new(Kin {
                clock,
                child: Mutex::default(),
                armed: Mutex::default(),
                struck: Mutex::default(),
                said: Mutex::default(),
                complaints: Mutex::default(),
                log: Mutex::new(log),
                saves: AtomicBool::new(true),
                unsaved: AtomicUsize::new(0),
            }),
            readers: Vec::new(),
        })
    }

    pub(super) fn kin(&self) -> Arc<Kin> {
        Arc::clone(&self.kin)
    }

    pub(super) fn start(&mut self) -> Result<(), Fault> {
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
        wall.rule(&mut command);
        let mut child = command
            .env("TZ", "UTC")
            // A stopped process would endanger the group that it is in.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .during("start apmon")?;
        self.kin.saves.store(true, Ordering::SeqCst);
        self.kin.log(&format!("-- process {} starts", child.id()));
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            let kin = self.kin();
            self.readers.push(thread::spawn(move || kin.hear_out(out)));
            let kin = self.kin();
            self.readers.push(thread::spawn(move || kin.hear_err(err)));
        }
        *lock(&self.kin.struck) = None;
        *lock(&self.kin.child) = Some(child);
        Ok(())
    }

    /// How it ended, if it has; all it said is known then.
    pub(super) fn ended(&mut self) -> Result<Option<End>, Fault> {
        let mut child = lock(&self.kin.child);
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
        *lock(&self.kin.armed) = None;
        self.kin.log(&format!("-- ended: {status}"));
        let struck = *lock(&self.kin.struck);
        Ok(Some(match struck {
            Some(at) if status.signal() == Some(9) => End::Killed(at),
            _ => End::Itself(status),
        }))
    }

    pub(super) fn is_running(&self) -> bool {
        lock(&self.kin.child).is_some() && lock(&self.kin.struck).is_none()
    }

    /// Sends it a signal by name. `false` when there is no process.
    pub(super) fn signal(&self, name: &str) -> bool {
        // Held, so that the id is not somebody else's by then.
        let child = lock(&self.kin.child);
        let Some(child) = child.as_ref() else {
            return false;
        };
        self.kin.log(&format!("-- SIG{name}"));
        let id = child.id().to_string();
        process::works(Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id]))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = lock(&self.kin.child).as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Kin {
    /// The next kill comes at `moment`.
    pub(super) fn arm(&self, moment: Moment) {
        *lock(&self.armed) = Some(moment);
    }

    /// It is `moment` now. Kills, if that was waited for.
    pub(super) fn spring(&self, moment: Moment) {
        if lock(&self.armed).take_if(|armed| *armed == moment).is_some() {
            self.kill();
        }
    }

    pub(super) fn kill(&self) {
        *lock(&self.armed) = None;
        if let Some(child) = lock(&self.child).as_mut() {
            let mut struck = lock(&self.struck);
            if struck.is_none() && child.kill().is_ok() {
                *struck = Some(self.clock.elapsed());
                self.log("-- killed");
            }
        }
    }

    pub(super) fn armed(&self) -> Option<Moment> {
        *lock(&self.armed)
    }

    /// What it says of its state.
    pub(super) fn saves(&self) -> bool {
        self.saves.load(Ordering::SeqCst)
    }

    /// So often it said that it cannot.
    pub(super) fn unsaved(&self) -> usize {
        self.unsaved.load(Ordering::SeqCst)
    }

    pub(super) fn said(&self) -> Vec<Said> {
        lock(&self.said).clone()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }

    /// A line of the log, with the rig's time.
    pub(super) fn log(&self, line: &str) {
        let at = self.clock.elapsed().as_secs_f64();
        let _ = writeln!(lock(&self.log), "{at:8.3} {line}");
    }

    fn hear_out(&self, out: impl Read) {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let at = self.clock.elapsed();
            self.spring(Moment::Line);
            self.log(&line);
            lock(&self.said).push(Said { at, text: line });
        }
    }

    fn hear_err(&self, err: impl Read) {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            if line.contains(SAVES_NOT) {
                self.saves.store(false, Ordering::SeqCst);
                self.unsaved.fetch_add(1, Ordering::SeqCst);
            } else if line.contains(SAVES_AGAIN) {
                self.saves.store(true, Ordering::SeqCst);
            }
            if COMPLAINTS.iter().any(|words| line.contains(words)) {
                lock(&self.complaints).push(line.clone());
            }
            self.log(&line);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
