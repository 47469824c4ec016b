//! Readiness, reload, shutdown and watchdog, reported to systemd.

use apmon_core::Handle;
use sd_notify::NotifyState;

use super::Published;

fn notify(state: &[NotifyState<'_>]) {
    // Does nothing without NOTIFY_SOCKET.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("cannot notify systemd: {error}");
    }
}

/// Waits until all sites that can start have started, and reports readiness.
/// Returns false if no site started because its state could not be loaded.
pub(super) async fn ready(started: Vec<Published>) -> bool {
    let mut any = false;
    for mut site in started {
        let _ = site.changed().await;
        let handle = site.borrow().clone();
        any |= handle.is_some() && answers(handle).await;
    }
    if any {
        notify(&[NotifyState::Ready]);
    }
    any
}

/// The keep-alive for systemd's watchdog; stops when dropped. It is sent only
/// while every running engine answers.
pub(super) struct Watchdog(Option<tokio::task::JoinHandle<()>>);

impl Watchdog {
    /// Starts the keep-alive, if systemd asks for one.
    pub(super) fn start(sites: Vec<Published>) -> Self {
        let Some(timeout) = sd_notify::watchdog_enabled() else {
            return Self(None);
        };
        Self(Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(timeout / 3).await;
                let mut all_answer = true;
                for site in &sites {
                    let handle = site.borrow().clone();
                    all_answer &= answers(handle).await;
                }
                if all_answer {
                    notify(&[NotifyState::Watchdog]);
                }
            }
        })))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Whether the engine answers. A site that waits for its file has no engine,
/// which is no reason for a restart.
async fn answers(handle: Option<Handle>) -> bool {
    match handle {
        Some(handle) => handle.ping().await.is_ok(),
        None => true,
    }
}

/// Reports that a reload begins.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// Reports that the reload is in progress; checks never stopped.
pub(super) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the shutdown begins.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}
