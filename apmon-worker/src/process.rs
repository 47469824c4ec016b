//! A process that leaves no zombie and is waited for without hanging.

use std::{
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{clock, error::Death};

/// How long a killed process may take to end. Only one that waits for a disk or a network file
/// system takes longer.
const KILLED: Duration = Duration::from_secs(2);
/// The pause between two attempts to reap a process.
const STEP: Duration = Duration::from_millis(1);

/// A process in a group of its own. When dropped, it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Process {
    /// `None` once it is reaped.
    child: Option<Child>,
}

/// The pipes of a process.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

impl Process {
    /// Starts `command` with a pipe for each of its standard streams.
    ///
    /// A terminal sends its signals to the whole group in the foreground. The process is not in
    /// it: the parent decides when it ends, after what is queued is done.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Self, Pipes)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Self { child: Some(child) };
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the process has no pipes"));
        };
        Ok((
            process,
            Pipes {
                stdin,
                stdout,
                stderr,
            },
        ))
    }

    /// Reaps the process if it ends within `patience`. `meanwhile` is called again and again, so
    /// that it cannot block on a full pipe.
    pub(crate) fn wait(&mut self, patience: Duration, mut meanwhile: impl FnMut()) -> Option<Death> {
        let give_up = clock::after(clock::now(), patience);
        loop {
            let status = self.child.as_mut()?.try_wait().ok()?;
            if let Some(status) = status {
                self.child = None;
                return Some(death(status));
            }
            if give_up.is_some_and(|give_up| clock::now() >= give_up) {
                return None;
            }
            meanwhile();
            thread::sleep(STEP);
        }
    }

    /// Kills the process with everything it started, and reaps it.
    pub(crate) fn kill(&mut self) {
        let Some(child) = &mut self.child else { return };
        // It is not reaped, so no other process has its number.
        let group = i32::try_from(child.id()).map(Pid::from_raw);
        if group.map_or(true, |group| killpg(group, Signal::SIGKILL).is_err()) {
            let _ = child.kill();
        }
        if self.wait(KILLED, || ()).is_none()
            && let Some(child) = self.child.take()
        {
            reap_later(child);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reaps a killed process that the system does not let go, without waiting for it here.
fn reap_later(mut child: Child) {
    let thread = thread::Builder::new().name("apmon-reap".to_owned());
    // If the system has no thread either, a zombie remains until this process ends.
    let _ = thread.spawn(move || child.wait());
}

fn death(status: ExitStatus) -> Death {
    match (status.code(), status.signal()) {
        (Some(status), _) => Death::Exited(status),
        (None, signal) => Death::Signalled(signal.unwrap_or_default()),
    }
}
