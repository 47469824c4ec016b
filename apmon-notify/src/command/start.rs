//! The start of a program, with nothing of apmon's that is not for it.

use std::io;

use tokio::process::{Child, Command as Process};

/// What systemd tells apmon of itself: a program that took it for its own
/// would speak to systemd in apmon's name.
const OURS: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Starts it, in a process group of its own.
///
/// # Errors
/// Those of the system; [`is_final`] says whether another try is worth it.
pub(super) async fn start(mut process: Process) -> io::Result<(Child, Group)> {
    for name in OURS {
        process.env_remove(name);
    }
    process.kill_on_drop(true);
    #[cfg(unix)]
    process.process_group(0);
    spawn(process).await
}

fn grouped(mut process: Process) -> io::Result<(Child, Group)> {
    let child = process.spawn()?;
    let group = Group(child.id());
    Ok((child, group))
}

/// Ambient capabilities are a thread's own, and a new process has those of the
/// thread that started it. So a thread that has given them up starts it, and
/// apmon keeps its own. Nothing else waits for a disk that does not answer.
#[cfg(target_os = "linux")]
async fn spawn(process: Process) -> io::Result<(Child, Group)> {
    let runtime = tokio::runtime::Handle::current();
    let (told, started) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("exec".into()).spawn(move || {
        // A kernel without them says no, and then there is nothing to give up.
        let _ = rustix::thread::clear_ambient_capability_set();
        let _inside = runtime.enter();
        let _ = told.send(grouped(process)); // what nobody waits for any more is killed
    })?;
    let lost = |_| io::Error::other("the thread that starts it is gone");
    started.await.map_err(lost)?
}

#[cfg(not(target_os = "linux"))]
async fn spawn(process: Process) -> io::Result<(Child, Group)> {
    grouped(process)
}

/// Whether it fails the same way until somebody mends the file or the options.
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

/// The process group of a program under way: killed when it is given up, also
/// where nobody waits for it any more.
pub(super) struct Group(Option<u32>);

impl Group {
    /// It ended by itself; what it left running on purpose goes on.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

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

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
