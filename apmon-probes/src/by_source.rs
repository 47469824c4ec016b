//! The sockets that checks share which are made from the same address of this machine.
//!
//! An address may leave the site file, or the machine. So a socket is closed once no check has asked
//! for it for a while, whoever could say why.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use apmon_core::Failure;
use tokio::task::AbortHandle;

/// A socket is closed when it was not used between two sweeps. Most checks come more often.
const SWEEP_EVERY: Duration = Duration::from_secs(15 * 60);

/// Sockets by source address, each opened when it is first needed. What has got one keeps it open
/// for as long as it holds it.
pub(crate) struct BySource<T>(Arc<Mutex<Opened<T>>>);

struct Opened<T> {
    sockets: HashMap<IpAddr, Entry<T>>,
    /// The task that closes sockets, while there are any.
    sweeper: Option<AbortHandle>,
}

struct Entry<T> {
    socket: T,
    /// Whether it was asked for since the last sweep.
    is_used: bool,
}

impl<T> Default for BySource<T> {
    fn default() -> Self {
        let opened = Opened {
            sockets: HashMap::new(),
            sweeper: None,
        };
        Self(Arc::new(Mutex::new(opened)))
    }
}

impl<T: Clone + Send + 'static> BySource<T> {
    /// The socket of `source`; opened if there is none, or if that one does not work any more.
    pub(crate) fn of(
        &self,
        source: IpAddr,
        works: impl Fn(&T) -> bool,
        open: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut opened = lock(&self.0);
        if let Some(entry) = opened
            .sockets
            .get_mut(&source)
            .filter(|entry| works(&entry.socket))
        {
            entry.is_used = true;
            return Ok(entry.socket.clone());
        }
        let socket = open()?;
        let entry = Entry {
            socket: socket.clone(),
            is_used: true,
        };
        opened.sockets.insert(source, entry);
        // It ends with the runtime in which it was started.
        if opened.sweeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let sweeper = tokio::spawn(sweep(Arc::downgrade(&self.0)));
            opened.sweeper = Some(sweeper.abort_handle());
        }
        Ok(socket)
    }
}

fn lock<T>(opened: &Mutex<Opened<T>>) -> MutexGuard<'_, Opened<T>> {
    opened.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes sockets until there are none.
async fn sweep<T>(opened: Weak<Mutex<Opened<T>>>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(opened) = opened.upgrade() else {
            return;
        };
        let mut opened = lock(&opened);
        opened
            .sockets
            .retain(|_, entry| std::mem::take(&mut entry.is_used));
        if opened.sockets.is_empty() {
            opened.sweeper = None;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    /// Asks for the socket of an address; whether it was opened for that.
    fn is_opened(sockets: &BySource<Arc<()>>, source: IpAddr) -> (Arc<()>, bool) {
        let mut is_opened = false;
        let open = || {
            is_opened = true;
            Ok(Arc::default())
        };
        let socket = sockets.of(source, |_| true, open).unwrap();
        (socket, is_opened)
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_no_check_asks_for_any_more_is_closed() {
        let sockets = BySource::default();
        let (one, opened) = is_opened(&sockets, ONE);
        assert!(opened);
        let (other, _) = is_opened(&sockets, OTHER);
        for _ in 0..3 {
            tokio::time::sleep(SWEEP_EVERY).await;
            assert!(!is_opened(&sockets, ONE).1, "it was used");
        }
        assert_eq!(Arc::strong_count(&other), 1, "nobody else holds it");
        assert!(Arc::strong_count(&one) > 1);
        assert!(is_opened(&sockets, OTHER).1, "it was closed");
        tokio::time::sleep(SWEEP_EVERY * 3).await;
        assert_eq!(Arc::strong_count(&one), 1);
        assert!(lock(&sockets.0).sweeper.is_none());
        assert!(is_opened(&sockets, ONE).1);
        assert!(lock(&sockets.0).sweeper.is_some());
    }

    #[tokio::test]
    async fn a_socket_that_does_not_work_is_opened_anew() {
        let sockets = BySource::default();
        let (first, _) = is_opened(&sockets, ONE);
        let second = sockets.of(ONE, |_| false, || Ok(Arc::default())).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        let failed = || Err(Failure::new(apmon_core::FailureClass::Resources, "none left"));
        sockets.of(OTHER, |_| true, failed).unwrap_err();
        assert!(is_opened(&sockets, OTHER).1);
    }
}
