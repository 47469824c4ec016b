//! The limits that the system sets to a process (`ulimit`).
//!
//! Reaching one must not end the monitoring: what cannot be written is an error, which is
//! reported, and the site continues from memory.

/// Raises the limit of open files as far as possible, and keeps those signals from ending the
/// process that the system sends when another limit is reached. (Rust already ignores SIGPIPE.)
pub(crate) fn prepare() {
    // A thousand concurrent checks hold a thousand sockets.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
    #[cfg(unix)]
    if let Err(error) = handle_signals() {
        tracing::debug!("cannot handle the signals of limits: {error}");
    }
}

/// Handles the signals for as long as the process runs; the programs that it starts get the
/// default again. With SIGXFSZ handled, a write beyond the limit of file sizes fails like any other.
#[cfg(unix)]
fn handle_signals() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // A handler stays when the runtime in which it was set has ended.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _inside = runtime.enter();
    for number in [libc::SIGXFSZ, libc::SIGXCPU] {
        drop(signal(SignalKind::from_raw(number))?);
    }
    Ok(())
}
