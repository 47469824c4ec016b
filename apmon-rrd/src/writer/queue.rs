//! The samples on their way to the writer's thread.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::sample::Sample;

/// What the checks and the readers want of the thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The thread has something to do.
    wanted: Condvar,
    /// The thread has done something that somebody waits for.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    samples: VecDeque<Sample>,
    /// The figures of all samples.
    figures: usize,
    dropped: u64,
    /// Monitors of which a sample was dropped.
    broken: BTreeSet<String>,
    /// Flushes that were asked for, and those that are done.
    flushes: (u64, u64),
    is_closed: bool,
    has_ended: bool,
}

/// What the thread has to do.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) samples: VecDeque<Sample>,
    /// Monitors of which samples were dropped, which may have known of a reset.
    pub(super) broken: BTreeSet<String>,
    /// The flush that is asked for, if it is not done yet.
    pub(super) flush: Option<u64>,
    pub(super) is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a sample. If there are more than `most` figures, the oldest samples are dropped.
    pub(super) fn push(&self, sample: Sample, most: usize) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        state.figures += sample.len();
        state.samples.push_back(sample);
        while state.figures > most && state.samples.len() > 1 {
            let Some(oldest) = state.samples.pop_front() else {
                break;
            };
            state.figures -= oldest.len();
            state.dropped += 1;
            if oldest.has_resets() {
                state.broken.insert(oldest.monitor);
            }
        }
        let is_first = state.samples.len() == 1;
        drop(state);
        // The thread takes all that are there: the second one need not wake it again.
        if is_first {
            self.wanted.notify_one();
        }
    }

    /// How many samples were dropped because the thread was slower than the checks.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// What there is to do, at the latest after `timeout`; `None` waits for ever.
    pub(super) fn take(&self, timeout: Option<Duration>) -> Work {
        let is_idle = |state: &mut State| {
            state.samples.is_empty() && state.flushes.0 == state.flushes.1 && !state.is_closed
        };
        let state = self.lock();
        let mut state = match timeout {
            Some(timeout) => {
                let waited = self.wanted.wait_timeout_while(state, timeout, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.wanted.wait_while(state, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.figures = 0;
        Work {
            samples: std::mem::take(&mut state.samples),
            broken: std::mem::take(&mut state.broken),
            flush: (state.flushes.0 > state.flushes.1).then_some(state.flushes.0),
            is_closed: state.is_closed,
        }
    }

    /// Asks for everything to be written, and waits until it is. Returns whether it is.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        if state.has_ended {
            return true;
        }
        state.flushes.0 += 1;
        let wanted = state.flushes.0;
        self.wanted.notify_one();
        let is_waiting = |state: &mut State| state.flushes.1 < wanted && !state.has_ended;
        let waited = self.done.wait_timeout_while(state, timeout, is_waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.flushes.1 >= wanted || state.has_ended
    }

    /// Everything that was there when this flush was asked for is written.
    pub(super) fn flushed(&self, flush: u64) {
        self.lock().flushes.1 = flush;
        self.done.notify_all();
    }

    /// Accepts nothing more, and has the thread end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.wanted.notify_one();
    }

    /// The thread has ended.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.has_ended = true;
        state.samples.clear();
        drop(state);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use apmon_core::{Condition, Outcome};

    use super::*;

    fn sample(at: i64) -> Sample {
        let outcome = Outcome::up(Duration::from_millis(1));
        let kind = ("tcp", Duration::from_secs(60));
        Sample::new("m".to_owned(), kind, at, &outcome, Condition::Up)
    }

    fn times(work: &Work) -> Vec<i64> {
        work.samples.iter().map(|sample| sample.at).collect()
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let queue = Queue::default();
        let of_three = 3 * sample(0).len();
        for at in 0..10 {
            queue.push(sample(at), of_three);
        }
        assert_eq!(queue.dropped(), 7);
        assert_eq!(times(&queue.take(None)), [7, 8, 9]);
        queue.push(sample(10), of_three);
        assert_eq!(times(&queue.take(None)), [10]);
        assert_eq!(queue.dropped(), 7);
    }

    #[test]
    fn a_flush_ends_when_the_thread_has_written_or_ended() {
        for ends in [false, true] {
            let queue = Arc::new(Queue::default());
            let thread = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let work = queue.take(None);
                    match ends {
                        true => queue.ended(),
                        false => queue.flushed(work.flush.unwrap()),
                    }
                })
            };
            assert!(queue.flush(Duration::from_secs(60)));
            thread.join().unwrap();
        }
    }

    #[test]
    fn after_its_end_nothing_is_accepted() {
        let queue = Queue::default();
        queue.close();
        queue.push(sample(1), 100);
        let work = queue.take(None);
        assert!(work.samples.is_empty() && work.is_closed);
    }
}
