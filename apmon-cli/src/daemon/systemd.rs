//! Readiness, reload, end and watchdog, told to systemd where it asks.

use apmon_core::Handle;
use sd_notify::NotifyState;

use super::Published;

fn notify(state: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd could not be told: {error}");
    }
}

/// Waits until all sites that can start have started, and says so. False
/// where none could: its state cannot be loaded.
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

/// The sign of life that systemd asks for; ends when dropped. It is sent only
/// while every engine that runs answers.
pub(super) struct Watchdog(Option<tokio::task::JoinHandle<()>>);

impl Watchdog {
    /// Starts it, where one is wanted.
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

/// Whether the engine answers. A site that waits for its file has none, and
/// that is no reason to be restarted.
async fn answers(handle: Option<Handle>) -> bool {
    match handle {
        Some(handle) => handle.ping().await.is_ok(),
        None => true,
    }
}

/// A reload was asked for.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// The reload is under way; checks never stopped.
pub(super) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// The end has begun.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}
