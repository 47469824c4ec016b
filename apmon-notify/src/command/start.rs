//! Starts a program without the environment and capabilities meant for apmon alone.

use std::io;

use tokio::process::{Child, Command as Process};

/// The variables in which systemd passes information to apmon. A program that used
/// them would talk to systemd in apmon's name.
const SYSTEMD_VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Starts a program in a process group of its own.
///
/// # Errors
/// Errors of the system; [`is_final`] decides whether another attempt is useless.
pub(super) async fn start(mut process: Process) -> io::Result<(Child, ProcessGroup)> {
    for name in SYSTEMD_VARIABLES {
        process.env_remove(name);
    }
    process.kill_on_drop(true);
    #[cfg(unix)]
    process.process_group(0);
    spawn(process).await
}

fn grouped(mut process: Process) -> io::Result<(Child, ProcessGroup)> {
    let child = process.spawn()?;
    let group = ProcessGroup(child.id());
    Ok((child, group))
}

/// Starts the process on a thread of its own. Ambient capabilities belong to a
/// thread, and a new process inherits those of the thread that starts it: this
/// thread drops them, and apmon keeps its own. Besides, nothing else waits for a
/// disk that does not respond.
#[cfg(target_os = "linux")]
async fn spawn(process: Process) -> io::Result<(Child, ProcessGroup)> {
    let runtime = tokio::runtime::Handle::current();
    let (sender, started) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("exec".into()).spawn(move || {
        // A kernel without ambient capabilities returns an error; there is nothing to drop.
        let _ = rustix::thread::clear_ambient_capability_set();
        let _inside = runtime.enter();
        let _ = sender.send(grouped(process)); // killed if the receiver is gone
    })?;
    let lost = |_| io::Error::other("the thread that starts the program has died");
    started.await.map_err(lost)?
}

#[cfg(not(target_os = "linux"))]
async fn spawn(process: Process) -> io::Result<(Child, ProcessGroup)> {
    grouped(process)
}

/// Whether an error recurs until the file or the options are corrected.
#[cfg(unix)]
pub(super) fn is_final(error: &io::Error) -> bool {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => matches!(
            errno,
            Errno::ENOENT
                | Errno::ENOTDIR
                | Errno::EISDIR
                | Errno::ELOOP
                | Errno::ENAMETOOLONG
                | Errno::EACCES
                | Errno::EPERM
                | Errno::ENOEXEC
                | Errno::E2BIG
        ),
        None => error.kind() == io::ErrorKind::InvalidInput,
    }
}

#[cfg(not(unix))]
pub(super) fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
    matches!(error.kind(), InvalidInput | NotFound | PermissionDenied)
}

/// The process group of a running program. It is killed when this is dropped, unless
/// it was released.
pub(super) struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    /// Leaves the group alone: the program has ended, and what it deliberately left
    /// running continues.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    /// Kills every process of the group.
    #[cfg(unix)]
    pub(super) fn kill(&mut self) {
        use nix::{
            sys::signal::{Signal, killpg},
            unistd::Pid,
        };
        let id = self.0.take().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.filter(|id| *id > 1) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL); // it may be gone
        }
    }

    #[cfg(not(unix))]
    pub(super) fn kill(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
