//! The reply to a request, which can be awaited and waited for.

use std::{
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::error::WorkerError;

type Outcome = Result<Vec<u8>, WorkerError>;

/// The reply to one request: a future, and for threads [`wait`](Self::wait).
///
/// Dropping it does not cancel the request, only its outcome is lost.
#[derive(Debug)]
#[must_use = "the reply says whether the request was carried out"]
pub struct Reply {
    cell: Arc<Cell>,
}

/// The side of a [`Reply`] that answers it, exactly once: at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    cell: Arc<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    is_answered: bool,
}

/// Creates both sides.
pub(crate) fn reply() -> (Answer, Reply) {
    let cell = Arc::<Cell>::default();
    let answer = Answer { cell: cell.clone() };
    (answer, Reply { cell })
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, outcome: impl FnOnce() -> Outcome) {
        let mut state = self.lock();
        if state.is_answered {
            return;
        }
        state.is_answered = true;
        state.outcome = Some(outcome());
        let waker = state.waker.take();
        drop(state);
        self.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Answer {
    /// Answers the request.
    pub(crate) fn send(self, outcome: Outcome) {
        self.cell.answer(|| outcome);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.cell.answer(|| Err(WorkerError::Stopped));
    }
}

impl Reply {
    /// Blocks until the outcome of the request is known, at most for `timeout`.
    ///
    /// # Errors
    ///
    /// The outer error is this reply itself, if it was not answered in time.
    pub fn wait(self, timeout: Duration) -> Result<Result<Vec<u8>, WorkerError>, Self> {
        let state = self.cell.lock();
        let (mut state, _) = self
            .cell
            .answered
            .wait_timeout_while(state, timeout, |state| !state.is_answered)
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = state.outcome.take();
        drop(state);
        outcome.ok_or(self)
    }
}

impl Future for Reply {
    type Output = Result<Vec<u8>, WorkerError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.cell.lock();
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                // Polled after it was ready, it stays pending.
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        thread,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_is_woken_once_and_gets_the_answer() {
        let (answer, reply) = reply();
        let count = Arc::<Count>::default();
        let waker = count.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut reply = pin!(reply);
        assert!(reply.as_mut().poll(&mut cx).is_pending());
        answer.send(Ok(b"yes".to_vec()));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let Poll::Ready(outcome) = reply.as_mut().poll(&mut cx) else {
            panic!("not ready");
        };
        assert_eq!(outcome.unwrap(), b"yes");
        assert!(reply.poll(&mut cx).is_pending());
    }

    #[test]
    fn a_reply_that_is_not_answered_in_time_can_be_waited_for_again() {
        let (answer, reply) = reply();
        let reply = reply.wait(Duration::from_millis(1)).unwrap_err();
        let waiting = thread::spawn(move || reply.wait(Duration::MAX));
        answer.send(Ok(b"yes".to_vec()));
        assert_eq!(waiting.join().unwrap().unwrap().unwrap(), b"yes");
    }

    #[test]
    fn an_answer_that_is_dropped_is_an_error() {
        let (answer, reply) = reply();
        drop(answer);
        let outcome = reply.wait(Duration::ZERO).unwrap();
        assert!(matches!(outcome, Err(WorkerError::Stopped)));
    }

    #[test]
    fn a_reply_may_be_dropped_first() {
        let (answer, reply) = reply();
        drop(reply);
        answer.send(Ok(Vec::new()));
    }
}
