//! The behaviour of a part of the kit, as a test sets it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Locks, also after another test thread has panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What something answers: a few answers one after the other, and from then on always the same.
#[derive(Debug, Default)]
pub(super) struct Script<T>(Mutex<Turns<T>>);

#[derive(Debug, Default)]
struct Turns<T> {
    next: VecDeque<T>,
    then: T,
    delay: Duration,
}

impl<T: Clone + Default> Script<T> {
    pub(super) fn always(then: T) -> Self {
        Self(Mutex::new(Turns {
            then,
            ..Turns::default()
        }))
    }

    pub(super) fn set(&self, then: T) {
        locked(&self.0).then = then;
    }

    pub(super) fn set_next(&self, next: impl IntoIterator<Item = T>) {
        locked(&self.0).next.extend(next);
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        locked(&self.0).delay = delay;
    }

    /// The next answer, at once.
    pub(super) fn take(&self) -> T {
        let mut turns = locked(&self.0);
        let next = turns.next.pop_front();
        next.unwrap_or_else(|| turns.then.clone())
    }

    /// Waits as long as an answer takes.
    pub(super) async fn wait(&self) {
        let delay = locked(&self.0).delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}
