//! Readiness, reload, end and watchdog, told to systemd where it asks.

use apmon_core::Handle;
use sd_notify::NotifyState;
use tokio::sync::watch;

fn notify(state: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd could not be told: {error}");
    }
}

/// Ends the watchdog's sign of life when dropped.
pub(super) struct Watchdog(Option<tokio::task::JoinHandle<()>>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Waits until all sites that can start have started, says so, and starts the
/// watchdog if one is wanted. Its sign of life is sent only while every engine
/// answers.
pub(super) async fn ready(
    sites: &[watch::Receiver<Option<Handle>>],
    started: &[watch::Receiver<Option<Handle>>],
) -> Watchdog {
    for site in started {
        let mut site = site.clone();
        let handle = site.wait_for(Option::is_some).await.map(|handle| handle.clone());
        ping(handle.ok().flatten()).await;
    }
    notify(&[NotifyState::Ready]);
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return Watchdog(None);
    };
    let sites = sites.to_vec();
    Watchdog(Some(tokio::spawn(async move {
        loop {
            tokio::time::sleep(timeout / 3).await;
            for site in &sites {
                let handle = site.borrow().clone();
                ping(handle).await;
            }
            notify(&[NotifyState::Watchdog]);
        }
    })))
}

/// An engine that has loaded its state answers; one that has ended is no
/// reason to wait.
async fn ping(handle: Option<Handle>) {
    if let Some(handle) = handle {
        let _ = handle.ping().await;
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
